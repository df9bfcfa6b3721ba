//! A folder's documents come into the index: what is new or changed is read, what is gone goes, and the
//! rest is left alone.
//!
//! A file whose size and time are as they were is not looked at; one whose content is as it was is not
//! read as a document. Documents are read, cut and embedded by as many threads as there are cores, and
//! come to one writer.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use xxhash_rust::xxh3::xxh3_128;

use crate::change::{Draft, vectors_of};
use crate::chunk::{Chunk, chunks};
use crate::embedder::Embedder;
use crate::error::{RagError, Unread};
use crate::index::Index;
use crate::manifest::Root;
use crate::read::{self, BYTES_MAX, Kind};
use crate::segment::DocumentRow;
use crate::vectors::Vectors;
use crate::view::CHUNKS_MAX;
use crate::walk::{self, Found};

/// Folders that an index may hold.
const ROOTS_MAX: usize = 1 << 15;

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Files that are done.
    pub done: usize,
    /// Files there are to look at.
    pub total: usize,
    /// Passages so far.
    pub chunks: usize,
    /// The file that was done last.
    pub path: &'a str,
}

/// What came of adding a folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Documents that were not in the index before.
    pub added: usize,
    /// Documents that were there with another content.
    pub changed: usize,
    /// Documents that were there as they are.
    pub same: usize,
    /// Documents that were there and are gone from the folder.
    pub removed: usize,
    /// Passages of what was added or changed.
    pub chunks: usize,
    /// What was not read, and why, in the order of the paths. A picture or a program is among them.
    pub skipped: Vec<(String, Unread)>,
}

/// What a thread found out about a file.
enum Outcome {
    Same,
    Read { hash: u128, kind: Kind, bytes: u64, chunks: Vec<Chunk>, vectors: Vectors },
    Unread(Unread),
    Failed(RagError),
}

/// What the index knows of a path.
struct Known {
    id: u32,
    bytes: u64,
    changed_ns: i64,
    hash: u128,
}

