//! qwen3 with a mixture of experts in every block; all else is [`qwen3`](super::qwen3)'s.

use ondine_tensor::RopeStyle;

use super::qwen3::attention;
use crate::error::ModelError;
use crate::layer::{Decoder, Design, Experts, Mlp};
use crate::model::Model;
use crate::weights::Weights;

// Config: all of it is in the file. The first half of a head rotates with the second.
const ROPE: RopeStyle = RopeStyle::Halves;

fn mlp(w: &Weights<'_>, block: &str) -> Result<Mlp, ModelError> {
    Experts::read(w, block).map(Mlp::Experts)
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    Decoder::load(w, &Design { mlp, ..Design::new(ROPE, attention) })
}
