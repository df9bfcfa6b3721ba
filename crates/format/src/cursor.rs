//! A place in bytes that moves forward and never leaves them. It knows numbers, not formats.

use crate::error::FormatError;
use crate::limits::Limit;

/// Widens a count for a message; nothing is lost where `usize` has at most 64 bits.
pub(crate) fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// The next multiple of `alignment`, a power of two, or `None` where it does not fit.
pub(crate) fn pad(at: usize, alignment: usize) -> Option<usize> {
    at.checked_next_multiple_of(alignment)
}

/// An empty vector with room for `count` elements, or an error instead of the end of the process.
pub(crate) fn room<T>(count: usize, what: impl FnOnce() -> String) -> Result<Vec<T>, FormatError> {
    let mut out = Vec::new();
    match out.try_reserve_exact(count) {
        Ok(()) => Ok(out),
        Err(_) => {
            Err(FormatError::Memory { what: what(), bytes: count.saturating_mul(size_of::<T>()) })
        }
    }
}

pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// Where it stands, from the beginning of the file.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Bytes still to come.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn truncated(&self, needed: u64, what: impl FnOnce() -> String) -> FormatError {
        FormatError::Truncated { what: what(), at: self.at, needed, left: self.left() }
    }

    /// The next `count` bytes.
    pub(crate) fn take(
        &mut self,
        count: usize,
        what: impl FnOnce() -> String,
    ) -> Result<&'a [u8], FormatError> {
        let end = self.at.checked_add(count);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(part) => {
                self.at = self.at.saturating_add(count);
                Ok(part)
            }
            None => Err(self.truncated(wide(count), what)),
        }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(
        &mut self,
        what: impl FnOnce() -> String,
    ) -> Result<[u8; N], FormatError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(chunk) => {
                self.at = self.at.saturating_add(N);
                Ok(*chunk)
            }
            None => Err(self.truncated(wide(N), what)),
        }
    }

    pub(crate) fn u32(&mut self, what: impl FnOnce() -> String) -> Result<u32, FormatError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: impl FnOnce() -> String) -> Result<u64, FormatError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A count of things that take at least `size` bytes each: within its limit, and no more of
    /// them than the bytes to come can hold. What is reserved after this the file has paid for.
    pub(crate) fn count(
        &mut self,
        limit: Limit,
        size: usize,
        what: impl Fn() -> String,
    ) -> Result<usize, FormatError> {
        let at = self.at;
        let found = self.u64(&what)?;
        if found > limit.max {
            return Err(FormatError::Limit { what: what(), at, found, limit });
        }
        let needed = found.saturating_mul(wide(size));
        if needed > wide(self.left()) {
            return Err(self.truncated(needed, what));
        }
        // It is no more than the bytes left, or than a limit far below 2^32: it fits.
        usize::try_from(found).map_err(|_| FormatError::Limit { what: what(), at, found, limit })
    }

    /// A string with its length before it.
    pub(crate) fn string(
        &mut self,
        limit: Limit,
        what: impl Fn() -> String,
    ) -> Result<&'a str, FormatError> {
        let length = self.count(limit, 1, &what)?;
        let start = self.at;
        let bytes = self.take(length, &what)?;
        std::str::from_utf8(bytes).map_err(|error| FormatError::Utf8 {
            what: what(),
            at: start.saturating_add(error.valid_up_to()),
        })
    }
}
