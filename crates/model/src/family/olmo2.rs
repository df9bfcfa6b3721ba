//! olmo2, and olmo3 which is built like it: norms stand behind each part and none before, queries
//! and keys are normalised over all heads together. In olmo3 three blocks of four see a window and
//! turn unscaled.

use ondine_format::Windowed;
use ondine_tensor::RopeStyle;

use crate::error::ModelError;
use crate::layer::{Attention, Decoder, Design, Norms, Sight};
use crate::model::Model;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: what the files leave to the family.
const ROPE: RopeStyle = RopeStyle::Halves;
const WINDOWED: Windowed = Windowed::Period(4);

fn attention(w: &Weights<'_>, block: &str, sight: &Sight) -> Result<Attention, ModelError> {
    let Shape { width, heads, kv_heads, head_dim, .. } = w.shape;
    Ok(Attention {
        heads,
        kv_heads,
        query: w.linear(&format!("{block}.attn_q"), heads * head_dim, width)?,
        key: w.linear(&format!("{block}.attn_k"), kv_heads * head_dim, width)?,
        value: w.linear(&format!("{block}.attn_v"), kv_heads * head_dim, width)?,
        output: w.linear(&format!("{block}.attn_output"), width, heads * head_dim)?,
        head_norms: Some((
            w.rms_norm(&format!("{block}.attn_q_norm"), heads * head_dim)?,
            w.rms_norm(&format!("{block}.attn_k_norm"), kv_heads * head_dim)?,
        )),
        sight: sight.clone(),
    })
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    let design = Design {
        norms: Norms::After,
        windowed: Some(WINDOWED),
        local_base: Some(w.hparams.rope_base_local.unwrap_or(w.hparams.rope_base)),
        ..Design::new(ROPE, attention)
    };
    Decoder::load(w, &design)
}
