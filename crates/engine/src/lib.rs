//! Tokens in, tokens out: loaded models, sessions, sampling, constrained generation.
//!
//! Two nouns for talking. An [`Engine`] is a loaded model and never changes. A [`Session`] is one timeline on
//! it: give it the whole prompt, it reuses what it can; then take tokens for as long as you like.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = ondine_format::gguf::read(ondine_tensor::Bytes::from_vec(vec![]))?;
//! use ondine_engine::{Engine, EngineOptions, GenerateOptions, SessionOptions};
//!
//! let engine = Engine::load(&file, EngineOptions::default())?;
//! let mut session = engine.session(SessionOptions::default())?;
//! session.sync(&engine.encode_text("Once upon a time")?)?;
//! for step in session.generate(GenerateOptions::default())? {
//!     print!("{}", step?.text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A third for comparing: an [`Embedder`] is a loaded encoder, which turns a text into a vector.
//!
//! An engine has no clock, no files, no network and no thread of its own (those that compute
//! belong to `tensor`), and its random numbers come from a seed: the same weights, prompt, seed
//! and thread count give the same tokens. "Prompt" means the calls that led there: a kernel may
//! add floats in another order for one row than for many, so a prompt that was evaluated in other
//! pieces may differ in the last bits, and where two tokens are all but equal, in the token. It
//! refuses to know where models come from and who asks.
//!
//! | module | what it holds |
//! |---|---|
//! | [`engine`], `load` | a loaded model; which metadata key means what |
//! | [`prompt`], `gap` | chats, texts and gaps to tokens |
//! | [`session`] | sync, rewind, fork, shift, snapshot |
//! | [`generate`], `stop`, `utf8` | the iterator, and text on its way out |
//! | [`sample`], `rng` | logits to a token |
//! | [`embed`] | texts to vectors |
//! | [`perplexity`](mod@perplexity) | how well a text is foretold |

pub mod embed;
pub mod engine;
pub mod error;
mod gap;
pub mod generate;
mod load;
pub mod perplexity;
mod probability;
pub mod prompt;
mod rng;
pub mod sample;
pub mod session;
mod stop;
mod utf8;

pub use embed::{EmbedOptions, Embedder, Embedding, Overlong};
pub use engine::{Engine, EngineOptions, Memory};
pub use error::EngineError;
pub use generate::{FinishReason, GenerateOptions, Generation, Odds, Speech, Step};
pub use ondine_cache::KvType;
pub use perplexity::{Perplexity, perplexity};
pub use sample::Sampling;
pub use session::{Overflow, Session, SessionOptions, Share, Snapshot, Synced, evaluate_together};

/// The tokenizer that a file describes, with or without a model.
///
/// # Errors
/// Where it has none, or one that was refused; the error says why.
pub fn tokenizer(
    metadata: &ondine_format::Metadata,
) -> Result<ondine_text::Tokenizer, EngineError> {
    load::tokenizer(metadata, usize::MAX).map_err(|reason| EngineError::NoTokenizer { reason })
}
