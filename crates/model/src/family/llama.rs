//! llama, and what is built like it: SmolLM2, Mistral, MobileLLM, TinyLlama. Deep or wide, tied or
//! untied embeddings, plain or grouped queries, biases where a file has them.

use std::sync::Arc;

use ondine_tensor::{Matrix, Rope, RopeStyle, Rows};

use crate::error::ModelError;
use crate::layer::{Attention, Gated, Head, Norm, rope};
use crate::model::Model;
use crate::run::{Run, Want};
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

fn mlp(w: &Weights<'_>, block: &str) -> Result<Gated, ModelError> {
    let Shape { width, ff, .. } = w.shape;
    Ok(Gated {
        gate: w.linear(&format!("{block}.ffn_gate"), ff, width)?,
        up: w.linear(&format!("{block}.ffn_up"), ff, width)?,
        down: w.linear(&format!("{block}.ffn_down"), width, ff)?,
    })
}

struct Block {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    mlp: Gated,
}

impl Block {
    fn new(w: &Weights<'_>, layer: usize, rope: &Arc<Rope>) -> Result<Block, ModelError> {
        let block = format!("blk.{layer}");
        Ok(Block {
            attention_norm: w.rms_norm(&format!("{block}.attn_norm"), w.shape.width)?,
            attention: attention(w, &block, rope)?,
            mlp_norm: w.rms_norm(&format!("{block}.ffn_norm"), w.shape.width)?,
            mlp: mlp(w, &block)?,
        })
    }

    /// x += attention(norm(x)); x += mlp(norm(x))
    fn apply(&self, run: &mut Run<'_>, layer: usize) {
        run.norm(&self.attention_norm);
        self.attention.apply(run, layer);
        run.add();
        run.norm(&self.mlp_norm);
        self.mlp.apply(run);
        run.add();
    }
}

struct Llama {
    shape: Shape,
    /// (vocab, width)
    embedding: Matrix,
    blocks: Vec<Block>,
    head: Head,
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    let Shape { layers, width, vocab, .. } = w.shape;
    let embedding = w.matrix("token_embd.weight", vocab, width)?;
    let rope = Arc::new(rope(&w, ROPE)?);
    let blocks = (0..layers).map(|layer| Block::new(&w, layer, &rope)).collect::<Result<_, _>>()?;
    let head = Head { norm: w.rms_norm("output_norm", width)?, output: w.head()? };
    Ok(Box::new(Llama { shape: w.finish()?, embedding, blocks, head }))
}

impl Model for Llama {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn batch(&self, run: &mut Run<'_>, tokens: &[u32], want: Want, logits: &mut Rows) {
        run.embed(&self.embedding, tokens);
        for (layer, block) in self.blocks.iter().enumerate() {
            block.apply(run, layer);
        }
        self.head.apply(run, want, logits);
    }
}
