//! How good a program with a model in it is: cases, scorers, scores with intervals, and bars that a test
//! fails under. It runs as any test does, with `cargo test`, on whatever model the program has.
//!
//! ```
//! use std::sync::Arc;
//! use ondine_app::eval::{Case, Eval, contains};
//! use ondine_app::{Llm, Reply, ScriptedModel};
//!
//! let llm = Llm::new(Arc::new(ScriptedModel::by(|_| Ok(Reply::text("It is Paris.")))));
//! let report = Eval::new([
//!     Case::new("What is the capital of France?").expecting("Paris"),
//!     Case::new("And where is the Louvre?").expecting("Paris").tagged("museums"),
//! ])
//! .scored_by(contains())
//! .at_least("contains", 0.9)
//! .run(&llm.asked_plainly());
//! report.holds()?;
//! assert_eq!(report.scores[0].mean, 1.0);
//! // Two of two is not much: the truth may be as low as 0.34.
//! assert!(report.scores[0].low < 0.35);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `score` | what an answer is held against |
//! | `judge` | a model as a judge, whose verdict is decoded under a schema |
//! | `interval` | how sure a figure is |
//! | `report` | figures, tables, bars, and two models side by side |
//! | `plan` | an evaluation as a file describes it |

mod interval;
mod judge;
mod plan;
mod report;
mod score;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use ondine_chat::{Answer, Message, Request, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::expect::{Expect, Trajectory};
use crate::llm::Llm;
use crate::tool::Cancel;

pub use interval::{Interval, bootstrap, sign_test, wilson};
pub use judge::{Judge, judge};
pub use plan::{Plan, PlanError};
pub use report::{Comparison, Graded, Outcome, Report, Row, Shortfall, Summary, TagRow};
pub use score::{
    Score, Scorer, calls, contains, equal_json, exact, expected, like, near, subset_json,
    trajectory,
};

/// Cases of a data set. More is a mistake, or a file that is not one.
pub const CASES_MAX: usize = 1 << 20;

/// Something to ask, and what would be right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// What it is called in reports; its number where nothing is said.
    pub id: String,
    /// What is asked.
    pub input: Input,
    /// What is right, where there is such a thing: text, a number, an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// What is expected of the way there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Expect>,
    /// What kinds of case it is of: reports have a row for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// A question.
    Text(String),
    /// A conversation.
    Messages(Vec<Message>),
}

impl Default for Input {
    fn default() -> Input {
        Input::Text(String::new())
    }
}

impl Case {
    /// A question.
    pub fn new(input: impl Into<String>) -> Case {
        Case { input: Input::Text(input.into()), ..Case::default() }
    }

    /// What is right.
    pub fn expecting(mut self, expected: impl Into<Value>) -> Case {
        self.expected = Some(expected.into());
        self
    }

    /// What is expected of the way there.
    pub fn calling(mut self, calls: Expect) -> Case {
        self.calls = Some(calls);
        self
    }

    /// What kind of case it is.
    pub fn tagged(mut self, tag: impl Into<String>) -> Case {
        self.tags.push(tag.into());
        self
    }

    /// The conversation that is asked.
    pub fn messages(&self) -> Vec<Message> {
        match &self.input {
            Input::Text(text) => vec![Message::user(text.as_str())],
            Input::Messages(messages) => messages.clone(),
        }
    }
}

/// Reads cases, one JSON object a line: `input`, and what of `expected`, `calls`, `tags` and `id` there is.
///
/// # Errors
/// The file cannot be read, or a line is no case; the error names the line.
pub fn cases(path: impl AsRef<Path>) -> Result<Vec<Case>, PlanError> {
    let path = path.as_ref();
    let text = std::fs::read_to_string(path)
        .map_err(|error| PlanError::new(path.display().to_string(), error.to_string()))?;
    plan::lines(&text).map_err(|error| error.within(&path.display().to_string()))
}

/// What a program made of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// The answer.
    pub text: String,
    /// The way there.
    pub run: Trajectory,
    /// What it cost.
    pub usage: Usage,
}

impl From<&str> for Said {
    fn from(text: &str) -> Said {
        Said { text: text.to_owned(), ..Said::default() }
    }
}

impl From<String> for Said {
    fn from(text: String) -> Said {
        Said { text, ..Said::default() }
    }
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Said {
        let run = Trajectory::of(&[answer.message()]);
        Said { run, usage: answer.usage, text: answer.text }
    }
}

impl From<&[Message]> for Said {
    /// A whole run: its last words, and its calls.
    fn from(messages: &[Message]) -> Said {
        let run = Trajectory::of(messages);
        Said { text: run.text.clone(), run, usage: Usage::default() }
    }
}

impl Llm {
    /// What an evaluation runs where the program is the model alone: each case is one request.
    pub fn asked_plainly(&self) -> impl Fn(&Case) -> Result<Said, Error> + Sync + use<> {
        let llm = self.clone();
        move |case| Ok(llm.answer(Request::new("", case.messages()))?.into())
    }
}

/// How far an evaluation is: cases that are done, of how many.
type Watch = dyn Fn(usize, usize) + Send + Sync;

/// Cases, and how they are judged.
pub struct Eval {
    cases: Vec<Case>,
    scorers: Vec<Arc<dyn Scorer>>,
    bars: Vec<Bar>,
    parallel: usize,
    watch: Option<Box<Watch>>,
    cancel: Cancel,
}

