//! From a source to one file of the web: what Hugging Face's and Ollama's servers list.
//!
//! What a server lists is a stranger's: digests and lengths become types before anything else is
//! asked for, and no name from a listing becomes a path of this machine.

use serde_json::Value;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::fetch::BLOB_BYTES_MAX;
use crate::http::{Client, Reply, Token};
use crate::release::{Key, RELEASE_BYTES_MAX, Release, SIGNATURE_BYTES_MAX};
use crate::source::{Source, is_gguf, stem};
use crate::url::Url;

/// Pages of a listing that are read: a thousand files each.
const PAGES_MAX: usize = 50;
/// Layers of one model of a registry.
const LAYERS_MAX: usize = 64;
/// Hexadecimal digits of a commit.
const COMMIT_CHARS: usize = 40;
/// The layer that holds the model.
const MODEL_LAYER: &str = "application/vnd.ollama.image.model";
/// The manifest's kind.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// One file of the web, and what is known of it before it comes.
#[derive(Clone)]
pub(crate) struct Remote {
    /// Where it is.
    pub(crate) url: Url,
    /// What it must be.
    pub(crate) digest: Option<Digest>,
    /// How long it must be.
    pub(crate) bytes: Option<u64>,
    /// The commit it belongs to.
    pub(crate) revision: Option<String>,
    /// What to show to the server.
    pub(crate) token: Option<Token>,
}

impl From<&Release> for Remote {
    fn from(release: &Release) -> Remote {
        Remote {
            url: release.url.clone(),
            digest: Some(release.digest),
            bytes: Some(release.bytes),
            revision: None,
            token: None,
        }
    }
}

/// The servers.
pub(crate) struct Servers<'a> {
    pub(crate) client: &'a Client,
    /// A hub as Hugging Face's.
    pub(crate) hub: &'a Url,
    /// A registry as Ollama's.
    pub(crate) registry: &'a Url,
    /// What the hub is told.
    pub(crate) hub_token: Option<&'a str>,
}

impl Servers<'_> {
    /// Finds the one file that a source means. The source that is given back names it whole.
    pub(crate) fn find(&self, source: &Source) -> Result<Option<(Source, Remote)>, StoreError> {
        match source {
            // A release is asked for with its key: see `release`.
            Source::File(_) | Source::Signed(_) => Ok(None),
            Source::Address(url) => {
                let (url, token) = (url.clone(), None);
                let remote = Remote { url, digest: None, bytes: None, revision: None, token };
                Ok(Some((source.clone(), remote)))
            }
            Source::Hub { owner, repository, file, quantisation, revision } => {
                let token = self
                    .hub_token
                    .map(|secret| Token { origin: self.hub.clone(), secret: secret.to_string() });
                let asked = revision.as_deref().unwrap_or("main");
                let commit = self.commit(&[owner, repository], asked, token.as_ref())?;
                let listed = self.files(&[owner, repository], &commit, token.as_ref())?;
                let wanted = match (file, quantisation) {
                    (Some(file), _) => Asked::File(file),
                    (None, Some(end)) => Asked::End(end),
                    (None, None) => Asked::Only,
                };
                let found = choose(&format!("{owner}/{repository}"), listed, wanted)?;
                let mut parts = vec![owner.as_str(), repository, "resolve", &commit];
                parts.extend(found.path.split('/'));
                let url = self.hub.below(&parts);
                let (owner, repository) = (owner.clone(), repository.clone());
                let (file, revision) = (Some(found.path), revision.clone());
                let quantisation = None;
                let source = Source::Hub { owner, repository, file, quantisation, revision };
                let (digest, bytes) = (found.digest, Some(found.bytes));
                Ok(Some((source, Remote { url, digest, bytes, revision: Some(commit), token })))
            }
            Source::Registry { space, model, tag } => {
                let place = self.registry.below(&["v2", space, model]);
                let url = place.below(&["manifests", tag]);
                let (manifest, _) = self.client.json(&url, &[("accept", MANIFEST)], None)?;
                let (digest, bytes) = model_layer(&manifest, &url)?;
                let url = place.below(&["blobs", &format!("sha256:{digest}")]);
                let (digest, bytes) = (Some(digest), Some(bytes));
                let remote = Remote { url, digest, bytes, revision: None, token: None };
                Ok(Some((source.clone(), remote)))
            }
        }
    }

    /// The newest release of a channel, signed with a key.
    pub(crate) fn release(&self, url: &Url, key: &Key, now_s: u64) -> Result<Release, StoreError> {
        let text = self.client.get(url, &[], None)?.all(RELEASE_BYTES_MAX)?;
        let beside = url.and(".minisig");
        let mut signature = match self.client.get(&beside, &[], None) {
            Err(StoreError::Status { status: 404, url }) => {
                return Err(StoreError::Signature { url, reason: "there is no signature" });
            }
            reply => reply?,
        };
        let signature = signature.all(SIGNATURE_BYTES_MAX)?;
        Release::read(&text, &signature, key, url, now_s)
    }

    /// The commit that a branch or tag stands for now: all further questions are about it, so that
    /// listing and file belong together.
    fn commit(
        &self,
        repository: &[&str; 2],
        revision: &str,
        token: Option<&Token>,
    ) -> Result<String, StoreError> {
        let [owner, name] = repository;
        let url = self.hub.below(&["api", "models", owner, name, "revision", revision]);
        let (value, _) = self.client.json(&url, &[], token)?;
        let commit = value["sha"].as_str().unwrap_or_default();
        let sound =
            commit.len() == COMMIT_CHARS && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if sound {
            Ok(commit.to_string())
        } else {
            Err(listing(&url, "expected a commit in `sha`"))
        }
    }

    /// The models of a repository.
    fn files(
        &self,
        repository: &[&str; 2],
        commit: &str,
        token: Option<&Token>,
    ) -> Result<Vec<Listed>, StoreError> {
        let [owner, name] = repository;
        let tree = self.hub.below(&["api", "models", owner, name, "tree", commit]);
        let mut url = tree.with_query("recursive=true");
        let mut files = Vec::new();
        for _ in 0..PAGES_MAX {
            let (value, reply) = self.client.json(&url, &[], token)?;
            let page = value.as_array().ok_or_else(|| listing(&url, "expected a list of files"))?;
            for entry in page.iter().filter(|entry| entry["type"] == "file") {
                files.extend(listed(entry, &url)?);
            }
            match next_page(&reply)? {
                Some(next) => url = next,
                None => return Ok(files),
            }
        }
        Err(listing(&url, &format!("the list goes on after {PAGES_MAX} pages, the limit")))
    }
}

