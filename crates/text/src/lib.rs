//! Text to tokens and back: tokenizers, chat templates, grammars.
//!
//! Start with [`Tokenizer`], which is made from what a model file says about
//! its vocabulary ([`VocabSpec`](vocab::VocabSpec)). A [`Template`](template) turns a
//! conversation into a [`Prompt`]: text, and which of its bytes a user or a tool wrote. Those never
//! become marks of the conversation, whatever they spell. A [`Grammar`](grammar) says which tokens
//! may come next.
//!
//! This crate has no powers: it reads no files, has no clock and starts no threads, and whatever it
//! is given, it answers with a value or a typed error.

pub mod decode;
pub mod grammar;
pub mod limits;
pub mod prompt;
pub mod template;
pub mod tokenizer;
pub mod vocab;

mod alphabet;
mod bpe;
mod hash;
mod merges;
mod pretokenize;
mod pretokenize_scan;
mod queue;
mod roles;
mod slots;
mod special;
mod spm;
mod texts;
mod trie;
mod unicode;
mod unicode_table;
mod wordpiece;

pub use prompt::Prompt;
pub use tokenizer::Tokenizer;
