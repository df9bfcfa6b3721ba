//! Byte-pair encoding: pieces of text to tokens by merges in order of rank. Knows nothing of
//! marks, and takes text as the pre-tokenizer cut it.
//!
//! ```text
//! write the piece as symbols, one a byte (or, in a raw vocabulary, one a character)
//! while two neighbours have a merge
//!     apply the merge of lowest rank, of equal ones the leftmost
//! ```
//!
//! A short piece is searched anew for each merge. A long one keeps its possible merges in a queue;
//! an entry goes stale when one of its two symbols changes, and is dropped when it comes up. A merge
//! makes one symbol of two and adds two entries at most, so the work is linear.

use crate::alphabet::{SPACE, byte_letters, hex_text, is_never_in_text, is_rare};
use crate::merges::{Merge, Merges};
use crate::pretokenize::PreTokenizer;
use crate::queue::Queue;
use crate::slots;
use crate::texts::Texts;
use crate::vocab::{
    BATCH, MergeFault, Strings, TokenId, Vocab, VocabError, VocabSpec, merge_parts,
};

/// A token, or beyond the last token a text that only merges know, or [`NONE`].
type Symbol = u32;

/// No symbol, no neighbour, no rank.
const NONE: u32 = slots::NONE;

/// Symbols up to which a piece is searched rather than kept in a queue.
const SHORT: usize = 24;

/// A byte-pair vocabulary.
#[derive(Debug)]
pub(crate) struct Bpe {
    pre: &'static PreTokenizer,
    merges: Merges,
    /// By byte, of a byte-level vocabulary; in a raw one the tokens of lone bytes.
    bytes: [Symbol; 256],
    /// Texts of a raw vocabulary's merges that are no tokens, numbered on from the last token.
    extras: Texts,
    letters: [char; 256],
    tokens: u32,
}

impl Bpe {
    pub(crate) fn new(
        spec: &VocabSpec<impl Strings>,
        vocab: &Vocab,
        pre: &'static PreTokenizer,
    ) -> Result<Bpe, VocabError> {
        let letters = byte_letters();
        let bytes = if pre.raw { lone_bytes(vocab)? } else { letter_bytes(vocab, &letters)? };
        let tokens = vocab.len() as u32;
        let merges = Merges::with_room(spec.merges.len());
        let extras = Texts::with_capacity(0, 0);
        let mut bpe = Bpe { pre, merges, bytes, extras, letters, tokens };
        bpe.add_merges(vocab, &spec.merges)?;
        Ok(bpe)
    }

