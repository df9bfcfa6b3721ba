//! A folder's documents: which files there are, and which are left out.
//!
//! Names that begin with a dot are left out, as are folders that say of themselves that they are caches
//! (`CACHEDIR.TAG`, which is how an index leaves itself out), and `node_modules`. Links are not followed:
//! what lies outside the folder was not asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{RagError, Unread};

/// The mark of a cache, and how it begins.
pub(crate) const CACHE_TAG: (&str, &str) =
    ("CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
/// How deep folders are looked into.
const DEPTH_MAX: usize = 64;
/// A file that was changed so lately may change again within the same tick of the disk's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// A file that may be a document.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) full: PathBuf,
    /// Below the folder, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// When it was changed, in nanoseconds since 1970; 0 where that is not to be relied on.
    pub(crate) changed_ns: i64,
}

/// What is in a folder.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Found>,
    /// What could not be looked at, and why.
    pub(crate) unread: Vec<(String, Unread)>,
    /// Folders that could not be listed: nobody knows what is gone below them.
    pub(crate) dark: Vec<String>,
}

/// Lists a folder, without the folder `except`.
pub(crate) fn list(folder: &Path, except: &Path) -> Result<Listing, RagError> {
    if !folder.is_dir() || fs::read_dir(folder).is_err() {
        return Err(RagError::NoFolder(folder.to_path_buf()));
    }
    let mut listing = Listing::default();
    let now = SystemTime::now();
    let mut open = vec![(folder.to_path_buf(), String::new(), 0)];
    while let Some((full, below, depth)) = open.pop() {
        let entries = fs::read_dir(&full).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = match entries {
            Ok(entries) if depth < DEPTH_MAX => entries,
            Ok(_) => {
                let why = Unread::Io(format!("lies more than {DEPTH_MAX} folders deep"));
                listing.unread.push((below.clone(), why));
                continue;
            }
            Err(error) => {
                listing.unread.push((below.clone(), Unread::Io(error.to_string())));
                listing.dark.push(below);
                continue;
            }
        };
        for entry in entries {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let shown = format!("{below}{}", name.to_string_lossy());
                listing.unread.push((shown, Unread::Io("its name is no text".into())));
                continue;
            };
            if name.starts_with('.') || name == "node_modules" {
                continue;
            }
            let path = format!("{below}{name}");
            let meta = match fs::symlink_metadata(entry.path()) {
                Ok(meta) => meta,
                Err(error) => {
                    listing.unread.push((path, Unread::Io(error.to_string())));
                    continue;
                }
            };
            if meta.is_dir() {
                let is_index = fs::canonicalize(entry.path()).is_ok_and(|full| full == except);
                if !is_index && !is_cache(&entry.path()) {
                    open.push((entry.path(), format!("{path}/"), depth + 1));
                }
            } else if meta.is_file() && name != CACHE_TAG.0 {
                let changed_ns = meta.modified().map_or(0, |time| settled_ns(time, now));
                listing.files.push(Found {
                    full: entry.path(),
                    path,
                    bytes: meta.len(),
                    changed_ns,
                });
            }
        }
    }
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

fn is_cache(folder: &Path) -> bool {
    fs::read(folder.join(CACHE_TAG.0)).is_ok_and(|tag| tag.starts_with(CACHE_TAG.1.as_bytes()))
}

/// The time in nanoseconds, or 0 where it is too near to be relied on.
fn settled_ns(time: SystemTime, now: SystemTime) -> i64 {
    if now.duration_since(time).is_ok_and(|age| age > SETTLED) {
        let since = time.duration_since(UNIX_EPOCH).map(|since| since.as_nanos());
        since.ok().and_then(|ns| i64::try_from(ns).ok()).unwrap_or(0)
    } else {
        0
    }
}
