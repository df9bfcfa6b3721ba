//! The embedded model: a request in English or Chinese becomes a call of a device function.
//!
//! droplet is a small llama-family model that lives inside the program. It does not chat. It
//! chooses one of the device functions of [`FUNCTIONS`], or [`functions::CLOUD`] where a request
//! needs knowledge that is not on the device, or [`functions::NONE`] where there is no request,
//! and it says how sure it is. Its answer is decoded under a grammar made for the request, so it
//! is always a valid call whose free values are words of the request.
//!
//! It knows the form of droplet's prompt and nothing of the terminal, of time or of files.
//!
//! | module | what it holds |
//! |---|---|
//! | [`functions`] | the functions and their parameters, one table |
//! | [`call`] | a call, for programs and for people |
//! | `chat` | droplet as somebody who answers conversations |
//! | `grammar` | what an answer to one request may be |
//! | `tokens` | the reserved tokens of the vocabulary |

pub mod call;
mod chat;
mod error;
pub mod functions;
mod grammar;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ondine_engine::{
    Engine, EngineOptions, FinishReason, GenerateOptions, Memory, Sampling, SessionOptions,
};
use ondine_format::{FormatError, ModelFile, gguf};
use ondine_tensor::{Bytes, Isa};
use ondine_text::grammar::GrammarSpec;
use ondine_text::tokenizer::Special;
use ondine_text::vocab::TokenId;

pub use call::Call;
pub use error::DropletError;
pub use functions::{FUNCTIONS, Function, Parameter};
use tokens::Tokens;

/// The longest request in bytes. Requests to a device are sentences; what is longer is refused
/// before it costs anything.
pub const REQUEST_BYTES_MAX: usize = 2048;

/// Tokens kept free for an answer beside those that repeat the request: names, and values that are
/// said in other tokens than the request has.
const ANSWER_TOKENS_SPARE: usize = 32;

/// The model file, aligned as its own tensors are.
#[repr(C, align(64))]
struct Aligned<T: ?Sized>(T);

static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("../droplet.gguf"));

/// The embedded model file: a GGUF that any reader of the format takes.
///
/// # Errors
/// None that a test of this crate would not have met first.
pub fn file() -> Result<ModelFile, FormatError> {
    gguf::read(bytes())
}

/// The embedded model file as it is.
pub fn bytes() -> Bytes {
    Bytes::from_static(&FILE.0)
}

/// The loaded model.
pub struct Droplet {
    engine: Arc<Engine>,
    tokens: Tokens,
    /// How many calls were told to those who ask: each has a name of its own.
    calls: AtomicU64,
}

/// What droplet makes of a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The function and its arguments.
    pub call: Call,
    /// How likely the function is beside all the others, from 0 to 1.
    pub probability: f32,
    /// The tokens of the answer, without the closing one.
    pub tokens: Vec<TokenId>,
    /// How many tokens the prompt had.
    pub prompt_tokens: usize,
}

/// How far an answer is, for who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The prompt has been read.
    Read,
    /// One more token is known.
    Token,
}

/// Loads the embedded model.
///
/// # Errors
/// Where the machine has no memory for it.
pub fn open(threads: usize, isa: Isa) -> Result<Droplet, DropletError> {
    let engine = Engine::load(
        &file()?,
        EngineOptions { threads, isa, memory: Memory::Lean, ..EngineOptions::default() },
    )?;
    let tokens = Tokens::find(engine.tokenizer()?)?;
    Ok(Droplet { engine, tokens, calls: AtomicU64::new(0) })
}

impl Droplet {
    /// The model under the functions, for completing code and for measuring.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Turns a request into a call.
    ///
    /// # Errors
    /// A request that is empty or too long.
    pub fn call(&self, request: &str) -> Result<Answer, DropletError> {
        self.call_watched(request, |_| {})
    }

    /// Turns a request into a call and tells `watch` of each stage.
    ///
    /// # Errors
    /// Those of [`Droplet::call`].
    pub fn call_watched(
        &self,
        request: &str,
        mut watch: impl FnMut(Stage),
    ) -> Result<Answer, DropletError> {
        let request = check(request)?;
        let tokenizer = self.engine.tokenizer()?;
        let prompt = self.tokens.prompt(tokenizer.encode(request, Special::AsText));
        let context = self.engine.shape().context;
        // A value may be all of the request once more.
        let needed = 2 * prompt.len() + ANSWER_TOKENS_SPARE;
        if needed > context {
            return Err(DropletError::Context { needed, context });
        }
        let rules = GrammarSpec::Lark(grammar::lark(&self.tokens, request));
        let matcher = self.engine.grammar(&rules)?.matcher();

        let mut session = self.engine.session(SessionOptions::default())?;
        session.sync(&prompt)?;
        watch(Stage::Read);
        let options = GenerateOptions {
            sampling: Sampling::greedy(),
            grammar: Some(matcher),
            odds: true,
            ..GenerateOptions::default()
        };
        let mut tokens = Vec::new();
        let mut probability = None;
        let mut generation = session.generate(options)?;
        for step in generation.by_ref() {
            let step = step?;
            watch(Stage::Token);
            // The grammar allows the functions and nothing else at first, so the first step says
            // how likely the chosen one is among them.
            probability = probability.or(step.odds.map(|odds| odds.allowed_prob));
            if step.finish != Some(FinishReason::EndOfTurn) {
                tokens.push(step.token);
            }
        }
        if generation.finish() == Some(FinishReason::Context) {
            return Err(DropletError::Answer { problem: "it does not fit the context".into() });
        }
        let call = self.tokens.read(tokenizer, &tokens)?;
        let probability = probability.unwrap_or_default();
        Ok(Answer { call, probability, tokens, prompt_tokens: prompt.len() })
    }
}

/// The request without the space around it, where it is one.
fn check(request: &str) -> Result<&str, DropletError> {
    let request = request.trim();
    if request.is_empty() {
        return Err(DropletError::Empty);
    }
    if request.len() > REQUEST_BYTES_MAX {
        return Err(DropletError::Long { bytes: request.len(), limit: REQUEST_BYTES_MAX });
    }
    Ok(request)
}

#[cfg(test)]
mod tests;
