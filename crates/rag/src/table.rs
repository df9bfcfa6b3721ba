//! Vectors of texts without a model: a table of small vectors, one for each word it knows, that comes
//! with the program.
//!
//! A text's vector is the sum of its words' vectors, each times the square root of how often the word
//! stands there, brought to length 1 (a static embedding; how much a word counts is the length of its
//! vector). That costs no matrix and takes microseconds; it knows no word order, and no words but those
//! of English, Chinese and source code. `recipes/table` makes the file, and says from what.
//!
//! It knows nothing of documents, of indexes, or of how passages are found.
//!
//! | module | what it holds |
//! |---|---|
//! | `file` | the file: read once, every length checked |
//! | `split` | a text becomes words |

mod file;
mod split;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ondine_chat::{ChatError, Embed, Embedded};

pub use file::{ROWS_MAX, TableError, WIDTH_MAX};
use split::Word;

/// The longest text in bytes: what is longer is cut into passages first.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Characters of the longest piece of a word.
const PIECE_CHARS_MAX: usize = 12;

static SHIPPED: &[u8] = include_bytes!("../assets/table.bin");

/// A table of vectors. Clones share it.
#[derive(Clone)]
pub struct Table(Arc<Inner>);

struct Inner {
    bytes: Cow<'static, [u8]>,
    width: usize,
    fingerprint: u64,
    /// Where the first row begins in `bytes`.
    rows: usize,
    /// What one step of a row is worth.
    scales: Vec<f32>,
    words: HashMap<Box<str>, u32>,
    pieces: HashMap<Box<str>, u32>,
    hanzi: HashMap<char, u32>,
    pairs: HashMap<(char, char), u32>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({} rows, {} wide, {:016x})", self.len(), self.width(), self.fingerprint())
    }
}

impl Table {
    /// What [`Embed::embed`] calls it.
    pub const NAME: &'static str = "table";

    /// The table that comes with the program; read once.
    pub fn embedded() -> Table {
        static READ: OnceLock<Table> = OnceLock::new();
        let read = || match Table::read(SHIPPED) {
            Ok(table) => table,
            Err(e) => panic!("the table of this build is broken: {e}"),
        };
        READ.get_or_init(read).clone()
    }

    /// Reads a table's file.
    ///
    /// # Errors
    /// It is not whole, or not one.
    pub fn read(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Table, TableError> {
        let bytes = bytes.into();
        let parts = file::parts(&bytes)?;
        let mut inner = Inner {
            width: parts.width,
            fingerprint: parts.fingerprint,
            rows: parts.rows,
            scales: parts.scales,
            words: HashMap::new(),
            pieces: HashMap::new(),
            hanzi: HashMap::new(),
            pairs: HashMap::new(),
            bytes: Cow::Borrowed(&[]),
        };
        for (row, entry) in (0..).zip(parts.entries) {
            let mut chars = entry.chars();
            let known = match (chars.next(), chars.next(), chars.next()) {
                (Some('~'), Some(_), _) => inner.pieces.insert(entry[1..].into(), row),
                (Some(c), None, _) if split::is_hanzi(c) => inner.hanzi.insert(c, row),
                (Some(a), Some(b), None) if split::is_hanzi(a) => inner.pairs.insert((a, b), row),
                (Some(_), ..) => inner.words.insert(entry.into(), row),
                (None, ..) => return Err(TableError::Entry { row, what: "is empty" }),
            };
            if known.is_some() {
                return Err(TableError::Entry { row, what: "stands there twice" });
            }
        }
        inner.bytes = bytes;
        Ok(Table(Arc::new(inner)))
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.0.width
    }

    /// Words, pieces of words, Hanzi and pairs of Hanzi that it knows.
    pub fn len(&self) -> usize {
        self.0.scales.len()
    }

    /// Whether it knows nothing. No file is read as such a table.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What tells this table from another: vectors of two tables do not compare.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// The vector of a text, of length 1; zeros where it has no word that the table knows, since such a
    /// text is like no other.
    pub fn vector(&self, text: &str) -> Vec<f32> {
        let mut ids = Vec::new();
        self.sum(text, &mut ids)
    }

    fn sum(&self, text: &str, ids: &mut Vec<u32>) -> Vec<f32> {
        let table = &*self.0;
        ids.clear();
        self.ids(text, ids);
        ids.sort_unstable();
        let mut vector = vec![0.0f32; table.width];
        for run in ids.chunk_by(|a, b| a == b) {
            let row = run[0] as usize;
            let weight = table.scales[row] * (run.len() as f32).sqrt();
            let start = table.rows + row * table.width;
            for (v, &b) in vector.iter_mut().zip(&table.bytes[start..start + table.width]) {
                *v += weight * f32::from(b as i8);
            }
        }
        normalize(&mut vector);
        vector
    }

    /// The rows of a text's words, in their order; one that stands there twice is given twice. Takes
    /// time in proportion to the text: a word costs at most its letters times a constant.
    fn ids(&self, text: &str, ids: &mut Vec<u32>) {
        let table = &*self.0;
        split::split(text, |word| match word {
            Word::Letters(word) => match table.words.get(word) {
                Some(&row) => ids.push(row),
                None => self.pieces(word, ids),
            },
            Word::Hanzi(run) => {
                let mut before = None;
                for c in run.chars() {
                    if let Some(before) = before {
                        ids.extend(table.pairs.get(&(before, c)));
                    }
                    ids.extend(table.hanzi.get(&c));
                    before = Some(c);
                }
            }
        });
    }

    /// The longest known pieces of a word from its beginning on. What is in none is left out.
    fn pieces(&self, mut word: &str, ids: &mut Vec<u32>) {
        while let Some(first) = word.chars().next() {
            let ends = word.char_indices().map(|(at, c)| at + c.len_utf8()).take(PIECE_CHARS_MAX);
            let longest = ends
                .filter_map(|end| self.0.pieces.get(&word[..end]).map(|&row| (end, row)))
                .last();
            let end = longest.map_or(first.len_utf8(), |(end, row)| {
                ids.push(row);
                end
            });
            word = &word[end..];
        }
    }
}

/// Under [`Table::NAME`]. A text without a known word gets zeros, where others get length 1.
impl Embed for Table {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        if model != Table::NAME {
            let known = vec![Table::NAME.to_owned()];
            return Err(ChatError::NoModel { name: model.to_owned(), known });
        }
        let mut ids = Vec::new();
        let mut embedded = Embedded::default();
        for text in texts {
            if text.len() > TEXT_BYTES_MAX {
                let what = format!("a text of {} bytes; at most {TEXT_BYTES_MAX}", text.len());
                return Err(ChatError::invalid("texts", what));
            }
            embedded.vectors.push(self.sum(text, &mut ids));
            embedded.tokens += ids.len();
        }
        Ok(embedded)
    }
}

/// Brings a vector to length 1. One that has no length to speak of says nothing, and becomes zeros.
fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    let scale = if length > 1e-6 && length.is_finite() { length.recip() } else { 0.0 };
    vector.iter_mut().for_each(|v| *v *= scale);
}

#[cfg(test)]
mod tests;
