//! Passages and vectors of some documents in one file, which is written once and never changed.
//!
//! ```text
//! 0   magic "ondrag\0\1"                 8 bytes
//! 8   width of a vector (0: none)        u32
//! 12  documents, passages                2 × u32
//! 20  bytes of the tables, of the texts  2 × u64
//! 36  xxh3 of tables, of vectors         2 × u64
//! 52  xxh3 of the 52 bytes above         u64
//! 60  tables: for each document          id u32, root u16, kind u8, path u32 + bytes, size u64, time i64,
//!                                        hash u128, passages u32
//!             for each passage           first line, last line, page: 3 × u32; heading u32 + bytes;
//!                                        bytes of its text u32, xxh3 of it u32 (the lower half)
//!     vectors: a scale each, f32; a row of i8 each
//!     texts, one after the other
//! ```
//!
//! Numbers are little-endian. Opened, tables and vectors are in memory and checked; a text is read, and
//! checked, when it is asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;

use crate::chunk::Chunk;
use crate::error::{RagError, at};
use crate::read::Kind;
use crate::vectors::{Vectors, WIDTH_MAX};

const MAGIC: &[u8; 8] = b"ondrag\0\x01";
const HEAD: usize = 60;
/// Larger tables or vectors are no file of ours.
const PART_MAX: u64 = 1 << 32;

/// What is kept of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DocumentRow {
    pub(crate) id: u32,
    /// Which of the index's folders it is from.
    pub(crate) root: u16,
    pub(crate) kind: Kind,
    /// Below that folder, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// When it was changed, in nanoseconds since 1970; 0 where that is not to be relied on.
    pub(crate) changed_ns: i64,
    pub(crate) hash: u128,
    pub(crate) chunks: u32,
}

/// What is kept of a passage, but for its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChunkRow {
    pub(crate) line_start: u32,
    pub(crate) line_end: u32,
    /// 0 where there are no pages.
    pub(crate) page: u32,
    pub(crate) heading: String,
    text_bytes: u32,
    text_hash: u32,
    /// Where the text begins in the file.
    text_at: u64,
}

/// A file of passages that is being made.
pub(crate) struct Builder {
    documents: Vec<DocumentRow>,
    chunks: Vec<ChunkRow>,
    vectors: Vectors,
    texts: Vec<u8>,
}

impl Builder {
    /// `width` is that of the vectors; 0 where there are none.
    pub(crate) fn new(width: usize) -> Builder {
        let vectors = Vectors::new(width);
        Builder { documents: Vec::new(), chunks: Vec::new(), vectors, texts: Vec::new() }
    }

    /// Bytes of texts so far.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Adds a document with its passages and a vector for each, or none at all.
    pub(crate) fn add(&mut self, document: DocumentRow, chunks: &[Chunk], vectors: &Vectors) {
        self.documents.push(DocumentRow { chunks: chunks.len() as u32, ..document });
        for (at, chunk) in chunks.iter().enumerate() {
            self.chunks.push(ChunkRow {
                line_start: chunk.line_start as u32,
                line_end: chunk.line_end as u32,
                page: chunk.page.unwrap_or(0),
                heading: chunk.heading.clone(),
                text_bytes: chunk.text.len() as u32,
                text_hash: hash_of(chunk.text.as_bytes()),
                text_at: 0,
            });
            self.texts.extend_from_slice(chunk.text.as_bytes());
            if self.vectors.width() > 0 {
                self.vectors.push_row(vectors, at);
            }
        }
    }

    /// Writes the file. It is on the disk when this returns.
    pub(crate) fn write(self, path: &Path) -> Result<(), RagError> {
        let tables = self.tables();
        let mut vectors = Vec::with_capacity(self.vectors.len() * (4 + self.vectors.width()));
        self.vectors.scales().iter().for_each(|scale| vectors.extend(scale.to_le_bytes()));
        vectors.extend(self.vectors.codes().iter().map(|code| code.to_le_bytes()[0]));
        let mut head = MAGIC.to_vec();
        head.extend((self.vectors.width() as u32).to_le_bytes());
        head.extend((self.documents.len() as u32).to_le_bytes());
        head.extend((self.chunks.len() as u32).to_le_bytes());
        head.extend((tables.len() as u64).to_le_bytes());
        head.extend((self.texts.len() as u64).to_le_bytes());
        head.extend(xxh3_64(&tables).to_le_bytes());
        head.extend(xxh3_64(&vectors).to_le_bytes());
        head.extend(xxh3_64(&head).to_le_bytes());
        let write = || -> std::io::Result<()> {
            let mut file = File::create(path)?;
            for part in [&head, &tables, &vectors, &self.texts] {
                file.write_all(part)?;
            }
            file.sync_all()
        };
        write().map_err(at(path, "write passages"))
    }

