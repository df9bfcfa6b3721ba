//! A model is tried before a name is switched to it: read, loaded, and made to say a few words to
//! itself. What fails here would fail everybody who asks for the name.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use ondine_engine::{
    EmbedOptions, Embedder, Engine, EngineError, EngineOptions, Memory, SessionOptions,
};
use ondine_format::ModelFile;
use ondine_model::ModelError;
use ondine_text::tokenizer::Special;

use crate::store;

/// What it is asked.
const WORDS: &str = "Hello";
/// Tokens that it goes on with.
const TOKENS: usize = 4;
/// Positions of the trial: few, as keys and values for all of a model's own would take memory.
const POSITIONS: usize = 64;

/// Makes sure that a file is a model that works, and says what is worth knowing about it.
pub(crate) fn check(path: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>> {
    let file = store::read(path)?;
    speaks(&file)?;
    Ok(store::about(&file))
}

fn speaks(file: &ModelFile) -> Result<(), EngineError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // In the file: what is active now may be in memory beside it.
    let memory = Memory::Lean;
    let options = EngineOptions { threads, memory, ..EngineOptions::default() };
    let engine = match Engine::load(file, options) {
        Ok(engine) => engine,
        Err(EngineError::Model(ModelError::Encoder { .. })) => {
            let embedder = Embedder::load(file, options)?;
            return embedder.embed(WORDS, EmbedOptions::default()).map(|_| ());
        }
        Err(error) => return Err(error),
    };
    let tokens = engine.tokenizer()?.encode(WORDS, Special::AsText);
    let context = Some(POSITIONS.min(engine.shape().context));
    let mut session = engine.session(SessionOptions { context, ..SessionOptions::default() })?;
    session.extend(&tokens)?;
    for _ in 0..TOKENS {
        // An error where they are not numbers.
        let logits = session.logits()?;
        let likeliest = logits.iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let Some((token, _)) = likeliest else { break };
        session.extend(&[token as u32])?;
    }
    Ok(())
}
