//! The tokenizer of a model: text to tokens and back, whatever kind of vocabulary it has. Refuses
//! to know files, templates and models.

use std::ops::Range;

use crate::bpe::Bpe;
use crate::decode::{Decoder, Pieces, Spelling};
use crate::pretokenize;
use crate::prompt::Prompt;
use crate::special::{Fragment, Scope, Specials};
use crate::spm::Spm;
use crate::vocab::{Strings, TokenId, TokenKind, Vocab, VocabError, VocabSpec};
use crate::wordpiece::WordPiece;

/// What the texts of marks in a text become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The marks, as in a prompt that a template wrote.
    Parse,
    /// Ordinary text, as in what a user wrote. User-defined tokens are found all the same: they
    /// are text that is always one token.
    AsText,
}

/// The tokens with which a model is asked to fill a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fim {
    /// Before the text that precedes the gap.
    pub prefix: TokenId,
    /// Before the text that follows it.
    pub suffix: TokenId,
    /// Where the filling begins.
    pub middle: TokenId,
}

/// How text is cut.
#[derive(Debug)]
enum Algorithm {
    Bpe(Box<Bpe>),
    Spm(Box<Spm>),
    WordPiece(WordPiece),
}

/// Turns text into the tokens of one vocabulary and back.
///
/// ```
/// use ondine_text::tokenizer::{Special, Tokenizer};
/// use ondine_text::vocab::VocabSpec;
///
/// let bytes = (0..=255).map(|b| format!("<0x{b:02X}>"));
/// let words = ["<unk>", "<s>", "</s>", "▁", "h", "i", "▁h", "▁hi"].map(String::from);
/// let tokens: Vec<String> = words.into_iter().chain(bytes).collect();
/// let spec = VocabSpec {
///     model: "llama".into(),
///     scores: Some(vec![0.0; tokens.len()]),
///     kinds: Some([2, 3, 3, 1, 1, 1, 1, 1].into_iter().chain([6; 256]).collect()),
///     tokens,
///     ..VocabSpec::default()
/// };
/// let tokenizer = Tokenizer::new(spec)?;
/// assert_eq!(tokenizer.encode("hi</s>", Special::Parse), [7, 2]);
/// assert_eq!(tokenizer.decode(&[7, 2]), "hi");
/// # Ok::<(), ondine_text::vocab::VocabError>(())
/// ```
#[derive(Debug)]
pub struct Tokenizer {
    vocab: Vocab,
    algorithm: Algorithm,
    specials: Specials,
    pieces: Pieces,
    add_bos: bool,
    add_eos: bool,
    /// Whether a text, and a text after a mark, gets a space before it.
    space_prefix: bool,
}

impl Tokenizer {
    /// The tokenizer that `spec` describes.
    pub fn new(spec: VocabSpec<impl Strings>) -> Result<Tokenizer, VocabError> {
        let unknown_model = || VocabError::UnknownModel(spec.model.clone());
        let model = MODELS.iter().find(|m| m.name == spec.model).ok_or_else(unknown_model)?;
        let mut vocab = Vocab::new(&spec)?;
        let (algorithm, spelling, default_bos) = match model.kind {
            Kind::Bpe { pre } => {
                let name = pre.or(spec.pre.as_deref());
                let unknown_pre = || VocabError::UnknownPre(name.unwrap_or_default().to_owned());
                let pre = pretokenize::find(name).ok_or_else(unknown_pre)?;
                let spelling = if pre.raw { Spelling::Spaces } else { Spelling::Letters };
                (Algorithm::Bpe(Box::new(Bpe::new(&spec, &vocab, pre)?)), spelling, pre.add_bos)
            }
            Kind::Spm => {
                (Algorithm::Spm(Box::new(Spm::new(&spec, &vocab)?)), Spelling::Spaces, true)
            }
            Kind::WordPiece => {
                let wordpiece = WordPiece::new(&spec, &vocab)?;
                // A text between its two marks: the second separates it from what may follow.
                vocab.roles.eos = vocab.roles.eos.or(vocab.roles.sep);
                (Algorithm::WordPiece(wordpiece), Spelling::Spaces, true)
            }
        };
        let is_spm = matches!(algorithm, Algorithm::Spm(_));
        let is_wordpiece = matches!(algorithm, Algorithm::WordPiece(_));
        Ok(Tokenizer {
            specials: Specials::new(&vocab),
            pieces: Pieces::new(&vocab, spelling)?,
            add_bos: spec.add_bos.unwrap_or(default_bos) && vocab.roles.bos.is_some(),
            add_eos: spec.add_eos.unwrap_or(is_wordpiece) && vocab.roles.eos.is_some(),
            space_prefix: is_spm && spec.add_space_prefix.unwrap_or(true),
            vocab,
            algorithm,
        })
    }

    /// The number of tokens.
    #[allow(clippy::len_without_is_empty)] // a vocabulary without tokens is refused
    pub fn len(&self) -> usize {
        self.vocab.len()
    }

    /// The tokens of `text`, without marks for its beginning and end.
    pub fn encode(&self, text: &str, special: Special) -> Vec<TokenId> {
        let scope = match special {
            Special::Parse => Scope::Parse,
            Special::AsText => Scope::AsText,
        };
        self.encode_in(text, scope)
    }

