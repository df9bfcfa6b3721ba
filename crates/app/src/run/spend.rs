//! What a run may cost, what it did cost, and why one ends without an answer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::Question;

/// What a run may cost: its own answers and those of everybody it asks, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Questions to a model.
    pub steps: Option<u32>,
    /// Tokens, of prompts and of answers.
    pub tokens: Option<u64>,
    /// Time in which it is driven; none passes while a person thinks.
    pub time: Option<Duration>,
    /// Calls of tools.
    pub calls: Option<u32>,
}

impl Default for Budget {
    /// 32 questions and 64 calls.
    fn default() -> Budget {
        Budget { steps: Some(32), tokens: None, time: None, calls: Some(64) }
    }
}

/// What a run did cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Questions to a model.
    pub steps: u32,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub answer_tokens: u64,
    /// Time in which it was driven.
    pub time: Duration,
    /// Calls of tools.
    pub calls: u32,
}

impl Spent {
    /// Tokens, of prompts and of answers.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.answer_tokens
    }

    /// Which bound is reached, where one is, for a run that would ask (or else call) next.
    pub(super) fn over(&self, budget: &Budget, asks: bool) -> Option<Stop> {
        let reached = |most: Option<u64>, spent: u64| most.is_some_and(|most| spent >= most);
        if budget.time.is_some_and(|most| self.time >= most) {
            return Some(Stop::Time);
        }
        if reached(budget.tokens, self.tokens()) && asks {
            return Some(Stop::Tokens);
        }
        if reached(budget.steps.map(u64::from), u64::from(self.steps)) && asks {
            return Some(Stop::Steps);
        }
        (reached(budget.calls.map(u64::from), u64::from(self.calls)) && !asks)
            .then_some(Stop::Calls)
    }
}

/// Why a run ended without an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stop {
    /// As many questions to a model as it may ask.
    #[error("all its steps are taken")]
    Steps,
    /// As many tokens as it may use.
    #[error("all its tokens are used")]
    Tokens,
    /// As long as it may take.
    #[error("its time is over")]
    Time,
    /// As many calls as it may make.
    #[error("all its calls are made")]
    Calls,
    /// The model could not be brought to say something that can be read.
    #[error("the model says what cannot be read: {0}")]
    Malformed(String),
    /// The model does the same again and again, though it was told.
    #[error("it goes round in circles: {0}")]
    Loop(String),
    /// The plan failed, and so did those made after it.
    #[error("no plan of it works: {0}")]
    Plan(String),
    /// The model cannot answer at all.
    #[error("the model cannot answer: {0}")]
    Model(String),
}

/// An end without an answer, and what there was by then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Why it ended.
    pub why: Stop,
    /// The last words of the model, or what the last call gave: what was reached.
    pub reached: String,
    /// Calls that cannot be taken back and of which nobody knows whether they were done.
    pub in_doubt: Vec<Question>,
}
