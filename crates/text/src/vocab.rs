//! A vocabulary as a model file gives it, checked: tokens, kinds, scores, and which tokens mark
//! what. Refuses to know files, and how text is cut into tokens.

use crate::roles::{self, Roles};
use crate::texts::Texts;

/// The number of a token.
pub type TokenId = u32;

/// What a token is for, numbered 1 to 6 in `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A piece of text.
    Normal,
    /// Stands for text that no other token can write.
    Unknown,
    /// Tells the model something and writes nothing, like the end of a turn.
    Control,
    /// Text that is always one token wherever it appears, like `<tool_call>`.
    UserDefined,
    /// Holds a place.
    Unused,
    /// One byte, where no token writes the character that it is part of.
    Byte,
}

/// Strings in a row, however their owner keeps them: a vocabulary is read once, and four hundred
/// thousand strings are not to be copied for that.
pub trait Strings {
    /// How many there are.
    fn len(&self) -> usize;

    /// Each of them, in order.
    fn iter(&self) -> impl Iterator<Item = &str>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all of them together.
    fn bytes(&self) -> usize {
        self.iter().map(str::len).sum()
    }
}

impl<S: AsRef<str>> Strings for Vec<S> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.as_slice().iter().map(AsRef::as_ref)
    }
}

/// What a model file says about its tokenizer. Checked by [`Tokenizer::new`].
///
/// [`Tokenizer::new`]: crate::tokenizer::Tokenizer::new
#[derive(Clone, Debug, Default)]
pub struct VocabSpec<L = Vec<String>> {
    /// `tokenizer.ggml.model`: `gpt2`, `llama`, `bert` or `gemma4`.
    pub model: String,
    /// `tokenizer.ggml.pre`: the pre-tokenizer of a byte-pair vocabulary.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the text of each token.
    pub tokens: L,
    /// `tokenizer.ggml.scores`: which pair a SentencePiece vocabulary joins first.
    pub scores: Option<Vec<f32>>,
    /// `tokenizer.ggml.token_type`: numbers of [`TokenKind`].
    pub kinds: Option<Vec<u32>>,
    /// `tokenizer.ggml.merges`: pairs of a byte-pair vocabulary, first things first.
    pub merges: L,
    /// Begins a text.
    pub bos: Option<TokenId>,
    /// Ends a text.
    pub eos: Option<TokenId>,
    /// Ends a turn.
    pub eot: Option<TokenId>,
    /// Stands for what has no token.
    pub unk: Option<TokenId>,
    /// Separates texts.
    pub sep: Option<TokenId>,
    /// Fills a batch.
    pub pad: Option<TokenId>,
    /// Stands for a token to be guessed.
    pub mask: Option<TokenId>,
    /// Before the text that precedes a gap to be filled.
    pub fim_prefix: Option<TokenId>,
    /// Before the text that follows the gap.
    pub fim_suffix: Option<TokenId>,
    /// Where the filling begins.
    pub fim_middle: Option<TokenId>,
    /// Whether a prompt begins with `bos`.
    pub add_bos: Option<bool>,
    /// Whether a text ends with `eos`.
    pub add_eos: Option<bool>,
    /// Whether a SentencePiece text gets a space before its first word.
    pub add_space_prefix: Option<bool>,
    /// Whether runs of spaces count as one. Of the tokenizers here none does so.
    pub remove_extra_whitespaces: Option<bool>,
}

