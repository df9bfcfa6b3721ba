//! What can go wrong in the framework, and what to do about it.

use ondine_chat::ChatError;

use crate::chain::ChainError;
use crate::graph::GraphError;
use crate::journal::JournalError;
use crate::memory::MemoryError;
use crate::retrieve::RetrieveError;

/// Why something that an application asked for did not come to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A chain has no end.
    #[error(transparent)]
    Chain(#[from] Box<ChainError>),
    /// What whoever answers says.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A graph cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// What happened cannot be kept, or read again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A memory cannot go on.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Nothing can be looked up.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
}

impl From<ChainError> for Error {
    fn from(error: ChainError) -> Error {
        Error::Chain(Box::new(error))
    }
}
