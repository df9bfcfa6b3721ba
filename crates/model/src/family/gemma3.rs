//! gemma3: norms before and after each part, a gate that opens by gelu, an embedding scaled by the
//! root of its width. Five blocks of six see a window and turn by a base of their own, the sixth
//! sees everything.

use ondine_format::{Scales, Windowed};
use ondine_tensor::RopeStyle;

// Every head of queries and keys is normalised before it rotates, as qwen3's.
use super::qwen3::attention;
use crate::error::ModelError;
use crate::layer::{Decoder, Design, DesignScales, Gated, Mlp, Norms, Opening, usual_scale};
use crate::model::Model;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: what the files leave to the family.
const ROPE: RopeStyle = RopeStyle::Halves;
const WINDOWED: Windowed = Windowed::Period(6);
const LOCAL_BASE: f32 = 10_000.0;
/// Blocks of the model of 27 billion, whose queries are scaled as if heads shared the stream.
const BLOCKS_OF_27B: usize = 62;

fn attention_scale(w: &Weights<'_>) -> f32 {
    let Shape { layers, width, heads, head_dim, .. } = w.shape;
    match w.hparams.scales.attention {
        Some(scale) => scale,
        None if layers == BLOCKS_OF_27B => usual_scale(width / heads),
        None => usual_scale(head_dim),
    }
}

fn mlp(w: &Weights<'_>, block: &str) -> Result<Mlp, ModelError> {
    Gated::read(w, block, Opening::Gelu).map(Mlp::Gated)
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    if (Scales { attention: None, ..w.hparams.scales }) != Scales::default() {
        return Err(w.unsupported("scales in the file"));
    }
    let scales = DesignScales {
        embedding: (w.shape.width as f32).sqrt(),
        residual: 1.0,
        attention: attention_scale(&w),
        logits: 1.0,
    };
    let design = Design {
        mlp,
        norms: Norms::Around,
        windowed: Some(WINDOWED),
        local_base: Some(w.hparams.rope_base_local.unwrap_or(LOCAL_BASE)),
        scales: Some(scales),
        ..Design::new(ROPE, attention)
    };
    Decoder::load(w, &design)
}
