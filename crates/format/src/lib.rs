//! Model files from strangers: GGUF and safetensors, read with suspicion, and a GGUF writer.
//!
//! A model file is data that somebody else wrote. This crate turns its bytes into values that
//! cannot hold a bad number any more: a [`Metadata`] whose keys are unique, a [`ModelFile`] whose
//! tensors lie inside the file, [`Hparams`] that divide. It takes [`Bytes`](ondine_tensor::Bytes),
//! never a path, and refuses to know what a file system, a thread, a clock or a network is; it
//! does not compute either, except that it can write weights in another type.
//!
//! ```
//! use ondine_format::{GgufWriter, Metadata, TensorLayout, gguf};
//! use ondine_tensor::{Bytes, DType};
//!
//! let mut metadata = Metadata::new();
//! metadata.insert("general.architecture", "toy")?;
//! let layout = TensorLayout::new("w", vec![2, 1], DType::F32)?;
//! let mut writer = GgufWriter::new(Vec::new(), &metadata, vec![layout])?;
//! writer.tensor(&[0, 0, 128, 63, 0, 0, 0, 64])?;
//! let file = gguf::read(Bytes::from_vec(writer.finish()?))?;
//! assert_eq!(file.matrix("w")?.decode(), [1.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every limit, by name |
//! | [`error`] | everything that can be wrong, and where |
//! | [`metadata`] | keys and typed values |
//! | [`model_file`] | tensors with names, over the file's bytes |
//! | [`gguf`], [`mod@write`] | GGUF in and out |
//! | [`safetensors`], [`hf`] | Hugging Face's files, given GGUF's names |
//! | [`recode`] | tensors in another type |
//! | [`hparams`] | the numbers that a model is built from, checked |
//! | [`sniff`] | what a file is, by content |
//!
//! `docs/formats.md` draws the formats to the byte.

// Bytes from a stranger decide nothing here without a check: no index that may be out of range,
// no arithmetic that may wrap, no cast that may truncate, no panic.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::todo
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod cursor;
pub mod error;
pub mod gguf;
pub mod hf;
pub mod hparams;
mod json;
pub mod limits;
pub mod metadata;
pub mod model_file;
mod order;
pub mod recode;
pub mod safetensors;
pub mod sniff;
mod texts;
pub mod write;

pub use error::{FormatError, SafetensorsError, WriteError};
pub use hparams::{Experts, Hparams, RopeScaling, Scales, Windowed};
pub use metadata::{Array, Metadata, Value, ValueType};
pub use model_file::{ModelFile, Tensor, TensorLayout, Tensors};
pub use texts::Texts;
pub use write::GgufWriter;
