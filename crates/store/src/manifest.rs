//! What a name stands for: a small JSON file, read as a stranger's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::channel::{self, Channel};
use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::layout::{self, Entry, Layout};
use crate::name::ModelName;

/// The version of a name that follows no channel.
const VERSION: u32 = 1;
/// The version of a name that follows one: who knows nothing of channels must not read it, or would
/// take its other content for garbage.
const WITH_CHANNEL: u32 = 2;
/// The longest manifest. What is written here is a tenth of that.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The content.
    pub blob: Digest,
    /// Its length.
    pub bytes: u64,
    /// Where it came from, as it could be typed again.
    pub source: String,
    /// The revision of the repository it was, where it has revisions.
    pub revision: Option<String>,
    /// What the server called this version of the file.
    pub etag: Option<String>,
    /// When it got its name, in seconds since 1970.
    pub created_s: u64,
    /// What the caller's check found out about it. The store does not read it.
    pub about: BTreeMap<String, String>,
    /// The signed releases that it follows, where it follows some.
    pub channel: Option<Channel>,
}

/// The manifest as it lies on the disk.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    blob: String,
    bytes: u64,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    created_s: u64,
    #[serde(default)]
    about: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<channel::OnDisk>,
}

impl Manifest {
    /// Reads what a name stands for; `None` where there is no such name.
    pub(crate) fn read(layout: &Layout, name: &ModelName) -> Result<Option<Manifest>, StoreError> {
        let path = layout.path(Entry::Name(name));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_at(&path, "open")(error)),
        };
        let mut text = Vec::new();
        let read = file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut text);
        read.map_err(io_at(&path, "read"))?;
        Manifest::parse(&text, &path).map(Some)
    }

    fn parse(text: &[u8], path: &Path) -> Result<Manifest, StoreError> {
        let damaged = |reason: String| StoreError::Damaged { path: path.to_path_buf(), reason };
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(damaged(format!("is longer than {MANIFEST_BYTES_MAX} bytes")));
        }
        let OnDisk { version, blob, bytes, source, revision, etag, created_s, about, channel } =
            serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        let expected = if channel.is_some() { WITH_CHANNEL } else { VERSION };
        if version != expected {
            return Err(damaged(format!("has version {version}; expected {expected}")));
        }
        let blob = Digest::from_registry(&blob).map_err(|error| damaged(error.to_string()))?;
        let channel = channel.map(Channel::try_from).transpose();
        let channel = channel.map_err(|error| damaged(error.to_string()))?;
        Ok(Manifest { blob, bytes, source, revision, etag, created_s, about, channel })
    }

    /// Every content that the name needs: its own, and the one that a rollback would go to.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Digest> + use<> {
        let spare = self.channel.as_ref().and_then(|channel| channel.spare.as_ref());
        [Some(self.blob), spare.map(|spare| spare.blob)].into_iter().flatten()
    }

    /// Gives a name its content. The caller holds the lock of the names.
    pub(crate) fn write(&self, layout: &Layout, name: &ModelName) -> Result<(), StoreError> {
        let place = layout.path(Entry::Name(name));
        let Manifest { blob, bytes, source, revision, etag, created_s, about, channel } =
            self.clone();
        let blob = format!("sha256:{blob}");
        let version = if channel.is_some() { WITH_CHANNEL } else { VERSION };
        let channel = channel.as_ref().map(channel::OnDisk::from);
        let on_disk =
            OnDisk { version, blob, bytes, source, revision, etag, created_s, about, channel };
        let text = serde_json::to_vec_pretty(&on_disk);
        let text = text.map_err(|error| io_at(&place, "write")(io::Error::other(error)))?;
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            let what = format!("the manifest of {name}");
            return Err(StoreError::TooLarge { what, limit: MANIFEST_BYTES_MAX });
        }
        layout::replace(&layout.path(Entry::NextName), &place, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key is the example of minisign's own documentation.
    const CHANNEL: &str = r#"{
        "key": "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", "version": 2, "highest": 3,
        "highest_blob": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    }"#;

    fn with_channel(channel: &str) -> String {
        format!(",\"channel\":{channel}}}")
    }

    #[test]
    fn a_bad_manifest_is_refused() {
        let digest = "a".repeat(64);
        let good = format!(
            r#"{{"version":1,"blob":"sha256:{digest}","bytes":1,"source":"x","created_s":2}}"#
        );
        let large = good.replace("\"x\"", &format!("\"{}\"", "x".repeat(70 << 10)));
        let rows = [
            (good.clone(), true),
            (good.replace(":1,\"blob", ":2,\"blob"), false),
            (good.replace(":1,\"blob", ":2,\"blob").replace('}', &with_channel(CHANNEL)), true),
            (good.replace('}', &with_channel(CHANNEL)), false),
            (good.replace(":1,\"blob", ":2,\"blob").replace('}', &with_channel("{}")), false),
            (good.replace("sha256:", "sha256:../"), false),
            (good.replace("sha256:", "md5:"), false),
            (good.replace("\"bytes\":1", "\"bytes\":-1"), false),
            (good[..good.len() - 1].to_string(), false),
            (large, false),
            (String::new(), false),
            ("[".repeat(10_000), false),
        ];
        for (text, expected) in rows {
            let read = Manifest::parse(text.as_bytes(), Path::new("m"));
            assert_eq!(read.is_ok(), expected, "{read:?}");
        }
    }
}
