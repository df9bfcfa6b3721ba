//! A run of an agent as a value: what was said and done, what is needed next, and nothing that happens
//! by itself.
//!
//! [`Run::next`] says what is needed; [`Run::give`] is told what came of it. In between the value can be
//! written down, sent elsewhere and read again: it holds no model, no tool, no file and no clock. The
//! same givings in the same order make the same run, which is what its journal relies on. Whether a call
//! may be done is decided in here, by the grants it was begun with and by people's verdicts: whoever
//! drives a run cannot be told to perform anything else.
//!
//! A run is a stack of *frames*, each a conversation with one role: the task at the bottom, a friend
//! that was phoned or a step of a plan above it. Budgets, grants and receipts are the run's, so that
//! nobody gets more of them by asking somebody else.

mod act;
mod diary;
mod fits;
mod frame;
mod give;
mod plan;
mod react;
mod render;
mod spend;

pub use act::{Receipt, ToDo};
pub use diary::Diary;
pub use give::{GiveError, Given, News};
pub use spend::{Budget, Failure, Spent, Stop};

use std::hash::{BuildHasher, RandomState};

use ondine_chat::{Overflow, Request, Sampling};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::policy::{Policy, Question};
use crate::tool::ToolSpec;
use act::{Act, Stage};
use frame::{Frame, Of, Phase};

/// The form of runs that this program writes and reads.
const VERSION: u32 = 1;

/// A run of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// First, so that a run of another version is refused before anything else in it is read.
    version: Version,
    id: String,
    cast: Vec<Role>,
    policy: Policy,
    budget: Budget,
    spent: Spent,
    /// What strangers may have written stands in the conversation.
    tainted: bool,
    /// Irreversible calls that may have been done, and were left at that.
    doubted: Vec<(String, Value)>,
    receipts: Vec<Receipt>,
    frames: Vec<Frame>,
    /// How often the conversation was handed over.
    hands: u32,
    end: Option<Result<String, Failure>>,
}

/// Somebody in a run: what a model is told to be, and what it may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Letters, digits, `_` and `-`: others call it by this.
    pub name: String,
    /// The system's turn, in the application's words.
    pub brief: String,
    /// How it says what it wants done.
    pub manner: Manner,
    /// Whether it makes a plan first and has each step of it done.
    pub plans: bool,
    /// What it may call.
    pub tools: Vec<ToolSpec>,
    /// Roles that it may ask something and gets an answer from.
    pub phones: Vec<String>,
    /// Roles that it may hand the conversation to.
    pub hands_to: Vec<String>,
    /// Whether its words are held to a grammar where they have a form.
    pub constrained: bool,
    /// How its tokens are chosen.
    pub sampling: Sampling,
    /// Tokens of one of its answers at most.
    pub max_tokens: Option<usize>,
    /// What happens when the conversation outgrows the model.
    pub overflow: Overflow,
}

/// How a model says what it wants done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    /// As calls of tools, for models that were trained on them.
    #[default]
    Calls,
    /// As text: `Thought:`, `Action:`, `Action Input:`, `Final Answer:` (ReAct, Yao and others 2022), for
    /// models that were not.
    Text,
}

/// What a run needs in order to go on.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// This is to be asked of the model of the role with this number.
    Model {
        /// Place in the cast.
        role: usize,
        /// What is asked.
        request: Box<Request>,
    },
    /// These calls are to be performed: several only where all of them read. One that does not read has
    /// to be given as [`Given::Begun`] before it is performed.
    Calls(Vec<ToDo>),
    /// A person has to decide these.
    Human(Vec<Question>),
    /// A call was begun and nothing is known of what came of it: [`Given::Resumed`], where whoever began it
    /// is not there any more.
    Resume,
    /// Nothing: this is the answer.
    Done(String),
    /// Nothing: it ended without.
    Failed(Failure),
}

impl Role {
    /// A role with no tools, which answers in calls.
    pub fn new(name: impl Into<String>, brief: impl Into<String>) -> Role {
        Role {
            name: name.into(),
            brief: brief.into(),
            manner: Manner::default(),
            plans: false,
            tools: Vec::new(),
            phones: Vec::new(),
            hands_to: Vec::new(),
            constrained: true,
            sampling: Sampling::default(),
            max_tokens: None,
            overflow: Overflow::default(),
        }
    }
}

