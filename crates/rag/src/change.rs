//! How an index changes: a draft beside the current state, and one step that makes it the current one.
//!
//! ```text
//! 1  the lock                            one writer
//! 2  sweep                               what a killed writer left goes
//! 3  new files of passages, synced       nobody reads them yet
//! 4  the new state's file, synced        names them
//! 5  commit of the keyword index         its payload names the state: the one step
//! 6  old files go                        a writer that was killed before: at step 2 of the next one
//! ```
//!
//! Nothing that was removed stays on the disk: a file of passages with a removed document in it is
//! written anew without it, and so are the keyword index's parts.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::chunk::Chunk;
use crate::embedder::{Embedder, Mark};
use crate::error::{RagError, at};
use crate::graph::Graph;
use crate::index::{Index, is_below};
use crate::keywords::KeywordWriter;
use crate::manifest::Manifest;
use crate::segment::{Builder, DocumentRow};
use crate::vectors::Vectors;
use crate::view::{Passages, View, WORDS, is_of_a_state, key, read_graph, write_graph};

/// Texts of one file of passages.
const SEGMENT_BYTES: usize = 8 << 20;
/// More files than this are put together, where they are small.
const SEGMENTS_MAX: usize = 24;
/// The file whose lock a writer holds.
const LOCK: &str = "lock";

/// A state that is being made.
pub(crate) struct Draft {
    folder: PathBuf,
    exact_max: usize,
    pub(crate) view: View,
    pub(crate) manifest: Manifest,
    keywords: KeywordWriter,
    builder: Builder,
    written: Vec<String>,
    removed: HashSet<u32>,
    /// Vectors of all passages are other ones now.
    anew: bool,
    /// Whether there is anything to commit.
    changed: bool,
    /// Held until the draft is gone.
    _lock: File,
}

impl Draft {
    /// Takes the lock and begins with the current state.
    pub(crate) fn begin(index: &Index) -> Result<Draft, RagError> {
        let folder = index.folder.clone();
        let lock = lock(&folder)?;
        let view = View::open(&folder)?;
        sweep(&folder, &view.manifest)?;
        let keywords = KeywordWriter::open(&folder.join(WORDS))?;
        let mut manifest = view.manifest.clone();
        manifest.generation += 1;
        let builder = Builder::new(manifest.width());
        Ok(Draft {
            folder,
            exact_max: index.exact_max,
            view,
            manifest,
            keywords,
            builder,
            written: Vec::new(),
            removed: HashSet::new(),
            anew: false,
            changed: false,
            _lock: lock,
        })
    }

    /// Vectors are of this embedder from now on; those that are there are thrown away.
    pub(crate) fn embed_with(&mut self, mark: Mark) {
        self.builder = Builder::new(mark.width);
        self.manifest.embedder = Some(mark);
        self.changed = true;
        self.anew = true;
    }

    /// Adds a document. `vectors` has a row for each passage, or no width where there are no vectors.
    pub(crate) fn add(
        &mut self,
        document: DocumentRow,
        chunks: &[Chunk],
        vectors: &Vectors,
    ) -> Result<(), RagError> {
        let label = &self.manifest.roots[usize::from(document.root)].label;
        let shown = format!("{label}{}", document.path);
        for (at, chunk) in chunks.iter().enumerate() {
            self.keywords.add(document.id, key(document.id, at), &shown, chunk)?;
        }
        self.changed = true;
        self.keep(document, chunks, vectors)
    }

    /// Puts a document into the files of passages, and leaves the keyword index alone.
    fn keep(
        &mut self,
        document: DocumentRow,
        chunks: &[Chunk],
        vectors: &Vectors,
    ) -> Result<(), RagError> {
        self.builder.add(document, chunks, vectors);
        if self.builder.bytes() >= SEGMENT_BYTES { self.flush() } else { Ok(()) }
    }

