//! Texts to vectors: an encoder, and the way its rows become one vector. Knows no distance, no
//! index and no search: what a vector is for is the caller's business.

use ondine_format::ModelFile;
use ondine_model::{Encoder, Pooling, Shape};
use ondine_tensor::{Cpu, Rows};
use ondine_text::Tokenizer;
use ondine_text::tokenizer::Special;
use ondine_text::vocab::TokenId;

use crate::engine::{EngineOptions, Memory};
use crate::error::EngineError;
use crate::load;

/// What becomes of a text that has more tokens than the model has positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overlong {
    /// An error that says both numbers.
    #[default]
    Refuse,
    /// Its end is dropped; the mark behind it is kept.
    Cut,
}

/// How texts become vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbedOptions {
    /// How rows become one vector; `None` is the file's own way.
    pub pooling: Option<Pooling>,
    /// Whether a vector is brought to the length 1.
    pub normalise: bool,
    /// What becomes of texts that are too long.
    pub overlong: Overlong,
}

impl Default for EmbedOptions {
    /// The file's own pooling, vectors of length 1, texts that are too long refused.
    fn default() -> EmbedOptions {
        EmbedOptions { pooling: None, normalise: true, overlong: Overlong::Refuse }
    }
}

/// A text as a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// As many numbers as the model is wide.
    pub vector: Vec<f32>,
    /// Tokens that were read, the marks among them.
    pub tokens: usize,
}

/// A loaded encoder. Never changes after loading.
pub struct Embedder {
    encoder: Box<dyn Encoder>,
    cpu: Cpu,
    tokenizer: Result<Tokenizer, String>,
}

impl Embedder {
    /// Builds the encoder of a file. A tokenizer that is absent or refused does not fail the load:
    /// ids can be embedded without one.
    ///
    /// # Errors
    /// Whatever is wrong with the model itself, and a model that is no encoder.
    pub fn load(file: &ModelFile, options: EngineOptions) -> Result<Embedder, EngineError> {
        let cpu = Cpu::new(options.threads.max(1), options.isa);
        let encoder = match options.memory {
            Memory::Fast => ondine_model::load_encoder_for(file, &cpu)?,
            Memory::Lean => ondine_model::load_encoder(file)?,
        };
        let tokenizer = load::tokenizer(&file.metadata, encoder.shape().vocab);
        Ok(Embedder { encoder, cpu, tokenizer })
    }

    /// The model's sizes; a vector is [`Shape::width`] long.
    pub fn shape(&self) -> &Shape {
        self.encoder.shape()
    }

    /// How the file wants rows to become a vector; `None` where it does not say.
    pub fn pooling(&self) -> Option<Pooling> {
        self.encoder.pooling()
    }

    /// The tokens of a text between the marks that the model wants around it. Nothing in the text
    /// is special.
    ///
    /// # Errors
    /// No tokenizer; a text that is too long, where those are refused.
    pub fn encode_text(&self, text: &str, overlong: Overlong) -> Result<Vec<TokenId>, EngineError> {
        let tokenizer = self
            .tokenizer
            .as_ref()
            .map_err(|reason| EngineError::NoTokenizer { reason: reason.clone() })?;
        let first = tokenizer.bos().filter(|_| tokenizer.add_bos());
        let last = tokenizer.eos().filter(|_| tokenizer.add_eos());
        let mut tokens: Vec<TokenId> = first.into_iter().collect();
        tokens.extend(tokenizer.encode(text, Special::AsText));
        let context = self.shape().context;
        let room = context.saturating_sub(usize::from(last.is_some()));
        if tokens.len() > room {
            match overlong {
                Overlong::Cut => tokens.truncate(room),
                Overlong::Refuse => {
                    let tokens = tokens.len() + (context - room);
                    return Err(EngineError::TooLong { tokens, context });
                }
            }
        }
        tokens.extend(last);
        Ok(tokens)
    }

    /// The vector of a text.
    ///
    /// # Errors
    /// Those of [`Embedder::encode_text`] and [`Embedder::embed_tokens`].
    pub fn embed(&self, text: &str, options: EmbedOptions) -> Result<Embedding, EngineError> {
        let tokens = self.encode_text(text, options.overlong)?;
        let vector = self.embed_tokens(&tokens, options)?;
        Ok(Embedding { vector, tokens: tokens.len() })
    }

    /// The vector of tokens as they are: the marks are the caller's to add.
    ///
    /// # Errors
    /// No tokens, too many or unknown ones, no way of pooling, weights that give no numbers.
    pub fn embed_tokens(
        &self,
        tokens: &[TokenId],
        options: EmbedOptions,
    ) -> Result<Vec<f32>, EngineError> {
        let pooling = options.pooling.or(self.pooling()).ok_or(EngineError::NoPooling)?;
        if tokens.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        let rows = self.encoder.encode(&self.cpu, tokens)?;
        let mut vector = pool(&rows, pooling);
        if options.normalise {
            normalise(&mut vector);
        }
        if vector.iter().all(|x| x.is_finite()) { Ok(vector) } else { Err(EngineError::NoVector) }
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("shape", self.shape()).finish_non_exhaustive()
    }
}

/// One vector of at least one row.
fn pool(rows: &Rows, pooling: Pooling) -> Vec<f32> {
    match pooling {
        Pooling::Cls => rows.row(0).to_vec(),
        Pooling::Last => rows.row(rows.count() - 1).to_vec(),
        Pooling::Mean => {
            let mut sums = vec![0.0f64; rows.width()];
            for r in 0..rows.count() {
                for (sum, x) in sums.iter_mut().zip(rows.row(r)) {
                    *sum += f64::from(*x);
                }
            }
            sums.into_iter().map(|sum| (sum / rows.count() as f64) as f32).collect()
        }
    }
}

/// Brings a vector to the length 1; one of zeros stays.
fn normalise(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pooling_by_hand() {
        let rows = Rows::from_vec(vec![1.0, 2.0, 3.0, 6.0, 5.0, 1.0], 2);
        let wanted = [
            (Pooling::Mean, vec![3.0, 3.0]),
            (Pooling::Cls, vec![1.0, 2.0]),
            (Pooling::Last, vec![5.0, 1.0]),
        ];
        for (pooling, wanted) in wanted {
            assert_eq!(pool(&rows, pooling), wanted, "{pooling:?}");
        }
    }

    #[test]
    fn lengths_become_one() {
        let mut vector = [3.0, -4.0];
        normalise(&mut vector);
        assert_eq!(vector, [0.6, -0.8]);
        // Squares that no 32-bit float holds.
        let mut vector = [1e30, 0.0];
        normalise(&mut vector);
        assert_eq!(vector, [1.0, 0.0]);
        let mut vector = [0.0, 0.0];
        normalise(&mut vector);
        assert_eq!(vector, [0.0, 0.0]);
    }
}
