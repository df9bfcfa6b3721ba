//! What a run is given, and how it moves by it: what the model said (`said`), what came of calls and what
//! people decided (here), and what follows from that by itself (`settle`). Nothing else changes a run.

mod said;
mod settle;

use std::time::Duration;

use ondine_chat::{Answer, FinishReason, ToolCall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::act::{Act, Receipt, Stage};
use super::frame::Phase;
use super::{Run, Stop};
use crate::policy::Verdict;
use crate::tool::{Effect, Observation, Outcome};

/// Bytes of an answer or an observation that are kept.
const TEXT_BYTES_MAX: usize = 256 << 10;

/// Something that happened, as a run is told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Given {
    /// The model said this.
    Said {
        /// Its words.
        text: String,
        /// Its calls.
        calls: Vec<ToolCall>,
        /// Tokens of the prompt.
        prompt_tokens: u64,
        /// Tokens of the answer.
        answer_tokens: u64,
        /// It ended because it was too long.
        cut: bool,
    },
    /// The model cannot be held to a grammar; it is asked without one.
    Unconstrained,
    /// The model cannot answer this, and will not be able to.
    NoAnswer(String),
    /// The call with this key is about to be performed. On disk before it is.
    Begun(String),
    /// This came of a call.
    Observed {
        /// Which call.
        key: String,
        /// What came of it.
        observation: Observation,
    },
    /// A person decided.
    Decided {
        /// Which call.
        key: String,
        /// What they said.
        verdict: Verdict,
    },
    /// Whoever drove it is gone: nothing is known of what was begun and not observed.
    Resumed,
    /// Time went by.
    Waited,
}

impl Given {
    /// Words and nothing else, at no cost.
    pub fn said(text: impl Into<String>) -> Given {
        Given::Said {
            text: text.into(),
            calls: Vec::new(),
            prompt_tokens: 0,
            answer_tokens: 0,
            cut: false,
        }
    }
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Given {
        Given::Said {
            text: answer.text,
            calls: answer.calls,
            prompt_tokens: answer.usage.prompt_tokens as u64,
            answer_tokens: answer.usage.completion_tokens as u64,
            cut: answer.reason == FinishReason::Length,
        }
    }
}

/// What became of a giving, for whoever watches.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The model's answer could not be read; it was told this.
    Unreadable(String),
    /// A plan was made.
    Planned(Vec<String>),
    /// Another role was asked something.
    Phoned {
        /// Who asks.
        from: String,
        /// Who is asked.
        to: String,
    },
    /// It answered, or did not.
    HungUp {
        /// Who was asked.
        who: String,
        /// What it said.
        answer: String,
    },
    /// The conversation was handed over.
    Handed {
        /// From whom.
        from: String,
        /// To whom.
        to: String,
    },
    /// A call was answered without being performed.
    NotDone {
        /// The tool.
        tool: String,
        /// Why not.
        why: String,
    },
}

/// A run was given what it does not need.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GiveError {
    /// It has ended.
    #[error("the run has ended")]
    Ended,
    /// It needs something else.
    #[error("the run does not need {0} now")]
    NotNeeded(&'static str),
    /// No call of this key waits for that.
    #[error("no call {key:?} waits for {what}")]
    Key {
        /// The key.
        key: String,
        /// What was given.
        what: &'static str,
    },
    /// The question cannot be answered so.
    #[error("the question about {key:?} takes no such verdict")]
    Verdict {
        /// The key.
        key: String,
    },
}

impl Run {
    /// Moves on by what happened, and by how long it took. What it does not need changes nothing.
    ///
    /// # Errors
    /// It does not need that now.
    pub fn give(&mut self, given: Given, took: Duration) -> Result<Vec<News>, GiveError> {
        if self.end.is_some() {
            return Err(GiveError::Ended);
        }
        let mut news = Vec::new();
        match given {
            Given::Said { text, calls, prompt_tokens, answer_tokens, cut } => {
                self.asking("an answer")?;
                self.spent.steps = self.spent.steps.saturating_add(1);
                self.spent.prompt_tokens = self.spent.prompt_tokens.saturating_add(prompt_tokens);
                self.spent.answer_tokens = self.spent.answer_tokens.saturating_add(answer_tokens);
                self.said(clipped(text), calls, cut, &mut news);
            }
            Given::Unconstrained => {
                self.asking("that")?;
                let place = self.top().role;
                self.cast[place].constrained = false;
            }
            Given::NoAnswer(why) => {
                self.asking("that")?;
                self.finish(Err(Stop::Model(why)), &mut news);
            }
            Given::Begun(key) => {
                let ready = |act: &Act| act.stage == Stage::Ready && act.writes();
                self.act(&key, "its beginning", ready)?.stage = Stage::Begun;
            }
            Given::Observed { key, observation } => self.observed(&key, observation)?,
            Given::Decided { key, verdict } => self.decided(&key, verdict, &mut news)?,
            Given::Resumed => self.resumed(),
            Given::Waited => {}
        }
        self.spent.time = self.spent.time.saturating_add(took);
        self.settle(&mut news);
        Ok(news)
    }