    /// The documents that a path names: as hits call them, else by their place on the disk.
    fn named(&self, path: &str) -> Vec<u32> {
        if path.trim().is_empty() {
            return Vec::new();
        }
        let plain = path.trim_start_matches("./").trim_end_matches('/');
        let everything = plain.is_empty() || plain == ".";
        let paths = self.view.paths.iter().filter(|_| !everything);
        let of_hits: Vec<u32> =
            paths.filter(|(shown, _)| is_below(shown, path)).map(|(_, id)| *id).collect();
        if !of_hits.is_empty() {
            return of_hits;
        }
        // It need not be there any more, so that it cannot always be asked for its true name.
        let absolute = std::path::absolute(path).ok();
        let places: Vec<PathBuf> =
            fs::canonicalize(path).ok().into_iter().chain(absolute).collect();
        let documents = self.view.passages.segments.iter().flat_map(|segment| &segment.documents);
        let lies_there = |document: &&DocumentRow| {
            let root = Path::new(&self.view.manifest.roots[usize::from(document.root)].folder);
            let file = self.view.file(document);
            // What is above an added folder does not name it.
            places.iter().any(|place| place.starts_with(root) && file.starts_with(place))
        };
        documents.filter(lies_there).map(|document| document.id).collect()
    }

    /// Removes a document.
    pub(crate) fn remove(&mut self, id: u32) {
        self.keywords.remove(id);
        self.removed.insert(id);
        self.changed = true;
    }

    fn file(&mut self, letter: char) -> String {
        self.manifest.next_file += 1;
        format!("{letter}-{}", self.manifest.next_file)
    }

    fn flush(&mut self) -> Result<(), RagError> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let name = self.file('p');
        let builder = std::mem::replace(&mut self.builder, Builder::new(self.manifest.width()));
        builder.write(&self.folder.join(&name))?;
        self.written.push(name);
        Ok(())
    }

    /// Makes the draft the current state. Without changes, nothing but old remains is taken away.
    pub(crate) fn commit(mut self) -> Result<(), RagError> {
        if !self.changed {
            return self.keywords.clean();
        }
        if !self.anew {
            let kept = self.rewrite()?;
            self.flush()?;
            self.manifest.segments = kept;
        } else {
            self.flush()?;
            self.manifest.segments.clear();
        }
        self.manifest.segments.append(&mut self.written);
        self.manifest.graph = self.graph()?;
        self.manifest.write(&self.folder)?;
        self.keywords.commit(self.manifest.generation)?;
        // From here on the new state is the current one; what follows is tidying.
        let Draft { folder, manifest, keywords, view, .. } = self;
        drop(view);
        sweep(&folder, &manifest)?;
        keywords.clean()
    }

    /// Copies what stays out of files that are written anew; gives those that stay as they are.
    fn rewrite(&mut self) -> Result<Vec<String>, RagError> {
        let passages = std::mem::take(&mut self.view.passages);
        let names = self.view.manifest.segments.clone();
        let many = names.len() + self.written.len() > SEGMENTS_MAX;
        let mut kept = Vec::new();
        let mut first_row = 0;
        for (name, segment) in names.into_iter().zip(&passages.segments) {
            let rows = segment.chunks.len();
            let stale =
                segment.documents.iter().any(|document| self.removed.contains(&document.id));
            let small = many && segment.text_bytes() < SEGMENT_BYTES as u64 / 4;
            if stale || small {
                let mut row = 0;
                for document in &segment.documents {
                    let end = row + document.chunks as usize;
                    if !self.removed.contains(&document.id) {
                        let chunks: Result<Vec<Chunk>, _> =
                            (row..end).map(|row| segment.chunk(row)).collect();
                        let mut vectors = Vectors::new(passages.vectors.width());
                        if vectors.width() > 0 {
                            (row..end).for_each(|row| {
                                vectors.push_row(&passages.vectors, first_row + row)
                            });
                        }
                        self.keep(document.clone(), &chunks?, &vectors)?;
                    }
                    row = end;
                }
            } else {
                kept.push(name);
            }
            first_row += rows;
        }
        Ok(kept)
    }

    /// Writes the graph of the new state, where there are enough passages for one.
    fn graph(&mut self) -> Result<Option<String>, RagError> {
        if self.manifest.width() == 0 {
            return Ok(None);
        }
        let passages = Passages::open(&self.folder, &self.manifest)?;
        if passages.keys.len() <= self.exact_max {
            return Ok(None);
        }
        let old = self.view.manifest.graph.as_ref().filter(|_| !self.anew);
        let old = old.map(|name| read_graph(&self.folder.join(name), &passages)).transpose()?;
        let mut graph = old.unwrap_or_else(Graph::default);
        graph.extend(&passages.vectors, &passages.keys);
        let name = self.file('g');
        write_graph(&self.folder.join(&name), &graph, &passages.keys)?;
        Ok(Some(name))
    }
}