/// A model in a listing.
struct Listed {
    path: String,
    bytes: u64,
    digest: Option<Digest>,
}

/// An entry of a listing, where it is a model.
fn listed(entry: &Value, url: &Url) -> Result<Option<Listed>, StoreError> {
    let path = entry["path"].as_str().ok_or_else(|| listing(url, "a file has no `path`"))?;
    if !is_gguf(path) {
        return Ok(None);
    }
    // Large files stand in the listing with the digest of their content; small ones that lie in
    // the repository itself have none that says anything about the content alone.
    let lfs = &entry["lfs"];
    let digest = match lfs["oid"].as_str() {
        Some(hex) => Some(hex.parse()?),
        None => None,
    };
    let bytes = lfs["size"].as_u64().or_else(|| entry["size"].as_u64());
    let bytes = bytes.ok_or_else(|| listing(url, "a file has no `size`"))?;
    Ok(Some(Listed { path: path.to_string(), bytes, digest }))
}

/// Which file of a repository.
#[derive(Clone, Copy)]
enum Asked<'a> {
    /// This one.
    File(&'a str),
    /// The one whose name ends so, before `.gguf`.
    End(&'a str),
    /// The only one.
    Only,
}

impl Asked<'_> {
    fn is(self, path: &str) -> bool {
        match self {
            Asked::File(wanted) => path == wanted,
            Asked::End(end) => {
                let (stem, end) = (stem(path).to_ascii_lowercase(), end.to_ascii_lowercase());
                let before = stem.strip_suffix(&end);
                before.is_some_and(|before| before.ends_with(['-', '.', '_']))
            }
            Asked::Only => true,
        }
    }

    fn shown(self) -> String {
        match self {
            Asked::File(wanted) => wanted.to_string(),
            Asked::End(end) => format!("*{end}.gguf"),
            Asked::Only => "*.gguf".to_string(),
        }
    }
}

/// The one file that is meant.
fn choose(
    repository: &str,
    mut files: Vec<Listed>,
    wanted: Asked<'_>,
) -> Result<Listed, StoreError> {
    let repository = repository.to_string();
    let found: Vec<usize> = (0..files.len()).filter(|at| wanted.is(&files[*at].path)).collect();
    let paths = || files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
    let found = match found[..] {
        [found] => files.swap_remove(found),
        [] => {
            let (wanted, files) = (wanted.shown(), paths());
            return Err(StoreError::Missing { repository, wanted, files });
        }
        _ => return Err(StoreError::Several { repository, files: paths() }),
    };
    within(found.bytes, &found.path)?;
    Ok(found)
}

/// The next page of a listing, which must be of the same server.
fn next_page(reply: &Reply) -> Result<Option<Url>, StoreError> {
    let links = reply.header("link").unwrap_or_default();
    let next = links.split(',').find(|link| link.contains("rel=\"next\""));
    let Some(next) = next.and_then(|link| link.trim().strip_prefix('<')?.split('>').next()) else {
        return Ok(None);
    };
    let url = reply.url.redirect(next)?;
    if !url.same_origin(&reply.url) {
        return Err(listing(&reply.url, "its next page is on another server"));
    }
    Ok(Some(url))
}

/// Digest and length of the layer that holds the model.
fn model_layer(manifest: &Value, url: &Url) -> Result<(Digest, u64), StoreError> {
    let layers = manifest["layers"].as_array();
    let layers = layers.ok_or_else(|| listing(url, "expected a manifest with `layers`"))?;
    if layers.len() > LAYERS_MAX {
        return Err(listing(url, &format!("has more than {LAYERS_MAX} layers, the limit")));
    }
    // Every digest must be one, also those that are not needed: a manifest that holds something
    // else was made to hurt.
    let mut models = Vec::new();
    for layer in layers {
        let digest = Digest::from_registry(layer["digest"].as_str().unwrap_or_default())?;
        let bytes = layer["size"].as_u64();
        let bytes = bytes.ok_or_else(|| listing(url, "a layer has no `size`"))?;
        if layer["mediaType"] == MODEL_LAYER {
            models.push((digest, bytes));
        }
    }
    let [(digest, bytes)] = models[..] else {
        return Err(listing(url, &format!("has {} model layers; expected one", models.len())));
    };
    within(bytes, &url.to_string())?;
    Ok((digest, bytes))
}

/// Refuses what is longer than any model.
pub(crate) fn within(bytes: u64, what: &str) -> Result<(), StoreError> {
    if bytes > BLOB_BYTES_MAX {
        let what = format!("{what:?} with {bytes} bytes");
        return Err(StoreError::TooLarge { what, limit: BLOB_BYTES_MAX });
    }
    Ok(())
}

fn listing(url: &Url, reason: &str) -> StoreError {
    StoreError::Listing { url: url.to_string(), reason: reason.to_string() }
}