    fn asking(&self, what: &'static str) -> Result<(), GiveError> {
        match self.top().phase {
            Phase::Asking => Ok(()),
            Phase::Acting(_) => Err(GiveError::NotNeeded(what)),
        }
    }

    /// The call on top with this key, where it is so.
    fn act(
        &mut self,
        key: &str,
        what: &'static str,
        is: impl Fn(&Act) -> bool,
    ) -> Result<&mut Act, GiveError> {
        let found = match &mut self.top_mut().phase {
            Phase::Acting(acts) => acts.iter_mut().find(|act| act.key == key && is(act)),
            Phase::Asking => None,
        };
        found.ok_or_else(|| GiveError::Key { key: key.to_owned(), what })
    }

    fn observed(&mut self, key: &str, observation: Observation) -> Result<(), GiveError> {
        let begun = |act: &Act| {
            if act.writes() { act.stage == Stage::Begun } else { act.stage == Stage::Ready }
        };
        let act = self.act(key, "an observation", begun)?;
        if let Outcome::Error(error) = &observation.outcome
            && error.leaves_doubt()
            && act.effect == Effect::Irreversible
        {
            act.stage = Stage::Doubt(error.to_string());
            self.spent.calls = self.spent.calls.saturating_add(1);
            return Ok(());
        }
        let mut text = clipped(observation.text.clone());
        let (tool, arguments) = (act.tool.clone(), act.arguments.clone());
        if act.edited {
            text =
                format!("(done with the arguments {arguments}, as the user changed them)\n{text}");
        }
        let (effect, key) = (act.effect, act.key.clone());
        act.stage = Stage::Answered { text: text.clone(), outside: true };
        self.top_mut().remember(&tool, &arguments, &text);
        self.spent.calls = self.spent.calls.saturating_add(1);
        if effect != Effect::Read {
            let observation = Some(observation);
            self.receipts.push(Receipt { key, tool, arguments, effect, observation });
        }
        Ok(())
    }

    fn decided(
        &mut self,
        key: &str,
        verdict: Verdict,
        news: &mut Vec<News>,
    ) -> Result<(), GiveError> {
        let tainted = self.tainted;
        let act = self.act(key, "a verdict", |act| act.question("", tainted).is_some())?;
        let wrong = || GiveError::Verdict { key: key.to_owned() };
        let why = act.question("", tainted).map(|question| question.why).ok_or_else(wrong)?;
        if !why.takes(&verdict) {
            return Err(wrong());
        }
        let doubt = matches!(act.stage, Stage::Doubt(_));
        match verdict {
            Verdict::Allow | Verdict::Repeat => act.stage = Stage::Ready,
            Verdict::Edit(arguments) if arguments.is_object() => {
                (act.arguments, act.edited, act.stage) = (arguments, true, Stage::Ready);
            }
            Verdict::Edit(_) => return Err(wrong()),
            Verdict::Deny(reason) => {
                let (tool, arguments) = (act.tool.clone(), act.arguments.clone());
                let why = if doubt {
                    format!("error: whether it was done is not known: {reason}. Do not do it again")
                } else {
                    format!("error: not allowed by the user: {reason}")
                };
                act.told(why.clone());
                self.top_mut().remember(&tool, &arguments, &why);
                if doubt {
                    self.leave(tool.clone(), arguments);
                }
                news.push(News::NotDone { tool, why });
            }
            Verdict::Happened(result) => {
                let receipt = Receipt {
                    key: act.key.clone(),
                    tool: act.tool.clone(),
                    arguments: act.arguments.clone(),
                    effect: act.effect,
                    observation: None,
                };
                act.told(result);
                self.receipts.push(receipt);
            }
        }
        Ok(())
    }

    /// A call that may have been done is left at that: no grant covers the same call from now on, also not
    /// one that was judged before.
    fn leave(&mut self, tool: String, arguments: Value) {
        if let Phase::Acting(acts) = &mut self.top_mut().phase {
            for act in acts.iter_mut() {
                if act.stage == Stage::Ready && act.tool == tool && act.arguments == arguments {
                    act.stage = Stage::Ask;
                }
            }
        }
        self.doubted.push((tool, arguments));
    }

    fn resumed(&mut self) {
        for frame in &mut self.frames {
            let Phase::Acting(acts) = &mut frame.phase else { continue };
            for act in acts.iter_mut().filter(|act| act.stage == Stage::Begun) {
                act.stage = match act.effect {
                    Effect::Irreversible => {
                        Stage::Doubt("the program ended before what came of it was kept".into())
                    }
                    // The same key again: who keeps to it does the thing once.
                    Effect::Write | Effect::Read => Stage::Ready,
                };
            }
        }
    }
}

fn clipped(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let mut end = TEXT_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
