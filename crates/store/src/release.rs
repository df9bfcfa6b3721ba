//! What a publisher says of a model's newest version: a small signed file, and the key that it must
//! be signed with.
//!
//! The signature is over the file's bytes as they were sent, and is checked before anything in them
//! is read. This file knows no server and no disk; it is given the time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use minisign_verify::{PublicKey, Signature};
use serde::Deserialize;

use crate::digest::Digest;
use crate::error::StoreError;
use crate::remote::within;
use crate::url::Url;

/// The format that is read; others are refused.
const FORMAT: u32 = 1;
/// The longest release.
pub const RELEASE_BYTES_MAX: u64 = 64 << 10;
/// The longest signature: four lines, two of them comments.
pub const SIGNATURE_BYTES_MAX: u64 = 4 << 10;
/// The highest version: every reader of JSON holds it exactly.
pub const VERSION_MAX: u64 = 1 << 53;
/// The longest notes.
pub const NOTES_BYTES_MAX: usize = 4 << 10;
/// How far a release may come from the future: clocks differ.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// A publisher's public key, in minisign's one line: `RWQ…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    text: String,
    key: PublicKey,
}

impl FromStr for Key {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Key, StoreError> {
        let key = PublicKey::from_base64(text).map_err(|_| StoreError::Key {
            text: text.chars().take(100).collect(),
            reason: "expected the second line of a minisign.pub file, 56 characters from RW on",
        })?;
        Ok(Key { text: text.to_string(), key })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A version of a model, as its publisher signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    /// Counts up, and never twice for different content.
    pub(crate) version: u64,
    /// What the model's file must be.
    pub(crate) digest: Digest,
    /// How long it must be.
    pub(crate) bytes: u64,
    /// Where it is.
    pub(crate) url: Url,
    /// What the publisher says about it.
    pub(crate) notes: Option<String>,
}

/// The release as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Read before, and known.
    #[serde(rename = "format")]
    _format: u32,
    model: String,
    version: u64,
    released_s: u64,
    expires_s: u64,
    sha256: String,
    bytes: u64,
    file: String,
    #[serde(default)]
    program: Option<String>,
    #[serde(default)]
    notes: Option<String>,
}

/// What alone is read of a format that is not known.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Release {
    /// Checks the signature of what came from `url`, and reads it. `now_s` are seconds since 1970.
    pub(crate) fn read(
        text: &[u8],
        signature: &[u8],
        key: &Key,
        url: &Url,
        now_s: u64,
    ) -> Result<Release, StoreError> {
        verify(text, signature, key, url)?;
        let wrong = |reason: String| StoreError::Release { url: url.to_string(), reason };
        let Format { format } =
            serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if format != FORMAT {
            return Err(wrong(format!("has format {format}; expected {FORMAT}")));
        }
        let written: Written =
            serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        // One key may sign several models: a release of another one must not stand in this place.
        if written.model != title(url) {
            return Err(wrong(format!(
                "it is a release of {:?}; expected {:?}, as its address says",
                written.model,
                title(url)
            )));
        }
        if !(1..=VERSION_MAX).contains(&written.version) {
            return Err(wrong(format!("has version {}; expected 1 to 2^53", written.version)));
        }
        if written.released_s >= written.expires_s {
            return Err(wrong("expires before it was released".to_string()));
        }
        if written.released_s > now_s.saturating_add(AHEAD.as_secs()) {
            let ahead = span(written.released_s - now_s);
            return Err(wrong(format!("was released {ahead} from now; the clock may be wrong")));
        }
        if written.expires_s <= now_s {
            return Err(StoreError::Expired {
                url: url.to_string(),
                ago: span(now_s - written.expires_s),
            });
        }
        if written.bytes == 0 {
            return Err(wrong("its file has no bytes".to_string()));
        }
        within(written.bytes, &written.file)?;
        if written.notes.as_ref().is_some_and(|notes| notes.len() > NOTES_BYTES_MAX) {
            return Err(wrong(format!("has notes above the limit of {NOTES_BYTES_MAX} bytes")));
        }
        if let Some(needed) = &written.program {
            let (Some(least), Some(have)) = (numbers(needed), numbers(PROGRAM)) else {
                return Err(wrong("its `program` is no version such as 1.2.3".to_string()));
            };
            if least > have {
                let (needed, have) = (needed.clone(), PROGRAM);
                return Err(StoreError::OldProgram { url: url.to_string(), needed, have });
            }
        }
        Ok(Release {
            version: written.version,
            digest: written.sha256.parse()?,
            bytes: written.bytes,
            // The same rules as for a redirect: what is signed may be old, and hosts change hands.
            url: url.redirect(&written.file)?,
            notes: written.notes,
        })
    }
}

/// This program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Three whole numbers with dots.
fn numbers(text: &str) -> Option<[u64; 3]> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// What the model of an address is called by its publisher.
pub(crate) fn title(url: &Url) -> &str {
    let file = url.path().rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".json").unwrap_or(file)
}

fn verify(text: &[u8], signature: &[u8], key: &Key, url: &Url) -> Result<(), StoreError> {
    let wrong = |reason| StoreError::Signature { url: url.to_string(), reason };
    let signature = std::str::from_utf8(signature).ok();
    let signature = signature.and_then(|signature| Signature::decode(signature).ok());
    let signature = signature.ok_or_else(|| wrong("what stands beside it is no signature"))?;
    // The comment that the signature brings along is signed too, and checked by this.
    key.key.verify(text, &signature, false).map_err(|error| match error {
        minisign_verify::Error::UnexpectedKeyId => wrong("it is signed with another key"),
        minisign_verify::Error::UnexpectedAlgorithm => {
            wrong("the signature is of the old kind, without a hash")
        }
        _ => wrong("the signature does not fit: this is not what was signed"),
    })
}

/// A span of time as people say it.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7_200 => (seconds / 60, "minutes"),
        7_200..172_800 => (seconds / 3_600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
