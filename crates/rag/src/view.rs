//! One state of an index, as it is read: it does not change, whoever writes meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{RagError, at};
use crate::graph::Graph;
use crate::keywords::Keywords;
use crate::manifest::Manifest;
use crate::segment::{DocumentRow, Segment};
use crate::vectors::Vectors;

/// The keyword index's folder inside the index.
pub(crate) const WORDS: &str = "words";
/// A passage's key: its document's number above, its place in it below.
const PLACE_BITS: u32 = 24;
/// Passages that a document may have.
pub(crate) const CHUNKS_MAX: usize = 1 << PLACE_BITS;
/// How often a reader looks again where a writer took a file away under its eyes.
const TRIES: usize = 8;

/// The key of a document's passage.
pub(crate) fn key(document: u32, place: usize) -> u64 {
    u64::from(document) << PLACE_BITS | place as u64
}

/// The document of a key.
pub(crate) fn document_of(key: u64) -> u32 {
    (key >> PLACE_BITS) as u32
}

/// Where a document is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    /// Its row among the documents of that segment.
    pub(crate) document: usize,
    /// The row of its first passage there.
    pub(crate) first: usize,
}

/// A state that is read.
pub(crate) struct View {
    pub(crate) manifest: Manifest,
    pub(crate) keywords: Option<Keywords>,
    pub(crate) passages: Passages,
    pub(crate) graph: Option<Graph>,
    /// By the path that users see.
    pub(crate) paths: BTreeMap<String, u32>,
}

/// The passages of a state: files, vectors and keys.
#[derive(Default)]
pub(crate) struct Passages {
    pub(crate) segments: Vec<Segment>,
    /// (passages, width)
    pub(crate) vectors: Vectors,
    /// (passages)
    pub(crate) keys: Vec<u64>,
    pub(crate) places: HashMap<u32, Place>,
}

impl Passages {
    pub(crate) fn open(folder: &Path, manifest: &Manifest) -> Result<Passages, RagError> {
        let mut all = Passages { vectors: Vectors::new(manifest.width()), ..Passages::default() };
        for name in &manifest.segments {
            let path = folder.join(name);
            let (segment, vectors) = Segment::open(&path, manifest.width())?;
            all.vectors.append(vectors);
            let mut first = 0;
            for (row, document) in segment.documents.iter().enumerate() {
                if usize::from(document.root) >= manifest.roots.len() {
                    return Err(RagError::damaged(
                        &path,
                        "a document of a folder that is not known",
                    ));
                }
                let place = Place { segment: all.segments.len(), document: row, first };
                if all.places.insert(document.id, place).is_some() {
                    return Err(RagError::damaged(&path, "a document stands in it twice"));
                }
                let chunks = document.chunks as usize;
                all.keys.extend((0..chunks).map(|at| key(document.id, at)));
                first += chunks;
            }
            all.segments.push(segment);
        }
        Ok(all)
    }

    pub(crate) fn document(&self, id: u32) -> Option<&DocumentRow> {
        let place = self.places.get(&id)?;
        Some(&self.segments[place.segment].documents[place.document])
    }

    /// The segment and the row of a passage.
    pub(crate) fn find(&self, key: u64) -> Option<(&Segment, usize)> {
        let place = self.places.get(&document_of(key))?;
        let segment = &self.segments[place.segment];
        let at = (key & (CHUNKS_MAX as u64 - 1)) as usize;
        let inside = at < segment.documents[place.document].chunks as usize;
        inside.then_some((segment, place.first + at))
    }
}

impl View {
    /// The state that was committed last.
    pub(crate) fn open(folder: &Path) -> Result<View, RagError> {
        let mut tries = 0;
        loop {
            match View::attempt(folder) {
                // A writer committed and cleaned up in between.
                Err(RagError::Io { source, .. })
                    if source.kind() == ErrorKind::NotFound && tries < TRIES =>
                {
                    tries += 1;
                }
                // Nothing but damage makes a file of the current state be gone, or be no text.
                Err(RagError::Io { path, source, .. })
                    if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) =>
                {
                    return Err(RagError::damaged(&path, source.to_string()));
                }
                done => return done,
            }
        }
    }

    fn attempt(folder: &Path) -> Result<View, RagError> {
        let (keywords, manifest) = match Keywords::open(&folder.join(WORDS))? {
            Some((keywords, generation)) => (Some(keywords), Manifest::read(folder, generation)?),
            // Before the first commit there is nothing; after it, no writer leaves files without words.
            None if has_files(folder)? => {
                return Err(RagError::damaged(&folder.join(WORDS), "its words are gone"));
            }
            None => (None, Manifest::empty()),
        };
        let passages = Passages::open(folder, &manifest)?;
        let counted = keywords.as_ref().map_or(0, Keywords::len);
        if counted != passages.keys.len() as u64 {
            let what = format!(
                "{counted} passages by their words, {} by their texts",
                passages.keys.len()
            );
            return Err(RagError::damaged(folder, what));
        }
        let graph = manifest.graph.as_ref().map(|name| read_graph(&folder.join(name), &passages));
        let graph = graph.transpose()?;
        let mut paths = BTreeMap::new();
        for document in passages.segments.iter().flat_map(|segment| &segment.documents) {
            let label = &manifest.roots[usize::from(document.root)].label;
            paths.insert(format!("{label}{}", document.path), document.id);
        }
        Ok(View { manifest, keywords, passages, graph, paths })
    }

    /// Where a document lies on the disk, or lay when it was read.
    pub(crate) fn file(&self, document: &DocumentRow) -> PathBuf {
        Path::new(&self.manifest.roots[usize::from(document.root)].folder).join(&document.path)
    }

    /// The path of a document, as users see it.
    pub(crate) fn shown(&self, document: &DocumentRow) -> String {
        format!("{}{}", self.manifest.roots[usize::from(document.root)].label, document.path)
    }
}

/// Whether a name is that of a state's file: passages, a graph, or the state itself.
pub(crate) fn is_of_a_state(name: &str) -> bool {
    ["p-", "g-", "state-"].iter().any(|begin| name.starts_with(begin))
}

/// Whether there are files of a state.
fn has_files(folder: &Path) -> Result<bool, RagError> {
    if folder.join(WORDS).join("meta.json").is_file() {
        return Ok(false);
    }
    for entry in std::fs::read_dir(folder).map_err(at(folder, "list the folder"))? {
        let name = entry.map_err(at(folder, "list the folder"))?.file_name();
        if is_of_a_state(&name.to_string_lossy()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A graph's file: a checksum, then the graph.
pub(crate) fn write_graph(path: &Path, graph: &Graph, keys: &[u64]) -> Result<(), RagError> {
    let bytes = graph.bytes(keys);
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        let mut file = std::fs::File::create(path)?;
        file.write_all(&xxh3_64(&bytes).to_le_bytes())?;
        file.write_all(&bytes)?;
        file.sync_all()
    };
    write().map_err(at(path, "write the graph"))
}

/// Reads a graph's file for these passages.
pub(crate) fn read_graph(path: &Path, passages: &Passages) -> Result<Graph, RagError> {
    let bytes = std::fs::read(path).map_err(at(path, "read the graph"))?;
    let (sum, bytes) =
        bytes.split_first_chunk().ok_or_else(|| RagError::damaged(path, "it is too short"))?;
    if u64::from_le_bytes(*sum) != xxh3_64(bytes) {
        return Err(RagError::damaged(path, "its checksum"));
    }
    Graph::read(bytes, &passages.keys, &passages.vectors)
        .ok_or_else(|| RagError::damaged(path, "its links"))
}