impl Run {
    /// A run of the first role of a cast, which is not empty.
    ///
    /// ```
    /// use ondine_app::run::{Given, Need, Role};
    /// use ondine_app::{Budget, Policy, Run};
    ///
    /// let cast = vec![Role::new("poet", "You write one line.")];
    /// let mut run = Run::new("run-1", cast, Policy::default(), Budget::default(), "The sea.");
    /// let Need::Model { request, .. } = run.next() else { panic!() };
    /// // Whatever a model says to the request is given; the run may be written down before and after.
    /// let written = serde_json::to_string(&run)?;
    /// let mut run: Run = serde_json::from_str(&written)?;
    /// run.give(Given::said("It never repeats itself."), Default::default())?;
    /// assert_eq!(run.next(), Need::Done("It never repeats itself.".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        id: impl Into<String>,
        cast: Vec<Role>,
        policy: Policy,
        budget: Budget,
        task: impl Into<String>,
    ) -> Run {
        assert!(!cast.is_empty(), "a run needs a role");
        let id = id.into();
        let first = Frame::new(id.clone(), 0, &cast[0], Of::Task, task.into());
        Run {
            version: Version,
            id,
            cast,
            policy,
            budget,
            spent: Spent::default(),
            tainted: false,
            doubted: Vec::new(),
            receipts: Vec::new(),
            frames: vec![first],
            hands: 0,
            end: None,
        }
    }

    /// What it needs in order to go on.
    pub fn next(&self) -> Need {
        self.need(None)
    }

    /// The same, where a model that is to be asked is shown these of its role's own tools, in this order.
    /// It may call the others too: what is shown saves its window, and forbids nothing.
    pub fn next_showing(&self, tools: &[String]) -> Need {
        self.need(Some(tools))
    }

    fn need(&self, shown: render::Shown<'_>) -> Need {
        match &self.end {
            Some(Ok(answer)) => return Need::Done(answer.clone()),
            Some(Err(failure)) => return Need::Failed(failure.clone()),
            None => {}
        }
        let frame = self.top();
        match &frame.phase {
            Phase::Asking => {
                let mut request = render::request(frame, &self.cast, shown);
                let left = self.budget.tokens.map(|most| most.saturating_sub(self.spent.tokens()));
                let left = left.map(|left| usize::try_from(left).unwrap_or(usize::MAX).max(1));
                request.max_tokens = [request.max_tokens, left].into_iter().flatten().min();
                Need::Model { role: frame.role, request: Box::new(request) }
            }
            Phase::Acting(acts) => self.acting(frame, acts),
        }
    }

    fn acting(&self, frame: &Frame, acts: &[Act]) -> Need {
        let most = self.budget.calls.map_or(u32::MAX, |most| most.saturating_sub(self.spent.calls));
        let mut todo: Vec<ToDo> = Vec::new();
        for act in acts.iter().skip_while(|act| act.is_answered()) {
            match &act.stage {
                Stage::Begun => return Need::Resume,
                // What writes is done alone, in its turn.
                Stage::Ready if act.writes() && todo.is_empty() => {
                    return Need::Calls(vec![act.to_do(frame.role)]);
                }
                Stage::Ready if !act.writes() && todo.len() < most as usize => {
                    todo.push(act.to_do(frame.role));
                }
                Stage::Answered { .. } => {}
                _ => break,
            }
        }
        if todo.is_empty() { Need::Human(self.questions()) } else { Need::Calls(todo) }
    }

    /// What people have to decide, now or once the calls before are done.
    pub fn questions(&self) -> Vec<Question> {
        let frame = self.top();
        let Phase::Acting(acts) = &frame.phase else { return Vec::new() };
        let agent = &self.cast[frame.role].name;
        acts.iter().filter_map(|act| act.question(agent, self.tainted)).collect()
    }

    /// What it is called; its keys begin so.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it was begun for.
    pub fn task(&self) -> &str {
        let first = self.frames[0].turns.first();
        first.map_or("", |turn| match turn {
            frame::Turn::Wanted(task) => task.as_str(),
            _ => "",
        })
    }

    /// Who is in it.
    pub fn cast(&self) -> &[Role] {
        &self.cast
    }

    /// What it cost so far.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// What it may cost.
    pub fn budget(&self) -> Budget {
        self.budget
    }

    /// What was done that changes something, in order.
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }

    /// Who speaks now.
    pub fn speaker(&self) -> &str {
        &self.cast[self.top().role].name
    }

    /// The conversation on top, as its model is shown it.
    pub fn messages(&self) -> Vec<ondine_chat::Message> {
        render::messages(self.top(), &self.cast, None)
    }

    /// Whether a call was begun of which it is not known what came of it: whoever goes on with the run
    /// gives [`Given::Resumed`] first.
    pub fn is_interrupted(&self) -> bool {
        self.frames.iter().any(|frame| match &frame.phase {
            Phase::Acting(acts) => acts.iter().any(|act| act.stage == Stage::Begun),
            Phase::Asking => false,
        })
    }

    /// A run has a frame from its beginning to its end, and after it.
    fn top(&self) -> &Frame {
        &self.frames[self.frames.len() - 1]
    }

    fn top_mut(&mut self) -> &mut Frame {
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }
}

/// An id that no other run has: random keys of this process, the time it is, and a counter.
pub(crate) fn fresh_id(now: std::time::Duration) -> String {
    let random = RandomState::new().hash_one(now);
    format!("run-{:x}-{random:016x}", now.as_millis())
}

/// Stands for [`VERSION`]; reads nothing else.
#[derive(Clone, Debug, PartialEq)]
struct Version;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Version, D::Error> {
        match u32::deserialize(from)? {
            VERSION => Ok(Version),
            other => Err(serde::de::Error::custom(format!(
                "a run of version {other}; this program reads version {VERSION}"
            ))),
        }
    }
}
