//! A model on its way: a file as long as the model will be, and beside it a list of the chunks
//! that have arrived, each with its digest.
//!
//! The list is only ever added to, a line a chunk. A line that was cut is no line. A chunk whose
//! bytes did not reach the disk does not have the digest of its line, so neither file needs to be
//! forced to the disk while the model comes: after a crash the list is checked, not believed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::layout::{self, Entry, Layout, PartKey};

/// Chunks a file has at most.
pub(crate) const CHUNKS_MAX: u64 = 1 << 16;
/// A chunk has this many bytes, or a multiple where the file would have too many of them. It is
/// also what is lost at most where a connection breaks.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
/// The longest list: every chunk a few times over.
const LIST_BYTES_MAX: u64 = 32 << 20;

/// The first line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Length of the file.
    pub(crate) bytes: u64,
    /// Length of all chunks but the last.
    pub(crate) chunk_bytes: u64,
    /// What the server calls this version of the file.
    pub(crate) etag: Option<String>,
    /// Whether the server sends parts of it.
    pub(crate) ranges: bool,
}

impl Head {
    /// For a file of so many bytes.
    pub(crate) fn new(bytes: u64, etag: Option<String>, ranges: bool) -> Head {
        let times = bytes.div_ceil(CHUNK_BYTES * CHUNKS_MAX).max(1);
        Head { bytes, chunk_bytes: CHUNK_BYTES * times, etag, ranges }
    }

    /// How many chunks it has.
    pub(crate) fn chunks(&self) -> usize {
        // At most CHUNKS_MAX, or the head was refused.
        self.bytes.div_ceil(self.chunk_bytes) as usize
    }

    /// Where a chunk begins.
    pub(crate) fn begin(&self, chunk: usize) -> u64 {
        chunk as u64 * self.chunk_bytes
    }

    /// How long a chunk is.
    pub(crate) fn length(&self, chunk: usize) -> u64 {
        self.chunk_bytes.min(self.bytes - self.begin(chunk))
    }

    fn is_sound(&self) -> bool {
        self.chunk_bytes > 0
            && self.bytes > 0
            && self.bytes.div_ceil(self.chunk_bytes) <= CHUNKS_MAX
    }
}

/// A model on its way. Whoever has one holds the lock of its key.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) head: Head,
    /// The file itself.
    pub(crate) path: PathBuf,
    /// The digests of the chunks that were there when it was opened.
    pub(crate) found: Vec<Option<Digest>>,
    list: File,
    list_path: PathBuf,
}

impl Part {
    /// What an earlier attempt left, where it is of use.
    pub(crate) fn resume(layout: &Layout, key: PartKey) -> Result<Option<Part>, StoreError> {
        let (path, list_path) = (layout.path(Entry::Part(key)), layout.path(Entry::Chunks(key)));
        let Some((head, found, whole)) = read(&list_path)? else { return Ok(None) };
        if fs::metadata(&path).map_or(0, |meta| meta.len()) != head.bytes {
            return Ok(None);
        }
        // What was cut is taken away, or the next line would continue it.
        let open = || -> io::Result<File> {
            let list = layout::options().append(true).open(&list_path)?;
            list.set_len(whole)?;
            Ok(list)
        };
        let list = open().map_err(io_at(&list_path, "open"))?;
        Ok(Some(Part { head, path, found, list, list_path }))
    }

    /// Begins anew, and forgets what an earlier attempt left.
    pub(crate) fn create(layout: &Layout, key: PartKey, head: Head) -> Result<Part, StoreError> {
        let (path, list_path) = (layout.path(Entry::Part(key)), layout.path(Entry::Chunks(key)));
        // In this order: a list must never stand beside a file that it does not describe.
        layout::remove(&list_path)?;
        let file = layout::options().write(true).create(true).truncate(true).open(&path);
        let sized = file.and_then(|file| file.set_len(head.bytes));
        sized.map_err(io_at(&path, "make the file"))?;
        let begin = || -> io::Result<File> {
            let mut list = layout::options().append(true).create(true).open(&list_path)?;
            let mut line = serde_json::to_string(&head).map_err(io::Error::other)?;
            line.push('\n');
            list.write_all(line.as_bytes())?;
            Ok(list)
        };
        let list = begin().map_err(io_at(&list_path, "write"))?;
        let found = vec![None; head.chunks()];
        Ok(Part { head, path, found, list, list_path })
    }

