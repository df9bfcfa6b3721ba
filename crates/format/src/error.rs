//! Everything that can be wrong with a model file: what, where, and what was expected.
//!
//! Names that come from a file are printed escaped (`{:?}`), so that a key with terminal escapes
//! or bidirectional marks in it cannot change what the reader of a message sees.

use crate::limits::Limit;
use ondine_tensor::{DType, MatrixError};

/// Why bytes are not a model file, or not the one that was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file ends too early.
    #[error("{what} at byte {at} needs {needed} bytes, but only {left} are left in the file")]
    Truncated {
        /// What was being read.
        what: String,
        /// Where it begins.
        at: usize,
        /// How many bytes it takes.
        needed: u64,
        /// How many there are.
        left: usize,
    },
    /// The first bytes are not GGUF's.
    #[error("not a GGUF file: it begins with {found:02x?}, expected \"GGUF\"")]
    Magic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A Python pickle: running it would run whatever its author wrote.
    #[error("a Python pickle ({form}), not a model file: convert it to safetensors or GGUF first")]
    Pickle {
        /// How it was recognised.
        form: &'static str,
    },
    /// A GGUF version that is not read here.
    #[error("GGUF version {found} is not read, expected 2 or 3 ({hint})")]
    Version {
        /// The version as read, little endian.
        found: u32,
        /// What to do about it.
        hint: &'static str,
    },
    /// A number above its named limit.
    #[error("{what} at byte {at}: {found} {}, the limit is {}", limit.name, limit.max)]
    Limit {
        /// What declares the number.
        what: String,
        /// Where it stands.
        at: usize,
        /// The number.
        found: u64,
        /// The limit it breaks.
        limit: Limit,
    },
    /// Text that is not UTF-8.
    #[error("{what} at byte {at} is not UTF-8")]
    Utf8 {
        /// What the text is.
        what: String,
        /// Where the first bad byte stands.
        at: usize,
    },
    /// A key or a tensor name that is empty or holds a zero byte.
    #[error("{what} at byte {at} {problem}, expected a name")]
    Name {
        /// What the name is of.
        what: &'static str,
        /// Where it stands.
        at: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A key or tensor that is there twice.
    #[error("{what} {name:?} at byte {at} is there twice, expected unique names")]
    Duplicate {
        /// A key or a tensor.
        what: &'static str,
        /// Its name.
        name: String,
        /// Where the second one stands (0 where it is not read from a file).
        at: usize,
    },
    /// A value type that GGUF does not have, or an array of arrays.
    #[error("key {key:?} at byte {at} has value type {found}, expected {expected}")]
    ValueType {
        /// The key.
        key: String,
        /// Where the type stands.
        at: usize,
        /// Its number.
        found: u32,
        /// What would have been right.
        expected: &'static str,
    },
    /// A bool that is neither 0 nor 1.
    #[error("key {key:?} at byte {at} holds {found} as a bool, expected 0 or 1")]
    Bool {
        /// The key.
        key: String,
        /// Where the byte stands.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// A key that is needed and absent.
    #[error("key {key:?} is missing, expected {expected}")]
    MissingKey {
        /// The key.
        key: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// A key whose value has another type than its reader asks for.
    #[error("key {key:?} is {found}, expected {expected}")]
    KeyType {
        /// The key.
        key: String,
        /// The type it has, and its value where that is the trouble.
        found: String,
        /// The type it should have.
        expected: &'static str,
    },
    /// `general.alignment` that is not a usable power of two.
    #[error("key \"general.alignment\" is {found}, expected a power of two from 1 to 4096")]
    Alignment {
        /// The value.
        found: u32,
    },
    /// A tensor type number that is unknown or retired.
    #[error("tensor {name:?} at byte {at} has type {found}, expected a ggml tensor type in use")]
    TensorType {
        /// The tensor.
        name: String,
        /// Where the type stands.
        at: usize,
        /// Its number.
        found: u32,
    },
    /// Dimensions whose product does not fit.
    #[error("tensor {name:?} has dimensions {dims:?} of {dtype}: its size cannot be represented")]
    TensorSize {
        /// The tensor.
        name: String,
        /// Its dimensions, the row width first.
        dims: Vec<u64>,
        /// Its type.
        dtype: DType,
    },
    /// A row that is not whole blocks.
    #[error(
        "tensor {name:?} has rows of {width} weights, expected a multiple of the {} of a {dtype} block",
        dtype.block()
    )]
    PartialBlock {
        /// The tensor.
        name: String,
        /// The width of a row.
        width: usize,
        /// Its type.
        dtype: DType,
    },
    /// Data that does not begin where the data before it ends.
    #[error(
        "tensor {name:?} at byte {at} has data offset {found}, expected {expected}: tensors lie one \
         after the other, padded, without gap or overlap"
    )]
    Offset {
        /// The tensor.
        name: String,
        /// Where the offset stands.
        at: usize,
        /// The offset.
        found: u64,
        /// Where the data before it ends, padded.
        expected: u64,
    },
    /// Data whose length is not what the dimensions ask for.
    #[error("tensor {name:?} has {found} bytes of data, expected {expected}")]
    DataLength {
        /// The tensor.
        name: String,
        /// Bytes there.
        found: usize,
        /// Bytes its dimensions ask for.
        expected: usize,
    },
    /// No tensor has this name.
    #[error("tensor {name:?} is missing")]
    MissingTensor {
        /// The name.
        name: String,
    },
    /// A tensor of another shape than its reader asks for.
    #[error("tensor {name:?} has dimensions {found:?}, expected {expected}")]
    TensorShape {
        /// The tensor.
        name: String,
        /// Its dimensions, the row width first.
        found: Vec<usize>,
        /// What was asked for.
        expected: String,
    },
    /// A tensor that cannot be computed with.
    #[error("tensor {name:?}: {source}")]
    Matrix {
        /// The tensor.
        name: String,
        /// Why not.
        source: MatrixError,
    },
    /// A part of a split model where a whole one was expected, or parts that do not fit together.
    #[error("split model: key {key:?} is {found}, expected {expected}")]
    Split {
        /// The key that does not fit.
        key: &'static str,
        /// What it says.
        found: u64,
        /// What it should say.
        expected: String,
    },
    /// A number that no model can be built from.
    #[error("key {key:?} is {found}, expected {expected}")]
    Hparam {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// JSON that cannot be read.
    #[error("{what} at line {line}, column {column}: {problem}")]
    Json {
        /// Which JSON.
        what: &'static str,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
        /// What the parser says.
        problem: String,
    },
    /// A safetensors file that is wrong.
    #[error("safetensors: {0}")]
    Safetensors(#[from] SafetensorsError),
    /// A key of `config.json` with a value that is not converted.
    #[error("config.json: {key:?} is {found}, expected {expected}")]
    Config {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What is converted.
        expected: String,
    },
    /// A file of a folder beside `config.json` that asks for what is not converted.
    #[error("{file}: {key:?} is {found}, expected {expected}")]
    Folder {
        /// Which file.
        file: &'static str,
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What is converted.
        expected: String,
    },
    /// A number that a tensor's new type cannot hold.
    #[error("tensor {name:?} holds {found}, which {dtype} cannot hold")]
    Range {
        /// The tensor.
        name: String,
        /// The number.
        found: f32,
        /// The type it should have become.
        dtype: DType,
    },
    /// A tensor that the model type does not have.
    #[error("tensor {name:?} is not known in a model of type {model_type:?}")]
    UnknownTensor {
        /// The tensor.
        name: String,
        /// The model type.
        model_type: String,
    },
    /// A shard name that is more than the name of a file beside the index.
    #[error("shard name {name:?} {problem}, expected the plain name of a .safetensors file")]
    ShardName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An index that says another thing than its shards.
    #[error("index: tensor {tensor:?} should be in {expected:?}, found in {found}")]
    Shard {
        /// The tensor.
        tensor: String,
        /// Where it is.
        found: String,
        /// Where the index says that it is.
        expected: String,
    },
    /// Memory for something that the file does justify could not be had.
    #[error("no memory for {what}, {bytes} bytes")]
    Memory {
        /// What it was for.
        what: String,
        /// How much.
        bytes: usize,
    },
}

/// Why bytes are not a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// Shorter than the length of its header.
    #[error("the file has {found} bytes, expected at least 8 for the length of the header")]
    TooShort {
        /// Bytes there.
        found: usize,
    },
    /// A header that does not fit in the file.
    #[error("the header takes {found} bytes at byte 8, but only {left} are left in the file")]
    HeaderLength {
        /// Declared length.
        found: u64,
        /// Bytes there.
        left: usize,
    },
    /// A header that does not begin with `{`.
    #[error("the header at byte 8 begins with {found:02x?}, expected an opening brace")]
    HeaderStart {
        /// The first byte, if there is one.
        found: Option<u8>,
    },
    /// A header that is not UTF-8.
    #[error("the header is not UTF-8 at byte {at}")]
    HeaderUtf8 {
        /// Where the first bad byte stands.
        at: usize,
    },
    /// A tensor that is there twice.
    #[error("tensor {name:?} is there twice")]
    Duplicate {
        /// The tensor.
        name: String,
    },
    /// A data type that is not known.
    #[error("tensor {name:?} has the unknown data type {found:?}")]
    UnknownType {
        /// The tensor.
        name: String,
        /// The type.
        found: String,
    },
    /// A data type that is known but not converted.
    #[error("tensor {name:?} is {found}, expected F32, F16 or BF16")]
    UnsupportedType {
        /// The tensor.
        name: String,
        /// The type.
        found: &'static str,
    },
    /// Offsets that are no range.
    #[error("tensor {name:?} has data offsets {found:?}, expected [begin, end] within {len} bytes")]
    Offsets {
        /// The tensor.
        name: String,
        /// The offsets, cut to what 64 bits hold.
        found: [i64; 2],
        /// Bytes of data in the file.
        len: usize,
    },
    /// A shape whose size cannot be represented.
    #[error("tensor {name:?} has shape {shape:?}: its size cannot be represented")]
    ShapeSize {
        /// The tensor.
        name: String,
        /// The shape.
        shape: Vec<u64>,
    },
    /// A shape that asks for another number of bytes than the offsets give.
    #[error("tensor {name:?} of shape {shape:?} takes {expected} bytes, its offsets give {found}")]
    ShapeMismatch {
        /// The tensor.
        name: String,
        /// The shape.
        shape: Vec<u64>,
        /// Bytes that the shape asks for.
        expected: usize,
        /// Bytes between the offsets.
        found: usize,
    },
    /// Two tensors that share bytes.
    #[error("tensor {name:?} begins at data byte {found}, inside the tensor that ends at {end}")]
    Overlap {
        /// The later tensor.
        name: String,
        /// Where it begins.
        found: usize,
        /// Where the earlier one ends.
        end: usize,
    },
    /// Bytes that belong to no tensor, before one.
    #[error("data bytes {start} to {end} before tensor {name:?} belong to no tensor")]
    Hole {
        /// The tensor behind the hole.
        name: String,
        /// Where the hole begins.
        start: usize,
        /// Where it ends.
        end: usize,
    },
    /// Bytes that belong to no tensor, at the end.
    #[error("the last tensor ends at data byte {end}, but the file has {len} bytes of data")]
    Trailing {
        /// Where the last tensor ends.
        end: usize,
        /// Bytes of data in the file.
        len: usize,
    },
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The metadata or the tensors make no valid file; nothing was written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The output failed.
    #[error("write failed: {0}")]
    Io(#[from] std::io::Error),
    /// More data than was announced.
    #[error("tensor {found} was written, but only {expected} were announced")]
    TooMany {
        /// Its place, counted from 1.
        found: usize,
        /// How many were announced.
        expected: usize,
    },
    /// Less data than was announced.
    #[error("{found} tensors were written, but {expected} were announced")]
    TooFew {
        /// How many were written.
        found: usize,
        /// How many were announced.
        expected: usize,
    },
}
