//! What can go wrong with an index, and with one document.

use std::io;
use std::path::{Path, PathBuf};

use ondine_app::RetrieveError;
use ondine_chat::ChatError;

/// Why an index cannot be used, or what was asked of it did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RagError {
    /// There is no index in this folder.
    #[error("{0}: there is no index here")]
    None(PathBuf),
    /// The folder holds other things, so that no index is begun in it.
    #[error("{0}: is not empty and holds no index; an index wants a folder of its own")]
    Foreign(PathBuf),
    /// Another process changes it.
    #[error("{0}: somebody else changes this index at the moment")]
    Busy(PathBuf),
    /// The disk says no.
    #[error("{path}: {what}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the index is not what was written.
    #[error("{path}: is damaged: {what}; remove the index's folder and add the documents again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The vectors were made by another embedder.
    #[error(
        "the index was made with the vectors of `{had}`, and these are of `{given}`: \
         open it with the first, or have it embedded anew"
    )]
    OtherEmbedder {
        /// Whose vectors are in the index.
        had: String,
        /// Whose were given.
        given: String,
    },
    /// What is to be added is no folder, or cannot be listed.
    #[error("{0}: is no folder that can be listed")]
    NoFolder(PathBuf),
    /// No document of this name is in the index.
    #[error("{0}: is not in the index")]
    Unknown(String),
    /// The keyword index says no.
    #[error("the keyword index: {0}")]
    Keywords(String),
    /// Whoever makes vectors says no.
    #[error("texts cannot become vectors: {0}")]
    Embed(#[from] ChatError),
    /// Whoever makes vectors gives what cannot be used.
    #[error("the embedder gives what cannot be used: {0}")]
    BadVectors(String),
    /// Whoever reranks says no.
    #[error(transparent)]
    Rerank(RetrieveError),
    /// The caller asked to stop. What was committed before stays.
    #[error("stopped; the index is as it was")]
    Stopped,
}

impl RagError {
    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> RagError {
        RagError::Damaged { path: path.to_path_buf(), what: what.into() }
    }
}

impl From<RagError> for RetrieveError {
    fn from(error: RagError) -> RetrieveError {
        RetrieveError(error.to_string())
    }
}

impl From<tantivy::TantivyError> for RagError {
    fn from(error: tantivy::TantivyError) -> RagError {
        RagError::Keywords(error.to_string())
    }
}

/// Says what was tried with which file, where the disk refuses.
pub(crate) fn at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> RagError + use<> {
    let path = path.to_path_buf();
    move |source| RagError::Io { path, what, source }
}

/// Why one document is not in the index. The others are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// It is no text and no format that is read: a picture, a program.
    #[error("no document: {0}")]
    NotDocument(&'static str),
    /// It is larger than what is read.
    #[error("{bytes} bytes are more than the {max} that are read")]
    Large {
        /// Bytes it has, or would have unpacked.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// It claims to be of a format and is not.
    #[error("damaged: {0}")]
    Damaged(String),
    /// It is encrypted.
    #[error("encrypted")]
    Encrypted,
    /// Its letters are in no encoding that is known here.
    #[error("text in an encoding that is neither UTF-8, UTF-16 with its mark nor GB18030")]
    Encoding,
    /// There is nothing to read in it, as in a scanned page.
    #[error("holds no text")]
    Empty,
    /// Reading it took too long, and was given up.
    #[error("reading it took more than {0} seconds")]
    Slow(u64),
    /// The disk says no.
    #[error("cannot be read: {0}")]
    Io(String),
    /// Another folder of the index has a document of the same name.
    #[error("another folder of this index has a document of this name")]
    Taken,
}

impl Unread {
    /// Whether it is a document that should have been read: a picture is none, and where nothing is
    /// written nothing is missing.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Unread::NotDocument(_) | Unread::Empty)
    }
}
