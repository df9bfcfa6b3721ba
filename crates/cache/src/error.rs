//! What can go wrong in the cache: only memory.

/// Why a cache could not grow. The cache is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The size of a page, or of the table of pages, is not a number this machine can hold.
    #[error("a cache of {tokens} tokens is larger than this machine can address")]
    TooLarge {
        /// Positions asked for, all in all.
        tokens: usize,
    },
    /// The system gave no memory.
    #[error("no memory for {bytes} bytes of keys and values, wanted for {tokens} tokens")]
    OutOfMemory {
        /// Bytes of the allocation that failed.
        bytes: usize,
        /// Positions asked for, all in all.
        tokens: usize,
    },
}
