//! A prompt: text, and which of its bytes a user or a tool wrote. Knows neither tokens nor templates.

use std::ops::Range;

/// Text with byte ranges that a user or a tool wrote.
///
/// A tokenizer reads special tokens only where they touch no quoted byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The whole prompt.
    pub text: String,
    /// Ranges of `text` in bytes, in order and apart, that must stay plain text.
    pub quoted: Vec<Range<usize>>,
}
