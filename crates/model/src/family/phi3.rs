//! phi3, and phi4 which is built like it: one matrix for queries, keys and values, one for gate and
//! up, and for long contexts a divisor for each frequency. Every block has the window, where a
//! file gives one.

use ondine_format::Windowed;
use ondine_tensor::RopeStyle;

use crate::error::ModelError;
use crate::layer::{Attention, Decoder, Design, Gated, Mlp, Opening, Sight};
use crate::model::Model;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: all of it is in the file. The first half of a head rotates with the second.
const ROPE: RopeStyle = RopeStyle::Halves;

fn attention(w: &Weights<'_>, block: &str, sight: &Sight) -> Result<Attention, ModelError> {
    let Shape { width, heads, kv_heads, head_dim, .. } = w.shape;
    let rows = [heads * head_dim, kv_heads * head_dim, kv_heads * head_dim];
    let [query, key, value] = w.fused(&format!("{block}.attn_qkv"), rows, width)?;
    Ok(Attention {
        heads,
        kv_heads,
        query,
        key,
        value,
        output: w.linear(&format!("{block}.attn_output"), width, heads * head_dim)?,
        head_norms: None,
        sight: sight.clone(),
    })
}

fn mlp(w: &Weights<'_>, block: &str) -> Result<Mlp, ModelError> {
    let Shape { width, ff, .. } = w.shape;
    w.without_experts()?;
    let [gate, up] = w.fused(&format!("{block}.ffn_up"), [ff, ff], width)?;
    let down = w.linear(&format!("{block}.ffn_down"), width, ff)?;
    Ok(Mlp::Gated(Gated { opening: Opening::Silu, gate, up, down }))
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    let windowed = Some(Windowed::Period(0));
    Decoder::load(w, &Design { mlp, windowed, ..Design::new(ROPE, attention) })
}
