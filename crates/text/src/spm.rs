//! SentencePiece with byte pairs: neighbours are joined while the result is a token, the best
//! score first. Knows scores, not merges, and nothing of marks.
//!
//! ```text
//! write spaces as ▁; take each character as a symbol
//! while two neighbours together are a token
//!     join those whose token has the highest score, of equal ones the leftmost
//! write each symbol as its token, or byte by byte if it is none
//! ```
//!
//! Where no token has a `▁` after another character, as in most vocabularies, nothing is ever
//! joined across the beginning of a word, so words are taken one by one. A short stretch is
//! searched anew for each join; a long one keeps its possible joins in a queue.

use crate::alphabet::SPACE;
use crate::bpe::lone_bytes;
use crate::queue::Queue;
use crate::vocab::{Strings, TokenId, Vocab, VocabError, VocabSpec};

/// No neighbour.
const NONE: u32 = u32::MAX;

/// Characters up to which a stretch is searched rather than kept in a queue.
const SHORT: usize = 24;

/// A SentencePiece vocabulary.
#[derive(Debug)]
pub(crate) struct Spm {
    /// By token: lower for higher scores.
    keys: Vec<u32>,
    /// Tokens of bytes that stand alone.
    bytes: [TokenId; 256],
    /// Whether no token reaches over the beginning of a word.
    words_apart: bool,
}

/// What encoding a stretch needs, kept from one to the next.
#[derive(Default)]
struct Work {
    /// Where each symbol of a short stretch ends, and the key of joining it with the next.
    ends: Vec<usize>,
    keys: Vec<u32>,
    symbols: Vec<Symbol>,
    queue: Queue,
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
    pub(crate) fn new(spec: &VocabSpec<impl Strings>, vocab: &Vocab) -> Result<Spm, VocabError> {
        let missing = || VocabError::Missing { model: spec.model.clone(), what: "scores" };
        let scores = spec.scores.as_ref().ok_or_else(missing)?;
        let keys = scores.iter().copied().map(key).collect();
        let words_apart = !vocab.ids().any(|id| {
            let text = vocab.text(id).unwrap_or_default();
            vocab.is_text(id) && word_end(text) < text.len()
        });
        Ok(Spm { keys, bytes: lone_bytes(vocab)?, words_apart })
    }

    /// Appends the tokens of `text`, with a space before it if `prefix` says so.
    pub(crate) fn encode(&self, vocab: &Vocab, text: &str, prefix: bool, out: &mut Vec<TokenId>) {
        let mut escaped = String::with_capacity(text.len() + SPACE.len());
        if prefix {
            escaped.push_str(SPACE);
        }
        escaped.push_str(&text.replace(' ', SPACE));
        let mut work = Work::default();
        let mut text = escaped.as_str();
        while !text.is_empty() {
            let end = if self.words_apart { word_end(text) } else { text.len() };
            let (stretch, rest) = text.split_at(end);
            if stretch.chars().nth(SHORT).is_none() {
                self.encode_short(vocab, stretch, &mut work, out);
            } else {
                self.encode_long(vocab, stretch, &mut work, out);
            }
            text = rest;
        }
    }

    /// Joins by looking for the best pair again and again.
    fn encode_short(&self, vocab: &Vocab, text: &str, work: &mut Work, out: &mut Vec<TokenId>) {
        let Work { ends, keys, .. } = work;
        ends.clear();
        ends.extend(text.char_indices().map(|(at, c)| at + c.len_utf8()));
        let start = |ends: &[usize], at: usize| if at == 0 { 0 } else { ends[at - 1] };
        let look =
            |ends: &[usize], at: usize| self.key(vocab, &text[start(ends, at)..ends[at + 1]]);
        keys.clear();
        keys.extend((1..ends.len()).map(|at| look(ends, at - 1)));
        while let Some(best) = (0..keys.len()).min_by_key(|&at| keys[at]) {
            if keys[best] == NONE {
                break;
            }
            ends.remove(best);
            keys.remove(best);
            if best > 0 {
                keys[best - 1] = look(ends, best - 1);
            }
            if best < keys.len() {
                keys[best] = look(ends, best);
            }
        }
        for at in 0..ends.len() {
            self.write(vocab, &text[start(ends, at)..ends[at]], out);
        }
    }

