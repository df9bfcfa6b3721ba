//! Retrieval on the device: a folder of documents becomes passages, which are found by their words and
//! by their meaning.
mod chunk;
mod error;
mod read;
mod words;
pub use chunk::*;
pub use error::*;
pub use read::*;
