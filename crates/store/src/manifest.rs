//! What a name stands for: a small JSON file, read as a stranger's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::layout::{self, Entry, Layout};
use crate::name::ModelName;

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
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
        let OnDisk { version, blob, bytes, source, revision, etag, created_s, about } =
            serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        if version != VERSION {
            return Err(damaged(format!("has version {version}; expected {VERSION}")));
        }
        let blob = Digest::from_registry(&blob).map_err(|error| damaged(error.to_string()))?;
        Ok(Manifest { blob, bytes, source, revision, etag, created_s, about })
    }

    /// Gives a name its content. The caller holds the lock of the names.
    pub(crate) fn write(&self, layout: &Layout, name: &ModelName) -> Result<(), StoreError> {
        let place = layout.path(Entry::Name(name));
        let Manifest { blob, bytes, source, revision, etag, created_s, about } = self.clone();
        let blob = format!("sha256:{blob}");
        let version = VERSION;
        let on_disk = OnDisk { version, blob, bytes, source, revision, etag, created_s, about };
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