impl Index {
    /// Adds a folder's documents, or brings them up to date. `watch` hears how far it is, and ends it by
    /// `false`: the index is then as it was.
    ///
    /// # Errors
    /// No such folder; another writer is at work; the embedder fails or is another one than that of the
    /// index; the disk. A document that cannot be read is no error: the report names it.
    pub fn add(
        &self,
        folder: &Path,
        mut watch: impl FnMut(Step<'_>) -> bool,
    ) -> Result<Report, RagError> {
        let root =
            fs::canonicalize(folder).map_err(|_| RagError::NoFolder(folder.to_path_buf()))?;
        let own = fs::canonicalize(&self.folder).unwrap_or_else(|_| self.folder.clone());
        let listing = walk::list(&root, &own)?;
        let mut draft = Draft::begin(self)?;
        self.agree(&mut draft)?;
        let (root_at, label) = root_of(&mut draft, &root)?;
        let known = known(&draft, root_at);
        let taken: HashSet<String> = other_paths(&draft, root_at);

        let mut report = Report { skipped: listing.unread, ..Report::default() };
        let mut todo = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        for file in listing.files {
            seen.insert(file.path.clone());
            if taken.contains(&format!("{label}{}", file.path)) {
                report.skipped.push((file.path, Unread::Taken));
                continue;
            }
            let same = known.get(&file.path).is_some_and(|known| {
                file.changed_ns != 0
                    && (known.changed_ns, known.bytes) == (file.changed_ns, file.bytes)
            });
            if same { report.same += 1 } else { todo.push(file) }
        }
        let first = draft.manifest.next_document;
        let last = u32::try_from(todo.len()).ok().and_then(|count| first.checked_add(count));
        draft.manifest.next_document = last
            .ok_or_else(|| RagError::damaged(&self.folder, "its documents' numbers are used up"))?;

        let width = draft.manifest.width();
        let embedder = self.embedder.as_ref().filter(|_| width > 0);
        let mut done = 0;
        in_parallel(&todo, &known, embedder, width, |at, outcome| {
            let file = &todo[at];
            let before = known.get(&file.path);
            match outcome {
                Outcome::Failed(error) => return Err(error),
                Outcome::Same => report.same += 1,
                Outcome::Unread(why) => {
                    // What it said before is no longer true; unless it is only that nobody may look now.
                    let unseen = matches!(why, Unread::Io(_));
                    report.skipped.push((file.path.clone(), why));
                    if let Some(before) = before.filter(|_| !unseen) {
                        draft.remove(before.id);
                        report.removed += 1;
                    }
                }
                Outcome::Read { hash, kind, bytes, chunks, vectors } => {
                    match before {
                        Some(before) => {
                            draft.remove(before.id);
                            report.changed += 1;
                        }
                        None => report.added += 1,
                    }
                    report.chunks += chunks.len();
                    let document = DocumentRow {
                        id: first + at as u32,
                        root: root_at,
                        kind,
                        path: file.path.clone(),
                        bytes,
                        changed_ns: file.changed_ns,
                        hash,
                        chunks: 0,
                    };
                    draft.add(document, &chunks, &vectors)?;
                }
            }
            done += 1;
            let step = Step { done, total: todo.len(), chunks: report.chunks, path: &file.path };
            if watch(step) { Ok(()) } else { Err(RagError::Stopped) }
        })?;
        for (path, before) in &known {
            let dark = listing.dark.iter().any(|below| path.starts_with(below.as_str()));
            if !seen.contains(path) && !dark {
                draft.remove(before.id);
                report.removed += 1;
            }
        }
        draft.commit()?;
        self.refresh()?;
        report.skipped.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(report)
    }

    /// Makes sure that the vectors to come are of the same embedder as those that are there.
    fn agree(&self, draft: &mut Draft) -> Result<(), RagError> {
        let other = |had: &str, given: &str| {
            Err(RagError::OtherEmbedder { had: had.to_string(), given: given.to_string() })
        };
        match (&self.embedder, &draft.manifest.embedder) {
            (None, None) => Ok(()),
            (Some(embedder), None) if draft.view.passages.keys.is_empty() => {
                draft.embed_with(embedder.mark()?);
                Ok(())
            }
            (Some(embedder), None) => other("none", embedder.name()),
            (None, Some(had)) => other(&had.name, "none"),
            (Some(embedder), Some(had)) if had.is(&embedder.mark()?) => Ok(()),
            (Some(embedder), Some(had)) => other(&had.name, embedder.name()),
        }
    }
}

/// The place and the label of a folder in the index, which it gets where it is new.
fn root_of(draft: &mut Draft, root: &Path) -> Result<(u16, String), RagError> {
    let folder = root.to_str().ok_or_else(|| RagError::NoFolder(root.to_path_buf()))?;
    let roots = &mut draft.manifest.roots;
    if let Some(at) = roots.iter().position(|root| root.folder == folder) {
        return Ok((at as u16, roots[at].label.clone()));
    }
    if roots.len() >= ROOTS_MAX {
        return Err(RagError::NoFolder(root.to_path_buf()));
    }
    let label = if roots.is_empty() {
        String::new()
    } else {
        let name = root.file_name().and_then(|name| name.to_str()).unwrap_or("folder");
        let is_free = |label: &String| {
            !roots.iter().any(|root| root.label == *label)
                && !draft.view.paths.keys().any(|path| path.starts_with(label.as_str()))
        };
        let numbered = (2..).map(|n| format!("{name}-{n}/"));
        let first = std::iter::once(format!("{name}/"));
        first.chain(numbered).find(is_free).unwrap_or_default()
    };
    roots.push(Root { label: label.clone(), folder: folder.to_string() });
    Ok(((roots.len() - 1) as u16, label))
}

/// What the index knows of a folder's documents, by their paths in it.
fn known(draft: &Draft, root: u16) -> HashMap<String, Known> {
    let documents = draft.view.passages.segments.iter().flat_map(|segment| &segment.documents);
    let of_root = documents.filter(|document| document.root == root);
    let known = of_root.map(|document| {
        let DocumentRow { id, bytes, changed_ns, hash, .. } = *document;
        (document.path.clone(), Known { id, bytes, changed_ns, hash })
    });
    known.collect()
}

/// Paths, as users see them, of the other folders' documents.
fn other_paths(draft: &Draft, root: u16) -> HashSet<String> {
    let passages = &draft.view.passages;
    let of_others =
        draft.view.paths.iter().filter(|(_, id)| {
            passages.document(**id).is_some_and(|document| document.root != root)
        });
    of_others.map(|(path, _)| path.clone()).collect()
}

/// Has files read by several threads, and hands what came of each to `take`, on this thread. The first
/// error ends it.
fn in_parallel(
    todo: &[Found],
    known: &HashMap<String, Known>,
    embedder: Option<&Embedder>,
    width: usize,
    mut take: impl FnMut(usize, Outcome) -> Result<(), RagError>,
) -> Result<(), RagError> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(todo.len()).min(16);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(2 * threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= todo.len() || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let before = known.get(&todo[at].path);
                    if sender.send((at, look(&todo[at], before, embedder, width))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (at, outcome) in receiver {
            if let Err(error) = take(at, outcome) {
                stop.store(true, Ordering::Relaxed);
                // The receiver goes with this loop, and whoever still sends hears it.
                return Err(error);
            }
        }
        Ok(())
    })
}

/// One file: bytes to passages to vectors.
fn look(
    file: &Found,
    before: Option<&Known>,
    embedder: Option<&Embedder>,
    width: usize,
) -> Outcome {
    let bytes = match bytes_of(file) {
        Ok(bytes) => bytes,
        Err(why) => return Outcome::Unread(why),
    };
    let hash = xxh3_128(&bytes);
    if before.is_some_and(|before| before.hash == hash && before.bytes == bytes.len() as u64) {
        return Outcome::Same;
    }
    // Documents are strangers': a fault of a reader costs this document and no other.
    let read = panic::catch_unwind(AssertUnwindSafe(|| {
        read::read(&file.path, &bytes).map(|document| (document.kind, chunks(&document)))
    }));
    let (kind, chunks) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(why)) => return Outcome::Unread(why),
        Err(_) => return Outcome::Unread(Unread::Damaged("its reader gave up".into())),
    };
    if chunks.len() > CHUNKS_MAX {
        return Outcome::Unread(Unread::Large {
            bytes: chunks.len() as u64,
            max: CHUNKS_MAX as u64,
        });
    }
    let vectors = match embedder.map(|embedder| vectors_of(embedder, width, &chunks)) {
        None => Vectors::new(0),
        Some(Ok(vectors)) => vectors,
        Some(Err(error)) => return Outcome::Failed(error),
    };
    Outcome::Read { hash, kind, bytes: bytes.len() as u64, chunks, vectors }
}

fn bytes_of(file: &Found) -> Result<Vec<u8>, Unread> {
    if file.bytes > BYTES_MAX {
        return Err(Unread::Large { bytes: file.bytes, max: BYTES_MAX });
    }
    let mut bytes = Vec::new();
    let opened = File::open(&file.full);
    let read = opened.and_then(|opened| opened.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| Unread::Io(error.to_string()))?;
    Ok(bytes)
}
