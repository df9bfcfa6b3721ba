//! The small steps: a function, a question to a model, a typed answer, a tool, passages.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ondine_chat as chat;
use ondine_chat::{Answer, ChatError, Format, Message, Request, ToolCall};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ChainError, StepError};
use super::scope::{Live, Scope};
use super::shape::{Kind, Shape};
use super::step::Step;
use crate::llm::Llm;
use crate::retrieve::{Hit, Retrieve};
use crate::tool::{Bounds, Context, Effect, Outcome, Tool, perform};
use crate::trace;

/// A function as a step.
pub struct Func<F, I, O> {
    name: String,
    effect: Effect,
    function: F,
    types: PhantomData<fn(I) -> O>,
}

/// A function as a step: what it gives is kept, and it does not run again. A function that changes
/// something says so with [`Func::effect`]; one that is told more than its input is made with
/// [`Func::live`].
pub fn step<I, O, E, F>(
    name: &str,
    function: F,
) -> Func<impl Fn(I, &mut Live<'_>) -> Result<O, StepError> + Send + Sync + use<I, O, E, F>, I, O>
where
    F: Fn(I) -> Result<O, E> + Send + Sync,
    E: Into<StepError>,
{
    Func::live(name, move |input: I, _: &mut Live<'_>| function(input).map_err(Into::into))
}

impl<F, I, O> Func<F, I, O> {
    /// A function that tells what it does, hears when nobody waits any more, or needs the step's key.
    pub fn live(name: impl Into<String>, function: F) -> Func<F, I, O>
    where
        F: Fn(I, &mut Live<'_>) -> Result<O, StepError> + Send + Sync,
    {
        Func { name: name.into(), effect: Effect::Read, function, types: PhantomData }
    }

    /// What it changes. What cannot be taken back is never done twice: see [`ChainError::Doubt`].
    pub fn effect(mut self, effect: Effect) -> Func<F, I, O> {
        self.effect = effect;
        self
    }
}

impl<F, I, O> Step for Func<F, I, O>
where
    I: Serialize + Send,
    O: Serialize + DeserializeOwned + Send,
    F: Fn(I, &mut Live<'_>) -> Result<O, StepError> + Send + Sync,
{
    type Input = I;
    type Output = O;

    fn run(&self, input: I, scope: &mut Scope<'_>) -> Result<O, ChainError> {
        leaf(scope, &self.name, self.effect, input, |input, live| (self.function)(input, live))
    }

    fn shape(&self) -> Shape {
        Shape::step(&self.name, Kind::Function, self.effect)
    }
}

/// A leaf that takes its input whole.
fn leaf<I: Serialize, O: Serialize + DeserializeOwned>(
    scope: &mut Scope<'_>,
    name: &str,
    effect: Effect,
    input: I,
    work: impl FnOnce(I, &mut Live<'_>) -> Result<O, StepError>,
) -> Result<O, ChainError> {
    // The digest is taken before the work begins, so the value can be moved into it.
    let value = serde_json::to_value(&input)
        .map_err(|error| ChainError::Value { path: name.to_owned(), what: error.to_string() })?;
    scope.leaf(name, effect, &value, |live| work(input, live))
}

/// A question to a model.
pub struct Ask<I, O> {
    name: String,
    llm: Llm,
    request: Box<dyn Fn(&I) -> Request + Send + Sync>,
    change: Option<fn(&mut Request)>,
    read: fn(Answer) -> Result<O, StepError>,
    kind: Kind,
}

/// Asks a model, with a prompt that a function makes of the input, and gives the words of its answer.
/// They are told as they come.
pub fn ask<I>(
    name: impl Into<String>,
    llm: &Llm,
    prompt: impl Fn(&I) -> String + Send + Sync + 'static,
) -> Ask<I, String> {
    Ask {
        name: name.into(),
        llm: llm.clone(),
        request: Box::new(move |input| Request::new("", [Message::user(prompt(input))])),
        change: None,
        read: |answer| Ok(answer.text),
        kind: Kind::Model,
    }
}

/// The same for a typed answer: it is decoded under a JSON Schema, and read into `O`.
pub fn typed<I, O: DeserializeOwned>(
    name: impl Into<String>,
    llm: &Llm,
    schema: Value,
    prompt: impl Fn(&I) -> String + Send + Sync + 'static,
) -> Ask<I, O> {
    let request = move |input: &I| {
        let request = Request::new("", [Message::user(prompt(input))]);
        Request { format: Format::Schema(schema.clone()), ..request }
    };
    Ask {
        name: name.into(),
        llm: llm.clone(),
        request: Box::new(request),
        change: None,
        read: |answer| {
            serde_json::from_str(&answer.text).map_err(|error| StepError::Answer(error.to_string()))
        },
        kind: Kind::Typed,
    }
}

impl<I, O> Ask<I, O> {
    /// Changes the request before it is asked: a system's words, how a token is chosen.
    pub fn with(mut self, change: fn(&mut Request)) -> Ask<I, O> {
        self.change = Some(change);
        self
    }
}

impl<I, O> Step for Ask<I, O>
where
    I: Serialize + Send,
    O: Serialize + DeserializeOwned + Send,
{
    type Input = I;
    type Output = O;

    fn run(&self, input: I, scope: &mut Scope<'_>) -> Result<O, ChainError> {
        leaf(scope, &self.name, Effect::Read, input, |input, live| {
            let mut request = (self.request)(&input);
            if let Some(change) = self.change {
                change(&mut request);
            }
            (self.read)(answer(&self.llm, request, live)?)
        })
    }

    fn shape(&self) -> Shape {
        Shape::step(&self.name, self.kind, Effect::Read)
    }
}

/// How long a caller who stops waiting may have to wait for that.
const GLANCE: Duration = Duration::from_millis(20);

/// The answer to a request; its words are told as they come, and it ends where nobody waits any more.
pub(crate) fn answer(
    llm: &Llm,
    request: Request,
    live: &mut Live<'_>,
) -> Result<Answer, StepError> {
    let request = llm.ready(request);
    let span = trace::chat(&request);
    let cancel = live.cancel().clone();
    let (events, came) = mpsc::channel();
    let stop = cancel.clone();
    let sink = Box::new(move |event| !stop.is_set() && events.send(event).is_ok());
    span.in_scope(|| llm.chat().start(request, sink))?;
    let (mut text, mut calls, mut logprobs) = (String::new(), Vec::new(), Vec::new());
    loop {
        match came.recv_timeout(GLANCE) {
            Ok(chat::Event::Text { text: piece, logprobs: tokens }) => {
                text.push_str(&piece);
                logprobs.extend(tokens);
                live.text(piece);
            }
            Ok(chat::Event::Call(call)) => calls.push(call),
            Ok(chat::Event::Finished { reason, usage }) => {
                let answer = Answer { text, calls, logprobs, reason, usage };
                trace::answered(&span, &answer);
                return Ok(answer);
            }
            Ok(chat::Event::Failed(error)) => return Err(error.into()),
            Ok(_) => {}
            Err(_) if cancel.is_set() => return Err(StepError::Cancelled),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(ChatError::Internal("the answer has no end".into()).into());
            }
        }
    }
}

/// A tool as a step: arguments in, what a model would be shown out. The tool's name and effect are the
/// step's.
pub struct Given {
    tool: Arc<dyn Tool>,
    bounds: Bounds,
}

/// A tool as a step: its arguments in, what a model would be shown out.
pub fn tool(tool: Arc<dyn Tool>) -> Given {
    Given { tool, bounds: Bounds::default() }
}

impl Given {
    /// Other bounds.
    pub fn bounds(mut self, bounds: Bounds) -> Given {
        self.bounds = bounds;
        self
    }
}

impl Step for Given {
    type Input = Value;
    type Output = String;

    fn run(&self, input: Value, scope: &mut Scope<'_>) -> Result<String, ChainError> {
        let spec = self.tool.spec();
        leaf(scope, &spec.name, spec.effect, input, |arguments, live| {
            let id = live.key().to_owned();
            let context = Context { key: id.clone(), cancel: live.cancel().clone() };
            let call = ToolCall { id, name: spec.name.clone(), arguments };
            let seen = perform(&self.tool, &call, &context, self.bounds);
            match seen.outcome {
                Outcome::Done => Ok(seen.text),
                Outcome::Error(error) => Err(error.into()),
            }
        })
    }

    fn shape(&self) -> Shape {
        let spec = self.tool.spec();
        Shape::step(&spec.name, Kind::Tool, spec.effect)
    }
}

/// Passages for a question, as a step.
pub struct Retriever {
    name: String,
    from: Arc<dyn Retrieve>,
    k: usize,
}

/// The `k` passages that fit a question best.
pub fn retrieve(name: impl Into<String>, from: Arc<dyn Retrieve>, k: usize) -> Retriever {
    Retriever { name: name.into(), from, k }
}

impl Step for Retriever {
    type Input = String;
    type Output = Vec<Hit>;

    fn run(&self, question: String, scope: &mut Scope<'_>) -> Result<Vec<Hit>, ChainError> {
        leaf(scope, &self.name, Effect::Read, question, |question, _| {
            Ok(self.from.retrieve(&question, self.k)?)
        })
    }

    fn shape(&self) -> Shape {
        Shape::step(&self.name, Kind::Retriever, Effect::Read)
    }
}
