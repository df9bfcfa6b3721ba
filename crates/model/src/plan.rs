//! How much memory a model will take, before any of it is taken.

use ondine_cache::{CacheShape, KvType};
use ondine_format::{Hparams, ModelFile};

use crate::error::ModelError;
use crate::family::{self, Kind};
use crate::run::{BATCH, Scratch};
use crate::shape::Shape;

/// Bytes of a loaded model with one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights, as many bytes as in the file whether they stay there or are laid out anew. Mapped,
    /// they are the system's to drop and read again.
    pub weights_bytes: usize,
    /// Keys and values of one full context; of an encoder, those of one layer.
    pub kv_bytes: usize,
    /// Activations of one batch, one row of logits, and the angles of rotary positions.
    pub scratch_bytes: usize,
}

impl MemoryPlan {
    /// All of it; `None` where that is no number.
    pub fn total(&self) -> Option<usize> {
        self.weights_bytes.checked_add(self.kv_bytes)?.checked_add(self.scratch_bytes)
    }
}

/// The sizes of a file's model, and whether it is an encoder, without loading it.
///
/// # Errors
/// What [`load`](crate::load) would say of the metadata.
pub fn sizes(file: &ModelFile) -> Result<(Shape, bool), ModelError> {
    let hparams = Hparams::of(file)?;
    let kind = family::find(&hparams.architecture)?;
    Ok((Shape::new(&hparams)?, matches!(kind, Kind::Encoder(_))))
}

/// Plans for a session of `context` positions that stores keys and values as `kv`. An encoder, which
/// remembers nothing, has 16-bit floats whatever was asked.
///
/// # Errors
/// What [`load`](crate::load) would say of the metadata, a context beyond the model's, or a size
/// that is no number.
pub fn plan(file: &ModelFile, context: usize, kv: KvType) -> Result<MemoryPlan, ModelError> {
    let hparams = Hparams::of(file)?;
    let kind = family::find(&hparams.architecture)?;
    let shape = Shape::new(&hparams)?;
    if context > shape.context {
        return Err(ModelError::Context { needed: context, context: shape.context });
    }
    let too_large = |what| ModelError::TooLarge { what };
    let weights_bytes = (file.tensors.iter())
        .try_fold(0usize, |sum, tensor| sum.checked_add(tensor.data.len()))
        .ok_or(too_large("weights"))?;
    // An encoder keeps one layer's keys and values at a time, but takes a text in one piece and
    // gives no logits.
    let (cache, rows, logits) = match kind {
        Kind::Decoder(_) => (CacheShape { kv, ..shape.cache() }, BATCH.min(context), shape.vocab),
        Kind::Encoder(_) => (shape.one_layer(), context, 0),
    };
    let kv_bytes = cache.bytes_for(context).ok_or(too_large("keys and values"))?;
    // Blocks with a window may turn otherwise than those without: a second table.
    let tables = if hparams.sliding_window.is_some() { 2 } else { 1 };
    let scratch_bytes = Scratch::floats_per_row(&shape)
        .and_then(|floats| floats.checked_mul(rows))
        .and_then(|floats| floats.checked_add(logits))
        // A sine and a cosine for each pair of dimensions that rotate, at each position.
        .and_then(|floats| {
            floats.checked_add(hparams.rope_dims.checked_mul(context)?.checked_mul(tables)?)
        })
        .and_then(|floats| floats.checked_mul(size_of::<f32>()))
        .ok_or(too_large("activations"))?;
    Ok(MemoryPlan { weights_bytes, kv_bytes, scratch_bytes })
}
