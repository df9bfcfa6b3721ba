//! Everything that can be wrong between a model file and its logits.

use ondine_cache::CacheError;
use ondine_format::FormatError;

/// Why a model cannot be built, planned or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file itself is wrong: a missing key, a missing tensor, a number out of range.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// No family here has this name.
    #[error("architecture {found:?} is not supported, only {supported}")]
    Architecture {
        /// What the file says.
        found: String,
        /// The families that are, by name.
        supported: String,
    },
    /// A model that continues no text was asked to.
    #[error("{architecture} is an encoder: it turns a text into a vector and continues none")]
    Encoder {
        /// The family.
        architecture: String,
    },
    /// A model that continues texts was asked for a vector.
    #[error("{architecture} is a decoder: it continues texts, and vectors are made by encoders")]
    Decoder {
        /// The family.
        architecture: String,
    },
    /// The family is known, a part of this model is not.
    #[error("{architecture} model with {what} is not supported")]
    Unsupported {
        /// The family.
        architecture: String,
        /// The part.
        what: String,
    },
    /// A tensor has another shape than the metadata ask for.
    #[error("tensor {name:?} should be {wanted}, found {found}")]
    TensorShape {
        /// The tensor.
        name: String,
        /// Shape by the metadata, in ggml's order.
        wanted: String,
        /// Shape in the file, in ggml's order.
        found: String,
    },
    /// The file holds tensors that the family has no place for, so running without them would
    /// give wrong answers without a word.
    #[error("{architecture} has no place for {count} tensors of this file, such as {example:?}")]
    Strangers {
        /// The family.
        architecture: String,
        /// How many there are.
        count: usize,
        /// The first of them.
        example: String,
    },
    /// A token id beyond the vocabulary.
    #[error("token {id} is not in the vocabulary of {vocab}")]
    Token {
        /// The id.
        id: u32,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// More positions than the model has.
    #[error("{needed} positions are needed, the model has {context}")]
    Context {
        /// Positions asked for, all in all.
        needed: usize,
        /// Positions there are.
        context: usize,
    },
    /// There was no memory for keys and values.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A size in the memory plan is larger than this machine can address.
    #[error("the {what} of this model take more memory than this machine can address")]
    TooLarge {
        /// Which part of the plan.
        what: &'static str,
    },
}
