//! bert (Devlin et al. 2018): learned positions and segments, attention in both directions, a plain
//! feed-forward part, and a layer norm behind each part instead of before it.

use ondine_tensor::Matrix;

use crate::encoder::{Encoder, Pooling};
use crate::error::ModelError;
use crate::layer::{Linear, Norm};
use crate::run::Run;
use crate::shape::Shape;
use crate::weights::Weights;

// Config: positions are rows of a table, so the table's height is the context. A text is wholly of
// the first segment, so one row of the segments' table is all that is needed.

struct Attention {
    head_dim: usize,
    /// (width, width), all four
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

impl Attention {
    fn new(w: &Weights<'_>, block: &str) -> Result<Attention, ModelError> {
        let Shape { width, heads, kv_heads, head_dim, .. } = w.shape;
        if heads != kv_heads || heads * head_dim != width {
            return Err(w.unsupported("heads that are not all alike and as wide as the stream"));
        }
        Ok(Attention {
            head_dim,
            query: w.biased(&format!("{block}.attn_q"), width, width)?,
            key: w.biased(&format!("{block}.attn_k"), width, width)?,
            value: w.biased(&format!("{block}.attn_v"), width, width)?,
            output: w.biased(&format!("{block}.attn_output"), width, width)?,
        })
    }

    /// h = output(attend(h)), every row to every row
    fn apply(&self, run: &mut Run<'_>) {
        let Run { cpu, timelines, scratch: s, .. } = run;
        let [text] = &mut timelines[..] else { unreachable!("an encoder reads one text") };
        let (cache, count) = (&mut *text.cache, s.h.count());
        Linear::apply_all(
            cpu,
            &s.h,
            [(&self.query, &mut s.q), (&self.key, &mut s.k), (&self.value, &mut s.v)],
        );
        cpu.store_kv(&s.k, &s.v, &mut cache.layer_mut(0, 0, count), 0);
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        cpu.attend_all(&s.q, &cache.layer(0, count), scale, &mut s.attended);
        self.output.apply(cpu, &s.attended, &mut s.h);
    }
}

struct Mlp {
    /// (ff, width)
    up: Linear,
    /// (width, ff)
    down: Linear,
}

impl Mlp {
    fn new(w: &Weights<'_>, block: &str) -> Result<Mlp, ModelError> {
        let Shape { width, ff, .. } = w.shape;
        Ok(Mlp {
            up: w.biased(&format!("{block}.ffn_up"), ff, width)?,
            down: w.biased(&format!("{block}.ffn_down"), width, ff)?,
        })
    }

    /// h = down(gelu(up(h))), gelu with the error function
    fn apply(&self, run: &mut Run<'_>) {
        let s = &mut *run.scratch;
        self.up.apply(run.cpu, &s.h, &mut s.up);
        run.cpu.gelu_erf(&mut s.up);
        self.down.apply(run.cpu, &s.up, &mut s.h);
    }
}

struct Block {
    attention: Attention,
    attention_norm: Norm,
    mlp: Mlp,
    mlp_norm: Norm,
}

impl Block {
    fn new(w: &Weights<'_>, layer: usize) -> Result<Block, ModelError> {
        let block = format!("blk.{layer}");
        Ok(Block {
            attention: Attention::new(w, &block)?,
            attention_norm: w.layer_norm(&format!("{block}.attn_output_norm"), w.shape.width)?,
            mlp: Mlp::new(w, &block)?,
            mlp_norm: w.layer_norm(&format!("{block}.layer_output_norm"), w.shape.width)?,
        })
    }

    /// h = norm(h + attention(h)); h = norm(h + mlp(h))
    fn apply(&self, run: &mut Run<'_>) {
        run.keep();
        self.attention.apply(run);
        run.add();
        run.norm(&self.attention_norm);
        run.keep();
        self.mlp.apply(run);
        run.add();
        run.norm(&self.mlp_norm);
    }
}

struct Bert {
    shape: Shape,
    pooling: Option<Pooling>,
    /// (vocab, width)
    embedding: Matrix,
    /// (context, width)
    positions: Matrix,
    /// (width): what the first segment adds
    segment: Option<Vec<f32>>,
    norm: Norm,
    blocks: Vec<Block>,
}

pub(crate) fn load(w: Weights<'_>) -> Result<Box<dyn Encoder>, ModelError> {
    let Shape { layers, width, vocab, context, .. } = w.shape;
    let pooling = w.pooling()?;
    let embedding = w.matrix("token_embd.weight", vocab, width)?;
    let positions = w.matrix("position_embd.weight", context, width)?;
    let segment = w.first_row("token_types.weight", width)?;
    let norm = w.layer_norm("token_embd_norm", width)?;
    let blocks = (0..layers).map(|layer| Block::new(&w, layer)).collect::<Result<_, _>>()?;
    let shape = w.finish()?;
    Ok(Box::new(Bert { shape, pooling, embedding, positions, segment, norm, blocks }))
}

impl Encoder for Bert {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn pooling(&self) -> Option<Pooling> {
        self.pooling
    }

    fn layers(&self, run: &mut Run<'_>, tokens: &[u32]) {
        run.embed(&self.embedding, tokens);
        run.embed_positions(&self.positions);
        if let Some(segment) = &self.segment {
            run.cpu.add_bias(&mut run.scratch.x, segment);
        }
        run.norm(&self.norm);
        for block in &self.blocks {
            block.apply(run);
        }
    }
}
