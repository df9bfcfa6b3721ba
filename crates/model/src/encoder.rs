//! The one verb of an encoder, and the checks that all of them share.
//!
//! An encoder sees a whole text at once, in both directions, and continues none: it has no logits,
//! no batches and nothing to remember between calls. That is why it is not a
//! [`Model`](crate::Model).

use ondine_cache::Cache;
use ondine_tensor::{Cpu, Rows};

use crate::error::ModelError;
use crate::run::{Run, Scratch, Timeline};
use crate::shape::Shape;

/// How the rows of a text become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all rows.
    Mean,
    /// The first row, that of the mark at the beginning.
    Cls,
    /// The last row.
    Last,
}

impl Pooling {
    /// Every way, with the number that files give it in `pooling_type` and its name.
    pub const ALL: &[(Pooling, u32, &'static str)] =
        &[(Pooling::Mean, 1, "mean"), (Pooling::Cls, 2, "cls"), (Pooling::Last, 3, "last")];

    /// The way that files give this number, if there is one.
    pub fn from_number(number: u32) -> Option<Pooling> {
        Pooling::ALL.iter().find(|row| row.1 == number).map(|row| row.0)
    }

    /// The way of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Pooling> {
        Pooling::ALL.iter().find(|row| row.2 == name).map(|row| row.0)
    }
}

/// Weights that turn the tokens of a text into a row for each.
pub trait Encoder: Send + Sync {
    /// The model's sizes.
    fn shape(&self) -> &Shape;

    /// How its file wants rows to become a vector; `None` where it does not say.
    fn pooling(&self) -> Option<Pooling>;

    /// A whole text, already checked, with room for as many rows: the work of a family. Leaves a
    /// row for each token in `run.scratch.h`. The cache is paper for the keys and values of the
    /// layer at hand. Callers want [`Encoder::encode`].
    fn layers(&self, run: &mut Run<'_>, tokens: &[u32]);

    /// The rows of a text after the last layer: (tokens, width). The marks at beginning and end
    /// are the caller's to add.
    ///
    /// # Errors
    /// A token outside the vocabulary, more tokens than the model has positions, no memory.
    fn encode(&self, cpu: &Cpu, tokens: &[u32]) -> Result<Rows, ModelError> {
        let shape = self.shape();
        let &Shape { vocab, context, width, .. } = shape;
        if let Some(&id) = tokens.iter().find(|id| **id as usize >= vocab) {
            return Err(ModelError::Token { id, vocab });
        }
        if tokens.len() > context {
            return Err(ModelError::Context { needed: tokens.len(), context });
        }
        if tokens.is_empty() {
            return Ok(Rows::new(0, width));
        }
        let mut cache = Cache::new(shape.one_layer());
        cache.reserve(tokens.len())?;
        let mut scratch = Scratch::new(shape);
        scratch.fit(tokens.len());
        let rows = 0..tokens.len();
        let text = Timeline { cache: &mut cache, rows, wanted: 0..0, first: 0, horizon: context };
        let mut run = Run { cpu, timelines: vec![text], scratch: &mut scratch, likeliest: None };
        self.layers(&mut run, tokens);
        cpu.tend();
        Ok(scratch.h)
    }
}
