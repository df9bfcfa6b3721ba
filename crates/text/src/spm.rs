//! SentencePiece with byte pairs: neighbours are joined while the result is a token, the best
//! score first. Knows scores, not merges, and nothing of marks.
//!
//! ```text
//! write spaces as ▁; take each character as a symbol
//! while two neighbours together are a token
//!     join those whose token has the highest score, of equal ones the leftmost
//! write each symbol as its token, or byte by byte if it is none
//! ```

use crate::alphabet::SPACE;
use crate::bpe::lone_bytes;
use crate::queue::Queue;
use crate::vocab::{TokenId, Vocab, VocabError, VocabSpec};

/// No neighbour.
const NONE: u32 = u32::MAX;

/// A SentencePiece vocabulary.
#[derive(Debug)]
pub(crate) struct Spm {
    /// By token: lower for higher scores.
    keys: Vec<u32>,
    /// Tokens of bytes that stand alone.
    bytes: [TokenId; 256],
}

/// A symbol of the text; those that were joined to the one before have no length.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    start: u32,
    length: u32,
    previous: u32,
    next: u32,
    /// The key of the token that it and the next one make, NONE if they make none.
    key: u32,
}

impl Spm {
    pub(crate) fn new(spec: &VocabSpec, vocab: &Vocab) -> Result<Spm, VocabError> {
        let missing = || VocabError::Missing { model: spec.model.clone(), what: "scores" };
        let scores = spec.scores.as_ref().ok_or_else(missing)?;
        let keys = scores.iter().copied().map(key).collect();
        Ok(Spm { keys, bytes: lone_bytes(vocab)? })
    }

    /// Appends the tokens of `text`, with a space before it if `prefix` says so.
    pub(crate) fn encode(&self, vocab: &Vocab, text: &str, prefix: bool, out: &mut Vec<TokenId>) {
        let mut escaped = String::with_capacity(text.len() + SPACE.len());
        if prefix {
            escaped.push_str(SPACE);
        }
        escaped.push_str(&text.replace(' ', SPACE));
        let text = &escaped;

        let mut symbols = symbols(text);
        let mut queue = Queue::default();
        for at in 0..symbols.len() {
            self.look(vocab, text, &mut symbols, at as u32, &mut queue);
        }
        while let Some((key, at)) = queue.pop() {
            let left = symbols[at as usize];
            if left.key != key {
                continue;
            }
            let right = symbols[left.next as usize];
            symbols[left.next as usize].key = NONE;
            let joined = &mut symbols[at as usize];
            joined.length += right.length;
            joined.next = right.next;
            if right.next != NONE {
                symbols[right.next as usize].previous = at;
            }
            if left.previous != NONE {
                self.look(vocab, text, &mut symbols, left.previous, &mut queue);
            }
            self.look(vocab, text, &mut symbols, at, &mut queue);
        }

        let mut at = if symbols.is_empty() { NONE } else { 0 };
        while at != NONE {
            let symbol = symbols[at as usize];
            let text = &text[symbol.start as usize..][..symbol.length as usize];
            match vocab.find(text).filter(|&id| !vocab.is_mark(id)) {
                Some(id) => out.push(id),
                None => out.extend(text.bytes().map(|b| self.bytes[b as usize])),
            }
            at = symbol.next;
        }
    }

    /// Notes whether the symbol at `at` and the next one make a token.
    fn look(&self, vocab: &Vocab, text: &str, symbols: &mut [Symbol], at: u32, queue: &mut Queue) {
        let left = symbols[at as usize];
        let token = match left.next {
            NONE => None,
            next => {
                let length = (left.length + symbols[next as usize].length) as usize;
                let joined = || &text[left.start as usize..][..length];
                if length > vocab.longest { None } else { vocab.find_text(joined()) }
            }
        };
        let key = token.map_or(NONE, |token| self.keys[token as usize]);
        symbols[at as usize].key = key;
        if key != NONE {
            queue.push(key, at);
        }
    }
}

/// Orders scores from the highest to the lowest, and never gives [`NONE`]: that would be the key
/// of a score that is not a number, and the vocabulary was checked.
fn key(score: f32) -> u32 {
    // -0.0 and 0.0 are the same score.
    let bits = (score + 0.0).to_bits();
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

/// The characters of `text`, in a chain.
fn symbols(text: &str) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = text
        .char_indices()
        .enumerate()
        .map(|(i, (start, c))| Symbol {
            start: start as u32,
            length: c.len_utf8() as u32,
            previous: (i as u32).wrapping_sub(1),
            next: i as u32 + 1,
            key: NONE,
        })
        .collect();
    if let Some(last) = symbols.last_mut() {
        last.next = NONE;
    }
    symbols
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_scores_from_the_highest() {
        let scores = [f32::INFINITY, 1e9, 2.0, 1e-40, 0.0, -1e-40, -1.0, -1e9, f32::NEG_INFINITY];
        assert!(scores.map(key).is_sorted_by(|a, b| a < b));
        assert_eq!(key(-0.0), key(0.0));
        assert!(scores.iter().all(|&score| key(score) != NONE));
    }
}
