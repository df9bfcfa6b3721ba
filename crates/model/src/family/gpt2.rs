//! gpt2: learned positions, one fused matrix for queries, keys and values, layer norms, biases
//! everywhere, a plain feed-forward part.

use ondine_tensor::{Matrix, Rows};

use crate::error::ModelError;
use crate::layer::{Attention, Head, Norm, Plain, Sight};
use crate::model::Model;
use crate::run::Run;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: positions are rows of a table, so the table's height is the context.

fn attention(w: &Weights<'_>, block: &str) -> Result<Attention, ModelError> {
    let Shape { width, heads, kv_heads, head_dim, .. } = w.shape;
    if heads != kv_heads || heads * head_dim != width {
        return Err(w.unsupported("heads that are not all alike and as wide as the stream"));
    }
    // A gpt2 without this bias is none.
    w.vector(&format!("{block}.attn_qkv.bias"), 3 * width)?;
    let [query, key, value] = w.fused(&format!("{block}.attn_qkv"), [width; 3], width)?;
    let output = w.biased(&format!("{block}.attn_output"), width, width)?;
    let (head_norms, sight) = (None, Sight::unturned(head_dim));
    Ok(Attention { heads, kv_heads, query, key, value, output, head_norms, sight })
}

fn mlp(w: &Weights<'_>, block: &str) -> Result<Plain, ModelError> {
    let Shape { width, ff, .. } = w.shape;
    Ok(Plain {
        up: w.biased(&format!("{block}.ffn_up"), ff, width)?,
        down: w.biased(&format!("{block}.ffn_down"), width, ff)?,
    })
}

struct Block {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    mlp: Plain,
}

impl Block {
    fn new(w: &Weights<'_>, layer: usize) -> Result<Block, ModelError> {
        let block = format!("blk.{layer}");
        Ok(Block {
            attention_norm: w.layer_norm(&format!("{block}.attn_norm"), w.shape.width)?,
            attention: attention(w, &block)?,
            mlp_norm: w.layer_norm(&format!("{block}.ffn_norm"), w.shape.width)?,
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

struct Gpt2 {
    shape: Shape,
    /// (vocab, width)
    embedding: Matrix,
    /// (context, width)
    positions: Matrix,
    blocks: Vec<Block>,
    head: Head,
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Model>, ModelError> {
    let Shape { layers, width, context, .. } = w.shape;
    w.without_experts()?;
    w.without_window()?;
    w.without_scales()?;
    let embedding = w.embedding()?;
    let positions = w.matrix("position_embd.weight", context, width)?;
    let blocks = (0..layers).map(|layer| Block::new(&w, layer)).collect::<Result<_, _>>()?;
    let head = Head::plain(w.layer_norm("output_norm", width)?, w.head()?);
    Ok(Box::new(Gpt2 { shape: w.finish()?, embedding, positions, blocks, head }))
}

impl Model for Gpt2 {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn batch(&self, run: &mut Run<'_>, tokens: &[u32], logits: &mut Rows) {
        run.embed(&self.embedding, tokens);
        run.embed_positions(&self.positions);
        for (layer, block) in self.blocks.iter().enumerate() {
            block.apply(run, layer);
        }
        self.head.apply(run, logits);
    }
}
