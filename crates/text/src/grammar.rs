//! Grammars: which tokens may come next, for output that must have a form. JSON Schema, regular
//! expressions and Lark grammars, compiled by `llguidance`. Knows no model and no sampling.
//!
//! A grammar either compiles whole or is an error: a keyword that cannot be enforced, a warning of
//! the compiler, a size over the limits. Nothing is ever generated under a weaker grammar than the
//! one asked for.
//!
//! # Tokens
//!
//! Control tokens never match text. A Lark grammar names them: `start: <|call|> NAME <|end|>`.
//! User-defined tokens (many files declare `<tool_call>` or `<think>` so) do write text and match
//! it; a Lark grammar may name them as well.
//!
//! Any way to cut forced text into tokens is allowed, not only the tokenizer's own. What the
//! tokenizer would do depends on the text around, which a grammar does not see: a SentencePiece
//! vocabulary puts a space before a fragment, a byte-pair one may merge over its edge. A mask that
//! insisted on the wrong cut would push the model off what it learned. So the compiler is told that
//! tokenization is not canonical, and [`Matcher::forced`] answers with tokens that are the only
//! choice, which special tokens of a grammar mostly are.
//!
//! # A value that must be part of a text
//!
//! ```text
//! start: <|set_timer|> <|arg:duration|> DURATION <|arg:room|> ROOM <|end|>
//! DURATION: %regex {"substring_words": "set a timer for ten minutes"}
//! ROOM: "kitchen" | "hall"
//! ```
//!
//! [`substring_of_words`], [`substring_of_chars`] and [`literal`] write the right-hand sides.

mod check;

use std::fmt::Display;
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use crate::Tokenizer;
use crate::vocab::{TokenId, TokenKind};

/// What an output must look like, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrammarSpec {
    /// A JSON Schema, as JSON.
    JsonSchema(String),
    /// A regular expression for the whole output: no anchors, no look-around, no back-references.
    Regex(String),
    /// A Lark grammar with a rule `start`.
    Lark(String),
}

/// Why an output cannot be constrained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrammarError {
    /// The grammar is over a limit of [`limits`](crate::limits).
    #[error("grammar: {what} is over the limit of {limit}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The grammar does not compile, or not wholly.
    #[error("grammar: {message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// The vocabulary cannot be used for grammars.
    #[error("vocabulary for grammars: {message}")]
    Vocabulary {
        /// What is wrong.
        message: String,
    },
    /// The grammar allows no token at all here, or grew too complex to tell.
    #[error("grammar: dead end: {message}")]
    DeadEnd {
        /// What is known.
        message: String,
    },
    /// A token was committed that the grammar does not allow.
    #[error("grammar: token {token} is not allowed here")]
    NotAllowed {
        /// The token.
        token: TokenId,
    },
}

/// What all grammars of one vocabulary share: its tokens as a trie. Made once per model.
#[derive(Clone)]
pub struct GrammarCompiler {
    factory: Arc<ParserFactory>,
    tokenizer: Arc<Tokenizer>,
    vocabulary: Vocabulary,
}

/// What masks and matchers know of a vocabulary.
#[derive(Clone, Debug)]
struct Vocabulary {
    /// Its size; beyond it the trie has an end token of its own if it needs one.
    tokens: usize,
    ends: Arc<[TokenId]>,
}

/// A compiled grammar.
#[derive(Clone)]
pub struct Grammar {
    fresh: llguidance::Matcher,
    vocabulary: Vocabulary,
}

/// A place within an output: what may come next. Cheap beside a model's step, not free to copy.
pub struct Matcher {
    inner: llguidance::Matcher,
    vocabulary: Vocabulary,
    is_complete: bool,
}

/// The tokens that may come next.
#[derive(Clone, Debug)]
pub struct TokenMask {
    bits: SimpleVob,
    tokens: usize,
}

