//! What nobody needs any more goes: content that no name needs, and parts that nobody came back for.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, SystemTime};

use crate::error::{StoreError, io_at};
use crate::layout::{self, Entry, Layout};
use crate::lock::{self, Lock, Share};
use crate::manifest::Manifest;
use crate::part::Part;

/// How long a part waits for somebody to continue it.
pub const PART_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What was taken away, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents that had no name.
    pub blobs: usize,
    /// Parts that nobody came back for.
    pub parts: usize,
    /// Bytes that are free now.
    pub bytes: u64,
    /// Contents without a name that somebody has open. They go another time.
    pub held: usize,
    /// Whether somebody adds to the store just now; then everything stays.
    pub busy: bool,
}

/// Takes away what nobody needs.
///
/// Alone in the store: no download runs, so no content is between its arrival and its name.
pub(crate) fn sweep(layout: &Layout) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    let Some(_alone) = Lock::attempt(&layout.path(Entry::StoreLock), Share::Alone)? else {
        return Ok(Swept { busy: true, ..swept });
    };
    // A name that cannot be read may need any content: then nothing goes.
    let mut needed = Vec::new();
    for name in layout.all_names()? {
        needed.extend(Manifest::read(layout, &name)?.iter().flat_map(Manifest::needs));
    }
    for digest in layout.all_blobs()?.into_iter().filter(|digest| !needed.contains(digest)) {
        let path = layout.path(Entry::Blob(digest));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io_at(&path, "open")(error)),
        };
        if !lock::take(&file, Share::Alone).map_err(io_at(&path, "lock"))? {
            swept.held += 1;
            continue;
        }
        let bytes = file.metadata().map_or(0, |meta| meta.len());
        layout::remove(&path)?;
        swept.blobs += 1;
        swept.bytes += bytes;
    }
    for key in layout.all_parts()? {
        let path = layout.path(Entry::Part(key));
        let meta = fs::metadata(&path).ok();
        let age =
            |meta: &fs::Metadata| SystemTime::now().duration_since(meta.modified().ok()?).ok();
        if meta.as_ref().and_then(age).is_some_and(|age| age > PART_KEPT) {
            swept.parts += 1;
            swept.bytes += meta.as_ref().map_or(0, fs::Metadata::len);
            Part::discard(layout, key)?;
        } else if meta.is_some() {
            continue;
        }
        // Without a part, its list and its lock are of no use. Nobody waits for the lock: who does
        // shares the lock of the store, which is held alone here.
        layout::remove(&layout.path(Entry::Chunks(key)))?;
        layout::remove(&layout.path(Entry::PartLock(key)))?;
    }
    Ok(swept)
}
