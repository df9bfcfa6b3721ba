//! What can go wrong in the framework, and what to do about it.

use std::path::PathBuf;

use ondine_chat::ChatError;

use crate::journal::JournalError;
use crate::retrieve::RetrieveError;
use crate::run::GiveError;

/// Why something that an application asked for did not come to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What whoever answers says.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// A run was given what it does not need.
    #[error(transparent)]
    Give(GiveError),
    /// What happened cannot be kept, or read again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing can be looked up.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// An agent is not put together so that it can do anything.
    #[error("the agent {agent:?}: {what}")]
    Role {
        /// Whose role it is.
        agent: String,
        /// What is wrong with it.
        what: String,
    },
    /// Another process goes on with this run.
    #[error("{}: another process has this run", path.display())]
    Taken {
        /// Its journal.
        path: PathBuf,
    },
}
