//! Read-only bytes that are cheap to clone: a mapped file, an owned vector, or a static.
//!
//! Every weight in the house lies in a [`Bytes`]. It knows nothing of what the bytes mean.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A shared, immutable slice. Cloning it or taking a part of it copies no data.
#[derive(Clone)]
pub struct Bytes {
    owner: Owner,
    range: Range<usize>,
}

#[derive(Clone)]
enum Owner {
    Mapped(Arc<memmap2::Mmap>),
    Owned(Arc<Vec<u8>>),
    Static(&'static [u8]),
}

impl Bytes {
    /// Maps a whole file for reading.
    ///
    /// The file must not be shortened while it is mapped: the operating system answers a read
    /// past the new end with a signal, not with an error. Models are never edited in place, and a
    /// store replaces a file by renaming a new one over it, which leaves the old mapping whole.
    ///
    /// # Errors
    /// Whatever the operating system says; anything that is not a regular file is refused, since
    /// a pipe or a device has no length to map.
    pub fn map(file: &File) -> io::Result<Bytes> {
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if meta.len() == 0 {
            return Ok(Bytes::from_vec(Vec::new()));
        }
        // SAFETY: the mapping is read-only and private to this process's view of a regular file.
        // That nobody shortens the file meanwhile is asked of the caller above; Rust cannot check
        // it, and a violation ends the process by a signal rather than in undefined results.
        let map = unsafe { memmap2::Mmap::map(file)? };
        let range = 0..map.len();
        Ok(Bytes { owner: Owner::Mapped(Arc::new(map)), range })
    }

    /// Takes ownership of a vector.
    pub fn from_vec(data: Vec<u8>) -> Bytes {
        let range = 0..data.len();
        Bytes { owner: Owner::Owned(Arc::new(data)), range }
    }

    /// Wraps bytes that live as long as the program, such as an embedded file.
    pub fn from_static(data: &'static [u8]) -> Bytes {
        Bytes { owner: Owner::Static(data), range: 0..data.len() }
    }

    /// A part of these bytes, or `None` where the range leaves them.
    pub fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        let end = self.range.start + range.end;
        Some(Bytes { owner: self.owner.clone(), range: start..end })
    }

    /// The bytes themselves.
    pub fn as_slice(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            Owner::Mapped(map) => map,
            Owner::Owned(data) => data,
            Owner::Static(data) => data,
        };
        &all[self.range.clone()]
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Asks the system to read the bytes in ahead of use. A hint: nothing fails if it is ignored.
    pub fn will_need(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &self.owner {
            // The advice is about speed alone, so a refusal is not an error worth telling.
            let _ = map.advise_range(memmap2::Advice::WillNeed, self.range.start, self.range.len());
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.owner {
            Owner::Mapped(_) => "mapped",
            Owner::Owned(_) => "owned",
            Owner::Static(_) => "static",
        };
        write!(f, "Bytes({kind}, {} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn parts_of_parts_stay_inside() {
        let all = Bytes::from_vec((0..10).collect());
        let part = all.slice(2..8).unwrap();
        assert_eq!(&*part, &[2, 3, 4, 5, 6, 7]);
        assert_eq!(&*part.slice(1..3).unwrap(), &[3, 4]);
        assert!(part.slice(0..7).is_none());
        #[expect(clippy::reversed_empty_ranges, reason = "the bad range is the case")]
        let backwards = part.slice(4..3);
        assert!(backwards.is_none());
    }

    #[test]
    fn a_file_maps_and_a_directory_does_not() {
        let dir = std::env::temp_dir().join(format!("ondine-bytes-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x");
        File::create(&path).unwrap().write_all(b"hello").unwrap();
        let bytes = Bytes::map(&File::open(&path).unwrap()).unwrap();
        assert_eq!(&*bytes, b"hello");
        assert!(Bytes::map(&File::open(&dir).unwrap()).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
