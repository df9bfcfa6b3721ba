//! How an answer is generated, read from the flags.

use std::path::Path;

use ondine_engine::{GenerateOptions, Sampling};
use ondine_text::grammar::{Grammar, GrammarSpec};
use ondine_text::vocab::TokenId;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::input;

/// The flags that choose among tokens.
pub(crate) const FLAGS: &[&str] =
    &["temp", "top-k", "top-p", "min-p", "repeat-penalty", "seed", "max-tokens"];

/// What one generation after the other is asked to do.
pub(crate) struct Wishes {
    sampling: Sampling,
    max_tokens: usize,
    stop: Vec<String>,
    grammar: Option<Grammar>,
}

impl Wishes {
    /// Reads the flags.
    pub(crate) fn read(arguments: &Arguments<'_>) -> Wishes {
        let standard = Sampling::default();
        let sampling = Sampling {
            temperature: arguments.number_or("temp", standard.temperature),
            top_k: arguments.count_or("top-k", standard.top_k),
            top_p: arguments.number_or("top-p", standard.top_p),
            min_p: arguments.number_or("min-p", standard.min_p),
            repeat_penalty: arguments.number_or("repeat-penalty", standard.repeat_penalty),
            seed: arguments.seed(),
            ..standard
        };
        Wishes {
            sampling,
            max_tokens: arguments.count_or("max-tokens", 1024),
            stop: arguments.texts("stop"),
            grammar: None,
        }
    }

    /// Ends every answer at this text too.
    pub(crate) fn stop_at(&mut self, text: Option<String>) {
        self.stop.extend(text);
    }

    /// Holds every answer to a grammar.
    pub(crate) fn constrain(&mut self, grammar: Option<Grammar>) {
        self.grammar = grammar;
    }

    /// Whether an answer of these tokens may end here: nothing that was asked for is missing.
    pub(crate) fn is_whole(&self, tokens: &[TokenId]) -> bool {
        let Some(mut matcher) = self.grammar.as_ref().map(Grammar::matcher) else { return true };
        tokens.iter().all(|token| matcher.commit(*token).is_ok()) && matcher.is_complete()
    }

    /// The options of one generation. Each turn of a conversation draws from its own seed, so that
    /// the same question asked twice is not bound to the same answer.
    pub(crate) fn options(&self, turn: u64) -> GenerateOptions {
        let seed = self.sampling.seed.wrapping_add(turn);
        GenerateOptions {
            sampling: Sampling { seed, ..self.sampling.clone() },
            max_tokens: Some(self.max_tokens),
            stop: self.stop.clone(),
            grammar: self.grammar.as_ref().map(Grammar::matcher),
            odds: false,
        }
    }
}

/// The grammar that the flags name, if any, with the file it stands in.
pub(crate) fn grammar<'a>(
    arguments: &Arguments<'a>,
) -> Result<Option<(&'a Path, GrammarSpec)>, Failure> {
    match (arguments.path("schema"), arguments.path("grammar")) {
        (None, None) => Ok(None),
        (Some(path), None) => Ok(Some((path, GrammarSpec::JsonSchema(input::text(path)?)))),
        (None, Some(path)) => Ok(Some((path, GrammarSpec::Lark(input::text(path)?)))),
        (Some(_), Some(_)) => Err(Failure::usage("--schema and --grammar exclude one another")),
    }
}