/// Why a vocabulary cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabError {
    /// `tokenizer.ggml.model` names something else.
    #[error("tokenizer model {0:?} is not one of gpt2, llama, bert and gemma4")]
    UnknownModel(String),
    /// `tokenizer.ggml.pre` names something else.
    #[error("pre-tokenizer {0:?} is not known")]
    UnknownPre(String),
    /// There is nothing to cut text into.
    #[error("the vocabulary has no tokens")]
    Empty,
    /// More tokens, merges or bytes than are taken from a file.
    #[error("{what}: {count} is more than the limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        count: usize,
        /// How much there may be.
        limit: usize,
    },
    /// A list that goes with the tokens has another length.
    #[error("{what} has {count} entries for {tokens} tokens")]
    Length {
        /// Which list.
        what: &'static str,
        /// Its length.
        count: usize,
        /// The number of tokens.
        tokens: usize,
    },
    /// A list that this model of tokenizer cannot do without is not there.
    #[error("a {model} vocabulary needs {what}")]
    Missing {
        /// `tokenizer.ggml.model`.
        model: String,
        /// What it lacks.
        what: &'static str,
    },
    /// A token type beyond 6.
    #[error("token {id} has type {kind}, expected 0 to 6")]
    Kind {
        /// The token.
        id: TokenId,
        /// Its type.
        kind: u32,
    },
    /// A score that cannot be compared.
    #[error("token {id} has a score that is not a number")]
    Score {
        /// The token.
        id: TokenId,
    },
    /// Two tokens have the same text.
    #[error("tokens {first} and {second} are both {text:?}")]
    Duplicate {
        /// The text.
        text: String,
        /// The lower number.
        first: TokenId,
        /// The higher number.
        second: TokenId,
    },
    /// A token with a role lies beyond the vocabulary.
    #[error("the {role} token is {id}, but there are {tokens} tokens")]
    OutOfRange {
        /// The role.
        role: &'static str,
        /// The number given.
        id: TokenId,
        /// The number of tokens.
        tokens: usize,
    },
    /// A merge that cannot be applied.
    #[error("merge {index} {text:?}: {fault}")]
    Merge {
        /// Its place in the list, from 0.
        index: usize,
        /// What the file says.
        text: String,
        /// What is wrong with it.
        fault: MergeFault,
    },
    /// No token writes a byte that ordinary text has.
    #[error("no token for the byte {0:#04x}")]
    MissingByte(u8),
    /// A byte token's text does not say which byte.
    #[error("byte token {id} is {text:?}, expected <0x00> to <0xFF>")]
    ByteToken {
        /// The token.
        id: TokenId,
        /// Its text.
        text: String,
    },
}

/// What is wrong with a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeFault {
    /// Not two parts with a space between.
    #[error("expected two parts with one space between")]
    NotAPair,
    /// The part before the space is no token.
    #[error("its left part is no token")]
    LeftUnknown,
    /// The part after the space is no token.
    #[error("its right part is no token")]
    RightUnknown,
    /// The two parts together are no token.
    #[error("its result is no token")]
    ResultUnknown,
}

/// The most tokens that a vocabulary may have; the largest in use have a quarter of a million.
const TOKENS_MAX: usize = 1 << 24;
/// The most merges.
const MERGES_MAX: usize = 1 << 26;
/// The most bytes of token texts together, and of merges.
const BYTES_MAX: usize = 1 << 30;

/// Strings that are looked up at a time: enough to wait for many of them together, few enough to
/// be near when their turn comes.
pub(crate) const BATCH: usize = 256;

/// A checked vocabulary.
#[derive(Debug)]
pub(crate) struct Vocab {
    texts: Texts,
    kinds: Vec<TokenKind>,
    pub(crate) roles: Roles,
    /// Bytes of the longest token.
    pub(crate) longest: usize,
}

impl Vocab {
    /// Checks what all models of tokenizer have in common.
    pub(crate) fn new(spec: &VocabSpec<impl Strings>) -> Result<Vocab, VocabError> {
        let count = spec.tokens.len();
        if count == 0 {
            return Err(VocabError::Empty);
        }
        within("tokens", count, TOKENS_MAX)?;
        within("merges", spec.merges.len(), MERGES_MAX)?;
        within("bytes of tokens", spec.tokens.bytes(), BYTES_MAX)?;
        within("bytes of merges", spec.merges.bytes(), BYTES_MAX)?;

        let mut texts = Texts::with_capacity(count, spec.tokens.bytes());
        let mut longest = 0;
        let mut tokens = spec.tokens.iter();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.clear();
            batch.extend(tokens.by_ref().take(BATCH));
            if batch.is_empty() {
                break;
            }
            longest = batch.iter().map(|text| text.len()).fold(longest, usize::max);
            let start = texts.len();
            texts.push_all(&batch).map_err(|(place, first)| VocabError::Duplicate {
                text: batch[place].to_owned(),
                first,
                second: (start + place) as TokenId,
            })?;
        }
        let mut kinds = kinds(count, spec.kinds.as_deref())?;
        scores(count, spec.scores.as_deref())?;
        let roles = roles::assign(spec, &texts, &mut kinds)?;
        Ok(Vocab { texts, kinds, roles, longest })
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = TokenId> + use<> {
        0..self.len() as TokenId
    }

