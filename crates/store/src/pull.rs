//! From a source to a name: the order of steps that leaves the store whole wherever it is stopped.
//!
//! ```text
//!   find the file  →  hold the store, hold the part  →  fetch or copy  →  compare the digest
//!   →  the caller's check  →  to the disk, then to its place  →  the name, to the disk
//! ```
//!
//! Before the last step nothing can be found by a name; after it, everything is on the disk. A signed
//! release takes the same way: it says beforehand what the file is, and [`crate::channel`] whether it
//! is wanted.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Store;
use crate::channel::{Offer, Terms, Verdict};
use crate::copy::copy;
use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::fetch::{Fetched, Job, Step, Watch, fetch, tell};
use crate::layout::{self, Entry, PartKey};
use crate::lock::{Lock, Share};
use crate::manifest::Manifest;
use crate::name::ModelName;
use crate::part::Part;
use crate::release::Key;
use crate::remote::{Remote, Servers};
use crate::source::Source;

/// Looks at content before it gets a name, and says what is worth knowing about it, or why it is
/// no model.
pub type Check<'a> =
    dyn Fn(&Path) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>> + 'a;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Where it comes from.
    pub source: Source,
    /// Its name here; made from the source where there is none.
    pub name: Option<ModelName>,
    /// What its content must be.
    pub digest: Option<Digest>,
    /// Whose releases a signed source has. It is believed: no other key is.
    pub key: Option<Key>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Its name.
    pub name: ModelName,
    /// What the name stands for now.
    pub manifest: Manifest,
    /// Whether it was here already, as it is at the source.
    pub was_here: bool,
}

