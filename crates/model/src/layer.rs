//! The parts that families share. A part knows its own weights and nothing of the model around it.
//!
//! A part takes what stands in [`Scratch::h`](crate::run::Scratch) and leaves its result there.

mod attention;
mod decoder;
mod head;
mod linear;
mod mlp;
mod norm;
mod rope;

pub(crate) use attention::Attention;
pub(crate) use decoder::Decoder;
pub(crate) use head::Head;
pub(crate) use linear::Linear;
pub(crate) use mlp::{Gated, Plain};
pub(crate) use norm::Norm;
pub(crate) use rope::rope;