    fn add_merges(&mut self, vocab: &Vocab, list: &impl Strings) -> Result<(), VocabError> {
        let mut list = (0..).zip(list.iter()).peekable();
        let (mut batch, mut parts, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let mut merges = Vec::new();
        let mut last = 0;
        while list.peek().is_some() {
            batch.clear();
            batch.extend(list.by_ref().take(BATCH));
            // What is no pair has two empty parts, as no pair has.
            let pairs = batch.iter().map(|&(_, merge)| merge_parts(merge).unwrap_or_default());
            parts.clear();
            parts.extend(pairs.flat_map(|(left, right)| [left, right]));
            vocab.find_all(&parts, &mut ids);
            merges.clear();
            let (parts, ids) = (parts.as_chunks().0, ids.as_chunks().0);
            for ((&(rank, merge), parts), ids) in batch.iter().zip(parts).zip(ids) {
                let resolved = self.resolve(vocab, *parts, *ids, last);
                let (pair, result) = resolved.map_err(|fault| VocabError::Merge {
                    index: rank as usize,
                    text: merge.to_owned(),
                    fault,
                })?;
                last = result;
                // A merge may not turn text into a mark.
                if result >= self.tokens || !vocab.is_mark(result) {
                    merges.push((pair, Merge { rank, result }));
                }
            }
            self.merges.insert_all(&merges);
        }
        Ok(())
    }

    /// The symbols of a merge's two parts, which are given with their tokens, and of its result.
    /// `last` was the result of the merge before.
    fn resolve(
        &mut self,
        vocab: &Vocab,
        [left, right]: [&str; 2],
        [left_id, right_id]: [TokenId; 2],
        last: Symbol,
    ) -> Result<([Symbol; 2], Symbol), MergeFault> {
        if left.is_empty() {
            return Err(MergeFault::NotAPair);
        }
        let left_symbol = self.symbol(left_id, left).ok_or(MergeFault::LeftUnknown)?;
        let right_symbol = self.symbol(right_id, right).ok_or(MergeFault::RightUnknown)?;
        // Most lists go through the tokens in order, some with all pairs that make one together:
        // there the result is found without being looked up.
        let is_result = |id: &TokenId| {
            let text = vocab.text(*id).unwrap_or_default();
            text.len() == left.len() + right.len()
                && text.starts_with(left)
                && text.ends_with(right)
        };
        let near = [last, last.saturating_add(1)].into_iter().find(is_result);
        let result = near.or_else(|| {
            let text = [left, right].concat();
            self.symbol(vocab.find(&text).unwrap_or(NONE), &text)
        });
        Ok(([left_symbol, right_symbol], result.ok_or(MergeFault::ResultUnknown)?))
    }

    /// The symbol for a part of a merge, whose token may be [`NONE`]. Raw vocabularies have merges
    /// for text that their own tokens leave out, such as literal spaces; there the part becomes a
    /// symbol all the same, and is written in bytes where it remains.
    fn symbol(&mut self, token: TokenId, text: &str) -> Option<Symbol> {
        if token != NONE {
            return Some(token);
        }
        self.pre.raw.then(|| self.tokens + self.extras.push(text).unwrap_or_else(|earlier| earlier))
    }

    /// Appends the tokens of `text`.
    pub(crate) fn encode(&self, vocab: &Vocab, text: &str, out: &mut Vec<TokenId>) {
        let mut work = Work::default();
        let escaped;
        let text = if self.pre.raw {
            escaped = text.replace(' ', SPACE);
            &escaped
        } else {
            text
        };
        self.pre.split(text, &mut |piece| self.encode_piece(vocab, piece, &mut work, out));
    }

    fn encode_piece(&self, vocab: &Vocab, piece: &str, work: &mut Work, out: &mut Vec<TokenId>) {
        if let Some(id) = self.whole_piece(vocab, piece, work) {
            return out.push(id);
        }
        work.symbols.clear();
        if self.pre.raw {
            let is_no_mark = |id: &TokenId| !vocab.is_mark(*id);
            work.symbols.extend(piece.char_indices().map(|(at, c)| {
                let text = &piece[at..at + c.len_utf8()];
                let token = vocab.find(text).filter(is_no_mark);
                token.or_else(|| self.extras.find(text).map(|e| self.tokens + e)).unwrap_or(NONE)
            }));
        } else {
            work.symbols.extend(piece.bytes().map(|b| self.bytes[b as usize]));
        }
        if work.symbols.len() <= SHORT {
            self.merge_short(work);
        } else {
            self.merge_long(work);
        }
        let mut start = 0;
        for &(symbol, count) in &work.merged {
            if self.pre.raw {
                // The symbol covers `count` characters; what is no token is written in bytes.
                let rest = &piece[start..];
                let length = rest.char_indices().nth(count).map_or(rest.len(), |(at, _)| at);
                if symbol < self.tokens {
                    out.push(symbol);
                } else {
                    let bytes = rest[..length].bytes().map(|b| self.bytes[b as usize]);
                    out.extend(bytes.filter(|&id| id != NONE));
                }
                start += length;
            } else if symbol != NONE {
                out.push(symbol);
            }
        }
    }

    /// The token that the whole piece is, where such tokens come before merges.
    fn whole_piece(&self, vocab: &Vocab, piece: &str, work: &mut Work) -> Option<TokenId> {
        if self.pre.raw {
            let is_line_ends = piece.bytes().all(|b| b == b'\n');
            // Runs of line ends are tokens that no merge builds.
            let token = if is_line_ends { vocab.find(piece) } else { None };
            return token.filter(|&id| !vocab.is_mark(id));
        }
        if !self.pre.whole_pieces || piece.len() > vocab.longest {
            return None;
        }
        work.letters.clear();
        work.letters.extend(piece.bytes().map(|b| self.letters[b as usize]));
        vocab.find_text(&work.letters)
    }

    fn merge(&self, left: Symbol, right: Symbol) -> Option<Merge> {
        self.merges.get([left, right])
    }

    fn rank(&self, left: Symbol, right: Symbol) -> u32 {
        self.merge(left, right).map_or(NONE, |m| m.rank)
    }

    /// Merges by looking for the best pair again and again.
    fn merge_short(&self, work: &mut Work) {
        let Work { symbols, merged, ranks, .. } = work;
        merged.clear();
        merged.extend(symbols.iter().map(|&s| (s, 1)));
        ranks.clear();
        ranks.extend(symbols.windows(2).map(|w| self.rank(w[0], w[1])));
        while let Some(best) = (0..ranks.len()).min_by_key(|&i| ranks[i]) {
            if ranks[best] == NONE {
                break;
            }
            let (left, right) = (merged[best], merged[best + 1]);
            let Some(merge) = self.merge(left.0, right.0) else { break };
            merged[best] = (merge.result, left.1 + right.1);
            merged.remove(best + 1);
            ranks.remove(best);
            if best > 0 {
                ranks[best - 1] = self.rank(merged[best - 1].0, merge.result);
            }
            if best < ranks.len() {
                ranks[best] = self.rank(merge.result, merged[best + 1].0);
            }
        }
    }

    /// Merges with a queue of possible pairs.
    fn merge_long(&self, work: &mut Work) {
        let Work { symbols, merged, ranks, next, previous, queue, .. } = work;
        let count = symbols.len();
        // ranks[i]: of the pair that begins at i, NONE if it has none or i is merged away.
        ranks.clear();
        ranks.extend(symbols.windows(2).map(|w| self.rank(w[0], w[1])));
        ranks.push(NONE);
        next.clear();
        next.extend((1..count as u32).chain([NONE]));
        previous.clear();
        previous.extend([NONE].into_iter().chain(0..count as u32 - 1));
        queue.clear();
        for (at, &rank) in ranks.iter().enumerate().filter(|&(_, &rank)| rank != NONE) {
            queue.push(rank, at as u32);
        }

        while let Some((rank, at)) = queue.pop() {
            let at = at as usize;
            if ranks[at] != rank {
                continue;
            }
            let gone = next[at] as usize;
            let Some(merge) = self.merge(symbols[at], symbols[gone]) else { continue };
            symbols[at] = merge.result;
            ranks[gone] = NONE;
            next[at] = next[gone];
            let (before, after) = (previous[at], next[at]);
            if after != NONE {
                previous[after as usize] = at as u32;
            }
            ranks[at] = NONE;
            for (left, right) in [(before, at as u32), (at as u32, after)] {
                if left == NONE || right == NONE {
                    continue;
                }
                let rank = self.rank(symbols[left as usize], symbols[right as usize]);
                ranks[left as usize] = rank;
                if rank != NONE {
                    queue.push(rank, left);
                }
            }
        }
        merged.clear();
        let mut at = 0;
        while at != NONE {
            let after = next[at as usize];
            let end = if after == NONE { count as u32 } else { after };
            merged.push((symbols[at as usize], (end - at) as usize));
            at = after;
        }
    }
}

/// What encoding a piece needs, kept from piece to piece.
#[derive(Default)]
struct Work {
    symbols: Vec<Symbol>,
    /// Symbols that remain, and how many first symbols each covers.
    merged: Vec<(Symbol, usize)>,
    ranks: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    queue: Queue,
    letters: String,
}

/// The tokens of bytes written as letters.
fn letter_bytes(vocab: &Vocab, letters: &[char; 256]) -> Result<[Symbol; 256], VocabError> {
    let mut bytes = [NONE; 256];
    for (byte, letter) in letters.iter().enumerate() {
        match vocab.find(letter.encode_utf8(&mut [0; 4])) {
            Some(id) => bytes[byte] = id,
            None if is_rare(byte as u8) => {}
            None => return Err(VocabError::MissingByte(byte as u8)),
        }
    }
    Ok(bytes)
}

/// The tokens of bytes that stand alone.
pub(crate) fn lone_bytes(vocab: &Vocab) -> Result<[Symbol; 256], VocabError> {
    let mut bytes = [NONE; 256];
    for byte in 0..=255u8 {
        match vocab.find(&hex_text(byte)) {
            Some(id) => bytes[byte as usize] = id,
            None if is_never_in_text(byte) => {}
            None => return Err(VocabError::MissingByte(byte)),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretokenize;
    use proptest::prelude::*;

    /// A byte-level vocabulary with these merges.
    fn bpe(merges: &[String]) -> (Vocab, Bpe) {
        let mut tokens: Vec<String> = byte_letters().iter().map(char::to_string).collect();
        for merge in merges {
            let token = merge.replace(' ', "");
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        let merges = merges.to_vec();
        let spec = VocabSpec { model: "gpt2".into(), tokens, merges, ..VocabSpec::default() };
        let vocab = Vocab::new(&spec).expect("a vocabulary");
        let pre = pretokenize::find(Some("gpt-2")).expect("a pre-tokenizer");
        let bpe = Bpe::new(&spec, &vocab, pre).expect("merges");
        (vocab, bpe)
    }

    /// Merges whose parts exist: each joins two earlier tokens.
    fn merges() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec((0usize..64, 0usize..64), 0..40).prop_map(|pairs| {
            let mut tokens: Vec<String> = ["a", "b", "c"].map(String::from).into();
            let mut merges = Vec::new();
            for (left, right) in pairs {
                let (left, right) = (&tokens[left % tokens.len()], &tokens[right % tokens.len()]);
                let (merge, token) = (format!("{left} {right}"), format!("{left}{right}"));
                if token.len() < 12 && !merges.contains(&merge) {
                    merges.push(merge);
                    tokens.push(token);
                }
            }
            merges
        })
    }

    /// The definition: the first merge of the list that applies, at its leftmost place.
    fn judge(vocab: &Vocab, merges: &[String], text: &str) -> Vec<TokenId> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        'again: loop {
            for merge in merges {
                let (left, right) = merge_parts(merge).expect("two parts");
                let here = |w: &[String]| w[0] == left && w[1] == right;
                if let Some(at) = parts.windows(2).position(here) {
                    let right = parts.remove(at + 1);
                    parts[at].push_str(&right);
                    continue 'again;
                }
            }
            return parts.iter().map(|part| vocab.find(part).expect("a token")).collect();
        }
    }

    proptest! {
        /// Both ways of merging follow the definition, also where a later merge has a lower rank.
        #[test]
        fn merging_follows_the_definition(
            mut merges in merges(),
            seed in any::<prop::sample::Index>(),
            text in "[abc]{0,80}",
        ) {
            if !merges.is_empty() {
                let at = seed.index(merges.len());
                merges.rotate_left(at);
            }
            let (vocab, bpe) = bpe(&merges);
            let wanted = judge(&vocab, &merges, &text);
            for merge in [Bpe::merge_short, Bpe::merge_long] {
                let mut work = Work::default();
                work.symbols.extend(text.bytes().map(|b| bpe.bytes[b as usize]));
                if text.is_empty() {
                    continue;
                }
                merge(&bpe, &mut work);
                let got: Vec<TokenId> = work.merged.iter().map(|&(symbol, _)| symbol).collect();
                prop_assert_eq!(&got, &wanted);
                let covered: usize = work.merged.iter().map(|&(_, count)| count).sum();
                prop_assert_eq!(covered, text.len());
            }
        }
    }
}
