//! Drives a run: asks what it needs asked, performs what it says is to be performed, and keeps all of
//! it in a diary before anything follows from it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ondine_chat::{ChatError, Request, Role as Speaker, ToolCall};

use super::ask::{self, Silence};
use super::event::Happening;
use super::{Agent, perform};
use crate::error::Error;
use crate::llm::Llm;
use crate::policy::{Question, Verdict};
use crate::run::{Diary, Failure, Given, Need, News, Run, Spent, ToDo};
use crate::tool::{Cancel, Effect, Tool};
use crate::toolset::{Chosen, SEARCH_TOOLS};
use crate::trace;

/// How often a model that is busy is asked again.
const BUSY_MAX: u32 = 5;
/// How long is waited for one at most.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(30);

/// A person, or somebody who speaks for one.
pub trait Approve {
    /// What they say to a question. `None` leaves it open: the run waits, and can be gone on with later,
    /// by another process too.
    fn decide(&mut self, question: &Question) -> Option<Verdict>;
}

impl<F: FnMut(&Question) -> Option<Verdict>> Approve for F {
    fn decide(&mut self, question: &Question) -> Option<Verdict> {
        self(question)
    }
}

/// How it ended, for now or for good.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// With an answer.
    Done {
        /// The answer.
        answer: String,
        /// What it cost.
        spent: Spent,
    },
    /// Without one.
    Failed {
        /// Why, and how far it came.
        failure: Failure,
        /// What it cost.
        spent: Spent,
    },
    /// People have to decide these first. The run can be gone on with.
    Waiting(Vec<Question>),
    /// It was stopped. The run can be gone on with.
    Cancelled,
}

type Begin<'a> = Box<dyn FnOnce() -> Result<Diary, Error> + Send + 'a>;
pub(super) type Watch<'a> = Box<dyn FnMut(&Happening) + Send + 'a>;

/// A run that is about to be driven.
pub struct Drive<'a> {
    agent: Agent,
    begin: Begin<'a>,
    human: Option<Box<dyn Approve + Send + 'a>>,
    pub(super) watch: Option<Watch<'a>>,
    pub(super) cancel: Cancel,
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        agent: Agent,
        begin: impl FnOnce() -> Result<Diary, Error> + Send + 'a,
    ) -> Drive<'a> {
        Drive { agent, begin: Box::new(begin), human: None, watch: None, cancel: Cancel::default() }
    }

    /// Asks this person. Where nobody is named, questions are left open.
    pub fn human<'b>(self, human: impl Approve + Send + 'b) -> Drive<'b>
    where
        'a: 'b,
    {
        let Drive { agent, begin, watch, cancel, .. } = self;
        let watch = watch.map(|watch| watch as Watch<'b>);
        Drive { agent, begin, human: Some(Box::new(human)), watch, cancel }
    }

    /// Tells this function what happens.
    pub fn watch<'b>(self, watch: impl FnMut(&Happening) + Send + 'b) -> Drive<'b>
    where
        'a: 'b,
    {
        let Drive { agent, begin, human, cancel, .. } = self;
        let human = human.map(|human| human as Box<dyn Approve + Send + 'b>);
        Drive { agent, begin, human, watch: Some(Box::new(watch)), cancel }
    }

    /// Stops when this says so.
    pub fn cancel(mut self, cancel: &Cancel) -> Drive<'a> {
        self.cancel = cancel.clone();
        self
    }

    /// Drives until there is nothing more to do.
    ///
    /// # Errors
    /// The journal cannot be kept, the agent is not the run's, or whoever answers cannot be asked now. The
    /// run stays where it was, and can be gone on with.
    pub fn go(self) -> Result<Ended, Error> {
        self.go_to().map(|(ended, _)| ended)
    }

    /// The same, and the run as it then stands.
    ///
    /// # Errors
    /// Those of [`Drive::go`].
    pub fn go_to(self) -> Result<(Ended, Run), Error> {
        let diary = (self.begin)()?;
        self.agent.check(diary.run())?;
        let span = trace::agent(self.agent.name(), diary.run().id());
        let mut driver = Driver {
            agent: self.agent,
            human: self.human,
            watch: self.watch,
            cancel: self.cancel,
            diary,
            chosen: BTreeMap::new(),
            since: Instant::now(),
        };
        let ended = span.in_scope(|| driver.drive());
        let spent = driver.diary.run().spent();
        span.record("gen_ai.usage.input_tokens", spent.prompt_tokens);
        span.record("gen_ai.usage.output_tokens", spent.answer_tokens);
        match &ended {
            Ok(Ended::Failed { failure, .. }) => {
                span.record("error.type", failure.why.to_string().as_str());
            }
            Err(error) => {
                span.record("error.type", error.to_string().as_str());
            }
            Ok(_) => {}
        }
        let ended = ended?;
        driver.tell(Happening::Ended(ended.clone()));
        Ok((ended, driver.diary.into_run()))
    }
}

