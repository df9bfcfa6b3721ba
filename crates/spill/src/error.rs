//! What can go wrong with keys and values on disk. None of it is worse than computing them again.

use std::io;
use std::path::{Path, PathBuf};

use ondine_cache::CacheError;

/// Why a timeline was not written or not brought back.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file is not what was written, or not what was looked for. It has been removed.
    #[error("{}: {what}; it was removed, and what it held is computed again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It does not fit beside what has to stay.
    #[error("no room on disk for {bytes} bytes of keys and values; {available} may be used")]
    NoRoom {
        /// Bytes of the file.
        bytes: u64,
        /// Bytes that it could have if every other file went.
        available: u64,
    },
    /// What was found is gone: it was forgotten, or made room.
    #[error("these keys and values are no longer on disk")]
    Gone,
    /// Nothing to write, or more than a file may hold.
    #[error("{tokens} tokens are not written; a file holds 1 to {max}", max = crate::TOKENS_MAX)]
    Tokens {
        /// How many there are.
        tokens: usize,
    },
    /// No memory for what comes back.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Names the place and the deed of what the system refused.
pub(crate) fn io_at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> SpillError {
    let path = path.to_owned();
    move |source| SpillError::Io { path, what, source }
}
