//! The numbers of a loaded model that others may want to know. Knows no weights.

use ondine_cache::{CacheShape, KvType};
use ondine_format::{Experts, Hparams};

use crate::error::ModelError;

/// Sizes of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The family, as `general.architecture` names it.
    pub architecture: String,
    /// Blocks, one after the other.
    pub layers: usize,
    /// Width of the stream between blocks.
    pub width: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width inside the feed-forward part, or inside one expert where there are experts.
    pub ff: usize,
    /// Experts of a block, where there are any.
    pub experts: Option<Experts>,
    /// Tokens that there are logits for.
    pub vocab: usize,
    /// Positions the model was trained for.
    pub context: usize,
}

impl Shape {
    /// The sizes that checked hyperparameters give, or what in them is not supported yet.
    pub(crate) fn new(h: &Hparams) -> Result<Shape, ModelError> {
        let unsupported = |what: String| {
            Err(ModelError::Unsupported { architecture: h.architecture.clone(), what })
        };
        if h.value_dim != h.head_dim {
            return unsupported(format!(
                "values {} wide beside keys {} wide",
                h.value_dim, h.head_dim
            ));
        }
        Ok(Shape {
            architecture: h.architecture.clone(),
            layers: h.layers,
            width: h.width,
            heads: h.heads,
            kv_heads: h.kv_heads,
            head_dim: h.head_dim,
            ff: h.experts.map_or(h.ff, |experts| experts.ff),
            experts: h.experts,
            vocab: h.vocab,
            context: h.context,
        })
    }

    /// What a position of this model costs in a cache of 16-bit floats; other types are asked for by
    /// `CacheShape { kv, ..shape.cache() }`.
    pub fn cache(&self) -> CacheShape {
        let Shape { layers, kv_heads, head_dim, .. } = *self;
        CacheShape { layers, kv_heads, head_dim, kv: KvType::F16 }
    }

    /// What a position of one layer costs: all that an encoder needs, as nothing is remembered.
    pub(crate) fn one_layer(&self) -> CacheShape {
        CacheShape { layers: 1, ..self.cache() }
    }

    /// Width of all heads of queries together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all heads of keys together.
    pub fn key_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }
}
