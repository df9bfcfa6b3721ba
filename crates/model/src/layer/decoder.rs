//! The decoder that the llama line shares: norm, attention, norm, gated feed-forward, each added to
//! what came in. What differs between families is handed in: how attention is read from a file.

use std::sync::Arc;

use ondine_tensor::{Matrix, Rope, RopeStyle, Rows};

use crate::error::ModelError;
use crate::layer::{Attention, Gated, Head, Norm, rope};
use crate::model::Model;
use crate::run::{Run, Want};
use crate::shape::Shape;
use crate::weights::Weights;

/// Reads the attention of the block of this name.
type ReadAttention = fn(&Weights<'_>, &str, &Arc<Rope>) -> Result<Attention, ModelError>;

struct Block {
    attention_norm: Norm,
    attention: Attention,
    mlp_norm: Norm,
    mlp: Gated,
}

impl Block {
    fn new(
        w: &Weights<'_>,
        layer: usize,
        rope: &Arc<Rope>,
        attention: ReadAttention,
    ) -> Result<Block, ModelError> {
        let Shape { width, ff, .. } = w.shape;
        let block = format!("blk.{layer}");
        Ok(Block {
            attention_norm: w.rms_norm(&format!("{block}.attn_norm"), width)?,
            attention: attention(w, &block, rope)?,
            mlp_norm: w.rms_norm(&format!("{block}.ffn_norm"), width)?,
            mlp: Gated {
                gate: w.linear(&format!("{block}.ffn_gate"), ff, width)?,
                up: w.linear(&format!("{block}.ffn_up"), ff, width)?,
                down: w.linear(&format!("{block}.ffn_down"), width, ff)?,
            },
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

/// A whole model of that line.
pub(crate) struct Decoder {
    shape: Shape,
    /// (vocab, width)
    embedding: Matrix,
    blocks: Vec<Block>,
    head: Head,
}

impl Decoder {
    /// Reads a model whose heads rotate in `style` and whose attention `attention` reads.
    pub(crate) fn load(
        w: Weights<'_>,
        style: RopeStyle,
        attention: ReadAttention,
    ) -> Result<Box<dyn Model>, ModelError> {
        let Shape { layers, width, vocab, .. } = w.shape;
        let embedding = w.matrix("token_embd.weight", vocab, width)?;
        let rope = Arc::new(rope(&w, style)?);
        let blocks = (0..layers)
            .map(|layer| Block::new(&w, layer, &rope, attention))
            .collect::<Result<_, _>>()?;
        let head = Head { norm: w.rms_norm("output_norm", width)?, output: w.head()? };
        Ok(Box::new(Decoder { shape: w.finish()?, embedding, blocks, head }))
    }
}

impl Model for Decoder {
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
