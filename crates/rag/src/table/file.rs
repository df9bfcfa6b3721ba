//! The file of a table, read once and believed only where it is checked. It knows nothing of texts.
//!
//! All numbers are little-endian. `docs/formats.md` draws it.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `ondtable` |
//! | 8 | 4 | 1, the version |
//! | 12 | 4 | width: numbers of a vector, 8 to 256 |
//! | 16 | 4 | rows, 1 to 65,536 |
//! | 20 | 4 | bytes of the entries |
//! | 24 | 8 | XXH3 (64 bits, no seed) of all that follows |
//! | 32 | | entries in the order of rows, each UTF-8 and a line feed |
//! | | 4 × rows | what one step of each row is worth, f32, finite and not negative |
//! | | width × rows | the rows, i8 |

use xxhash_rust::xxh3::xxh3_64;

/// The widest vector.
pub const WIDTH_MAX: usize = 256;
/// Most rows of a table.
pub const ROWS_MAX: usize = 1 << 16;
/// Most bytes of an entry.
const ENTRY_BYTES_MAX: usize = 256;

const HEADER: usize = 32;

/// What a file says, with its promises kept.
pub(super) struct Parts<'a> {
    pub(super) width: usize,
    pub(super) fingerprint: u64,
    /// Where the first row begins.
    pub(super) rows: usize,
    pub(super) scales: Vec<f32>,
    pub(super) entries: Vec<&'a str>,
}

/// Why a file is not read as a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Not this kind of file.
    #[error("it does not begin like a table of version 1")]
    Kind,
    /// A number in its head is out of bounds.
    #[error("{what} is {found}, at most {most} and at least {least}")]
    Bound {
        /// Which.
        what: &'static str,
        /// What it says.
        found: usize,
        /// The least it may say.
        least: usize,
        /// The most.
        most: usize,
    },
    /// It is longer or shorter than its head says.
    #[error("it has {found} bytes, and its head says {wanted}")]
    Length {
        /// What it has.
        found: usize,
        /// What it says.
        wanted: usize,
    },
    /// It is not what was written.
    #[error("its checksum is another")]
    Checksum,
    /// An entry cannot be what it is.
    #[error("entry {row} {what}")]
    Entry {
        /// The row, counted from 0.
        row: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// The entries are not as many as the rows, or not UTF-8.
    #[error("its entries are {found} lines of UTF-8, and there are {wanted} rows")]
    Entries {
        /// Lines.
        found: usize,
        /// Rows.
        wanted: usize,
    },
    /// What a step of a row is worth is no such number.
    #[error("the step of row {row} is not a finite number of at least 0")]
    Step {
        /// The row, counted from 0.
        row: usize,
    },
}

/// Takes a file apart.
pub(super) fn parts(bytes: &[u8]) -> Result<Parts<'_>, TableError> {
    let word = |at: usize| bytes.get(at..at + 4).map_or(0, |b| le_u32(b) as usize);
    if bytes.len() < HEADER || &bytes[..8] != b"ondtable" || word(8) != 1 {
        return Err(TableError::Kind);
    }
    let bound = |what, found: usize, least: usize, most: usize| {
        if (least..=most).contains(&found) {
            return Ok(found);
        }
        Err(TableError::Bound { what, found, least, most })
    };
    let width = bound("the width", word(12), 8, WIDTH_MAX)?;
    let count = bound("the number of rows", word(16), 1, ROWS_MAX)?;
    let text = bound("the length of the entries", word(20), 2, ROWS_MAX * ENTRY_BYTES_MAX)?;
    // None of these overflows: each factor is bounded above.
    let rows = HEADER + text + 4 * count;
    let wanted = rows + width * count;
    if bytes.len() != wanted {
        return Err(TableError::Length { found: bytes.len(), wanted });
    }
    let (low, high) = (word(24) as u64, word(28) as u64);
    let fingerprint = high << 32 | low;
    if xxh3_64(&bytes[HEADER..]) != fingerprint {
        return Err(TableError::Checksum);
    }
    let lines = std::str::from_utf8(&bytes[HEADER..HEADER + text]).unwrap_or_default();
    let entries: Vec<&str> = lines.split_terminator('\n').collect();
    if entries.len() != count || !lines.ends_with('\n') {
        return Err(TableError::Entries { found: entries.len(), wanted: count });
    }
    if let Some(row) = entries.iter().position(|e| e.len() > ENTRY_BYTES_MAX) {
        return Err(TableError::Entry { row: row as u32, what: "is too long" });
    }
    let scales: Vec<f32> =
        bytes[HEADER + text..rows].chunks_exact(4).map(|b| f32::from_bits(le_u32(b))).collect();
    if let Some(row) = scales.iter().position(|s| !(s.is_finite() && *s >= 0.0 && *s < 1e6)) {
        return Err(TableError::Step { row });
    }
    Ok(Parts { width, fingerprint, rows, scales, entries })
}

fn le_u32(b: &[u8]) -> u32 {
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}