impl Store {
    /// Brings a model here and gives it a name.
    ///
    /// Callers that want the same content at the same time share one download, in this process or
    /// others: the first does it, the others wait and are told how far it is.
    ///
    /// # Errors
    /// Whatever a server, the disk or the content does wrong; the name then stands for what it did
    /// before. What has arrived stays for the next time, except where it is known to be wrong.
    pub fn pull(
        &self,
        pull: &Pull,
        check: &Check<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Pulled, StoreError> {
        // Whoever names a version means it, also after it was declined.
        let terms = Terms { declined: true, ..Terms::default() };
        let pulled = self.wanted(pull, terms, watch).and_then(|job| match self.consider(&job)? {
            (Verdict::Take, _) | (_, None) => self.bring(job, check, watch),
            (_, Some(manifest)) => Ok(Pulled { name: job.name, manifest, was_here: true }),
        });
        // Another pull may be running, or a name be unreadable: the garbage can wait for the next
        // one, and whether this one succeeded does not depend on it.
        let _ = self.sweep();
        pulled
    }

    /// Asks for all that can be known before the content comes.
    pub(crate) fn wanted(
        &self,
        pull: &Pull,
        terms: Terms,
        watch: &mut Watch<'_>,
    ) -> Result<Wanted, StoreError> {
        let name = match &pull.name {
            Some(name) => Some(name.clone()),
            // A repository says only in its listing what its file is called.
            None if matches!(pull.source, Source::Hub { file: None, .. }) => None,
            None => Some(ModelName::derived(&pull.source.title())?),
        };
        tell(watch, Step::default())?;
        let servers = Servers {
            client: &self.client,
            hub: &self.options.hub,
            registry: &self.options.registry,
            hub_token: self.options.hub_token.as_deref(),
        };
        let mut offer = None;
        let (source, mut remote) = if let Source::Signed(url) = &pull.source {
            let needs = |reason| StoreError::NeedsKey { of: pull.source.to_string(), reason };
            let key = pull.key.clone().ok_or_else(|| needs("a signed source needs its key"))?;
            let release = servers.release(url, &key, now_s())?;
            let remote = Remote::from(&release);
            offer = Some(Offer { release, key, terms, update: false });
            (pull.source.clone(), Some(remote))
        } else if pull.key.is_some() {
            let reason = "a key belongs to a source that begins with signed:";
            return Err(StoreError::NeedsKey { of: pull.source.to_string(), reason });
        } else {
            match servers.find(&pull.source)? {
                Some((source, remote)) => (source, Some(remote)),
                None => (whole_path(&pull.source)?, None),
            }
        };
        let name = match name {
            Some(name) => name,
            None => ModelName::derived(&source.title())?,
        };
        let listed = remote.as_ref().and_then(|remote| remote.digest);
        if let (Some(expected), Some(found)) = (pull.digest, listed)
            && expected != found
        {
            // Known before a byte is fetched.
            return Err(StoreError::Mismatch { what: source.to_string(), expected, found });
        }
        let expected = pull.digest.or(listed);
        if let Some(remote) = &mut remote {
            remote.digest = expected;
        }
        Ok(Wanted { source: source.to_string(), name, expected, remote, file: source, offer })
    }

    /// Brings what is wanted, and gives it its name.
    pub(crate) fn bring(
        &self,
        job: Wanted,
        check: &Check<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Pulled, StoreError> {
        let mut watch = |step: Step| watch(Step { digest: job.expected, ..step });
        let brought = self.bring_into(&job, check, &mut watch);
        if matches!(brought, Err(StoreError::Refused { .. })) {
            self.decline(&job)?;
        }
        brought
    }

    fn bring_into(
        &self,
        job: &Wanted,
        check: &Check<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Pulled, StoreError> {
        let store_lock = self.layout.path(Entry::StoreLock);
        let _store = Lock::wait(&store_lock, Share::Shared, || tell(watch, Step::default()))?;
        let before = self.named(job)?;
        if let Some(pulled) = self.already(job, check)? {
            return Ok(pulled);
        }
        let key = match job.expected {
            Some(digest) => PartKey::Content(digest),
            None => PartKey::Address(Digest::of(job.source.as_bytes())),
        };
        let mut waited = false;
        let _part = Lock::wait(&self.layout.path(Entry::PartLock(key)), Share::Alone, || {
            waited = true;
            let (done, total) = Part::progress(&self.layout, key).unwrap_or_default();
            tell(watch, Step { done, total, waiting: true, ..Step::default() })
        })?;
        if waited {
            // Whoever was waited for may have brought it all.
            if let Some(pulled) = self.already(job, check)? {
                return Ok(pulled);
            }
            // Where a digest is wanted, they have not: what is there under another name is older.
            if job.expected.is_none()
                && let Some(manifest) =
                    self.same_source(job)?.filter(|now| Some(now) != before.as_ref())
            {
                return self.activate(job, manifest, true);
            }
        }
        // What any name has from there need not come again, if it is still the same there. Where a
        // digest is wanted, what is here has another one: `already` looked.
        let known = match before.clone().filter(|manifest| self.has(Some(manifest))) {
            _ if job.expected.is_some() => None,
            Some(manifest) => Some(manifest),
            None => self.same_source(job)?,
        };
        let (blob, bytes, etag) = match &job.remote {
            Some(remote) => {
                let version = known
                    .as_ref()
                    .and_then(|manifest| Some((manifest.etag.clone()?, manifest.bytes)));
                let fetch_job = Job {
                    client: &self.client,
                    layout: &self.layout,
                    disk: &self.options.disk,
                    key,
                    remote,
                    known: version,
                    connections: self.options.connections,
                    pause: self.options.pause,
                };
                match (fetch(&fetch_job, watch)?, known) {
                    (Fetched::Whole { digest, bytes, etag }, _) => (digest, bytes, etag),
                    (Fetched::Unchanged, Some(manifest)) if before.as_ref() == Some(&manifest) => {
                        return Ok(Pulled { name: job.name.clone(), manifest, was_here: true });
                    }
                    (Fetched::Unchanged, Some(manifest)) => {
                        return self.activate(job, manifest, true);
                    }
                    // Only a known version is found unchanged, and it is known from there.
                    (Fetched::Unchanged, None) => unreachable!("unchanged from nothing"),
                }
            }
            None => {
                let Some(path) = job.file.file() else { unreachable!("no remote, yet no file") };
                let disk = self.options.disk.as_ref();
                let (found, bytes) = copy(&self.layout, disk, key, path, watch)?;
                if let Some(expected) = job.expected.filter(|expected| *expected != found) {
                    Part::discard(&self.layout, key)?;
                    let what = job.source.clone();
                    return Err(StoreError::Mismatch { what, expected, found });
                }
                (found, bytes, None)
            }
        };
        let part = self.layout.path(Entry::Part(key));
        let about = check(&part).map_err(|error| self.refused(job, key, error.as_ref()))?;
        self.settle(key, blob)?;
        let manifest = self.manifest(job, blob, bytes, etag, about);
        self.activate(job, manifest, false)
    }

    /// What the check says about content that arrived whole: it goes, since fetching it again would
    /// bring the same.
    fn refused(&self, job: &Wanted, key: PartKey, error: &(dyn Error + 'static)) -> StoreError {
        if let Err(lost) = Part::discard(&self.layout, key) {
            return lost;
        }
        StoreError::Refused { what: job.source.clone(), reason: error.to_string() }
    }

    /// Puts a part that is whole and checked into its place.
    fn settle(&self, key: PartKey, blob: Digest) -> Result<(), StoreError> {
        let part = self.layout.path(Entry::Part(key));
        let place = self.layout.path(Entry::Blob(blob));
        if place.exists() {
            // Another address had the same content.
            return Part::discard(&self.layout, key);
        }
        let synced = File::options().write(true).open(&part).and_then(|file| file.sync_all());
        synced.map_err(io_at(&part, "write to the disk"))?;
        layout::rename(&part, &place)?;
        Part::discard(&self.layout, key)
    }

    /// Held while a name is changed.
    pub(crate) fn lock_names(&self) -> Result<Lock, StoreError> {
        Lock::wait(&self.layout.path(Entry::NamesLock), Share::Alone, || Ok(()))
    }

    /// Gives a name its content; the old content of the name becomes garbage.
    fn activate(
        &self,
        job: &Wanted,
        manifest: Manifest,
        was_here: bool,
    ) -> Result<Pulled, StoreError> {
        let mut manifest = Manifest { source: job.source.clone(), ..manifest };
        let _names = self.lock_names()?;
        let now = self.named(job)?;
        if let Some(offer) = &job.offer {
            if offer.update && now.is_none() {
                return Err(self.unknown(&job.name));
            }
            // Somebody else may have been faster, with this version or a later one.
            let verdict = offer.judge(&job.name, now.as_ref())?;
            if let Some(now) = now.clone().filter(|_| verdict != Verdict::Take) {
                return Ok(Pulled { name: job.name.clone(), manifest: now, was_here: true });
            }
            manifest.channel = Some(offer.taken(now.as_ref()));
        }
        manifest.write(&self.layout, &job.name)?;
        Ok(Pulled { name: job.name.clone(), manifest, was_here })
    }

    /// What the wanted name stands for now. It may be given another content only from where its
    /// first one came.
    pub(crate) fn named(&self, job: &Wanted) -> Result<Option<Manifest>, StoreError> {
        let manifest = Manifest::read(&self.layout, &job.name)?;
        if let Some(manifest) = manifest.as_ref().filter(|manifest| manifest.source != job.source) {
            return Err(StoreError::Taken {
                name: job.name.clone(),
                holder: manifest.source.clone(),
                wanted: job.source.clone(),
            });
        }
        Ok(manifest)
    }

    /// The model, where its content is known and here.
    fn already(&self, job: &Wanted, check: &Check<'_>) -> Result<Option<Pulled>, StoreError> {
        let Some(blob) = job.expected else { return Ok(None) };
        let path = self.layout.path(Entry::Blob(blob));
        let Ok(meta) = fs::metadata(&path) else { return Ok(None) };
        let same = self.named(job)?.filter(|manifest| manifest.blob == blob);
        // A release may give the same content a new version: that is to be remembered.
        if let Some(manifest) = same.filter(|_| job.offer.is_none()) {
            return Ok(Some(Pulled { name: job.name.clone(), manifest, was_here: true }));
        }
        let about = check(&path).map_err(|error| StoreError::Refused {
            what: job.source.clone(),
            reason: error.to_string(),
        })?;
        let manifest = self.manifest(job, blob, meta.len(), None, about);
        self.activate(job, manifest, true).map(Some)
    }

    /// What any name from the same source stands for, where its content is here.
    fn same_source(&self, job: &Wanted) -> Result<Option<Manifest>, StoreError> {
        let mut same = None;
        for name in self.layout.all_names()? {
            // A name that cannot be read is not this caller's; it has nothing to say here.
            let manifest = Manifest::read(&self.layout, &name).ok().flatten();
            let manifest = manifest.filter(|manifest| manifest.source == job.source);
            same = same.or(manifest.filter(|manifest| self.has(Some(manifest))));
        }
        Ok(same)
    }

    /// Whether the content of a name is here.
    pub(crate) fn has(&self, manifest: Option<&Manifest>) -> bool {
        manifest.is_some_and(|manifest| self.layout.path(Entry::Blob(manifest.blob)).exists())
    }

    fn manifest(
        &self,
        job: &Wanted,
        blob: Digest,
        bytes: u64,
        etag: Option<String>,
        about: BTreeMap<String, String>,
    ) -> Manifest {
        let revision = job.remote.as_ref().and_then(|remote| remote.revision.clone());
        let (source, created_s) = (job.source.clone(), now_s());
        Manifest { blob, bytes, source, revision, etag, created_s, about, channel: None }
    }
}

/// Seconds since 1970; 0 where the clock is before that, so that all releases come from the future.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// What is wanted, with all that is known beforehand.
pub(crate) struct Wanted {
    /// The source as a name's manifest keeps it.
    source: String,
    file: Source,
    pub(crate) name: ModelName,
    expected: Option<Digest>,
    remote: Option<Remote>,
    /// The release that it is of, where the source is signed.
    pub(crate) offer: Option<Offer>,
}

/// A file by its whole path: the name's manifest must mean the same from every folder.
fn whole_path(source: &Source) -> Result<Source, StoreError> {
    match source.file() {
        Some(path) => {
            let path = fs::canonicalize(path).map_err(io_at(path, "find"))?;
            Ok(Source::File(path))
        }
        None => Ok(source.clone()),
    }
}
