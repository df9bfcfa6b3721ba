//! Retrieval on the device: a folder of documents becomes passages, which are found by their words and
//! by their meaning.

mod table;

pub use table::{ROWS_MAX, TEXT_BYTES_MAX, Table, TableError, WIDTH_MAX};
