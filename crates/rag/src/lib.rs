//! Retrieval on the device: a folder of documents becomes passages, which are found by their words and
//! by their meaning.
