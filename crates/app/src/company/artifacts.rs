//! Files that several write: every version, who wrote it and why. In memory, or in a folder whose newest
//! versions are ordinary files and whose history is a journal beside them. Paths come from models and are
//! hostile: none leaves the folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::journal::{Journal, JournalError};

/// Bytes of a file.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Bytes of all versions together.
const BYTES_MAX: usize = 256 << 20;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 200;
/// Folders in each other.
const DEPTH_MAX: usize = 8;
/// The history's own name.
const HISTORY: &str = ".history";

/// One version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// Where, with `/` between the parts.
    pub path: String,
    /// What is in it.
    pub text: String,
    /// Who wrote it.
    pub author: String,
    /// Why.
    pub reason: String,
}

/// Why an artifact cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The path is none that a file may have.
    #[error("{path:?} is no path of an artifact: {what}")]
    Path {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is too much of it.
    #[error("{path:?} has {bytes} bytes; {limit} are left")]
    Long {
        /// Which file.
        path: String,
        /// How long it is.
        bytes: usize,
        /// What may be.
        limit: usize,
    },
    /// The disk says no.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The history cannot be kept or read.
    #[error(transparent)]
    History(#[from] JournalError),
}

/// The files.
#[derive(Debug)]
pub struct Artifacts {
    folder: Option<PathBuf>,
    history: Journal,
    files: BTreeMap<String, Vec<Version>>,
    bytes: usize,
}

impl Artifacts {
    /// Files that are gone with the program.
    pub fn in_memory() -> Artifacts {
        Artifacts { folder: None, history: Journal::in_memory(), files: BTreeMap::new(), bytes: 0 }
    }

    /// Files in a folder, with all that was written there before. A file that somebody else has changed
    /// meanwhile gets a version of its own, by `outside`.
    ///
    /// # Errors
    /// The folder or its history cannot be read or written.
    pub fn in_folder(folder: impl AsRef<Path>) -> Result<Artifacts, ArtifactError> {
        let folder = folder.as_ref().to_path_buf();
        let failed = |source| ArtifactError::File { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(failed)?;
        let (history, versions) = Journal::open::<Version>(folder.join(HISTORY))?;
        let mut artifacts =
            Artifacts { folder: Some(folder), history, files: BTreeMap::new(), bytes: 0 };
        for version in versions {
            sound(&version.path)?;
            artifacts.remember(version);
        }
        for path in artifacts.paths() {
            let Some(place) = artifacts.place(&path)? else { continue };
            match fs::read_to_string(&place) {
                Ok(text) if Some(text.as_str()) != artifacts.get(&path) => {
                    artifacts.put(&path, &text, "outside", "the file was changed")?;
                }
                // Gone, or no text any more: the history's is written again.
                Err(_) => artifacts.write(&path)?,
                Ok(_) => {}
            }
        }
        Ok(artifacts)
    }

    /// A new version of a file; its number, counted from 1.
    ///
    /// # Errors
    /// A path that is none, too much, or a disk that says no.
    pub fn put(
        &mut self,
        path: &str,
        text: &str,
        author: &str,
        reason: &str,
    ) -> Result<usize, ArtifactError> {
        sound(path)?;
        let limit = FILE_BYTES_MAX.min(BYTES_MAX - self.bytes);
        if text.len() > limit {
            return Err(ArtifactError::Long { path: path.into(), bytes: text.len(), limit });
        }
        let taken = |other: &String| {
            let (a, b) = (format!("{path}/"), format!("{other}/"));
            other != path && (a.starts_with(&b) || b.starts_with(&a))
        };
        if self.files.keys().any(taken) {
            let what = "another artifact is where a folder would have to be";
            return Err(ArtifactError::Path { path: path.into(), what });
        }
        self.place(path)?;
        let version = Version {
            path: path.into(),
            text: text.into(),
            author: author.into(),
            reason: reason.into(),
        };
        // The history first: the files are what it says, and can be written again from it.
        self.history.append(&version)?;
        self.remember(version);
        self.write(path)?;
        Ok(self.files.get(path).map_or(0, Vec::len))
    }

    fn remember(&mut self, version: Version) {
        self.bytes = (self.bytes + version.text.len()).min(BYTES_MAX);
        self.files.entry(version.path.clone()).or_default().push(version);
    }

    /// Where a file lies; that no link is on the way there is made sure of.
    fn place(&self, path: &str) -> Result<Option<PathBuf>, ArtifactError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let mut place = folder.clone();
        for part in path.split('/') {
            place.push(part);
            if fs::symlink_metadata(&place).is_ok_and(|meta| meta.file_type().is_symlink()) {
                let what = "a link is on the way";
                return Err(ArtifactError::Path { path: path.into(), what });
            }
        }
        Ok(Some(place))
    }

    /// The newest version as a file: whole, or not at all.
    fn write(&self, path: &str) -> Result<(), ArtifactError> {
        let Some(place) = self.place(path)? else { return Ok(()) };
        let text = self.get(path).unwrap_or_default();
        let mut part = place.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let folder = place.parent().unwrap_or(&place);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&part, text))
            .and_then(|()| fs::rename(&part, &place))
            .map_err(|source| ArtifactError::File { path: place.clone(), source })
    }

    /// The newest text of a file.
    pub fn get(&self, path: &str) -> Option<&str> {
        Some(&self.files.get(path)?.last()?.text)
    }

    /// All versions of a file, oldest first.
    pub fn history(&self, path: &str) -> &[Version] {
        self.files.get(path).map_or(&[], Vec::as_slice)
    }

    /// The paths, in alphabetical order.
    pub fn paths(&self) -> Vec<String> {
        self.files.keys().cloned().collect()
    }
}

/// Whether a path is one that a file may have, on every system.
fn sound(path: &str) -> Result<(), ArtifactError> {
    let wrong = |what| Err(ArtifactError::Path { path: path.into(), what });
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return wrong("it is empty or too long");
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ' | '/');
    if !path.chars().all(plain) {
        return wrong(
            "it may have letters, digits, `.`, `_`, `-`, blanks, and `/` between its parts",
        );
    }
    let parts: Vec<&str> = path.split('/').collect();
    if parts.len() > DEPTH_MAX {
        return wrong("it is too deep");
    }
    for part in parts {
        if part.is_empty() || part.starts_with('.') || part.ends_with(['.', ' ']) {
            return wrong("a part is empty, begins with a point, or ends with a point or a blank");
        }
        if part.ends_with(".part") {
            return wrong("`.part` is the ending of files that are being written");
        }
        // Names that some systems have for devices, whatever their ending.
        let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let device = ["con", "prn", "aux", "nul"].contains(&stem.as_str())
            || (stem.len() == 4
                && (stem.starts_with("com") || stem.starts_with("lpt"))
                && stem.ends_with(|c: char| c.is_ascii_digit()));
        if device {
            return wrong("a part is the name of a device on some systems");
        }
    }
    Ok(())
}
