//! Generation: an iterator of tokens over a session.
//!
//! Each step reads the logits, lets the grammar strike out what it forbids, chooses, and adds the
//! token to the session. Text, stop strings and whole characters are made on the way out. The
//! chosen token is evaluated when the next one is asked for, so nothing is computed in vain.
//!
//! A [`Speech`] is the same without the session: whoever runs many sessions at once evaluates them
//! together and then lets each speech take its step.

use ondine_text::grammar::Matcher;
use ondine_text::vocab::TokenId;

use crate::error::EngineError;
use crate::probability::log_probability;
use crate::sample::{Sampler, Sampling};
use crate::session::Session;
use crate::stop::StopFilter;
use crate::utf8::Utf8;

/// What a generation is asked to do.
#[derive(Default)]
pub struct GenerateOptions {
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Tokens at most; as many as there are positions where `None`.
    pub max_tokens: Option<usize>,
    /// Texts that end the generation. They are not part of the answer.
    pub stop: Vec<String>,
    /// What the answer may be.
    pub grammar: Option<Matcher>,
    /// Whether [`Step::odds`] are told. Without them a token costs less: nobody has to know how
    /// likely all the others were.
    pub odds: bool,
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// A stop string appeared.
    Stop,
    /// The model ended its turn.
    EndOfTurn,
    /// The grammar is complete: nothing may follow.
    Complete,
    /// As many tokens as were asked for.
    Length,
    /// No positions are left in the session.
    Context,
}

/// One token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The token.
    pub token: TokenId,
    /// The text that became certain with it: whole characters, and nothing that may yet turn out
    /// to be a stop string. Often empty; the pieces in order are the answer.
    pub text: String,
    /// How likely the token was, where [`GenerateOptions::odds`] asked for it.
    pub odds: Option<Odds>,
    /// Set on the last step.
    pub finish: Option<FinishReason>,
}

/// How likely a token was, before anything of the sampling chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Odds {
    /// Logarithm of its probability by the model alone.
    pub logprob: f32,
    /// Its probability among those that the grammar allowed. Without a grammar that is the
    /// probability itself.
    pub allowed_prob: f32,
}

/// An answer under way: how its tokens are chosen and become text. Which session it speaks in is said
/// at each step, and must always be the same.
pub struct Speech {
    sampler: Sampler,
    grammar: Option<Matcher>,
    stop: StopFilter,
    utf8: Utf8,
    odds: bool,
    left: Option<usize>,
    finish: Option<FinishReason>,
    failed: bool,
    /// The ids that the grammar allows, and memory for their probabilities.
    allowed: Vec<TokenId>,
    weights: Vec<f32>,
}

impl Speech {
    /// Nothing said yet.
    ///
    /// # Errors
    /// Sampling parameters out of range.
    pub fn new(options: GenerateOptions) -> Result<Speech, EngineError> {
        let GenerateOptions { sampling, max_tokens, stop, grammar, odds } = options;
        Ok(Speech {
            sampler: Sampler::new(sampling)?,
            grammar,
            stop: StopFilter::new(stop),
            utf8: Utf8::default(),
            odds,
            left: max_tokens,
            finish: None,
            failed: false,
            allowed: Vec::new(),
            weights: Vec::new(),
        })
    }

    /// Why the answer ended; `None` while it goes on, and after an error.
    pub fn finish(&self) -> Option<FinishReason> {
        self.finish
    }

    /// How many of the greatest logits decide the next token, where no others matter.
    pub fn likeliest(&self) -> Option<usize> {
        if self.odds || self.grammar.is_some() { None } else { self.sampler.likeliest() }
    }

    /// Whether another step will come, as far as is known before it: if not, the session's last
    /// token need not be evaluated.
    pub fn goes_on(&mut self, session: &Session) -> bool {
        if self.failed || self.finish.is_some() {
            return false;
        }
        self.finish = self.ended(session);
        self.finish.is_none()
    }

