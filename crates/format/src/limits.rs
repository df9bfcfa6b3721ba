//! Every limit of this crate, by name. Each is tested at the limit and one above it.
//!
//! A limit is not a guess at what a model needs but a bound on what a stranger's file may make
//! this program do. Real files stay far below them.

/// One bound on something a file declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is counted, with its unit.
    pub name: &'static str,
    /// The largest number allowed.
    pub max: u64,
}

const fn limit(name: &'static str, max: u64) -> Limit {
    Limit { name, max }
}

/// Key-value pairs in a file.
pub const KEYS: Limit = limit("metadata keys", 65_536);
/// Tensors in a file.
pub const TENSORS: Limit = limit("tensors", 65_536);
/// Bytes in a key.
pub const KEY_BYTES: Limit = limit("bytes in a key", 64 << 10);
/// Bytes in a string value.
pub const STRING_BYTES: Limit = limit("bytes in a string", 16 << 20);
/// Elements in an array value.
pub const ARRAY_ELEMENTS: Limit = limit("array elements", 16 << 20);
/// Bytes in a tensor's name. ggml keeps names in 64 bytes, the last one a zero.
pub const NAME_BYTES: Limit = limit("bytes in a tensor name", 63);
/// Dimensions of a tensor.
pub const DIMS: Limit = limit("tensor dimensions", 4);
/// Weights in a tensor: what a signed 64-bit count can hold, as other readers count.
pub const ELEMENTS: Limit = limit("weights in a tensor", (1 << 63) - 1);
/// `general.alignment`; it must be a power of two as well.
pub const ALIGNMENT: Limit = limit("bytes of alignment", 4_096);
/// Parts of a split file, GGUF or safetensors.
pub const PARTS: Limit = limit("parts of a split file", 1_024);

/// Bytes in the header of a safetensors file.
pub const SAFETENSORS_HEADER_BYTES: Limit = limit("bytes in a safetensors header", 100_000_000);
/// Bytes in `config.json` or a shard index.
pub const JSON_BYTES: Limit = limit("bytes of JSON", 16 << 20);
/// Bytes in a `tokenizer.json` whose kind is asked; its words are read up to [`JSON_BYTES`].
pub const TOKENIZER_JSON_BYTES: Limit = limit("bytes of a tokenizer", 64 << 20);
/// Nesting of any JSON read here.
pub const JSON_DEPTH: Limit = limit("levels of JSON", 64);

/// Transformer blocks.
pub const LAYERS: Limit = limit("layers", 512);
/// Attention heads of a layer.
pub const HEADS: Limit = limit("attention heads", 1_024);
/// Width of a head.
pub const HEAD_DIM: Limit = limit("head dimensions", 4_096);
/// Width of the residual stream.
pub const WIDTH: Limit = limit("embedding width", 1 << 20);
/// Width of the feed-forward part.
pub const FF: Limit = limit("feed-forward width", 1 << 24);
/// Tokens of context that a model may claim to be trained for.
pub const CONTEXT: Limit = limit("tokens of context", 1 << 24);
/// Tokens in a vocabulary.
pub const VOCAB: Limit = limit("vocabulary tokens", 16 << 20);
/// Experts of a layer.
pub const EXPERTS: Limit = limit("experts", 1_024);
