//! Whoever finds passages: a trait, and what it gives. How they are found is `rag`'s.

use serde::{Deserialize, Serialize};

/// A passage that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Where it stands, relative to the folder that was indexed, with `/` between its parts.
    pub path: String,
    /// Its first line, counted from 1.
    pub line_start: usize,
    /// Its last line, which belongs to it.
    pub line_end: usize,
    /// How well it fits: more is better, and only the order means something.
    pub score: f64,
    /// The passage.
    pub text: String,
}

/// Whoever finds passages.
pub trait Retrieve: Send + Sync {
    /// The `k` passages that fit a question best, best first; fewer where there are fewer.
    ///
    /// # Errors
    /// The index cannot be read.
    fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError>;
}

/// Why nothing can be looked up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RetrieveError(pub String);