    /// The next token; `None` when the answer has ended. What of the session is not evaluated yet is
    /// evaluated first.
    pub fn next(&mut self, session: &mut Session) -> Option<Result<Step, EngineError>> {
        if !self.goes_on(session) {
            return None;
        }
        let step = self.step(session);
        match &step {
            Ok(step) => self.finish = step.finish,
            Err(_) => self.failed = true,
        }
        Some(step)
    }

    /// What ends the answer before a token is chosen.
    fn ended(&self, session: &Session) -> Option<FinishReason> {
        if self.left == Some(0) {
            return Some(FinishReason::Length);
        }
        if self.grammar.as_ref().is_some_and(Matcher::is_stopped) {
            return Some(FinishReason::Complete);
        }
        session.is_full().then_some(FinishReason::Context)
    }

    fn step(&mut self, session: &mut Session) -> Result<Step, EngineError> {
        let likeliest = self.likeliest();
        let allowed = match &mut self.grammar {
            None => None,
            Some(grammar) => {
                self.allowed.clear();
                self.allowed.extend(grammar.mask()?.iter());
                Some(self.allowed.as_slice())
            }
        };
        let (history, logits) = session.history_and(likeliest)?;
        let position = history.len();
        let Some(token) = self.sampler.choose(logits, history, allowed) else {
            return Err(EngineError::NothingAllowed { position });
        };
        let odds = self.odds.then(|| {
            let logprob = log_probability(logits, token, None, &mut self.weights);
            let among = match allowed {
                None => logprob,
                Some(ids) => log_probability(logits, token, Some(ids), &mut self.weights),
            };
            Odds { logprob, allowed_prob: among.exp() }
        });

        let tokenizer = session.engine().tokenizer().ok().cloned();
        let ends_turn = tokenizer.as_ref().is_some_and(|t| t.ends_generation(token));
        let mut step = Step { token, text: String::new(), odds, finish: None };
        if ends_turn {
            // The end of a turn is not part of the timeline: whoever renders the next prompt
            // writes it, and it costs nothing until then.
            step.finish = Some(FinishReason::EndOfTurn);
        } else {
            if let Some(grammar) = &mut self.grammar {
                grammar.commit(token)?;
            }
            session.extend(&[token])?;
            self.left = self.left.map(|left| left - 1);
            let bytes = tokenizer.as_ref().and_then(|t| t.bytes(token)).unwrap_or(&[]);
            let (text, stopped) = self.stop.push(&self.utf8.push(bytes));
            step.text = text;
            step.finish = if stopped { Some(FinishReason::Stop) } else { self.ended(session) };
        }
        if step.finish.is_some_and(|reason| reason != FinishReason::Stop) {
            self.flush(&mut step);
        }
        Ok(step)
    }

    /// Nothing follows, so what was held back is shown. It may still hold a stop string whose last
    /// character was not whole.
    fn flush(&mut self, step: &mut Step) {
        let (text, stopped) = self.stop.push(&self.utf8.flush());
        step.text += &text;
        if stopped {
            step.finish = Some(FinishReason::Stop);
        } else {
            step.text += &self.stop.flush();
        }
    }
}

/// The tokens of an answer. Dropping it ends the generation; what was generated stays in the
/// session.
pub struct Generation<'a> {
    session: &'a mut Session,
    speech: Speech,
}

impl<'a> Generation<'a> {
    pub(crate) fn new(
        session: &'a mut Session,
        options: GenerateOptions,
    ) -> Result<Generation<'a>, EngineError> {
        Ok(Generation { session, speech: Speech::new(options)? })
    }

    /// Why the generation ended; `None` while it goes on, and after an error.
    pub fn finish(&self) -> Option<FinishReason> {
        self.speech.finish()
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Step, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.speech.next(self.session)
    }
}

impl std::iter::FusedIterator for Generation<'_> {}
