//! The decoder that most families share: attention and a feed-forward part, with norms around them,
//! each added to what came in. What differs between families is handed in as a [`Design`].

use std::sync::Arc;

use ondine_format::Windowed;
use ondine_tensor::{Matrix, RopeStyle, Rows};

use crate::error::ModelError;
use crate::layer::{Attention, Gated, Head, Mlp, Norm, Opening, Rms, Rotation, Sight, usual_scale};
use crate::model::Model;
use crate::run::Run;
use crate::shape::Shape;
use crate::weights::Weights;

/// Reads the attention of the block of this name, which looks back in this way.
type ReadAttention = fn(&Weights<'_>, &str, &Sight) -> Result<Attention, ModelError>;

/// Reads the feed-forward part of the block of this name.
type ReadMlp = fn(&Weights<'_>, &str) -> Result<Mlp, ModelError>;

/// Where a part's norms stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Norms {
    /// x += part(norm(x))
    Before,
    /// x += norm(part(x))
    After,
    /// x += norm(part(norm(x)))
    Around,
}

/// What a family is, where families differ.
pub(crate) struct Design {
    /// How dimensions pair for rotation.
    pub(crate) rope: RopeStyle,
    pub(crate) attention: ReadAttention,
    pub(crate) mlp: ReadMlp,
    pub(crate) norms: Norms,
    /// The blocks that have a window if the file gives one and does not say which. `None` where
    /// the family has no windows.
    pub(crate) windowed: Option<Windowed>,
    /// Blocks with a window turn by this base, unscaled. `None` where they turn as all others.
    pub(crate) local_base: Option<f32>,
    /// What the family multiplies with. `None` where a file must ask for no such thing.
    pub(crate) scales: Option<DesignScales>,
}

/// What parts are multiplied with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DesignScales {
    /// The embedding.
    pub(crate) embedding: f32,
    /// What attention and the feed-forward part give.
    pub(crate) residual: f32,
    /// The product of a query and a key.
    pub(crate) attention: f32,
    /// The logits.
    pub(crate) logits: f32,
}

impl Design {
    /// As llama: norms before, a gate that opens by silu, no windows, nothing scaled.
    pub(crate) fn new(rope: RopeStyle, attention: ReadAttention) -> Design {
        let mlp: ReadMlp = |w, block| Gated::read(w, block, Opening::Silu).map(Mlp::Gated);
        let (norms, windowed, local_base, scales) = (Norms::Before, None, None, None);
        Design { rope, attention, mlp, norms, windowed, local_base, scales }
    }
}

/// A part of a block goes from the stream to the stream.
struct Path {
    before: Option<Norm>,
    after: Option<Rms>,
    /// What is added is multiplied with this, where nothing normalises it.
    scale: f32,
}

impl Path {
    fn new(
        w: &Weights<'_>,
        norms: Norms,
        [before, after]: [&str; 2],
        scale: f32,
    ) -> Result<Path, ModelError> {
        let width = w.shape.width;
        let before = (norms != Norms::After).then(|| w.rms_norm(before, width)).transpose()?;
        let after = (norms != Norms::Before).then(|| w.rms(after, width)).transpose()?;
        Ok(Path { before, after, scale })
    }

    /// x += after(part(before(x)))
    fn along(&self, run: &mut Run<'_>, part: impl FnOnce(&mut Run<'_>)) {
        match &self.before {
            Some(norm) => run.norm(norm),
            None => run.copy(),
        }
        part(run);
        match &self.after {
            Some(norm) => run.add_normed(norm),
            None if self.scale == 1.0 => run.add(),
            None => run.add_scaled(self.scale),
        }
    }
}

struct Block {
    attention_path: Path,
    attention: Attention,
    mlp_path: Path,
    mlp: Mlp,
}

impl Block {
    fn new(
        w: &Weights<'_>,
        layer: usize,
        design: &Design,
        sight: &Sight,
        scale: f32,
    ) -> Result<Block, ModelError> {
        let block = format!("blk.{layer}");
        let path = |before: &str, after: &str| {
            let names = [format!("{block}.{before}"), format!("{block}.{after}")];
            Path::new(w, design.norms, [&names[0], &names[1]], scale)
        };
        Ok(Block {
            attention_path: path("attn_norm", "post_attention_norm")?,
            attention: (design.attention)(w, &block, sight)?,
            mlp_path: path("ffn_norm", "post_ffw_norm")?,
            mlp: (design.mlp)(w, &block)?,
        })
    }

    fn apply(&self, run: &mut Run<'_>, layer: usize) {
        self.attention_path.along(run, |run| self.attention.apply(run, layer));
        self.mlp_path.along(run, |run| self.mlp.apply(run));
    }
}

/// A whole model of that kind.
pub(crate) struct Decoder {
    shape: Shape,
    /// (vocab, width)
    embedding: Matrix,
    embedding_scale: f32,
    blocks: Vec<Block>,
    head: Head,
}

impl Decoder {
    /// Reads a model of this design.
    pub(crate) fn load(w: Weights<'_>, design: &Design) -> Result<Box<dyn Model>, ModelError> {
        let Shape { layers, width, head_dim, .. } = w.shape;
        let (none, usual) = (1.0, usual_scale(head_dim));
        let scales = match design.scales {
            Some(scales) => scales,
            None => {
                w.without_scales()?;
                DesignScales { embedding: none, residual: none, attention: usual, logits: none }
            }
        };
        let window = w.window();
        let windowed = match &design.windowed {
            Some(windowed) => w.hparams.windowed.as_ref().unwrap_or(windowed),
            None => {
                w.without_window()?;
                &Windowed::Period(1)
            }
        };
        let embedding = w.embedding()?;
        let far = Arc::new(Rotation::read(&w, design.rope)?);
        let near = match design.local_base {
            Some(base) => Arc::new(Rotation::plain(&w, design.rope, base)),
            None => Arc::clone(&far),
        };
        // A window that is wider than the context hides nothing, but its block is still one of
        // those that turn by the other base.
        let sight = |layer| {
            let slides = w.hparams.sliding_window.is_some() && windowed.has(layer);
            let rotation = Some(Arc::clone(if slides { &near } else { &far }));
            let window = window.filter(|_| slides);
            Sight { rotation, window, scale: scales.attention }
        };
        let blocks = (0..layers)
            .map(|layer| Block::new(&w, layer, design, &sight(layer), scales.residual))
            .collect::<Result<_, _>>()?;
        let head = Head {
            norm: w.rms_norm("output_norm", width)?,
            output: w.head()?,
            scale: Some(scales.logits).filter(|scale| *scale != none),
            cap: w.hparams.logit_cap,
        };
        let embedding_scale = scales.embedding;
        Ok(Box::new(Decoder { shape: w.finish()?, embedding, embedding_scale, blocks, head }))
    }
}

impl Model for Decoder {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn batch(&self, run: &mut Run<'_>, tokens: &[u32], logits: &mut Rows) {
        run.embed(&self.embedding, tokens);
        if self.embedding_scale != 1.0 {
            run.scale(self.embedding_scale);
        }
        for (layer, block) in self.blocks.iter().enumerate() {
            block.apply(run, layer);
        }
        self.head.apply(run, logits);
    }
}
