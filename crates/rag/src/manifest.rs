//! What belongs to one state of an index: a small file, named by the state's number, with a checksum in
//! its first line. Which state is the current one, the keyword index's commit says: that is the one place
//! where an index changes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::embedder::Mark;
use crate::error::{RagError, at};

/// Other versions are refused.
const VERSION: u32 = 1;
/// A larger file is none of ours.
const BYTES_MAX: u64 = 64 << 20;

/// One state of an index.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// The number of this state.
    pub(crate) generation: u64,
    /// Whose vectors are in it.
    pub(crate) embedder: Option<Mark>,
    /// Folders that were added; a document names its own by its place here.
    pub(crate) roots: Vec<Root>,
    /// The next document's number. None is used twice.
    pub(crate) next_document: u32,
    /// The next file's number.
    pub(crate) next_file: u64,
    /// Files of passages.
    pub(crate) segments: Vec<String>,
    /// The file of the graph, where there is one.
    pub(crate) graph: Option<String>,
}

/// A folder that was added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Root {
    /// What stands before the paths of its documents; empty for the first folder.
    pub(crate) label: String,
    /// Where it is.
    pub(crate) folder: String,
}

impl Manifest {
    pub(crate) fn empty() -> Manifest {
        Manifest {
            version: VERSION,
            generation: 0,
            embedder: None,
            roots: Vec::new(),
            next_document: 0,
            next_file: 0,
            segments: Vec::new(),
            graph: None,
        }
    }

    /// The width of its vectors; 0 where there are none.
    pub(crate) fn width(&self) -> usize {
        self.embedder.as_ref().map_or(0, |mark| mark.width)
    }

    fn path(folder: &Path, generation: u64) -> PathBuf {
        folder.join(format!("state-{generation}"))
    }

    /// The names of all files that belong to it, its own among them.
    pub(crate) fn files(&self) -> impl Iterator<Item = String> {
        let own = format!("state-{}", self.generation);
        self.segments.iter().chain(&self.graph).cloned().chain([own])
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), RagError> {
        let path = Manifest::path(folder, self.generation);
        let text = serde_json::to_string(self)
            .map_err(|error| RagError::damaged(&path, error.to_string()))?;
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&path)?;
            writeln!(file, "{:016x}", xxh3_64(text.as_bytes()))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            sync_folder(folder)
        };
        write().map_err(at(&path, "write the state"))
    }

    pub(crate) fn read(folder: &Path, generation: u64) -> Result<Manifest, RagError> {
        let path = Manifest::path(folder, generation);
        let length = fs::metadata(&path).map_err(at(&path, "read the state"))?.len();
        if length > BYTES_MAX {
            return Err(RagError::damaged(&path, "its length"));
        }
        let text = fs::read_to_string(&path).map_err(at(&path, "read the state"))?;
        let (sum, text) = text.split_once('\n').unwrap_or_default();
        if u64::from_str_radix(sum, 16) != Ok(xxh3_64(text.as_bytes())) {
            return Err(RagError::damaged(&path, "its checksum"));
        }
        let manifest: Manifest = serde_json::from_str(text)
            .map_err(|error| RagError::damaged(&path, error.to_string()))?;
        let plain = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let names_are_plain = manifest.segments.iter().chain(&manifest.graph).all(plain);
        if manifest.version != VERSION || manifest.generation != generation || !names_are_plain {
            return Err(RagError::damaged(&path, "what it says"));
        }
        Ok(manifest)
    }
}

/// Makes sure that names in a folder are on the disk. Where a system cannot do that for folders, there
/// is nothing to do.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
