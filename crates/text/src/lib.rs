//! Text to tokens and back: tokenizers, chat templates, grammars.

pub mod grammar;
pub mod prompt;
pub mod template;

pub use prompt::Prompt;
