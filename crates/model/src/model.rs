//! The one verb of a model, and the checks and the cutting into pieces that all families share.

use ondine_cache::Cache;
use ondine_tensor::{Cpu, Rows};

use crate::error::ModelError;
use crate::run::{BATCH, Run, Scratch, Want};
use crate::shape::Shape;

/// Weights that turn tokens into logits.
pub trait Model: Send + Sync {
    /// The model's sizes.
    fn shape(&self) -> &Shape;

    /// One batch, already checked and with room in the cache: the work of a family. Callers want
    /// [`Model::evaluate`] or [`Model::forward`].
    fn batch(&self, run: &mut Run<'_>, tokens: &[u32], want: Want, logits: &mut Rows);

    /// Runs `tokens` at the positions `cache.len()..`, adds their keys and values to the cache and
    /// leaves the wanted logits, `(wanted, vocab)`, in `logits`. Long inputs go in pieces of
    /// [`BATCH`].
    ///
    /// # Errors
    /// A token outside the vocabulary, more positions than the model has, no memory. The cache is
    /// then as it was.
    fn evaluate(
        &self,
        cpu: &Cpu,
        tokens: &[u32],
        cache: &mut Cache,
        want: Want,
        scratch: &mut Scratch,
        logits: &mut Rows,
    ) -> Result<(), ModelError> {
        let &Shape { vocab, context, .. } = self.shape();
        let horizon = context.min(cache.horizon());
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab) {
            return Err(ModelError::Token { id, vocab });
        }
        let needed = cache.len().saturating_add(tokens.len());
        if needed > horizon {
            return Err(ModelError::Context { needed, context: horizon });
        }
        cache.reserve(tokens.len())?;

        // Only one piece gives logits where one row is wanted; where all are, each gives its own.
        let mut all = Vec::new();
        let pieces = tokens.chunks(BATCH).count();
        for (i, piece) in tokens.chunks(BATCH).enumerate() {
            let want = if want == Want::Last && i + 1 < pieces { Want::None } else { want };
            let first = cache.len();
            scratch.fit(piece.len());
            let mut run = Run { cpu, cache, scratch, first, horizon };
            self.batch(&mut run, piece, want, logits);
            cache.advance(piece.len());
            if want == Want::All && pieces > 1 {
                all.extend_from_slice(logits.as_slice());
            }
        }
        cpu.tend();
        if tokens.is_empty() {
            logits.resize(0);
        } else if !all.is_empty() {
            *logits = Rows::from_vec(all, vocab);
        }
        Ok(())
    }

    /// [`Model::evaluate`] with scratch memory of its own, for callers that run once.
    ///
    /// # Errors
    /// Those of [`Model::evaluate`].
    fn forward(
        &self,
        cpu: &Cpu,
        tokens: &[u32],
        cache: &mut Cache,
        want: Want,
    ) -> Result<Rows, ModelError> {
        let mut logits = Rows::new(0, self.shape().vocab);
        let mut scratch = Scratch::new(self.shape());
        self.evaluate(cpu, tokens, cache, want, &mut scratch, &mut logits)?;
        Ok(logits)
    }
}