struct Driver<'a> {
    agent: Agent,
    human: Option<Box<dyn Approve + Send + 'a>>,
    watch: Option<Watch<'a>>,
    cancel: Cancel,
    diary: Diary,
    /// What each role with a budget for its tools was shown so far, by its place in the cast.
    chosen: BTreeMap<usize, Chosen>,
    /// From when time is the run's.
    since: Instant,
}

impl Driver<'_> {
    fn tell(&mut self, happening: Happening) {
        if let Some(watch) = &mut self.watch {
            watch(&happening);
        }
    }

    /// The run moves, and the time since it last did is its.
    fn give(&mut self, given: Given) -> Result<(), Error> {
        let now = Instant::now();
        let took = now.duration_since(self.since);
        let news: Vec<News> = self.diary.give(given, took)?;
        self.since = now;
        for news in news {
            self.tell(Happening::News(news));
        }
        Ok(())
    }

    /// When the run's time is over.
    fn end(&self) -> Option<Instant> {
        let run = self.diary.run();
        let left = run.budget().time?.saturating_sub(run.spent().time);
        self.since.checked_add(left)
    }

    fn drive(&mut self) -> Result<Ended, Error> {
        if self.diary.run().is_interrupted() {
            self.give(Given::Resumed)?;
            self.tell(Happening::Resumed);
        }
        loop {
            let run = self.diary.run();
            let need = run.next();
            let spent = run.spent();
            match need {
                Need::Done(answer) => return Ok(Ended::Done { answer, spent }),
                Need::Failed(failure) => return Ok(Ended::Failed { failure, spent }),
                _ if self.cancel.is_set() => return Ok(Ended::Cancelled),
                Need::Resume => self.give(Given::Resumed)?,
                Need::Model { role, request } => {
                    let request = self.narrowed(role).unwrap_or(request);
                    if let Some(ended) = self.ask(role, *request)? {
                        return Ok(ended);
                    }
                }
                Need::Calls(todo) => {
                    if let Some(ended) = self.perform(todo)? {
                        return Ok(ended);
                    }
                }
                Need::Human(questions) => {
                    if let Some(ended) = self.decide(questions)? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// What is asked where the role's tools have a budget: with those alone that this turn needs.
    fn narrowed(&mut self, role: usize) -> Option<Box<Request>> {
        let run = self.diary.run();
        let member = self.agent.of(&run.cast()[role].name)?;
        let set = member.set.as_ref()?;
        let messages = run.messages();
        // The turn's words: what was last wanted, and all that came of it.
        let wanted = messages.iter().rposition(|message| message.role == Speaker::User);
        let turn = messages[wanted.unwrap_or(0)..].iter().map(|message| message.text.as_str());
        let turn = turn.collect::<Vec<_>>().join("\n");
        let shown = set.choose(self.chosen.entry(role).or_default(), &turn);
        let beside = member.tools.iter().filter(|tool| {
            let name = &tool.spec().name;
            name != SEARCH_TOOLS && set.get(name).is_none()
        });
        let names = beside.chain(&shown).map(|tool| tool.spec().name.clone());
        let names: Vec<String> = names.collect();
        match run.next_showing(&names) {
            Need::Model { request, .. } => Some(request),
            _ => None,
        }
    }

    /// The rest of a budget is often more than the model's positions hold: the answer is bound by what it
    /// would be bound by anyway, or by the room that is left, where that is less.
    fn bounded(&self, role: usize, llm: &Llm, mut request: Request) -> Request {
        let chosen = self.diary.run().cast()[role].max_tokens;
        let Some(rest) = request.max_tokens.filter(|_| request.max_tokens != chosen) else {
            return request;
        };
        request.max_tokens = chosen;
        let own = llm.ready(request.clone());
        let context = llm.chat().models().iter().find_map(|model| {
            (own.model.is_empty() || own.model == model.name).then_some(model.context)
        });
        let room = context.filter(|context| *context > 0).and_then(|context| {
            let prompt = llm.count(&request).ok()?;
            Some(context.saturating_sub(prompt).max(1))
        });
        request.max_tokens = [Some(rest), own.max_tokens, room].into_iter().flatten().min();
        request
    }

    fn ask(&mut self, role: usize, request: Request) -> Result<Option<Ended>, Error> {
        let (name, llm) = self.member(role);
        let request = self.bounded(role, &llm, request);
        self.tell(Happening::Asked { agent: name });
        let (cancel, end) = (self.cancel.clone(), self.end());
        let held = request.format != ondine_chat::Format::Text;
        let mut busy = 0;
        loop {
            let watch = &mut self.watch;
            let answer = ask::ask(&llm, request.clone(), &cancel, end, |piece| {
                if let Some(watch) = watch {
                    watch(&Happening::Piece(piece.to_owned()));
                }
            });
            let error = match answer {
                Ok(answer) => {
                    self.give(answer.into())?;
                    let spent = self.diary.run().spent();
                    self.tell(Happening::Spent(spent));
                    return Ok(None);
                }
                Err(Silence::Cancelled) => return Ok(Some(Ended::Cancelled)),
                Err(Silence::OutOfTime) => {
                    self.give(Given::Waited)?;
                    return Ok(None);
                }
                Err(Silence::Failed(error)) => error,
            };
            match error {
                ChatError::Busy { retry_after_s, .. } if busy < BUSY_MAX => {
                    busy += 1;
                    if !self.wait(Duration::from_secs(retry_after_s).min(BUSY_WAIT_MAX), end) {
                        return Ok(None);
                    }
                }
                ChatError::Unsupported(_) | ChatError::Invalid { part: "format", .. } if held => {
                    self.give(Given::Unconstrained)?;
                    return Ok(None);
                }
                // What will be no better the next time.
                ChatError::NoModel { .. }
                | ChatError::Invalid { .. }
                | ChatError::Context { .. }
                | ChatError::Memory { .. }
                | ChatError::Unsupported(_) => {
                    self.give(Given::NoAnswer(error.to_string()))?;
                    return Ok(None);
                }
                error => return Err(error.into()),
            }
        }
    }

    /// Whether the time went by; not where somebody said stop, or the run's time ended.
    fn wait(&mut self, time: Duration, end: Option<Instant>) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.cancel.is_set() || end.is_some_and(|end| Instant::now() >= end) {
                return false;
            }
            std::thread::sleep(ask::GLANCE);
        }
        true
    }

    fn perform(&mut self, todo: Vec<ToDo>) -> Result<Option<Ended>, Error> {
        let calls: Vec<(ToDo, Option<Arc<dyn Tool>>)> =
            todo.into_iter().map(|todo| (todo.clone(), self.tool(&todo))).collect();
        let (cancel, end) = (self.cancel.clone(), self.end());
        if end.is_some_and(|end| Instant::now() >= end) {
            // Nothing is begun for which there is no time.
            self.give(Given::Waited)?;
            return Ok(None);
        }
        for (todo, _) in &calls {
            self.tell(Happening::Calling(todo.clone()));
            if todo.effect != Effect::Read {
                self.give(Given::Begun(todo.key.clone()))?;
            }
        }
        let (seen, stopped) = perform::all(&calls, self.agent.bounds, &cancel, end);
        for ((todo, _), observation) in calls.into_iter().zip(seen) {
            // What was stopped and may be done again is as if it had not been begun.
            let again = todo.effect != Effect::Irreversible;
            if stopped && again && perform::says_stopped(&observation) {
                continue;
            }
            if let Some(chosen) = self.chosen.get_mut(&todo.role) {
                let (id, name) = (todo.key.clone(), todo.tool.clone());
                let call = ToolCall { id, name, arguments: todo.arguments.clone() };
                chosen.saw(&call, &observation.text);
            }
            let (key, told) = (todo.key.clone(), observation.clone());
            self.tell(Happening::Observed { key, observation: told });
            // The time may have ended with the result before.
            if !matches!(self.diary.run().next(), Need::Failed(_)) {
                self.give(Given::Observed { key: todo.key, observation })?;
            }
        }
        if stopped && self.cancel.is_set() {
            return Ok(Some(Ended::Cancelled));
        }
        if stopped && !matches!(self.diary.run().next(), Need::Failed(_)) {
            self.give(Given::Waited)?;
        }
        Ok(None)
    }

    /// Asks people. Their time is not the run's.
    fn decide(&mut self, questions: Vec<Question>) -> Result<Option<Ended>, Error> {
        let mut open = Vec::new();
        for question in questions {
            self.tell(Happening::Asking(question.clone()));
            let verdict = self.human.as_mut().and_then(|human| human.decide(&question));
            self.since = Instant::now();
            // A verdict that does not answer the question leaves it open.
            let verdict = verdict.filter(|verdict| question.why.takes(verdict));
            let key = question.key.clone();
            self.tell(Happening::Decided { key: key.clone(), verdict: verdict.clone() });
            match verdict {
                Some(Verdict::Edit(arguments)) if !arguments.is_object() => open.push(question),
                Some(verdict) => self.give(Given::Decided { key, verdict })?,
                None => open.push(question),
            }
            if self.cancel.is_set() {
                return Ok(Some(Ended::Cancelled));
            }
        }
        Ok(if open.is_empty() { None } else { Some(Ended::Waiting(open)) })
    }

    /// The member who has a role of the run; that there is one was checked.
    fn member(&self, role: usize) -> (String, Llm) {
        let name = &self.diary.run().cast()[role].name;
        (name.clone(), self.agent.of(name).unwrap_or(&self.agent.members[0]).llm.clone())
    }

    fn tool(&self, todo: &ToDo) -> Option<Arc<dyn Tool>> {
        let name = &self.diary.run().cast()[todo.role].name;
        let member = self.agent.of(name)?;
        member.tools.iter().find(|tool| tool.spec().name == todo.tool).cloned()
    }
}
