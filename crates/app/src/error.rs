//! What can go wrong in the framework, and what to do about it.

use ondine_chat::ChatError;

use crate::company::{ArtifactError, BenchError};
use crate::journal::JournalError;
use crate::record::RecordError;
use crate::retrieve::RetrieveError;
use crate::trace::TraceError;

/// Why something that an application asked for did not come to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An artifact cannot be kept.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// What was made cannot be tested.
    #[error(transparent)]
    Bench(#[from] BenchError),
    /// What whoever answers says.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// What happened cannot be kept, or read again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A recording cannot be kept or read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nothing can be looked up.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// A trace cannot be written or read.
    #[error(transparent)]
    Trace(#[from] TraceError),
}