/// What a figure must reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// The name of a scorer.
    pub score: String,
    /// The least that is enough.
    pub at_least: f64,
    /// Whether the interval's lower end must reach it, not the figure alone.
    #[serde(default)]
    pub surely: bool,
    /// Of cases with this tag alone.
    #[serde(default)]
    pub tag: Option<String>,
}

impl Eval {
    /// These cases. Nothing judges them yet.
    pub fn new(cases: impl IntoIterator<Item = Case>) -> Eval {
        let number = |(n, case): (usize, Case)| match case.id.is_empty() {
            true => Case { id: (n + 1).to_string(), ..case },
            false => case,
        };
        Eval {
            cases: cases.into_iter().enumerate().map(number).collect(),
            scorers: Vec::new(),
            bars: Vec::new(),
            parallel: 1,
            watch: None,
            cancel: Cancel::default(),
        }
    }

    /// Judged by this too.
    pub fn scored_by(mut self, scorer: impl Scorer + 'static) -> Eval {
        self.scorers.push(Arc::new(scorer));
        self
    }

    /// A figure must be at least this, or the report does not hold.
    pub fn at_least(self, score: impl Into<String>, at_least: f64) -> Eval {
        self.bar(Bar { score: score.into(), at_least, surely: false, tag: None })
    }

    /// The lower end of a figure's interval must be at least this: more cases are needed for it.
    pub fn surely_at_least(self, score: impl Into<String>, at_least: f64) -> Eval {
        self.bar(Bar { score: score.into(), at_least, surely: true, tag: None })
    }

    /// A bar of any kind.
    pub fn bar(mut self, bar: Bar) -> Eval {
        self.bars.push(bar);
        self
    }

    /// So many cases at a time. The report is in the order of the cases all the same.
    pub fn parallel(mut self, cases: usize) -> Eval {
        self.parallel = cases.clamp(1, 256);
        self
    }

    /// Is told after each case how many are done, and of how many.
    pub fn watched(mut self, watch: impl Fn(usize, usize) + Send + Sync + 'static) -> Eval {
        self.watch = Some(Box::new(watch));
        self
    }

    /// Stops between two cases when nobody waits any more; the rest count as not run.
    pub fn stopped_by(mut self, cancel: Cancel) -> Eval {
        self.cancel = cancel;
        self
    }

    /// Runs a program on every case and judges what it says. A case on which the program fails or panics
    /// has the score 0 everywhere: it did not answer.
    pub fn run(&self, program: &(impl Fn(&Case) -> Result<Said, Error> + Sync)) -> Report {
        let slots: Vec<Mutex<Option<Outcome>>> =
            self.cases.iter().map(|_| Mutex::new(None)).collect();
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // Threads of ours are heard by whoever listens to the one that asked.
        let listener = tracing::dispatcher::get_default(Clone::clone);
        let span = tracing::Span::current();
        let work = || loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = self.cases.get(at).filter(|_| !self.cancel.is_set()) else { return };
            let outcome = span.in_scope(|| self.one(case, program));
            *slots[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(watch) = &self.watch {
                watch(done, self.cases.len());
            }
        };
        let work = || tracing::dispatcher::with_default(&listener, work);
        match self.parallel.min(self.cases.len()) {
            0 | 1 => work(),
            threads => thread::scope(|scope| {
                for _ in 1..threads {
                    scope.spawn(work);
                }
                work();
            }),
        }
        let outcomes = slots.into_iter().zip(&self.cases).map(|(slot, case)| {
            let outcome = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
            outcome.unwrap_or_else(|| self.failed(case, "not run", 0.0))
        });
        let names = self.scorers.iter().map(|scorer| scorer.name().to_owned()).collect();
        Report::new(names, outcomes.collect(), self.bars.clone())
    }

    fn one(
        &self,
        case: &Case,
        program: &(impl Fn(&Case) -> Result<Said, Error> + Sync),
    ) -> Outcome {
        let began = Instant::now();
        let said = catch_unwind(AssertUnwindSafe(|| program(case)));
        let took_s = began.elapsed().as_secs_f64();
        let said = match said {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => return self.failed(case, &error.to_string(), took_s),
            Err(_) => return self.failed(case, "the program panicked", took_s),
        };
        let grade = |scorer: &Arc<dyn Scorer>| {
            let score = catch_unwind(AssertUnwindSafe(|| scorer.score(case, &said)));
            match score {
                Ok(Ok(score)) => {
                    Graded { value: score.value.clamp(0.0, 1.0), why: score.why, judged: true }
                }
                Ok(Err(error)) => Graded::none(format!("not judged: {error}")),
                Err(_) => Graded::none("the scorer panicked".into()),
            }
        };
        let grades = self.scorers.iter().map(grade).collect();
        Outcome { case: case.clone(), said: Some(said), error: None, grades, took_s }
    }

    fn failed(&self, case: &Case, error: &str, took_s: f64) -> Outcome {
        let grade = Graded::none(error.to_owned());
        let grades = vec![grade; self.scorers.len()];
        Outcome { case: case.clone(), said: None, error: Some(error.to_owned()), grades, took_s }
    }
}
