//! The one verb of a model, and the checks and the cutting into pieces that all families share.

use ondine_cache::Cache;
use ondine_tensor::{Cpu, Rows};

use crate::error::ModelError;
use crate::run::{BATCH, Run, Scratch, Timeline, Want};
use crate::shape::Shape;

/// A timeline's part of a batch: see [`Model::evaluate_together`].
pub struct Part<'a> {
    /// What goes on.
    pub cache: &'a mut Cache,
    /// With what; at least one.
    pub tokens: &'a [u32],
    /// Which of them give logits.
    pub want: Want,
}

/// Makes room for tokens that are checked, and gives the positions that the timeline has at most.
fn prepare(shape: &Shape, tokens: &[u32], cache: &mut Cache) -> Result<usize, ModelError> {
    let &Shape { vocab, context, .. } = shape;
    let horizon = context.min(cache.horizon());
    if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab) {
        return Err(ModelError::Token { id, vocab });
    }
    let needed = cache.len().saturating_add(tokens.len());
    if needed > horizon {
        return Err(ModelError::Context { needed, context: horizon });
    }
    cache.reserve(tokens.len())?;
    Ok(horizon)
}

/// Weights that turn tokens into logits.
pub trait Model: Send + Sync {
    /// The model's sizes.
    fn shape(&self) -> &Shape;

    /// One batch, already checked and with room in the caches: the work of a family. Callers want
    /// [`Model::evaluate`], [`Model::evaluate_together`] or [`Model::forward`].
    fn batch(&self, run: &mut Run<'_>, tokens: &[u32], logits: &mut Rows);

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
        let vocab = self.shape().vocab;
        let horizon = prepare(self.shape(), tokens, cache)?;

        // Only one piece gives logits where one row is wanted; where all are, each gives its own.
        let mut all = Vec::new();
        let pieces = tokens.chunks(BATCH).count();
        for (i, piece) in tokens.chunks(BATCH).enumerate() {
            let want = if want != Want::All && i + 1 < pieces { Want::None } else { want };
            let (first, rows, wanted) = (cache.len(), 0..piece.len(), want.rows(piece.len()));
            scratch.fit(piece.len());
            let timeline = Timeline { cache, rows, wanted, first, horizon };
            let likeliest = want.likeliest();
            let mut run = Run { cpu, timelines: vec![timeline], scratch, likeliest };
            self.batch(&mut run, piece, logits);
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

    /// One batch of several timelines: the weights are read once for all of them. Each of `parts` is
    /// evaluated as by [`Model::evaluate`], and the wanted logits of all stand in `logits` in order.
    /// What a timeline gets does not depend on the others, bit for bit, where `cpu` is
    /// [steady](Cpu::steady).
    ///
    /// # Errors
    /// Those of [`Model::evaluate`] with the index of the part; all caches are then as they were.
    ///
    /// # Panics
    /// Where there are more than [`BATCH`] tokens, or a part without any.
    fn evaluate_together(
        &self,
        cpu: &Cpu,
        parts: &mut [Part<'_>],
        scratch: &mut Scratch,
        logits: &mut Rows,
    ) -> Result<(), (usize, ModelError)> {
        let tokens: Vec<u32> = parts.iter().flat_map(|part| part.tokens).copied().collect();
        assert!(tokens.len() <= BATCH, "{} tokens in a batch of {BATCH}", tokens.len());
        // Of several rows, each has its own few: then all of the head is read for all of them.
        let mut wants = parts.iter().map(|part| part.want).filter(|want| *want != Want::None);
        let likeliest = wants.next().and_then(Want::likeliest).filter(|_| wants.next().is_none());
        let mut timelines = Vec::with_capacity(parts.len());
        let mut row = 0;
        for (i, part) in parts.iter_mut().enumerate() {
            let Part { cache, tokens, want } = part;
            assert!(!tokens.is_empty(), "a part without tokens");
            let horizon = prepare(self.shape(), tokens, cache).map_err(|error| (i, error))?;
            let rows = row..row + tokens.len();
            let wanted = want.rows(tokens.len());
            let wanted = row + wanted.start..row + wanted.end;
            row = rows.end;
            let first = cache.len();
            timelines.push(Timeline { cache, rows, wanted, first, horizon });
        }
        logits.resize(0);
        if tokens.is_empty() {
            return Ok(());
        }
        scratch.fit(tokens.len());
        let mut run = Run { cpu, timelines, scratch, likeliest };
        self.batch(&mut run, &tokens, logits);
        for part in parts {
            part.cache.advance(part.tokens.len());
        }
        cpu.tend();
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