    fn tables(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for document in &self.documents {
            out.extend(document.id.to_le_bytes());
            out.extend(document.root.to_le_bytes());
            out.push(document.kind as u8);
            put_text(&mut out, &document.path);
            out.extend(document.bytes.to_le_bytes());
            out.extend(document.changed_ns.to_le_bytes());
            out.extend(document.hash.to_le_bytes());
            out.extend(document.chunks.to_le_bytes());
        }
        for chunk in &self.chunks {
            out.extend(chunk.line_start.to_le_bytes());
            out.extend(chunk.line_end.to_le_bytes());
            out.extend(chunk.page.to_le_bytes());
            put_text(&mut out, &chunk.heading);
            out.extend(chunk.text_bytes.to_le_bytes());
            out.extend(chunk.text_hash.to_le_bytes());
        }
        out
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn hash_of(text: &[u8]) -> u32 {
    // The lower half is enough to see a torn disk.
    (xxh3_64(text) & 0xffff_ffff) as u32
}

/// A file of passages, open for reading.
pub(crate) struct Segment {
    path: PathBuf,
    file: Mutex<File>,
    pub(crate) documents: Vec<DocumentRow>,
    pub(crate) chunks: Vec<ChunkRow>,
}

impl Segment {
    /// Opens a file and gives its vectors, of the width that is expected.
    pub(crate) fn open(path: &Path, width: usize) -> Result<(Segment, Vectors), RagError> {
        let mut file = File::open(path).map_err(at(path, "open passages"))?;
        let length = file.metadata().map_err(at(path, "open passages"))?.len();
        let damaged = |what: &str| RagError::damaged(path, what);
        let mut head = [0; HEAD];
        file.read_exact(&mut head).map_err(|_| damaged("it is too short"))?;
        let u32_at =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if !head.starts_with(MAGIC) || u64_at(52) != xxh3_64(&head[..52]) {
            return Err(damaged("its head"));
        }
        if u32_at(8) as usize != width || width > WIDTH_MAX {
            return Err(damaged("its vectors have another width"));
        }
        let (documents, chunks) = (u32_at(12) as usize, u32_at(16) as usize);
        let (tables, texts) = (u64_at(20), u64_at(28));
        let vectors = if width == 0 { 0 } else { chunks as u64 * (4 + width as u64) };
        let whole = [HEAD as u64, tables, vectors, texts]
            .iter()
            .try_fold(0u64, |sum, part| sum.checked_add(*part));
        if tables > PART_MAX || vectors > PART_MAX || whole != Some(length) {
            return Err(damaged("its length"));
        }
        let mut read = |bytes: u64, hash: u64, what: &str| {
            let mut part = vec![0; bytes as usize];
            file.read_exact(&mut part).map_err(|_| damaged(what))?;
            if xxh3_64(&part) == hash { Ok(part) } else { Err(damaged(what)) }
        };
        let tables = read(tables, u64_at(36), "its tables")?;
        let numbers = read(vectors, u64_at(44), "its vectors")?;
        let rows = Tables { rest: &tables }.read(documents, chunks, length - texts);
        let (documents, chunks) = rows.ok_or_else(|| damaged("its tables"))?;
        let end =
            chunks.last().map_or(length - texts, |last| last.text_at + u64::from(last.text_bytes));
        let counted: u64 = documents.iter().map(|document| u64::from(document.chunks)).sum();
        if end != length || counted != chunks.len() as u64 {
            return Err(damaged("its tables do not fit its texts"));
        }
        let vectors = if width == 0 {
            Vectors::new(0)
        } else {
            let (scales, codes) = numbers.split_at(chunks.len() * 4);
            let scales =
                scales.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            Vectors::of(
                width,
                scales,
                codes.iter().map(|code| i8::from_le_bytes([*code])).collect(),
            )
        };
        let file = Mutex::new(file);
        Ok((Segment { path: path.to_path_buf(), file, documents, chunks }, vectors))
    }

    /// Bytes of all its texts.
    pub(crate) fn text_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.text_bytes)).sum()
    }

    /// The text of a passage.
    pub(crate) fn text(&self, row: usize) -> Result<String, RagError> {
        let chunk = &self.chunks[row];
        let mut bytes = vec![0; chunk.text_bytes as usize];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(chunk.text_at))
                .and_then(|_| file.read_exact(&mut bytes))
                .map_err(at(&self.path, "read a passage"))?;
        }
        if hash_of(&bytes) != chunk.text_hash {
            return Err(RagError::damaged(&self.path, "the text of a passage"));
        }
        String::from_utf8(bytes).map_err(|_| RagError::damaged(&self.path, "text that is none"))
    }

    /// A passage with its text.
    pub(crate) fn chunk(&self, row: usize) -> Result<Chunk, RagError> {
        let text = self.text(row)?;
        let chunk = &self.chunks[row];
        Ok(Chunk {
            text,
            heading: chunk.heading.clone(),
            line_start: chunk.line_start as usize,
            line_end: chunk.line_end as usize,
            page: (chunk.page > 0).then_some(chunk.page),
        })
    }
}