    /// The tokens of a prompt: marks only where they touch no quoted byte.
    ///
    /// The text around a quotation is cut together with it, as the model learned it; but what is
    /// quoted never becomes a mark, nor part of one. User-defined tokens are kept out as well, for
    /// many files declare marks such as `<tool_call>` that way; those of white space alone are not.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Vec<TokenId> {
        let mut quoted = prompt.quoted.clone();
        quoted.retain(|range| range.start < range.end);
        quoted.sort_by_key(|range| range.start);
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(quoted.len());
        for range in quoted {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        self.encode_in(&prompt.text, Scope::Outside(&apart))
    }

    fn encode_in(&self, text: &str, scope: Scope<'_>) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        let mut after_mark = true;
        for fragment in self.specials.split(text, scope) {
            match fragment {
                Fragment::Token(id) => {
                    tokens.push(id);
                    after_mark = true;
                }
                Fragment::Text(range) => {
                    let text = &text[range];
                    match &self.algorithm {
                        Algorithm::Bpe(bpe) => bpe.encode(&self.vocab, text, &mut tokens),
                        Algorithm::Spm(spm) => {
                            let prefix = self.space_prefix && after_mark;
                            spm.encode(&self.vocab, text, prefix, &mut tokens);
                        }
                        Algorithm::WordPiece(wordpiece) => wordpiece.encode(text, &mut tokens),
                    }
                    after_mark = false;
                }
            }
        }
        tokens
    }

    /// The bytes that a token writes: none for a mark. `None` beyond the vocabulary.
    pub fn bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.pieces.get(id)
    }

    /// The text of a token as the vocabulary has it.
    pub fn piece(&self, id: TokenId) -> Option<&str> {
        self.vocab.text(id)
    }

    /// What a token is for; [`TokenKind::Unused`] beyond the vocabulary.
    pub fn kind(&self, id: TokenId) -> TokenKind {
        self.vocab.kind(id)
    }

    /// The token whose text in the vocabulary is `piece`.
    pub fn id_of(&self, piece: &str) -> Option<TokenId> {
        self.vocab.find(piece)
    }

    /// Begins a text.
    pub fn bos(&self) -> Option<TokenId> {
        self.vocab.roles.bos
    }

    /// Ends a text.
    pub fn eos(&self) -> Option<TokenId> {
        self.vocab.roles.eos
    }

    /// Ends a turn.
    pub fn eot(&self) -> Option<TokenId> {
        self.vocab.roles.eot
    }

    /// Stands for what has no token.
    pub fn unk(&self) -> Option<TokenId> {
        self.vocab.roles.unk
    }

    /// Separates texts.
    pub fn sep(&self) -> Option<TokenId> {
        self.vocab.roles.sep
    }

    /// Fills a batch.
    pub fn pad(&self) -> Option<TokenId> {
        self.vocab.roles.pad
    }

    /// Stands for a token to be guessed.
    pub fn mask(&self) -> Option<TokenId> {
        self.vocab.roles.mask
    }

    /// Whether a prompt begins with [`bos`](Self::bos).
    pub fn add_bos(&self) -> bool {
        self.add_bos
    }

    /// Whether a text that is to be embedded ends with [`eos`](Self::eos).
    pub fn add_eos(&self) -> bool {
        self.add_eos
    }

    /// Whether nothing is to be generated after this token.
    pub fn ends_generation(&self, id: TokenId) -> bool {
        self.vocab.roles.ends.contains(&id)
    }

    /// The tokens for filling a gap, where the model has all three.
    pub fn fim(&self) -> Option<Fim> {
        let roles = &self.vocab.roles;
        Some(Fim {
            prefix: roles.fim_prefix?,
            suffix: roles.fim_suffix?,
            middle: roles.fim_middle?,
        })
    }

    /// The text of `tokens`. Bytes that are no text become U+FFFD, and the space that encoding put
    /// before a SentencePiece or WordPiece text is taken off.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let bytes: Vec<u8> =
            tokens.iter().filter_map(|&id| self.bytes(id)).flatten().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let is_prefixed = self.space_prefix || matches!(self.algorithm, Algorithm::WordPiece(_));
        let stripped = if is_prefixed { text.strip_prefix(' ') } else { None };
        stripped.unwrap_or(&text).to_owned()
    }

    /// What a model reads, for people to see: like [`decode`](Self::decode), with marks as the vocabulary
    /// spells them, and with every space that is there.
    pub fn shown(&self, tokens: &[TokenId]) -> String {
        let mut bytes = Vec::new();
        for &id in tokens {
            match self.bytes(id) {
                Some(written) if !written.is_empty() => bytes.extend_from_slice(written),
                _ => bytes.extend_from_slice(self.piece(id).unwrap_or("\u{fffd}").as_bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Decodes tokens as they come, for instance the continuation of a prompt: nothing is taken
    /// off its beginning.
    pub fn decoder(&self) -> Decoder<'_> {
        Decoder::new(self)
    }
}

/// What `tokenizer.ggml.model` may say.
struct Model {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    /// `pre` is what the model's name alone implies.
    Bpe {
        pre: Option<&'static str>,
    },
    Spm,
    WordPiece,
}

static MODELS: &[Model] = &[
    Model { name: "gpt2", kind: Kind::Bpe { pre: None } },
    Model { name: "gemma4", kind: Kind::Bpe { pre: Some("gemma4") } },
    Model { name: "llama", kind: Kind::Spm },
    Model { name: "bert", kind: Kind::WordPiece },
];
