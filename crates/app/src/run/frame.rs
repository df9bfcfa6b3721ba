//! One conversation of a run: whose it is, what was said in it, and where it stands.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::Role;
use super::act::Act;
use super::plan::Plan;

/// How many of the last calls are compared.
const RECENT: usize = 24;
/// So many times the same call may give the same result before the model is told.
pub(super) const REPEATS_TOLD: usize = 3;
/// So many times it may be asked for before the run ends.
pub(super) const REPEATS_MAX: usize = 5;

/// One conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    /// Its keys begin so.
    pub id: String,
    /// Place in the cast of who speaks.
    pub role: usize,
    pub of: Of,
    pub turns: Vec<Turn>,
    pub phase: Phase,
    /// Answers of the model so far.
    pub step: u32,
    /// Answers in a row that could not be read.
    pub malformed: u32,
    /// The last calls and what came of them.
    recent: Vec<(u64, u64)>,
    /// To whom the conversation goes when the calls of this turn are done.
    pub heir: Option<usize>,
    pub plan: Option<Plan>,
}

/// What a conversation is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Of {
    /// What the run was begun for.
    Task,
    /// The call with this key of the conversation below.
    Friend(String),
    /// A step of the plan of the conversation below.
    Step,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// The model's turn.
    Asking,
    /// Its calls are being done.
    Acting(Vec<Act>),
}

/// What stands in a conversation, before it is put into a model's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Turn {
    /// What is wanted.
    Wanted(String),
    /// What the model said, and what it called: key, tool, arguments.
    Said { text: String, calls: Vec<(String, String, Value)> },
    /// What came of a call.
    Saw { key: String, tool: String, text: String, outside: bool },
    /// What the run tells the model.
    Told(String),
}

impl Frame {
    pub(super) fn new(id: String, place: usize, role: &Role, of: Of, task: String) -> Frame {
        let plan = (role.plans && of != Of::Step).then(Plan::default);
        Frame {
            id,
            role: place,
            of,
            turns: vec![Turn::Wanted(task)],
            phase: Phase::Asking,
            step: 0,
            malformed: 0,
            recent: Vec::new(),
            heir: None,
            plan,
        }
    }

    /// How often in a row, of the times that it was called lately, this call gave what it gave last.
    pub(super) fn repeats(&self, tool: &str, arguments: &Value) -> usize {
        let call = fingerprint(tool, arguments);
        let mut same = self.recent.iter().rev().filter(|(was, _)| *was == call).map(|(_, r)| r);
        let Some(last) = same.next() else { return 0 };
        1 + same.take_while(|result| *result == last).count()
    }

    pub(super) fn remember(&mut self, tool: &str, arguments: &Value, result: &str) {
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push((fingerprint(tool, arguments), xxh3_64(result.as_bytes())));
    }

    /// A call that was not done again counts as one with the same result.
    pub(super) fn remember_again(&mut self, tool: &str, arguments: &Value) {
        let call = fingerprint(tool, arguments);
        if let Some(&last) = self.recent.iter().rev().find(|(was, _)| *was == call) {
            if self.recent.len() == RECENT {
                self.recent.remove(0);
            }
            self.recent.push(last);
        }
    }

    /// The last words in it, for who wants to know how far it came.
    pub(super) fn reached(&self) -> String {
        let words = self.turns.iter().rev().find_map(|turn| match turn {
            Turn::Said { text, .. } if !text.trim().is_empty() => Some(text.clone()),
            Turn::Saw { tool, text, .. } => Some(format!("{tool}: {text}")),
            _ => None,
        });
        words.unwrap_or_default()
    }
}

/// Of a call. Two objects with the same members in another order are the same call.
fn fingerprint(tool: &str, arguments: &Value) -> u64 {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(map) => {
                let mut members: Vec<_> = map.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                out.push('{');
                for (name, value) in members {
                    out.push_str(&Value::from(name.as_str()).to_string());
                    write(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                items.iter().for_each(|item| {
                    write(item, out);
                    out.push(',');
                });
                out.push(']');
            }
            plain => out.push_str(&plain.to_string()),
        }
    }
    let mut text = format!("{tool}\0");
    write(arguments, &mut text);
    xxh3_64(text.as_bytes())
}
