//! Read-only bytes that are cheap to clone: a mapped file, an owned vector, a filled piece of an
//! [`Arena`], or a static.
//!
//! Every weight in the house lies in a [`Bytes`]. It knows nothing of what the bytes mean.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::{Arc, Weak};

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
    Filled(Arc<memmap2::MmapRaw>),
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
            // SAFETY: the memory lives as long as the owner. This range of it was a `Blank`, of
            // which there is one for each range, and which was used up by becoming these bytes: it
            // is initialised (new pages are zeros) and nobody writes to it any more. Only the range
            // is borrowed, since others may still be written.
            Owner::Filled(memory) => unsafe {
                let start = memory.as_ptr().add(self.range.start);
                return std::slice::from_raw_parts(start, self.range.len());
            },
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

impl Bytes {
    /// Tells the system that the bytes will not be read soon, so that a mapped file's pages no
    /// longer count as this process's memory. A hint: they may still be read, from the file again.
    ///
    /// Neighbours that the system fetched with them go too: it fetches some pages around each that
    /// is asked for, which of a few hundred tensors adds up to many.
    pub fn wont_need(&self) {
        #[cfg(unix)]
        if let Owner::Mapped(map) = &self.owner {
            /// As far around a page as Linux fetches unless it was told otherwise.
            const AROUND: usize = 64 << 10;
            let start = self.range.start.saturating_sub(AROUND);
            let end = self.range.end.saturating_add(AROUND).min(map.len());
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is of a file and read-only, so that a page that was let go comes
            // back from the file as it was.
            let _ = unsafe { map.unchecked_advise_range(advice, start, end - start) };
        }
    }
}

/// Fresh memory that is handed out piece by piece, filled, and from then on read only.
pub struct Arena {
    memory: Arc<memmap2::MmapRaw>,
    used: usize,
}

/// The size of huge pages on the systems that have them.
const HUGE: usize = 2 << 20;

impl Arena {
    /// Pieces begin at multiples of this: whole cache lines.
    pub const LINE: usize = 64;

    /// Address space for `len` bytes. Memory is used as it is filled, not before.
    ///
    /// # Errors
    /// What the system says where it gives none.
    pub fn new(len: usize) -> io::Result<Arena> {
        let memory = memmap2::MmapRaw::from(memmap2::MmapMut::map_anon(len.saturating_add(HUGE))?);
        let used = memory.as_ptr().align_offset(HUGE).min(HUGE);
        Ok(Arena { memory: Arc::new(memory), used })
    }

    /// The next `len` bytes, or `None` where so many are not left.
    pub fn take(&mut self, len: usize) -> Option<Blank> {
        let end = self.used.checked_add(len)?;
        if end > self.memory.len() {
            return None;
        }
        let range = self.used..end;
        self.used = end.next_multiple_of(Arena::LINE);
        Some(Blank { memory: Arc::clone(&self.memory), range })
    }
}

/// A filled piece of an [`Arena`] on its way to huge pages.
pub(crate) struct Settling {
    memory: Weak<memmap2::MmapRaw>,
    /// Where the next huge page begins, and where what was filled ends.
    at: usize,
    end: usize,
}

impl Settling {
    /// Huge pages that are left to move.
    pub(crate) fn left(&self) -> usize {
        self.end.saturating_sub(self.at) / HUGE
    }

    /// Moves the next huge page, if there is one left and anybody still holds a piece of the memory;
    /// whether the system knows such pages.
    #[cfg(target_os = "linux")]
    pub(crate) fn step(&mut self) -> bool {
        let Some(memory) = self.memory.upgrade() else {
            self.at = self.end;
            return true;
        };
        if self.left() == 0 || self.end > memory.len() {
            self.at = self.end;
            return true;
        }
        // SAFETY: the range is inside the mapping, which is held. The call moves pages; what stands
        // in them stays, also for those who are reading them.
        let done = unsafe {
            let start = memory.as_mut_ptr().add(self.at);
            libc::madvise(start.cast(), HUGE, libc::MADV_COLLAPSE)
        };
        self.at += HUGE;
        // Where memory is short just now, a page stays as it is and the next is tried.
        done == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL)
    }

    /// This system chooses its pages by itself.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn step(&mut self) -> bool {
        let _ = (&self.memory, self.at);
        false
    }
}

/// A piece of an [`Arena`] that is being filled.
pub struct Blank {
    memory: Arc<memmap2::MmapRaw>,
    range: Range<usize>,
}

/// The pages under a [`Blank`].
pub(crate) struct Pages {
    memory: Arc<memmap2::MmapRaw>,
    start: usize,
}

impl Pages {
    /// Fetches the pages of part of the piece at once, which is quicker than one by one as they are
    /// written. A hint: nothing fails if it is ignored.
    pub(crate) fn populate(&self, part: &Range<usize>) {
        #[cfg(target_os = "linux")]
        {
            let advice = memmap2::Advice::PopulateWrite;
            let _ = self.memory.advise_range(advice, self.start + part.start, part.len());
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (&self.memory, self.start, part);
    }
}

impl Blank {
    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// The pages under it.
    pub(crate) fn pages(&self) -> Pages {
        Pages { memory: Arc::clone(&self.memory), start: self.range.start }
    }

    /// What moves it to huge pages, bit by bit, once it is filled: those that it begins or fills.
    pub(crate) fn settling(&self) -> Settling {
        // Where the arena lies is known to the byte, where its huge pages begin is not a multiple
        // of anything in it.
        let first = self.memory.as_ptr().align_offset(HUGE) % HUGE;
        let whole = |at: usize| first + at.saturating_sub(first) / HUGE * HUGE;
        let (at, end) = (whole(self.range.start), whole(self.range.end));
        Settling { memory: Arc::downgrade(&self.memory), at, end }
    }

    /// The bytes to fill; zeros at first.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: the range lies inside the memory, which lives as long as `self`; no other `Blank`
        // and no `Bytes` has a byte of it, and `self` is borrowed for as long as the slice.
        unsafe {
            let start = self.memory.as_mut_ptr().add(self.range.start);
            std::slice::from_raw_parts_mut(start, self.range.len())
        }
    }

    /// The bytes, from now on read only.
    pub fn filled(self) -> Bytes {
        Bytes { owner: Owner::Filled(self.memory), range: self.range }
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
            Owner::Filled(_) => "filled",
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
    fn pieces_of_an_arena_are_apart_and_outlive_it() {
        let mut arena = Arena::new(1000).unwrap();
        let mut first = arena.take(100).unwrap();
        let mut second = arena.take(30).unwrap();
        first.as_mut_slice().fill(1);
        second.as_mut_slice()[29] = 2;
        let first = first.filled();
        second.as_mut_slice()[0] = 3;
        let second = second.filled();
        assert!(arena.take(usize::MAX).is_none() && arena.take(8 << 20).is_none());
        drop(arena);
        assert_eq!(&*first, &[1; 100]);
        assert_eq!((second[0], second[1], second[29]), (3, 0, 2));
        assert_eq!(&*second.slice(28..30).unwrap(), &[0, 2]);
    }

    #[test]
    fn a_file_maps_and_a_directory_does_not() {
        let dir = std::env::temp_dir().join(format!("ondine-bytes-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x");
        File::create(&path).unwrap().write_all(b"hello").unwrap();
        let bytes = Bytes::map(&File::open(&path).unwrap()).unwrap();
        assert_eq!(&*bytes, b"hello");
        bytes.wont_need();
        assert_eq!(&*bytes, b"hello", "what was let go comes back");
        assert!(Bytes::map(&File::open(&dir).unwrap()).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