/// The vocabulary as the grammar engine sees it.
struct Env {
    trie: TokTrie,
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, s: &[u8]) -> Vec<TokenId> {
        self.trie.greedy_tokenize(s)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

/// Lets an answer hold a blank, or a line break and an indentation, where JSON allows any amount:
/// a model that is unsure may otherwise write blanks until its context is full, which every
/// schema would allow and no reader could use.
fn bounded_blanks(schema: serde_json::Value) -> serde_json::Value {
    let settings = serde_json::json!({ "whitespace_pattern": r"[ ]?|\n[ ]{0,16}" });
    match schema {
        serde_json::Value::Object(mut map) => {
            // What a schema says for itself under this name is stricter, or was refused before.
            map.entry("x-guidance").or_insert(settings);
            map.into()
        }
        // `true` allows every value, as an empty object does.
        serde_json::Value::Bool(true) => serde_json::json!({ "x-guidance": settings }),
        other => other,
    }
}

impl GrammarCompiler {
    /// Prepares a vocabulary. For a large one this takes a noticeable fraction of a second.
    pub fn new(tokenizer: &Arc<Tokenizer>) -> Result<GrammarCompiler, GrammarError> {
        let tokens = tokenizer.len();
        let mut words: Vec<Vec<u8>> =
            (0..tokens as TokenId).map(|id| word(tokenizer, id)).collect();
        let mut ends: Vec<TokenId> =
            (0..tokens as TokenId).filter(|&id| tokenizer.ends_generation(id)).collect();
        for end in [tokenizer.eos(), tokenizer.eot()].into_iter().flatten() {
            if !ends.contains(&end) {
                ends.push(end);
            }
        }
        if ends.is_empty() {
            // The engine needs an end; this one lies beyond every logit and is never chosen.
            ends.push(tokens as TokenId);
            words.push(b"\xff<|end of output|>".to_vec());
        }
        let info = TokRxInfo::new(words.len() as u32, ends[0]);
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&ends);
        let env: TokEnv = Arc::new(Env { trie });
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|error| GrammarError::Vocabulary { message: brief(&error) })?;
        factory.quiet();
        Ok(GrammarCompiler {
            factory: Arc::new(factory),
            tokenizer: Arc::clone(tokenizer),
            vocabulary: Vocabulary { tokens, ends: ends.into() },
        })
    }

    /// Compiles a grammar.
    pub fn compile(&self, spec: &GrammarSpec) -> Result<Grammar, GrammarError> {
        let grammar = match spec {
            GrammarSpec::JsonSchema(schema) => {
                TopLevelGrammar::from_json_schema(bounded_blanks(check::schema(schema)?))
            }
            GrammarSpec::Regex(pattern) => {
                check::regex(pattern)?;
                TopLevelGrammar::from_regex(pattern)
            }
            GrammarSpec::Lark(source) => {
                TopLevelGrammar::from_lark(check::lark(source, |name| self.named(name))?)
            }
        };
        let invalid = |message: String| GrammarError::Invalid { message };
        let parser = self.factory.create_parser(grammar).map_err(|e| invalid(brief(&e)))?;
        let mut fresh = llguidance::Matcher::new(Ok(parser));
        if let Some(warning) = fresh.grammar_warnings().into_iter().next() {
            return Err(invalid(brief(&warning)));
        }
        let grammar = Grammar { fresh, vocabulary: self.vocabulary.clone() };
        // A grammar that cannot say anything is found out now, not in the middle of an answer.
        let mask = grammar.fresh.deep_clone().compute_mask_or_eos();
        match mask {
            Ok(mask) if mask.is_zero() => Err(invalid("it matches nothing".into())),
            Ok(_) => Ok(grammar),
            Err(error) => Err(invalid(brief(&error))),
        }
    }

    /// A token that a Lark grammar names, if it is not one that the engine knows as special.
    fn named(&self, name: &str) -> Option<TokenId> {
        let id = self.tokenizer.id_of(name)?;
        (!is_special(self.tokenizer.kind(id))).then_some(id)
    }
}

impl Grammar {
    /// Compiles one grammar. To compile several, keep a [`GrammarCompiler`].
    pub fn compile(
        spec: &GrammarSpec,
        tokenizer: &Arc<Tokenizer>,
    ) -> Result<Grammar, GrammarError> {
        GrammarCompiler::new(tokenizer)?.compile(spec)
    }

    /// The beginning of an output.
    pub fn matcher(&self) -> Matcher {
        let mut inner = self.fresh.deep_clone();
        let is_complete = inner.is_accepting().unwrap_or(false);
        Matcher { inner, vocabulary: self.vocabulary.clone(), is_complete }
    }
}

impl Matcher {
    /// The tokens that may come next; where the output may end, those that end it are among them.
    /// Once the matcher [is stopped](Self::is_stopped), they are all there is.
    pub fn mask(&mut self) -> Result<TokenMask, GrammarError> {
        let bits = self.inner.compute_mask_or_eos().map_err(dead_end)?;
        if bits.is_zero() {
            return Err(GrammarError::DeadEnd { message: "no token is allowed".into() });
        }
        Ok(TokenMask { bits, tokens: self.vocabulary.tokens })
    }

