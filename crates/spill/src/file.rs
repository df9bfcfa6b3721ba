//! A file of keys and values: how it lies, and how it is believed.
//!
//! ```text
//! head      magic, version, tokens n, bytes of a page, length of the file
//!           app, origin, session          digests
//!           n tokens
//!           check of all before
//! pages     ceil(n / 16) times: a page, its check
//! ```
//!
//! Drawn with its bytes in `docs/formats.md`. The length comes first of all: it is computed from the
//! head, with every product checked, and compared with what the file has before anything is reserved, so
//! that no number in a file makes anybody reserve more than the file is long. A page's check is seeded
//! with its place and the head's check: a page of another file, of an older version of this one or from
//! another place in it is no page of it.
//!
//! Checks are XXH3 of 64 bits. They are there against disks, torn writes and files of others, at a speed
//! near that of copying; against somebody who can write into the folder no check without a secret
//! helps, and that one can read the conversation anyway.

use std::io::{self, Read, Write};

use ondine_cache::{Cache, CacheError, PAGE};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::key::{Key, Mark};

const MAGIC: &[u8; 8] = b"ONDINEKV";
const VERSION: u32 = 1;
/// The part of the head that is always as long: up to the tokens.
const FIXED: usize = 128;
/// Bytes of a check.
const CHECK: usize = 8;

/// Tokens of a file: more positions than a model may have are refused when it is opened.
pub const TOKENS_MAX: usize = 1 << 24;

/// What a file says before its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) key: Key,
    /// Zeros where the timeline belongs to no session.
    pub(crate) session: Mark,
    pub(crate) page_bytes: u64,
    pub(crate) tokens: Vec<u32>,
}

/// Why a file is not read.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not what was written.
    Damaged(&'static str),
    /// The system does not give it.
    Io(io::Error),
    /// There is no memory for what it holds.
    Cache(CacheError),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        // The length was compared before: whoever ends early was cut meanwhile.
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Refused::Damaged("it ends too early"),
            _ => Refused::Io(error),
        }
    }
}

impl From<CacheError> for Refused {
    fn from(error: CacheError) -> Refused {
        Refused::Cache(error)
    }
}

/// Bytes of a file with so many tokens; `None` where that is no number.
pub(crate) fn length(tokens: usize, page_bytes: u64) -> Option<u64> {
    let head = (tokens as u64).checked_mul(4)?.checked_add((FIXED + CHECK) as u64)?;
    let pages = tokens.div_ceil(PAGE) as u64;
    page_bytes.checked_add(CHECK as u64)?.checked_mul(pages)?.checked_add(head)
}

impl Head {
    /// Bytes of the whole file; `None` where that is no number.
    pub(crate) fn length(&self) -> Option<u64> {
        length(self.tokens.len(), self.page_bytes)
    }

    fn bytes(&self, length: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED + 4 * self.tokens.len() + CHECK);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((self.tokens.len() as u32).to_le_bytes());
        bytes.extend(self.page_bytes.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.key.app);
        bytes.extend(self.key.origin);
        bytes.extend(self.session);
        bytes.extend(self.tokens.iter().flat_map(|token| token.to_le_bytes()));
        bytes
    }

    /// Reads the head of a file of `length` bytes. Gives its check too, which seeds the pages'.
    pub(crate) fn read(file: &mut impl Read, length: u64) -> Result<(Head, u64), Refused> {
        if length < (FIXED + CHECK) as u64 {
            return Err(Refused::Damaged("it is too short"));
        }
        let mut fixed = [0; FIXED];
        file.read_exact(&mut fixed)?;
        let mut rest = &fixed[..];
        if take(&mut rest) != *MAGIC {
            return Err(Refused::Damaged("it holds no keys and values"));
        }
        if u32::from_le_bytes(take(&mut rest)) != VERSION {
            return Err(Refused::Damaged("it is of another version"));
        }
        let count = u32::from_le_bytes(take(&mut rest)) as usize;
        let page_bytes = u64::from_le_bytes(take(&mut rest));
        let told = u64::from_le_bytes(take(&mut rest));
        if count == 0 || count > TOKENS_MAX {
            return Err(Refused::Damaged("it has an impossible number of tokens"));
        }
        // From here on, what is reserved is in the file.
        if told != length || self::length(count, page_bytes) != Some(length) {
            return Err(Refused::Damaged("it is not as long as it says"));
        }
        let key = Key { app: take(&mut rest), origin: take(&mut rest) };
        let session = take(&mut rest);
        let mut bytes = vec![0; 4 * count];
        file.read_exact(&mut bytes)?;
        let check = check_of(&[&fixed, &bytes]);
        if read_check(file)? != check {
            return Err(Refused::Damaged("its head is damaged"));
        }
        let tokens = bytes.as_chunks().0.iter().map(|token| u32::from_le_bytes(*token)).collect();
        Ok((Head { key, session, page_bytes, tokens }, check))
    }
}

/// Writes a whole file.
pub(crate) fn write(file: &mut impl Write, head: &Head, cache: &Cache) -> io::Result<()> {
    let length = head.length().ok_or_else(|| io::Error::other("longer than any file"))?;
    let bytes = head.bytes(length);
    let check = check_of(&[&bytes]);
    file.write_all(&bytes)?;
    file.write_all(&check.to_le_bytes())?;
    for (place, page) in cache.page_bytes().enumerate() {
        file.write_all(page)?;
        file.write_all(&page_check(page, check, place).to_le_bytes())?;
    }
    Ok(())
}

/// Fills a cache with the first `tokens` positions of a file whose head was read.
pub(crate) fn read_pages(
    file: &mut impl Read,
    check: u64,
    tokens: usize,
    cache: &mut Cache,
) -> Result<(), Refused> {
    let mut place = 0;
    cache.fill(tokens, |page| {
        file.read_exact(page)?;
        if read_check(file)? != page_check(page, check, place) {
            return Err(Refused::Damaged("a page of it is damaged"));
        }
        place += 1;
        Ok(())
    })
}

/// The next bytes of a piece that is long enough for all that is taken from it.
fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, left) = rest.split_first_chunk().expect("the fixed part holds them all");
    *rest = left;
    *taken
}

fn check_of(parts: &[&[u8]]) -> u64 {
    let mut hash = Xxh3::new();
    for part in parts {
        hash.update(part);
    }
    hash.digest()
}

fn page_check(page: &[u8], head: u64, place: usize) -> u64 {
    xxh3_64_with_seed(page, head.wrapping_add(place as u64))
}

fn read_check(file: &mut impl Read) -> io::Result<u64> {
    let mut check = [0; CHECK];
    file.read_exact(&mut check)?;
    Ok(u64::from_le_bytes(check))
}
