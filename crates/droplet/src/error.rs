//! What can go wrong between a request and a call.

use ondine_engine::EngineError;
use ondine_format::FormatError;

/// Why there is no call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DropletError {
    /// Nothing was asked.
    #[error("the request is empty")]
    Empty,
    /// More was asked than a device function takes.
    #[error("the request has {bytes} bytes, the limit is {limit}")]
    Long {
        /// Bytes of the request.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The request and its answer do not fit the model's context.
    #[error("the request and its answer need {needed} tokens, the context has {context}")]
    Context {
        /// Tokens of both.
        needed: usize,
        /// Positions of the model.
        context: usize,
    },
    /// The vocabulary lacks a reserved token.
    #[error("the model's vocabulary has no token {token}")]
    Vocabulary {
        /// The token's text.
        token: String,
    },
    /// The answer stops before it is a call.
    #[error("the answer is no call: {problem}")]
    Answer {
        /// What is wrong with it.
        problem: String,
    },
    /// The model file is not what it should be.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
