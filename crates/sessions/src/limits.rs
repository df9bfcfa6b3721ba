//! How much an app may have kept. Each limit is told to whoever meets it.

/// Limits of what is kept for one app.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions.
    pub sessions: usize,
    /// Messages of a session, answers among them.
    pub messages: usize,
    /// Bytes of a session's log, from which on nothing more is said in it. The answer to what was
    /// said before may go beyond.
    pub session_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { sessions: 1024, messages: 4096, session_bytes: 4 << 20 }
    }
}

/// Characters of a session's name.
pub(crate) const NAME_CHARS_MAX: usize = 128;
/// Bytes of a model's name.
pub(crate) const MODEL_BYTES_MAX: usize = 256;
/// Bytes of a log that is read at all, whatever the limits are.
pub(crate) const LOG_BYTES_MAX: u64 = 32 << 20;
/// Bytes of one record.
pub(crate) const RECORD_BYTES_MAX: usize = 16 << 20;
