//! A model that answers: prompt in, pieces of text out, with the time it took.

use std::time::Instant;

use ondine_cache::CacheShape;
use ondine_engine::{FinishReason, Session, SessionOptions};
use ondine_model::BATCH;
use ondine_text::vocab::TokenId;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::memory;
use crate::output;
use crate::progress::Progress;
use crate::sampling::Wishes;

/// What an answer took, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    /// Opening and loading the model.
    pub(crate) load_s: f64,
    /// Reading the prompt.
    pub(crate) prompt_s: f64,
    /// From the first token of the answer to the last.
    pub(crate) decode_s: f64,
    /// From the prompt's arrival to the first token.
    pub(crate) ttft_s: f64,
}

/// A finished answer.
#[derive(Clone, Debug)]
pub(crate) struct Spoken {
    /// The answer's text.
    pub(crate) text: String,
    /// Its tokens, without the one that ends a turn.
    pub(crate) tokens: Vec<TokenId>,
    /// `stop` where the model, a stop text or a grammar ended it, `length` where a limit did.
    pub(crate) finish: &'static str,
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: usize,
    /// How long it took.
    pub(crate) timings: Timings,
    /// Whether Ctrl-C cut it short.
    pub(crate) interrupted: bool,
    /// Why it is shorter than what was asked for, where a person may not see that it is.
    pub(crate) cut: Option<String>,
}

impl Spoken {
    /// Says that the answer is cut, where it is. For when the answer has been printed.
    pub(crate) fn tell_cut(&self) {
        if let Some(cut) = &self.cut {
            output::note(cut);
        }
    }

    /// The object that `--json` prints.
    pub(crate) fn json(&self) -> Value {
        let Timings { load_s, prompt_s, decode_s, ttft_s } = self.timings;
        // The first token is known when the prompt has been read: the rest is what is decoded.
        let decoded = self.tokens.len().saturating_sub(1);
        json!({
            "text": self.text,
            "tokens": self.tokens,
            "finish_reason": self.finish,
            "prompt_tokens": self.prompt_tokens,
            "timings": {
                "load_s": load_s,
                "prompt_s": prompt_s,
                "decode_s": decode_s,
                "prompt_tokens_per_s": rate(self.prompt_tokens, prompt_s),
                "decode_tokens_per_s": rate(decoded, decode_s),
                "ttft_s": ttft_s,
            },
        })
    }
}

/// Tokens a second; 0 where nothing was measured.
fn rate(tokens: usize, seconds: f64) -> f64 {
    if tokens == 0 || seconds <= 0.0 { 0.0 } else { tokens as f64 / seconds }
}

/// One timeline on a loaded model, and what is asked of each answer.
pub(crate) struct Speaker {
    session: Session,
    wishes: Wishes,
    load_s: f64,
    turn: u64,
}

impl Speaker {
    /// A speaker on an engine, with the timeline that was asked for.
    pub(crate) fn new(
        engine: &std::sync::Arc<ondine_engine::Engine>,
        arguments: &Arguments<'_>,
        wishes: Wishes,
        load_s: f64,
    ) -> Result<Speaker, Failure> {
        let (context, kv) = (arguments.count("ctx"), arguments.kv());
        if let Some(context) = context {
            memory::check(CacheShape { kv, ..engine.shape().cache() }, context)?;
        }
        let session =
            engine.session(SessionOptions { context, kv, ..SessionOptions::default() })?;
        Ok(Speaker { session, wishes, load_s, turn: 0 })
    }

    /// Answers a prompt; each piece of text is handed on as soon as it is certain.
    pub(crate) fn answer(
        &mut self,
        prompt: &[TokenId],
        mut piece: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<Spoken, Failure> {
        let watch = Watch::new();
        let begun = Instant::now();
        self.read(prompt, &watch)?;
        let prompt_s = begun.elapsed().as_secs_f64();
        let mut text = String::new();
        let mut tokens = Vec::new();
        let mut first_s = None;
        let options = self.wishes.options(self.turn);
        self.turn += 1;
        let mut generation = self.session.generate(options)?;
        let mut interrupted = false;
        for step in generation.by_ref() {
            let step = step?;
            first_s.get_or_insert_with(|| begun.elapsed().as_secs_f64());
            if step.finish != Some(FinishReason::EndOfTurn) {
                tokens.push(step.token);
            }
            if !step.text.is_empty() {
                piece(&step.text)?;
                text.push_str(&step.text);
            }
            if watch.interrupted() {
                interrupted = true;
                break;
            }
        }
        let ended_s = begun.elapsed().as_secs_f64();
        let reason = generation.finish();
        let cut = match reason {
            Some(FinishReason::Context) => {
                let context = self.session.context();
                Some(format!("stopped: the context of {context} tokens is full"))
            }
            Some(FinishReason::Length) if !self.wishes.is_whole(&tokens) => {
                Some("the answer was cut before it was complete; raise --max-tokens".to_string())
            }
            _ => None,
        };
        let finish = match reason {
            Some(FinishReason::Length | FinishReason::Context) | None => "length",
            Some(_) => "stop",
        };
        let ttft_s = first_s.unwrap_or(ended_s);
        let timings = Timings { load_s: self.load_s, prompt_s, decode_s: ended_s - ttft_s, ttft_s };
        let prompt_tokens = prompt.len();
        Ok(Spoken { text, tokens, finish, prompt_tokens, timings, interrupted, cut })
    }

    /// Brings the session to the prompt. A long one goes in pieces of the model's own size, so that
    /// progress can be shown and Ctrl-C is heard; the result is the same.
    fn read(&mut self, prompt: &[TokenId], watch: &Watch) -> Result<(), Failure> {
        if prompt.len() <= self.session.context() {
            let known =
                self.session.tokens().iter().zip(prompt).take_while(|(a, b)| a == b).count();
            let progress = Progress::new("tokens of the prompt", prompt.len() as u64);
            for end in (known + BATCH..prompt.len()).step_by(BATCH) {
                self.session.sync(&prompt[..end])?;
                progress.done(end as u64);
                watch.check()?;
            }
        }
        self.session.sync(prompt)?;
        watch.check()
    }
}