struct Tables<'a> {
    rest: &'a [u8],
}

impl Tables<'_> {
    fn read(
        mut self,
        documents: usize,
        chunks: usize,
        texts_at: u64,
    ) -> Option<(Vec<DocumentRow>, Vec<ChunkRow>)> {
        let documents: Option<Vec<_>> = (0..documents).map(|_| self.document()).collect();
        let mut text_at = texts_at;
        let chunks: Option<Vec<_>> = (0..chunks).map(|_| self.chunk(&mut text_at)).collect();
        if self.rest.is_empty() { Some((documents?, chunks?)) } else { None }
    }

    fn document(&mut self) -> Option<DocumentRow> {
        Some(DocumentRow {
            id: self.number().map(u32::from_le_bytes)?,
            root: self.number().map(u16::from_le_bytes)?,
            kind: self.number().and_then(|[kind]| Kind::from_number(kind))?,
            path: self.text()?,
            bytes: self.number().map(u64::from_le_bytes)?,
            changed_ns: self.number().map(i64::from_le_bytes)?,
            hash: self.number().map(u128::from_le_bytes)?,
            chunks: self.number().map(u32::from_le_bytes)?,
        })
    }

    fn chunk(&mut self, next: &mut u64) -> Option<ChunkRow> {
        let chunk = ChunkRow {
            line_start: self.number().map(u32::from_le_bytes)?,
            line_end: self.number().map(u32::from_le_bytes)?,
            page: self.number().map(u32::from_le_bytes)?,
            heading: self.text()?,
            text_bytes: self.number().map(u32::from_le_bytes)?,
            text_hash: self.number().map(u32::from_le_bytes)?,
            text_at: *next,
        };
        *next = next.checked_add(u64::from(chunk.text_bytes))?;
        Some(chunk)
    }

    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    fn text(&mut self) -> Option<String> {
        let length = u32::from_le_bytes(self.number()?) as usize;
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        String::from_utf8(taken.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_every_flipped_byte_is_seen() {
        let folder = crate::tests::folder("segment");
        let path = folder.join("a");
        let chunk = |n: usize| Chunk {
            text: format!("passage {n} 段落"),
            heading: format!("h{n}"),
            line_start: n,
            line_end: n + 2,
            page: n.is_multiple_of(2).then_some(7),
        };
        let document = |id| DocumentRow {
            id,
            root: 2,
            kind: Kind::Html,
            path: format!("d/{id}.html"),
            bytes: 9,
            changed_ns: -5,
            hash: u128::MAX - 3,
            chunks: 0,
        };
        let mut vectors = Vectors::new(4);
        vectors.push(&[0.5, -0.5, 0.5, -0.5]);
        vectors.push(&[1.0, 0.0, 0.0, 0.0]);
        let mut builder = Builder::new(4);
        builder.add(document(1), &[chunk(1), chunk(2)], &vectors);
        builder.add(document(9), &[chunk(5)], &vectors);
        builder.write(&path).unwrap();
        let (segment, read) = Segment::open(&path, 4).unwrap();
        assert_eq!(
            segment.documents,
            [DocumentRow { chunks: 2, ..document(1) }, DocumentRow { chunks: 1, ..document(9) }]
        );
        let chunks: Vec<Chunk> = (0..3).map(|row| segment.chunk(row).unwrap()).collect();
        assert_eq!(chunks, [chunk(1), chunk(2), chunk(5)]);
        assert_eq!((read.row(1), read.row(2)), (vectors.row(1), vectors.row(0)));
        assert!(matches!(Segment::open(&path, 5), Err(RagError::Damaged { .. })));
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut torn = whole.clone();
            torn[at] ^= 1;
            std::fs::write(&path, &torn).unwrap();
            let seen = match Segment::open(&path, 4) {
                Err(_) => true,
                Ok((segment, _)) => (0..3).any(|row| segment.text(row).is_err()),
            };
            assert!(seen, "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Segment::open(&path, 4).is_err(), "cut at {at}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
