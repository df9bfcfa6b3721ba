//! What an agent is expected to do on its way: which calls, in which order, with which arguments, and
//! how many at most. Judged over the messages of its conversation, whoever ran it.
//!
//! ```
//! use ondine_app::chat::{Message, ToolCall};
//! use ondine_app::expect::{Expect, Trajectory, call};
//! use serde_json::json;
//!
//! let turn = |id: &str, name: &str, arguments| Message {
//!     calls: vec![ToolCall { id: id.into(), name: name.into(), arguments }],
//!     ..Message::assistant("")
//! };
//! let run = Trajectory::of(&[
//!     Message::user("How long must green tea stand?"),
//!     turn("1", "search", json!({"query": "green tea", "k": 3})),
//!     Message::tool("1", "Two minutes."),
//!     Message::assistant("Two minutes."),
//! ]);
//! Expect::new()
//!     .in_order([call("search").with_pattern("query", "*tea*")])
//!     .never(["buy"])
//!     .most_calls(2)
//!     .check(&run)?;
//! # Ok::<(), ondine_app::expect::Unmet>(())
//! ```

mod matches;

use std::collections::BTreeMap;
use std::fmt;

use ondine_chat::{Message, Role, ToolCall};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use matches::Match;
pub(crate) use matches::{number, pattern, subset};

/// Characters of arguments that a complaint shows.
const SHOWN_MAX: usize = 200;

/// What somebody did, step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// The calls, in order.
    pub calls: Vec<Made>,
    /// How often the model spoke or called.
    pub turns: usize,
    /// What it said last.
    pub text: String,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The tool.
    pub name: String,
    /// With what.
    pub arguments: Value,
    /// What it gave, where that is known.
    pub result: Option<String>,
}

impl Trajectory {
    /// What the messages of a conversation tell.
    pub fn of(messages: &[Message]) -> Trajectory {
        let mut run = Trajectory::default();
        // Ids may be used again in a later turn: the latest call of an id is the one that is answered.
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for message in messages {
            match message.role {
                Role::Assistant => {
                    run.turns += 1;
                    if !message.text.is_empty() {
                        run.text.clone_from(&message.text);
                    }
                    for call in &message.calls {
                        open.insert(&call.id, run.calls.len());
                        run.push(call);
                    }
                }
                Role::Tool => {
                    let id = message.call_id.as_deref().unwrap_or_default();
                    let made = open.remove(id).and_then(|at| run.calls.get_mut(at));
                    if let Some(made) = made {
                        made.result = Some(message.text.clone());
                    }
                }
                Role::System | Role::User => {}
            }
        }
        run
    }

    fn push(&mut self, call: &ToolCall) {
        self.calls.push(Made {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            result: None,
        });
    }
}

/// A call that is expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The tool; `*` and `?` stand for any characters and any one.
    pub name: String,
    /// What its arguments are; those that are not named may be anything.
    #[serde(default)]
    pub arguments: BTreeMap<String, Match>,
}

/// A call of a tool with any arguments.
pub fn call(name: impl Into<String>) -> Call {
    Call { name: name.into(), arguments: BTreeMap::new() }
}

impl Call {
    /// An argument is exactly this; a text is compared without blanks around it.
    pub fn with(self, argument: impl Into<String>, value: impl Into<Value>) -> Call {
        self.that(argument, Match::Equals { equals: value.into() })
    }

    /// An argument's text fits a pattern: `*` stands for any characters, `?` for one.
    pub fn with_pattern(self, argument: impl Into<String>, pattern: impl Into<String>) -> Call {
        self.that(argument, Match::Pattern { pattern: pattern.into() })
    }

    /// An argument is as a [`Match`] says.
    pub fn that(mut self, argument: impl Into<String>, matching: Match) -> Call {
        self.arguments.insert(argument.into(), matching);
        self
    }

    fn fits(&self, made: &Made) -> bool {
        pattern(&self.name, &made.name)
            && self.arguments.iter().all(|(name, matching)| {
                matching.fits(made.arguments.get(name).unwrap_or(&Value::Null))
            })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (n, (name, matching)) in self.arguments.iter().enumerate() {
            write!(f, "{}{name}: {matching}", if n > 0 { ", " } else { "" })?;
        }
        write!(f, ")")
    }
}

/// What is expected of a run. All of it must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// These are made in this order; others may come between them.
    pub in_order: Vec<Call>,
    /// These are made, in any order; each needs a call of its own.
    pub any_order: Vec<Call>,
    /// None of these tools is called.
    pub never: Vec<String>,
    /// No calls but those of `in_order` and `any_order`.
    pub only: bool,
    /// Calls at most.
    pub most_calls: Option<usize>,
    /// Turns of the model at most.
    pub most_turns: Option<usize>,
    /// What it says last fits this.
    pub says: Option<Match>,
}

impl Expect {
    /// Nothing yet.
    pub fn new() -> Expect {
        Expect::default()
    }

