//! llama, and what is built like it: SmolLM2, Mistral, MobileLLM, TinyLlama, Mixtral. Deep or wide,
//! tied or untied embeddings, plain or grouped queries, biases where a file has them, a window in
//! every block (Mistral), experts in every block (Mixtral).

use ondine_format::Windowed;
use ondine_tensor::RopeStyle;

use crate::error::ModelError;
use crate::layer::{Attention, Decoder, Design, Experts, Gated, Mlp, Opening, Sight};
use crate::model::Model;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: all of it is in the file. Query and key rows lie so that neighbours rotate together.
const ROPE: RopeStyle = RopeStyle::Interleaved;

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
        head_norms: None,
        sight: sight.clone(),
    })
}

fn mlp(w: &Weights<'_>, block: &str) -> Result<Mlp, ModelError> {
    match w.shape.experts {
        Some(_) => Experts::read(w, block).map(Mlp::Experts),
        None => Gated::read(w, block, Opening::Silu).map(Mlp::Gated),
    }
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    let windowed = Some(Windowed::Period(0));
    Decoder::load(w, &Design { mlp, windowed, ..Design::new(ROPE, attention) })
}