    /// Notes that a chunk has arrived.
    pub(crate) fn record(&mut self, chunk: usize, digest: Digest) -> Result<(), StoreError> {
        let line = format!("{chunk} {digest}\n");
        self.list.write_all(line.as_bytes()).map_err(io_at(&self.list_path, "write"))
    }

    /// Removes both files.
    pub(crate) fn discard(layout: &Layout, key: PartKey) -> Result<(), StoreError> {
        layout::remove(&layout.path(Entry::Chunks(key)))?;
        layout::remove(&layout.path(Entry::Part(key)))
    }

    /// Bytes that have arrived and bytes of the whole, for somebody who only looks on.
    pub(crate) fn progress(layout: &Layout, key: PartKey) -> Option<(u64, u64)> {
        let (head, found, _) = read(&layout.path(Entry::Chunks(key))).ok()??;
        let there = found.iter().enumerate().filter(|(_, digest)| digest.is_some());
        Some((there.map(|(chunk, _)| head.length(chunk)).sum(), head.bytes))
    }
}

type List = (Head, Vec<Option<Digest>>, u64);

/// Reads a list: its head, its chunks, and how long it is without what was cut.
fn read(path: &std::path::Path) -> Result<Option<List>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at(path, "open")(error)),
    };
    let mut bytes = Vec::new();
    file.take(LIST_BYTES_MAX).read_to_end(&mut bytes).map_err(io_at(path, "read"))?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<List> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
    let mut lines = bytes[..whole - 1].split(|byte| *byte == b'\n');
    let head: Head = serde_json::from_slice(lines.next()?).ok().filter(Head::is_sound)?;
    let mut found = vec![None; head.chunks()];
    for line in lines {
        let Some((chunk, digest)) = std::str::from_utf8(line).ok()?.split_once(' ') else {
            continue;
        };
        let (Ok(chunk), Ok(digest)) = (chunk.parse::<usize>(), digest.parse()) else { continue };
        if let Some(slot) = found.get_mut(chunk) {
            // The last word counts: a chunk that went bad was fetched again.
            *slot = Some(digest);
        }
    }
    Some((head, found, whole as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_of_a_list_is_a_list_or_none() {
        let head = Head::new(3 * CHUNK_BYTES + 5, Some("\"x\"".into()), true);
        let mut text = serde_json::to_string(&head).unwrap() + "\n";
        let first = text.len();
        for chunk in [2, 0, 3] {
            text += &format!("{chunk} {}\n", Digest::of(&[chunk]));
        }
        for end in 0..=text.len() {
            let read = parse(&text.as_bytes()[..end]);
            assert_eq!(read.is_some(), end >= first, "{end}");
            let Some((read, found, whole)) = read else { continue };
            assert_eq!(read, head);
            assert!(whole as usize <= end && text.as_bytes()[whole as usize - 1] == b'\n');
            let there = found.iter().flatten().count();
            assert_eq!(there, text[..end].matches('\n').count() - 1);
        }
        assert_eq!(head.length(3), 5);
    }

    #[test]
    fn a_head_that_makes_no_sense_is_none() {
        let good = r#"{"bytes":5,"chunk_bytes":2,"etag":null,"ranges":true}"#;
        let rows = [
            (good.to_string(), true),
            (good.replace("\"chunk_bytes\":2", "\"chunk_bytes\":0"), false),
            (good.replace("\"bytes\":5", "\"bytes\":0"), false),
            (good.replace("\"bytes\":5", "\"bytes\":18446744073709551615"), false),
            (good.replace("5", "-5"), false),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(format!("{text}\n").as_bytes()).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn large_files_have_larger_chunks() {
        for bytes in
            [1, CHUNK_BYTES, CHUNK_BYTES * CHUNKS_MAX, CHUNK_BYTES * CHUNKS_MAX + 1, 1 << 42]
        {
            let head = Head::new(bytes, None, true);
            assert!(head.is_sound(), "{head:?}");
            let last = head.chunks() - 1;
            assert_eq!(head.begin(last) + head.length(last), bytes);
        }
    }
}