    /// These are made in this order; others may come between them.
    pub fn in_order(mut self, calls: impl IntoIterator<Item = Call>) -> Expect {
        self.in_order.extend(calls);
        self
    }

    /// These are made, in any order; each needs a call of its own.
    pub fn any_order(mut self, calls: impl IntoIterator<Item = Call>) -> Expect {
        self.any_order.extend(calls);
        self
    }

    /// This is made.
    pub fn contains(self, call: Call) -> Expect {
        self.any_order([call])
    }

    /// None of these tools is called; `*` and `?` stand for any characters and any one.
    pub fn never<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Expect {
        self.never.extend(names.into_iter().map(Into::into));
        self
    }

    /// No calls but those that are expected.
    pub fn only(mut self) -> Expect {
        self.only = true;
        self
    }

    /// Calls at most.
    pub fn most_calls(mut self, most: usize) -> Expect {
        self.most_calls = Some(most);
        self
    }

    /// Turns of the model at most.
    pub fn most_turns(mut self, most: usize) -> Expect {
        self.most_turns = Some(most);
        self
    }

    /// What it says last.
    pub fn says(mut self, matching: Match) -> Expect {
        self.says = Some(matching);
        self
    }

    /// Holds a run against it.
    ///
    /// # Errors
    /// All that does not hold, and what was done instead.
    pub fn check(&self, run: &Trajectory) -> Result<(), Unmet> {
        let mut complaints = Vec::new();
        let mut rest = run.calls.iter();
        for (n, expected) in self.in_order.iter().enumerate() {
            if !rest.any(|made| expected.fits(made)) {
                let after = match n {
                    0 => String::new(),
                    _ => format!(" after {}", self.in_order[n - 1]),
                };
                complaints.push(format!("{expected} is not called{after}"));
                break;
            }
        }
        let unmatched = unmatched(&self.any_order, &run.calls);
        complaints.extend(unmatched.iter().map(|call| format!("{call} is not called")));
        for made in &run.calls {
            if self.never.iter().any(|never| pattern(never, &made.name)) {
                complaints.push(format!("{} is called, and never may be", made.name));
            }
            let expected = self.in_order.iter().chain(&self.any_order);
            if self.only && !expected.clone().any(|call| call.fits(made)) {
                complaints.push(format!("{} is called, and was not expected", made.name));
            }
        }
        let bound = |what: &str, is: usize, most: Option<usize>| {
            most.filter(|most| is > *most).map(|most| format!("{is} {what}; at most {most}"))
        };
        complaints.extend(bound("calls", run.calls.len(), self.most_calls));
        complaints.extend(bound("turns", run.turns, self.most_turns));
        if let Some(says) = &self.says
            && !says.fits(&Value::String(run.text.clone()))
        {
            complaints.push(format!("it ends with {:?}, which is not {says}", short(&run.text)));
        }
        match complaints.is_empty() {
            true => Ok(()),
            false => Err(Unmet { complaints, run: run.clone() }),
        }
    }
}

/// Those of the expected calls for which no call of their own is left: a largest matching, grown by
/// augmenting paths (Kuhn 1955), so that a vague expectation does not take a call away from a strict one.
fn unmatched<'a>(expected: &'a [Call], made: &[Made]) -> Vec<&'a Call> {
    fn place(
        at: usize,
        fits: &[Vec<usize>],
        taken: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        for &call in &fits[at] {
            if std::mem::replace(&mut seen[call], true) {
                continue;
            }
            if taken[call].is_none_or(|other| place(other, fits, taken, seen)) {
                taken[call] = Some(at);
                return true;
            }
        }
        false
    }
    let fits: Vec<Vec<usize>> = expected
        .iter()
        .map(|call| (0..made.len()).filter(|&at| call.fits(&made[at])).collect())
        .collect();
    let mut taken = vec![None; made.len()];
    let missing = (0..expected.len())
        .filter(|&at| !place(at, &fits, &mut taken, &mut vec![false; made.len()]));
    missing.map(|at| &expected[at]).collect()
}

/// What was expected and is not so.
#[derive(Clone, PartialEq)]
pub struct Unmet {
    /// What does not hold, one sentence each.
    pub complaints: Vec<String>,
    /// What was done instead.
    pub run: Trajectory,
}

impl std::error::Error for Unmet {}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the run is not as expected:")?;
        for complaint in &self.complaints {
            writeln!(f, "  - {complaint}")?;
        }
        write!(f, "it made {} calls in {} turns", self.run.calls.len(), self.run.turns)?;
        for (n, made) in self.run.calls.iter().enumerate() {
            let arguments = made.arguments.to_string();
            write!(f, "\n  {}. {}({})", n + 1, made.name, short(&arguments))?;
        }
        Ok(())
    }
}

/// The same, so that a test that ends with it can be read.
impl fmt::Debug for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