    /// Goes on by a token that the mask allows.
    pub fn commit(&mut self, token: TokenId) -> Result<(), GrammarError> {
        if token as usize >= self.vocabulary.tokens || self.is_stopped() {
            return Err(GrammarError::NotAllowed { token });
        }
        // Asked first, because a token that is refused leaves the engine's matcher unusable. Of
        // end tokens, which a grammar may also name, only the mask knows.
        let allowed = match self.vocabulary.ends.contains(&token) {
            true => self.is_complete || self.mask()?.allows(token),
            false => self.inner.validate_tokens(&[token]).map_err(dead_end)? == 1,
        };
        if !allowed {
            return Err(GrammarError::NotAllowed { token });
        }
        self.inner.consume_token(token).map_err(dead_end)?;
        self.is_complete = match self.is_stopped() {
            true => self.inner.stop_reason().is_ok(),
            false => self.inner.is_accepting().map_err(dead_end)?,
        };
        Ok(())
    }

    /// Whether the output may end here.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether the output has ended: nothing but its end can follow.
    pub fn is_stopped(&self) -> bool {
        self.inner.is_stopped()
    }

    /// Commits tokens as long as there is only one choice, at most `max`, and gives them back: the
    /// model need not be asked about these. Tokens that end the output are not among them.
    pub fn forced(&mut self, max: usize) -> Result<Vec<TokenId>, GrammarError> {
        let mut forced = Vec::new();
        while forced.len() < max && !self.is_stopped() {
            let mask = self.mask()?;
            let mut allowed = mask.iter();
            let (Some(only), None) = (allowed.next(), allowed.next()) else { break };
            if self.is_complete {
                break;
            }
            self.commit(only)?;
            forced.push(only);
        }
        Ok(forced)
    }
}

impl Clone for Matcher {
    fn clone(&self) -> Matcher {
        Matcher {
            inner: self.inner.deep_clone(),
            vocabulary: self.vocabulary.clone(),
            is_complete: self.is_complete,
        }
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("is_complete", &self.is_complete)
            .field("is_stopped", &self.is_stopped())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Grammar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammar").field("vocabulary", &self.vocabulary).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrammarCompiler")
            .field("vocabulary", &self.vocabulary)
            .finish_non_exhaustive()
    }
}

impl TokenMask {
    /// Whether a token may come next.
    pub fn allows(&self, token: TokenId) -> bool {
        (token as usize) < self.tokens && self.bits.is_allowed(token)
    }

    /// All tokens that may come next, in order.
    pub fn iter(&self) -> impl Iterator<Item = TokenId> + '_ {
        (0..self.tokens as TokenId).filter(|&id| self.bits.is_allowed(id))
    }
}

/// The right-hand side of a Lark terminal that matches any run of characters of `text`, the empty
/// one as well.
pub fn substring_of_chars(text: &str) -> String {
    regex_extension("substring_chars", text)
}

/// The right-hand side of a Lark terminal that matches any run of whole words of `text` with what
/// stands between them, the empty run as well.
pub fn substring_of_words(text: &str) -> String {
    regex_extension("substring_words", text)
}

fn regex_extension(kind: &str, text: &str) -> String {
    format!("%regex {}", serde_json::json!({ kind: text }))
}

/// The right-hand side of a Lark rule that matches JSON of a schema, as [`GrammarSpec::JsonSchema`] does.
///
/// # Errors
/// Whatever is wrong with a schema before it is compiled.
pub fn json(schema: &str) -> Result<String, GrammarError> {
    Ok(format!("%json {}", bounded_blanks(check::schema(schema)?)))
}

/// `text` as a Lark literal.
pub fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_special(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Control | TokenKind::Unknown)
}

/// A token as the grammar engine reads it: its bytes, or its name after a mark that no text has.
/// What is neither is empty, and so never allowed.
fn word(tokenizer: &Tokenizer, id: TokenId) -> Vec<u8> {
    let kind = tokenizer.kind(id);
    let piece = tokenizer.piece(id).unwrap_or_default();
    if is_special(kind) || tokenizer.ends_generation(id) {
        let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
        word.extend_from_slice(piece.as_bytes());
        return word;
    }
    if kind == TokenKind::Unused {
        return Vec::new();
    }
    tokenizer.bytes(id).unwrap_or_default().to_vec()
}

fn dead_end(error: impl Display) -> GrammarError {
    GrammarError::DeadEnd { message: brief(&error) }
}

/// A message without the parser's state dump, which some have and which may be pages long.
fn brief(error: &impl Display) -> String {
    let message = format!("{error:#}");
    let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().take(400).collect()
}
