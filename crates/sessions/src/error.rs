//! What can go wrong with what is kept, and what an app is told of it.

use std::io;
use std::path::{Path, PathBuf};

use ondine_chat::ChatError;

/// Why conversations cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionsError {
    /// The file system refused.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else writes there.
    #[error("{}: another process keeps its conversations here", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A session's log is not what was written.
    #[error("{}: the session is damaged: {what}", path.display())]
    Damaged {
        /// The log, where it is now.
        path: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
    /// A session's log was written by another version of this program.
    #[error("{}: the session has version {version} of the format; this program reads {known}", path.display())]
    Version {
        /// The log.
        path: PathBuf,
        /// What it says.
        version: u32,
        /// What is read.
        known: u32,
    },
}

impl From<SessionsError> for ChatError {
    fn from(error: SessionsError) -> ChatError {
        ChatError::Disk(error.to_string())
    }
}

/// Says where something went wrong.
pub(crate) fn io_at(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> SessionsError {
    let path = path.to_path_buf();
    move |source| SessionsError::Io { path, doing, source }
}
