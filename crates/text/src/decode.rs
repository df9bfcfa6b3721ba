//! Tokens back to text. Knows which bytes a token writes, and never hands out half a character.

use crate::alphabet::{SPACE, hex_byte, push_letters_as_bytes};
use crate::tokenizer::Tokenizer;
use crate::vocab::{TokenId, TokenKind, Vocab, VocabError};

/// How a vocabulary writes ordinary text in its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Each byte as a printable character.
    Letters,
    /// As itself, with `▁` for a space.
    Spaces,
}

/// The bytes that each token writes.
#[derive(Debug)]
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Pieces {
    pub(crate) fn new(vocab: &Vocab, spelling: Spelling) -> Result<Pieces, VocabError> {
        let bytes = Vec::with_capacity(vocab.bytes());
        let mut pieces = Pieces { bytes, ends: Vec::with_capacity(vocab.len()) };
        for id in vocab.ids() {
            let text = vocab.text(id).unwrap_or_default();
            let bytes = &mut pieces.bytes;
            match vocab.kind(id) {
                TokenKind::Control | TokenKind::Unknown | TokenKind::Unused => {}
                TokenKind::UserDefined => bytes.extend_from_slice(text.as_bytes()),
                TokenKind::Byte => match hex_byte(text) {
                    Some(byte) => bytes.push(byte),
                    None => return Err(VocabError::ByteToken { id, text: text.to_owned() }),
                },
                TokenKind::Normal if spelling == Spelling::Letters => {
                    push_letters_as_bytes(text, bytes);
                }
                TokenKind::Normal => {
                    bytes.extend_from_slice(text.replace(SPACE, " ").as_bytes());
                }
            }
            pieces.ends.push(pieces.bytes.len() as u32);
        }
        Ok(pieces)
    }

    pub(crate) fn get(&self, id: TokenId) -> Option<&[u8]> {
        let id = id as usize;
        let end = *self.ends.get(id)? as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        Some(&self.bytes[start..end])
    }
}

/// Turns tokens into text as they come.
///
/// A character may be spread over several tokens; its bytes are held back until it is whole. Bytes
/// that cannot become a character are written as U+FFFD, just as [`String::from_utf8_lossy`] would
/// write them, so the parts together are what decoding all tokens at once gives.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    tokenizer: &'a Tokenizer,
    held: Vec<u8>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Decoder<'a> {
        Decoder { tokenizer, held: Vec::new() }
    }

    /// The text that is certain once `id` is known; a token beyond the vocabulary writes nothing.
    pub fn push(&mut self, id: TokenId) -> String {
        self.held.extend_from_slice(self.tokenizer.bytes(id).unwrap_or_default());
        let mut text = String::new();
        let mut done = 0;
        loop {
            let rest = &self.held[done..];
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    done = self.held.len();
                    break;
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            text.push_str(&String::from_utf8_lossy(valid));
            done += valid.len();
            match error.error_len() {
                Some(length) => {
                    text.push(char::REPLACEMENT_CHARACTER);
                    done += length;
                }
                // The beginning of a character.
                None => {
                    debug_assert!(after.len() < 4);
                    break;
                }
            }
        }
        self.held.drain(..done);
        text
    }

    /// What is left when no more tokens come: U+FFFD if a character was begun.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.held).into_owned()
    }
}