    /// Bytes of all tokens' texts together.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes()
    }

    /// The text of a token as the file has it.
    pub(crate) fn text(&self, id: TokenId) -> Option<&str> {
        ((id as usize) < self.len()).then(|| self.texts.get(id))
    }

    /// What a token is for; `Unused` beyond the last.
    pub(crate) fn kind(&self, id: TokenId) -> TokenKind {
        self.kinds.get(id as usize).copied().unwrap_or(TokenKind::Unused)
    }

    /// The token with this text.
    pub(crate) fn find(&self, text: &str) -> Option<TokenId> {
        self.texts.find(text)
    }

    /// The tokens with these texts, [`NONE`](crate::slots::NONE) where there is none: quicker than one by
    /// one.
    pub(crate) fn find_all(&self, texts: &[&str], tokens: &mut Vec<TokenId>) {
        self.texts.find_all(texts, tokens);
    }

    /// The token that ordinary text may become: never one that marks something.
    pub(crate) fn find_text(&self, text: &str) -> Option<TokenId> {
        self.find(text).filter(|&id| self.is_text(id))
    }

    /// Whether a token tells the model something rather than writes.
    pub(crate) fn is_mark(&self, id: TokenId) -> bool {
        matches!(self.kind(id), TokenKind::Control | TokenKind::Unknown)
    }

    /// Whether ordinary text may become this token.
    pub(crate) fn is_text(&self, id: TokenId) -> bool {
        matches!(self.kind(id), TokenKind::Normal | TokenKind::Unused)
    }
}

fn within(what: &'static str, count: usize, limit: usize) -> Result<(), VocabError> {
    if count > limit {
        return Err(VocabError::TooMany { what, count, limit });
    }
    Ok(())
}

fn kinds(tokens: usize, given: Option<&[u32]>) -> Result<Vec<TokenKind>, VocabError> {
    let Some(given) = given else {
        return Ok(vec![TokenKind::Normal; tokens]);
    };
    if given.len() != tokens {
        return Err(VocabError::Length { what: "token types", count: given.len(), tokens });
    }
    let kind = |(id, &kind): (usize, &u32)| match kind {
        1 => Ok(TokenKind::Normal),
        2 => Ok(TokenKind::Unknown),
        3 => Ok(TokenKind::Control),
        4 => Ok(TokenKind::UserDefined),
        // Undefined: writers use it for tokens that only fill the table.
        0 | 5 => Ok(TokenKind::Unused),
        6 => Ok(TokenKind::Byte),
        _ => Err(VocabError::Kind { id: id as TokenId, kind }),
    };
    given.iter().enumerate().map(kind).collect()
}

fn scores(tokens: usize, given: Option<&[f32]>) -> Result<(), VocabError> {
    let Some(scores) = given else { return Ok(()) };
    if scores.len() != tokens {
        return Err(VocabError::Length { what: "scores", count: scores.len(), tokens });
    }
    match scores.iter().position(|s| s.is_nan()) {
        Some(id) => Err(VocabError::Score { id: id as TokenId }),
        None => Ok(()),
    }
}

/// The two parts of a merge. A part may itself be a space, so the first byte is not looked at.
pub(crate) fn merge_parts(merge: &str) -> Option<(&str, &str)> {
    let space = 1 + merge.as_bytes().get(1..)?.iter().position(|&b| b == b' ')?;
    let parts = (&merge[..space], &merge[space + 1..]);
    (!parts.1.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many strings as it says, of as many bytes.
    #[derive(Default)]
    struct Claimed {
        len: usize,
        bytes: usize,
    }

    impl Strings for Claimed {
        fn len(&self) -> usize {
            self.len
        }

        fn iter(&self) -> impl Iterator<Item = &str> {
            std::iter::empty()
        }

        fn bytes(&self) -> usize {
            self.bytes
        }
    }

    #[test]
    fn what_is_too_much_is_refused_before_it_is_read() {
        let one = || Claimed { len: 1, bytes: 1 };
        let rows = [
            ("tokens", Claimed { len: TOKENS_MAX + 1, bytes: 0 }, one(), TOKENS_MAX),
            ("merges", one(), Claimed { len: MERGES_MAX + 1, bytes: 0 }, MERGES_MAX),
            ("bytes of tokens", Claimed { len: 1, bytes: BYTES_MAX + 1 }, one(), BYTES_MAX),
            ("bytes of merges", one(), Claimed { len: 1, bytes: BYTES_MAX + 1 }, BYTES_MAX),
        ];
        for (what, tokens, merges, limit) in rows {
            let spec = VocabSpec { model: "gpt2".into(), tokens, merges, ..VocabSpec::default() };
            let error = Vocab::new(&spec).map(drop);
            assert_eq!(error, Err(VocabError::TooMany { what, count: limit + 1, limit }));
        }
    }
}
