//! WordPiece: words to tokens by the longest match from the left. Knows words, not marks.
//!
//! Text is first normalised as the vocabularies were made: lower case, accents off, control
//! characters out, and every sign and ideograph a word of its own. A token that begins a word has
//! `▁` before it, so a word is looked up as `▁word`. A word with a part that no token matches is
//! wholly unknown.

use crate::alphabet::SPACE;
use crate::trie::Trie;
use crate::unicode::{Class, base, class, is_ideograph, is_space, lower};
use crate::vocab::{Strings, TokenId, Vocab, VocabError, VocabSpec};

/// A WordPiece vocabulary.
#[derive(Debug)]
pub(crate) struct WordPiece {
    tokens: Trie,
    unknown: TokenId,
}

impl WordPiece {
    pub(crate) fn new(
        spec: &VocabSpec<impl Strings>,
        vocab: &Vocab,
    ) -> Result<WordPiece, VocabError> {
        let missing =
            || VocabError::Missing { model: spec.model.clone(), what: "an unknown token" };
        let unknown = vocab.roles.unk.ok_or_else(missing)?;
        let texts = vocab.ids().filter(|&id| vocab.is_text(id));
        let tokens = Trie::new(texts.map(|id| (vocab.text(id).unwrap_or_default(), id)));
        Ok(WordPiece { tokens, unknown })
    }

    /// Appends the tokens of `text`.
    pub(crate) fn encode(&self, text: &str, out: &mut Vec<TokenId>) {
        let mut word = String::from(SPACE);
        for c in text.chars().map(base) {
            let class = class(c);
            if is_space(c) {
                self.end_word(&mut word, out);
            } else if c == '\0' || c == '\u{fffd}' || matches!(class, Class::Control | Class::Mark)
            {
                continue;
            } else if class == Class::Punctuation
                || (class == Class::Symbol && c.is_ascii())
                || is_ideograph(c)
            {
                self.end_word(&mut word, out);
                word.push(lower(c));
                self.end_word(&mut word, out);
            } else {
                word.push(lower(c));
            }
        }
        self.end_word(&mut word, out);
    }

    /// Appends the tokens of the word so far and begins the next.
    fn end_word(&self, word: &mut String, out: &mut Vec<TokenId>) {
        if word.len() == SPACE.len() {
            return;
        }
        let (before, mut at) = (out.len(), 0);
        while at < word.len() {
            match self.tokens.prefixes(&word.as_bytes()[at..]).last() {
                Some((length, id)) => {
                    out.push(id);
                    at += length;
                }
                None => {
                    out.truncate(before);
                    out.push(self.unknown);
                    break;
                }
            }
        }
        word.truncate(SPACE.len());
    }
}
