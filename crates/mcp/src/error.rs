//! What can go wrong between this program and another one that speaks the protocol.

use std::io;
use std::time::Duration;

/// Why a server of somebody else's gives nothing, or why nothing is offered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum McpError {
    /// The name that tools are told apart by cannot be one.
    #[error(
        "the server's name {0:?} is not 1 to 32 letters, digits, `_` or `-`, which its tools' names begin with"
    )]
    Name(String),
    /// The program cannot be started.
    #[error("{program} cannot be started: {error}")]
    Start {
        /// What was started.
        program: String,
        /// What the system says.
        error: io::Error,
    },
    /// The address cannot be asked.
    #[error("{0}")]
    Address(String),
    /// The threads that wait for answers cannot be had.
    #[error("no threads to wait with: {0}")]
    Runtime(io::Error),
    /// The address cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(io::Error),
    /// It was started or reached, and no conversation came to be.
    #[error("the server {server} does not answer as one: {why}")]
    Greeting {
        /// What it is called here.
        server: String,
        /// What was seen, its own complaints included.
        why: String,
    },
    /// Nothing came in time. Whether a call was done is not known.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Nobody waits any more. Whether a call was done is not known.
    #[error("stopped")]
    Cancelled,
    /// The connection ended before the answer. Whether a call was done is not known.
    #[error("the connection to the server {0} was lost")]
    Lost(String),
    /// An answer is longer than is read. Whether a call was done is known to the server alone.
    #[error("the server {server} sent more than {limit} bytes at once")]
    TooLarge {
        /// What it is called here.
        server: String,
        /// Bytes of a message that are read.
        limit: usize,
    },
    /// An answer is none.
    #[error("the server {server} gave an answer that is none: {what}")]
    Nonsense {
        /// What it is called here.
        server: String,
        /// What was wrong.
        what: String,
    },
    /// The server says no.
    #[error("the server says: {message} ({code})")]
    Denied {
        /// The protocol's number.
        code: i32,
        /// The server's words: a stranger's, shortened.
        message: String,
    },
    /// A tool is not what it was when it was listed.
    #[error("the tool {0:?} is not what it was when it was listed; list the tools again")]
    Changed(String),
}
