//! The parts that families share. A part knows its own weights and nothing of the model around it.
//!
//! A part takes what stands in [`Scratch::h`](crate::run::Scratch) and leaves its result there.

mod attention;
mod decoder;
mod experts;
mod head;
mod linear;
mod mlp;
mod norm;
mod rope;

pub(crate) use attention::{Attention, Sight, usual_scale};
pub(crate) use decoder::{Decoder, Design, DesignScales, Norms};
pub(crate) use experts::{Experts, Routing};
pub(crate) use head::Head;
pub(crate) use linear::Linear;
pub(crate) use mlp::{Gated, Mlp, Opening, Plain};
pub(crate) use norm::{Norm, Rms};
pub(crate) use rope::Rotation;
