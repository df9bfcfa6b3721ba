//! What happens in a chain, as it is told and kept.

use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Where: the step's path, such as `2.parallel/0/1.translate`. Empty for the chain itself.
    pub path: String,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum What {
    /// It begins.
    Started,
    /// A model says something.
    Text(String),
    /// This way was taken.
    Chosen(String),
    /// It is tried again.
    Retried {
        /// Which try comes now, counted from 1.
        next: u32,
        /// Why the last one is not enough.
        error: String,
    },
    /// Something else is done instead.
    FellBack {
        /// Why.
        error: String,
    },
    /// It is done, and kept.
    Finished,
    /// It has no result.
    Failed(String),
    /// Nobody waits any more.
    Cancelled,
}
