//! llama, and what is built like it: SmolLM2, Mistral, MobileLLM, TinyLlama. Deep or wide, tied or
//! untied embeddings, plain or grouped queries, biases where a file has them.

use std::sync::Arc;

use ondine_tensor::{Rope, RopeStyle};

use crate::error::ModelError;
use crate::layer::{Attention, Decoder};
use crate::model::Model;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: all of it is in the file. Query and key rows lie so that neighbours rotate together.
const ROPE: RopeStyle = RopeStyle::Interleaved;

fn attention(w: &Weights<'_>, block: &str, rope: &Arc<Rope>) -> Result<Attention, ModelError> {
    let Shape { width, heads, kv_heads, head_dim, .. } = w.shape;
    Ok(Attention {
        heads,
        kv_heads,
        head_dim,
        query: w.linear(&format!("{block}.attn_q"), heads * head_dim, width)?,
        key: w.linear(&format!("{block}.attn_k"), kv_heads * head_dim, width)?,
        value: w.linear(&format!("{block}.attn_v"), kv_heads * head_dim, width)?,
        output: w.linear(&format!("{block}.attn_output"), width, heads * head_dim)?,
        head_norms: None,
        rope: Some(Arc::clone(rope)),
    })
}

// Blocks, feed-forward and head are those of the whole line.
pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    Decoder::load(w, ROPE, attention)
}
