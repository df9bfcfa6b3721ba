//! One call on its way: whether it may be done, whether it was begun, and what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{Question, Why};
use crate::tool::{Effect, Observation};

/// A call that is to be performed.
#[derive(Clone, Debug, PartialEq)]
pub struct ToDo {
    /// The same for every try of this call, and no other's.
    pub key: String,
    /// Place in the cast of who calls.
    pub role: usize,
    /// The tool.
    pub tool: String,
    /// What it is given.
    pub arguments: Value,
    /// What it changes.
    pub effect: Effect,
}

/// What was done that changes something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which call.
    pub key: String,
    /// The tool.
    pub tool: String,
    /// What it was given.
    pub arguments: Value,
    /// What it changes.
    pub effect: Effect,
    /// What came of it; `None` where a person says that it happened.
    pub observation: Option<Observation>,
}

/// A call on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Act {
    pub key: String,
    pub tool: String,
    pub arguments: Value,
    pub effect: Effect,
    /// A person changed the arguments.
    pub edited: bool,
    pub stage: Stage,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// A person has to allow it.
    Ask,
    /// It may be performed.
    Ready,
    /// It is known to have been begun.
    Begun,
    /// It was begun, and what came of it is not known.
    Doubt(String),
    /// A friend has to be asked, or is being asked.
    Phone(usize),
    /// This came of it. What came from outside is marked before a model sees it.
    Answered { text: String, outside: bool },
}

impl Act {
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.stage, Stage::Answered { .. })
    }

    pub(super) fn writes(&self) -> bool {
        self.effect != Effect::Read
    }

    /// Answered by the run itself.
    pub(super) fn told(&mut self, text: impl Into<String>) {
        self.stage = Stage::Answered { text: text.into(), outside: false };
    }

    pub(super) fn to_do(&self, role: usize) -> ToDo {
        ToDo {
            key: self.key.clone(),
            role,
            tool: self.tool.clone(),
            arguments: self.arguments.clone(),
            effect: self.effect,
        }
    }

    /// What a person has to decide about it, where one has to.
    pub(super) fn question(&self, agent: &str, tainted: bool) -> Option<Question> {
        let why = match &self.stage {
            Stage::Ask => Why::NotGranted,
            Stage::Doubt(why) => Why::InDoubt(why.clone()),
            _ => return None,
        };
        Some(Question {
            key: self.key.clone(),
            agent: agent.to_owned(),
            tool: self.tool.clone(),
            arguments: self.arguments.clone(),
            effect: self.effect,
            why,
            tainted,
        })
    }
}