impl Index {
    /// Removes a document, or all of a folder of documents: also their text, from the disk. Each is named as
    /// hits call it, or by where it lies or lay. A file that is still in an added folder comes back when
    /// that is added again. Gives how many there were.
    ///
    /// # Errors
    /// There is none of one of these, and then none is removed; another writer is at work; the disk.
    pub fn remove(&self, paths: &[impl AsRef<str>]) -> Result<usize, RagError> {
        let mut draft = Draft::begin(self)?;
        let mut gone = HashSet::new();
        for path in paths {
            let of_path = draft.named(path.as_ref());
            if of_path.is_empty() {
                return Err(RagError::Unknown(path.as_ref().to_string()));
            }
            gone.extend(of_path);
        }
        gone.iter().for_each(|id| draft.remove(*id));
        draft.commit()?;
        self.refresh()?;
        Ok(gone.len())
    }

    /// Has all passages embedded anew, by the embedder this index was opened with. `watch` hears how many
    /// of them are done and may end it by `false`.
    ///
    /// # Errors
    /// There is no embedder; it fails; another writer is at work; the disk.
    pub fn reembed(&self, mut watch: impl FnMut(usize) -> bool) -> Result<(), RagError> {
        let embedder: &Embedder = self
            .embedder
            .as_ref()
            .ok_or_else(|| RagError::BadVectors("there is no embedder".into()))?;
        let mut draft = Draft::begin(self)?;
        let mark = embedder.mark()?;
        let width = mark.width;
        draft.embed_with(mark);
        let passages = std::mem::take(&mut draft.view.passages);
        let mut done = 0;
        for segment in &passages.segments {
            let mut row = 0;
            for document in &segment.documents {
                let end = row + document.chunks as usize;
                let chunks: Result<Vec<Chunk>, _> =
                    (row..end).map(|row| segment.chunk(row)).collect();
                let chunks = chunks?;
                let vectors = vectors_of(embedder, width, &chunks)?;
                done += chunks.len();
                draft.keep(document.clone(), &chunks, &vectors)?;
                if !watch(done) {
                    return Err(RagError::Stopped);
                }
                row = end;
            }
        }
        draft.commit()?;
        self.refresh()
    }
}

/// Vectors of passages: each is embedded with the headings it stands under.
pub(crate) fn vectors_of(
    embedder: &Embedder,
    width: usize,
    chunks: &[Chunk],
) -> Result<Vectors, RagError> {
    let text = |chunk: &Chunk| match chunk.heading.is_empty() {
        true => chunk.text.clone(),
        false => format!("{}\n{}", chunk.heading, chunk.text),
    };
    let texts: Vec<String> = chunks.iter().map(text).collect();
    let mut vectors = Vectors::new(width);
    for vector in embedder.vectors(&texts)? {
        if vector.len() != width {
            return Err(RagError::BadVectors(format!(
                "a vector {} wide, not {width}",
                vector.len()
            )));
        }
        vectors.push(&vector);
    }
    Ok(vectors)
}

fn lock(folder: &Path) -> Result<File, RagError> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(at(&path, "open the lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RagError::Busy(folder.to_path_buf())),
        Err(TryLockError::Error(error)) => Err(at(&path, "lock")(error)),
    }
}

/// Removes files of passages, graphs and states that do not belong to this state. Only a writer does.
fn sweep(folder: &Path, manifest: &Manifest) -> Result<(), RagError> {
    let living: HashSet<String> = manifest.files().collect();
    for entry in fs::read_dir(folder).map_err(at(folder, "list the folder"))? {
        let entry = entry.map_err(at(folder, "list the folder"))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if is_of_a_state(name) && !living.contains(name) {
            fs::remove_file(entry.path()).map_err(at(&entry.path(), "remove an old file"))?;
        }
    }
    Ok(())
}
