//! Every limit of what a server of somebody else's may say and take, with its name.

use std::time::Duration;

/// What a server may say, and how long it may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long it may take from its start to its greeting.
    pub greeting_time: Duration,
    /// How long it may take to list what it has, all pages together.
    pub listing_time: Duration,
    /// How long a call may take.
    pub call_time: Duration,
    /// Bytes of one message; the connection ends at a longer one.
    pub message_bytes: usize,
    /// Bytes of a call's result, or of a resource, that are kept.
    pub result_bytes: usize,
    /// Tools that are taken from a list, and resources.
    pub items: usize,
    /// Bytes of a tool's description, and of each description within its schema.
    pub description_bytes: usize,
    /// Bytes of a tool's schema, written without spaces.
    pub schema_bytes: usize,
    /// Objects and lists within one another in a schema.
    pub schema_depth: usize,
    /// Bytes of a child's complaints (standard error) that are kept: the last ones.
    pub complaint_bytes: usize,
    /// Calls in a row without an answer in time, after which the connection is given up.
    pub silences: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            greeting_time: Duration::from_secs(30),
            listing_time: Duration::from_secs(30),
            call_time: Duration::from_secs(60),
            message_bytes: 4 << 20,
            result_bytes: 256 << 10,
            items: 256,
            description_bytes: 1024,
            schema_bytes: 32 << 10,
            schema_depth: 24,
            complaint_bytes: 4096,
            silences: 2,
        }
    }
}
