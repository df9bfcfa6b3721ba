//! Why a step has no result, and why a chain has no end.

use ondine_chat::ChatError;

use crate::error::Error;
use crate::journal::JournalError;
use crate::retrieve::RetrieveError;
use crate::tool::ToolError;

/// Why a step has no result. A retry or a fallback may go on from it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The model gives no answer.
    #[error(transparent)]
    Model(#[from] ChatError),
    /// The answer is not what was asked for.
    #[error("the answer does not fit: {0}")]
    Answer(String),
    /// The tool gives no result.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// Nothing can be looked up.
    #[error("nothing can be looked up: {0}")]
    Retrieve(String),
    /// It did not work.
    #[error("{0}")]
    Failed(String),
    /// It broke. How far it came is not known.
    #[error("it broke: {0}")]
    Panicked(String),
    /// A bound of a graph is reached.
    #[error("{0}")]
    Bound(String),
    /// Nobody waits any more.
    #[error("stopped")]
    Cancelled,
}

impl StepError {
    /// Whether what the step changes may have been changed all the same.
    pub fn leaves_doubt(&self) -> bool {
        match self {
            StepError::Panicked(_) | StepError::Cancelled => true,
            StepError::Tool(error) => error.leaves_doubt(),
            _ => false,
        }
    }
}

impl From<&str> for StepError {
    fn from(what: &str) -> StepError {
        StepError::Failed(what.to_owned())
    }
}

impl From<String> for StepError {
    fn from(what: String) -> StepError {
        StepError::Failed(what)
    }
}

impl From<RetrieveError> for StepError {
    fn from(error: RetrieveError) -> StepError {
        StepError::Retrieve(error.0)
    }
}

impl From<Error> for StepError {
    fn from(error: Error) -> StepError {
        match error {
            Error::Chat(error) => StepError::Model(error),
            Error::Retrieve(error) => error.into(),
            other => StepError::Failed(other.to_string()),
        }
    }
}

/// Why a chain has no end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A step has no result, and nothing in the chain deals with that.
    #[error("{path}: {error}")]
    Step {
        /// Where the step stands.
        path: String,
        /// Why it has none.
        error: StepError,
    },
    /// A step that cannot be taken back was begun, and whether it was done is not known. It is not done
    /// again before somebody has looked: see [`Go::on_doubt`](crate::chain::Go::on_doubt).
    #[error(
        "{path}: begun, and whether it was done is not known ({why}); look before it is repeated"
    )]
    Doubt {
        /// Where the step stands.
        path: String,
        /// Why nobody knows.
        why: String,
    },
    /// What happened cannot be kept, or read again.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is another chain's, or of another input.
    #[error("the journal does not belong to this chain: {0}")]
    Changed(String),
    /// The journal ends before the chain does.
    #[error("the journal ends before {path}")]
    Incomplete {
        /// The first step that it does not know.
        path: String,
    },
    /// A value does not go into JSON, or does not come out of it.
    #[error("{path}: a value cannot be kept: {what}")]
    Value {
        /// Which step's.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nobody waits any more.
    #[error("stopped")]
    Cancelled,
}