    /// Joins with a queue of possible pairs.
    fn encode_long(&self, vocab: &Vocab, text: &str, work: &mut Work, out: &mut Vec<TokenId>) {
        let Work { symbols, queue, .. } = work;
        chain(text, symbols);
        queue.clear();
        for at in 0..symbols.len() {
            self.look(vocab, text, symbols, at as u32, queue);
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
                self.look(vocab, text, symbols, left.previous, queue);
            }
            self.look(vocab, text, symbols, at, queue);
        }
        let mut at = if symbols.is_empty() { NONE } else { 0 };
        while at != NONE {
            let symbol = symbols[at as usize];
            self.write(vocab, &text[symbol.start as usize..][..symbol.length as usize], out);
            at = symbol.next;
        }
    }

    /// Appends a symbol that is joined with no other.
    fn write(&self, vocab: &Vocab, text: &str, out: &mut Vec<TokenId>) {
        match vocab.find(text).filter(|&id| !vocab.is_mark(id)) {
            Some(id) => out.push(id),
            None => out.extend(text.bytes().map(|b| self.bytes[b as usize])),
        }
    }

    /// The key of joining two symbols into `text`, [`NONE`] if that is no token.
    fn key(&self, vocab: &Vocab, text: &str) -> u32 {
        let token = if text.len() > vocab.longest { None } else { vocab.find_text(text) };
        token.map_or(NONE, |token| self.keys[token as usize])
    }

    /// Notes whether the symbol at `at` and the next one make a token.
    fn look(&self, vocab: &Vocab, text: &str, symbols: &mut [Symbol], at: u32, queue: &mut Queue) {
        let left = symbols[at as usize];
        let key = match left.next {
            NONE => NONE,
            next => {
                let length = left.length + symbols[next as usize].length;
                self.key(vocab, &text[left.start as usize..][..length as usize])
            }
        };
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

/// Where the first `▁` stands that follows another character: the end of the first word.
fn word_end(text: &str) -> usize {
    let word = text.trim_start_matches(SPACE);
    let spaces = text.len() - word.len();
    word.find(SPACE).map_or(text.len(), |at| spaces + at)
}

/// The characters of `text`, in a chain.
fn chain(text: &str, symbols: &mut Vec<Symbol>) {
    symbols.clear();
    symbols.extend(text.char_indices().enumerate().map(|(i, (start, c))| Symbol {
        start: start as u32,
        length: c.len_utf8() as u32,
        previous: (i as u32).wrapping_sub(1),
        next: i as u32 + 1,
        key: NONE,
    }));
    if let Some(last) = symbols.last_mut() {
        last.next = NONE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::hex_text;
    use proptest::prelude::*;

    #[test]
    fn keys_order_scores_from_the_highest() {
        let scores = [f32::INFINITY, 1e9, 2.0, 1e-40, 0.0, -1e-40, -1.0, -1e9, f32::NEG_INFINITY];
        assert!(scores.map(key).is_sorted_by(|a, b| a < b));
        assert_eq!(key(-0.0), key(0.0));
        assert!(scores.iter().all(|&score| key(score) != NONE));
    }

    /// The definition, character by character. Equal scores are common.
    fn judge(vocab: &Vocab, spm: &Spm, text: &str) -> Vec<TokenId> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let joined = |at: usize| spm.key(vocab, &[&parts[at][..], &parts[at + 1]].concat());
            let best = (0..parts.len().saturating_sub(1)).min_by_key(|&at| joined(at));
            let Some(at) = best.filter(|&at| joined(at) != NONE) else { break };
            let right = parts.remove(at + 1);
            parts[at].push_str(&right);
        }
        let mut ids = Vec::new();
        parts.iter().for_each(|part| spm.write(vocab, part, &mut ids));
        ids
    }

    proptest! {
        /// Searching, queueing and taking words apart all follow the definition.
        #[test]
        fn joining_follows_the_definition(
            words in prop::collection::btree_set("▁{0,3}[abé]{0,3}", 0..40),
            over in prop::option::of("[ab]▁[ab]"),
            scores in prop::collection::vec(-4i8..4, 41),
            text in "[ abé]{0,60}",
        ) {
            let words = words.into_iter().chain(over).filter(|word| !word.is_empty());
            let mut tokens: Vec<String> = words.collect();
            let mut scores: Vec<f32> =
                scores.iter().take(tokens.len()).map(|&score| score.into()).collect();
            tokens.extend((0..=255).map(hex_text));
            scores.resize(tokens.len(), 0.0);
            let mut kinds = vec![1; tokens.len() - 256];
            kinds.resize(tokens.len(), 6);
            let (scores, kinds) = (Some(scores), Some(kinds));
            let spec = VocabSpec { model: "llama".into(), tokens, scores, kinds, ..VocabSpec::default() };
            let vocab = Vocab::new(&spec).expect("a vocabulary");
            let spm = Spm::new(&spec, &vocab).expect("scores and bytes");
            let text = text.replace(' ', SPACE);
            let wanted = judge(&vocab, &spm, &text);
            let mut work = Work::default();
            for encode in [Spm::encode_short, Spm::encode_long] {
                let mut got = Vec::new();
                encode(&spm, &vocab, &text, &mut work, &mut got);
                prop_assert_eq!(&got, &wanted);
            }
            let mut got = Vec::new();
            spm.encode(&vocab, &text, false, &mut got);
            prop_assert_eq!(&got, &wanted);
        }
    }
}
