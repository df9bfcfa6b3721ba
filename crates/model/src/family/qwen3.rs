//! qwen3: every head of queries and keys is normalised before it rotates, by halves; heads may be
//! wider than `width / heads`.

use ondine_tensor::RopeStyle;

use crate::error::ModelError;
use crate::layer::{Attention, Decoder, Design, Sight};
use crate::model::Model;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: all of it is in the file. The first half of a head rotates with the second.
const ROPE: RopeStyle = RopeStyle::Halves;

pub(super) fn attention(
    w: &Weights<'_>,
    block: &str,
    sight: &Sight,
) -> Result<Attention, ModelError> {
    let Shape { width, heads, kv_heads, head_dim, .. } = w.shape;
    Ok(Attention {
        heads,
        kv_heads,
        query: w.linear(&format!("{block}.attn_q"), heads * head_dim, width)?,
        key: w.linear(&format!("{block}.attn_k"), kv_heads * head_dim, width)?,
        value: w.linear(&format!("{block}.attn_v"), kv_heads * head_dim, width)?,
        output: w.linear(&format!("{block}.attn_output"), width, heads * head_dim)?,
        head_norms: Some((
            w.rms_norm(&format!("{block}.attn_q_norm"), head_dim)?,
            w.rms_norm(&format!("{block}.attn_k_norm"), head_dim)?,
        )),
        sight: sight.clone(),
    })
}

// Blocks, feed-forward and head are those of the whole line.
pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    Decoder::load(w, &Design::new(ROPE, attention))
}
