//! A file of this machine becomes a part that is whole.
//!
//! It is copied, never linked: through a second name its owner could change it later, and the
//! content would no longer be what its digest says. Where the file system can share the blocks of
//! a copy until one side changes (btrfs, xfs, apfs), the system's own copy does so. The digest is
//! taken from the copy, so that it describes what is kept, whatever happens to the original.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::digest::{Digest, Hasher};
use crate::disk::Disk;
use crate::error::{StoreError, io_at};
use crate::fetch::{Step, Watch, enough, tell};
use crate::layout::{Layout, PartKey};
use crate::part::{Head, Part};
use crate::remote::within;

/// Bytes copied or hashed between two words about progress.
const STRIDE_BYTES: u64 = 16 << 20;

/// Copies a file. The caller holds the lock of its key.
pub(crate) fn copy(
    layout: &Layout,
    disk: &dyn Disk,
    key: PartKey,
    source: &Path,
    watch: &mut Watch<'_>,
) -> Result<(Digest, u64), StoreError> {
    // Asked before opening: opening a pipe would wait for its other end.
    let meta = fs::metadata(source).map_err(io_at(source, "find"))?;
    if !meta.is_file() {
        let text = source.display().to_string();
        return Err(StoreError::Source { text, reason: "expected a regular file" });
    }
    let bytes = meta.len();
    within(bytes, &source.display().to_string())?;
    let mut original = File::open(source).map_err(io_at(source, "open"))?;
    if bytes == 0 {
        let text = source.display().to_string();
        return Err(StoreError::Source { text, reason: "expected a file that is not empty" });
    }
    enough(disk, layout, bytes)?;
    // A copy begins from the start: reading the original again is as fast as checking what is there.
    let part = Part::create(layout, key, Head::new(bytes, None, false))?;
    let mut file = File::options().read(true).write(true).open(&part.path);
    let file =
        file.as_mut().map_err(|error| io_at(&part.path, "open")(io::Error::from(error.kind())))?;
    // Copying and hashing each go over all bytes once.
    let step = |done: u64| Step { done: done / 2, total: bytes, ..Step::default() };
    let mut done = 0;
    while done < bytes {
        tell(watch, step(done))?;
        let most = STRIDE_BYTES.min(bytes - done);
        disk.spend(most).map_err(io_at(&part.path, "write"))?;
        let copied = io::copy(&mut (&mut original).take(most), file);
        let copied = copied.map_err(io_at(&part.path, "copy to"))?;
        if copied == 0 {
            let (url, expected) = (source.display().to_string(), bytes);
            return Err(StoreError::Truncated { url, expected, found: done });
        }
        done += copied;
    }
    file.rewind().map_err(io_at(&part.path, "read"))?;
    let (mut hasher, mut hashed) = (Hasher::new(), 0);
    while hashed < bytes {
        tell(watch, step(bytes + hashed))?;
        let most = STRIDE_BYTES.min(bytes - hashed);
        hasher.read(&mut *file, most).map_err(io_at(&part.path, "read"))?;
        hashed += most;
    }
    tell(watch, Step { done: bytes, total: bytes, ..Step::default() })?;
    Ok((hasher.finish(), bytes))
}
