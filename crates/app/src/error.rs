//! What can go wrong in the framework, and what to do about it.

use std::path::PathBuf;

use ondine_chat::ChatError;

use crate::chain::ChainError;
use crate::company::{ArtifactError, BenchError};
use crate::generable::Misfit;
use crate::graph::GraphError;
use crate::journal::JournalError;
use crate::memory::MemoryError;
use crate::partial::Broken;
use crate::record::RecordError;
use crate::retrieve::RetrieveError;
use crate::run::GiveError;
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
    /// An answer of a shape ended before it was whole.
    #[error("the answer was cut after {tokens} tokens, before it was whole")]
    Cut {
        /// Tokens that it had.
        tokens: usize,
    },
    /// What comes is not the beginning of JSON.
    #[error(transparent)]
    Draft(#[from] Broken),
    /// No value of a type has an end.
    #[error("a {0} stands within itself with no way out: no value of it has an end")]
    Endless(&'static str),
    /// A run was given what it does not need.
    #[error(transparent)]
    Give(GiveError),
    /// What happened cannot be kept, or read again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An answer is not of the shape that was asked for.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// An answer of a shape is no JSON.
    #[error("the answer is no JSON ({reason}): {text:?}")]
    NoJson {
        /// What is wrong with it.
        reason: String,
        /// Its beginning.
        text: String,
    },
    /// A journal has the run of another task.
    #[error(
        "{path} holds a run that was begun for {begun:?}, not for {asked:?}; name another file"
    )]
    OtherTask {
        /// The journal.
        path: PathBuf,
        /// What its run was begun for.
        begun: String,
        /// What was asked for now.
        asked: String,
    },
    /// A recording cannot be kept or read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A chain has no end.
    #[error(transparent)]
    Chain(#[from] Box<ChainError>),
    /// A graph cannot be built.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A memory cannot go on.
    #[error(transparent)]
    Memory(#[from] MemoryError),
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
    /// A trace cannot be written or read.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

impl From<ChainError> for Error {
    fn from(error: ChainError) -> Error {
        Error::Chain(Box::new(error))
    }
}
