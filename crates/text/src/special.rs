//! Tokens that are found in a text as a whole, before it is cut: marks and user-defined tokens.
//! Decides which of them a stretch of text may become; refuses to know how the rest is cut.

use std::ops::Range;

use crate::trie::Trie;
use crate::unicode::is_space;
use crate::vocab::{TokenId, TokenKind, Vocab};

/// A stretch of a text: a token found whole, or bytes still to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fragment {
    Token(TokenId),
    Text(Range<usize>),
}

/// What a token found whole may stand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// Trusted text only.
    Mark,
    /// Any text but quoted: it is user-defined, but may look like a mark.
    Text,
    /// Quoted text too: it is white space and can mean nothing else.
    Anywhere,
}

/// A token that is found whole.
#[derive(Debug)]
struct Entry {
    id: TokenId,
    reach: Reach,
    /// White space after it belongs to it.
    takes_space: bool,
}

/// Where tokens found whole may stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// All of them anywhere.
    Parse,
    /// User-defined tokens only.
    AsText,
    /// All of them, but inside these ranges (sorted, apart) only white space.
    Outside(&'a [Range<usize>]),
}

/// The tokens of a vocabulary that are found whole.
#[derive(Debug)]
pub(crate) struct Specials {
    trie: Trie,
    entries: Vec<Entry>,
    /// Lengths in bytes that occur, longest first.
    lengths: Vec<usize>,
}

impl Specials {
    pub(crate) fn new(vocab: &Vocab) -> Specials {
        let mut entries = Vec::new();
        let takes_space = marks_take_space(vocab);
        let mut lengths = Vec::new();
        for id in vocab.ids() {
            let text = vocab.text(id).unwrap_or_default();
            if text.is_empty() {
                continue;
            }
            let reach = match vocab.kind(id) {
                TokenKind::Control | TokenKind::Unknown => Reach::Mark,
                TokenKind::UserDefined if text.chars().all(is_space) => Reach::Anywhere,
                TokenKind::UserDefined => Reach::Text,
                _ => continue,
            };
            let takes_space = takes_space && !KEEP_SPACE.contains(&text);
            entries.push(Entry { id, reach, takes_space });
            lengths.push(text.len());
        }
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let trie = Trie::new(
            (0..).zip(&entries).map(|(at, e)| (vocab.text(e.id).unwrap_or_default(), at)),
        );
        Specials { trie, entries, lengths }
    }

    /// Cuts `text` at the tokens found whole.
    ///
    /// The longest token wins wherever it stands, then the next shorter one in what is left: with
    /// tokens `bcd` and `ab`, the text `abcd` is `a` and `bcd`. Among equally long ones the lower
    /// number wins. In outline:
    ///
    /// ```text
    /// for each length, longest first
    ///     for each token of that length, in order
    ///         take each place where it stands and no byte is taken yet, left to right
    /// ```
    pub(crate) fn split(&self, text: &str, scope: Scope<'_>) -> Vec<Fragment> {
        let mut taken: Vec<(usize, usize, TokenId)> = Vec::new();
        let candidates = self.candidates(text, scope);
        if !candidates.is_empty() {
            let mut is_taken = vec![false; text.len()];
            for &length in &self.lengths {
                let of_length = candidates.iter().filter_map(|&(at, longest)| {
                    let at = at as usize;
                    if (longest as usize) < length || at + length > text.len() {
                        return None;
                    }
                    // What is taken is no shorter, so it covers one end if it overlaps at all.
                    if is_taken[at] || is_taken[at + length - 1] {
                        return None;
                    }
                    let bytes = &text.as_bytes()[at..at + length];
                    let (_, entry) = self.trie.prefixes(bytes).find(|&(l, _)| l == length)?;
                    self.may_stand(entry, &(at..at + length), scope).then_some((entry, at))
                });
                let mut of_length: Vec<(u32, usize)> = of_length.collect();
                of_length.sort();
                for (entry, at) in of_length {
                    if !is_taken[at] && !is_taken[at + length - 1] {
                        let entry = &self.entries[entry as usize];
                        let mut end = at + length;
                        while entry.takes_space
                            && end < text.len()
                            && is_blank(text.as_bytes()[end])
                            && !is_taken[end]
                            && !scope.is_quoted(&(end..end + 1))
                        {
                            end += 1;
                        }
                        is_taken[at..end].fill(true);
                        taken.push((at, end, entry.id));
                    }
                }
            }
        }
        taken.sort_unstable();
        fragments(text.len(), &taken)
    }

    /// Places where a token may stand, each with the length of the longest one.
    fn candidates(&self, text: &str, scope: Scope<'_>) -> Vec<(u32, u32)> {
        let bytes = text.as_bytes();
        let longest = |at: usize| {
            self.trie
                .prefixes(&bytes[at..])
                .filter(|&(length, entry)| self.may_stand(entry, &(at..at + length), scope))
                .last()
                .map(|(length, _)| (at as u32, length as u32))
        };
        (0..bytes.len()).filter_map(longest).collect()
    }

    fn may_stand(&self, entry: u32, place: &Range<usize>, scope: Scope<'_>) -> bool {
        let reach = self.entries[entry as usize].reach;
        match scope {
            Scope::Parse => true,
            Scope::AsText => reach >= Reach::Text,
            Scope::Outside(_) => reach == Reach::Anywhere || !scope.is_quoted(place),
        }
    }
}

impl Scope<'_> {
    /// Whether a byte of `place` is quoted.
    fn is_quoted(self, place: &Range<usize>) -> bool {
        let Scope::Outside(quoted) = self else { return false };
        let next = quoted.partition_point(|q| q.end <= place.start);
        quoted.get(next).is_some_and(|q| q.start < place.end)
    }
}

/// Whether this is a vocabulary whose marks take the white space after them: Phi-3's do, and its
/// files do not say so. It is known by marks that no other has.
fn marks_take_space(vocab: &Vocab) -> bool {
    ["<|placeholder6|>", "<|assistant|>", "<|end|>"].iter().all(|mark| vocab.find(mark).is_some())
}

/// Marks of such a vocabulary that do not.
const KEEP_SPACE: &[&str] = &["<unk>", "<s>", "<|endoftext|>"];

fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

fn fragments(length: usize, taken: &[(usize, usize, TokenId)]) -> Vec<Fragment> {
    let mut fragments = Vec::with_capacity(taken.len() * 2 + 1);
    let mut done = 0;
    for &(start, end, id) in taken {
        if done < start {
            fragments.push(Fragment::Text(done..start));
        }
        fragments.push(Fragment::Token(id));
        done = end;
    }
    if done < length {
        fragments.push(Fragment::Text(done..length));
    }
    fragments
}
