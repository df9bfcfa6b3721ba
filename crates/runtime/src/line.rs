//! Those who wait for a model, and what it does for them. A line belongs to a name: it is there whether
//! the model is in memory or not, and goes on when another version of it answers.
//!
//! ```text
//!                 ┌ the version that answers takes from it
//!  start → queue ─┤
//!                 └ where there is none, the steward is called, and everybody waits
//! ```
//!
//! It knows no threads and loads nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ondine_chat::{ChatError, Event, Keep, Model, ModelStatus, Request, Sink};
use ondine_engine::Engine;
use ondine_spill::Folder;

use crate::Limits;
use crate::bell::Bell;
use crate::budget::{Account, Budget};
use crate::fingerprint::Fingerprint;
use crate::loader::Body;
use crate::queue::{EVERYBODY, Fair, RETRY_AFTER_S};
use crate::turn::Turn;

/// For how long a model that could not be loaded is not tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// A request that waits.
pub(crate) struct Waiting {
    app: String,
    background: bool,
    request: Box<Request>,
    /// What it is for the version of this number.
    turn: Option<(u64, Box<Turn>)>,
    sink: Sink,
    came: Instant,
}

/// A request on its way to the thread of a version.
pub(crate) struct Arrival {
    pub(crate) app: String,
    pub(crate) background: bool,
    pub(crate) turn: Turn,
    pub(crate) sink: Sink,
    pub(crate) came: Instant,
    /// As it was asked: another version may have to answer it.
    pub(crate) request: Box<Request>,
}

/// Those who wait for a name.
pub(crate) struct Line {
    pub(crate) name: String,
    limits: Limits,
    budget: Arc<Budget>,
    bell: Arc<Bell>,
    state: Mutex<State>,
    /// Somebody came, or who answers has changed.
    pub(crate) changed: Condvar,
}

/// The version that answers.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) number: u64,
    pub(crate) body: Body,
    pub(crate) about: Arc<Model>,
    /// Bytes that it takes itself and that could go with it.
    pub(crate) own: u64,
}

/// What a version's thread is doing.
#[derive(Debug, Default)]
pub(crate) struct Doing {
    /// Requests that are being answered, by app.
    pub(crate) running: BTreeMap<String, usize>,
    /// Whether it has taken a request and did not come to rest since.
    pub(crate) busy: bool,
    /// Bytes of keys and values that are kept for later.
    pub(crate) kept: u64,
    /// How many of them it is asked to let go.
    pub(crate) shed: u64,
    /// Conversations that are no more, by app, of which it keeps something perhaps.
    pub(crate) forgotten: Vec<(String, String)>,
    /// Bytes that a request needs and did not get, and since when.
    pub(crate) lacks: Option<(Instant, u64)>,
}

pub(crate) struct State {
    pub(crate) queue: Fair<Waiting>,
    pub(crate) closed: bool,
    pub(crate) serving: Option<Serving>,
    pub(crate) doing: BTreeMap<u64, Doing>,
    /// Tokens that were evaluated, and that were known from before, by all versions.
    pub(crate) tokens: u64,
    pub(crate) cached_tokens: u64,
    /// Who waits for the model without a request to answer, and since when the first does.
    expecting: usize,
    expected: Option<Instant>,
    /// Who uses it in such a way.
    visits: usize,
    /// Why it could not be loaded, when, and how often that happened.
    failed: Option<(Instant, ChatError)>,
    failures: u64,
    /// What is wrong with the version that the name stands for.
    pub(crate) problem: Option<String>,
    /// How long it stays, where nobody says otherwise, and as the last request said.
    pub(crate) usual: Keep,
    pub(crate) keep: Keep,
    /// It is to leave when it can.
    pub(crate) unwanted: bool,
    pub(crate) used: Instant,
    /// When a version was last sent away.
    pub(crate) left: Option<Instant>,
}

impl Line {
    pub(crate) fn new(name: &str, limits: Limits, budget: Arc<Budget>, bell: Arc<Bell>) -> Line {
        let state = State {
            queue: Fair::new(),
            closed: false,
            serving: None,
            doing: BTreeMap::new(),
            tokens: 0,
            cached_tokens: 0,
            expecting: 0,
            expected: None,
            visits: 0,
            failed: None,
            failures: 0,
            problem: None,
            usual: limits.keep,
            keep: limits.keep,
            unwanted: false,
            used: Instant::now(),
            left: None,
        };
        Line {
            name: name.to_owned(),
            limits,
            budget,
            bell,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request down, if there is room. What is known to be wrong with it is said at once, where
    /// the model is there to say it.
    pub(crate) fn enter(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        let serving = self.lock().serving.clone();
        let turn = match serving {
            Some(serving) => Some((serving.number, Box::new(self.turn(&serving, &request)?))),
            None => None,
        };
        let mut state = self.lock();
        state.check(turn.is_some())?;
        state.queue.room(&request.app, &self.limits)?;
        state.wish(request.keep);
        let (app, background) = (request.app.clone(), request.background);
        let (request, came) = (Box::new(request), Instant::now());
        let waiting = Waiting { app: app.clone(), background, request, turn, sink, came };
        state.queue.push(&app, background, waiting);
        self.call(&state);
        Ok(())
    }

    /// Somebody came: whoever answers is woken, or whoever finds one.
    fn call(&self, state: &State) {
        self.changed.notify_all();
        if state.serving.is_none() {
            self.bell.ring();
        }
    }

    /// What a request is for a version.
    fn turn(&self, serving: &Serving, request: &Request) -> Result<Turn, ChatError> {
        let Body::Engine(engine) = &serving.body else {
            let what =
                format!("model {:?} turns texts into vectors; it does not answer", self.name);
            return Err(ChatError::invalid("model", what));
        };
        let turn = Turn::new(engine, request, self.limits.answer)?;
        let needed = bytes_for(engine, &turn);
        let available = self.budget.most().saturating_sub(serving.own);
        if needed > available {
            let (prompt, answer) = (turn.tokens.len(), turn.answer);
            return Err(ChatError::Memory {
                what: format!("a prompt of {prompt} tokens and an answer of {answer}"),
                needed,
                available,
                budget: self.budget.total(),
            });
        }
        Ok(turn)
    }

    /// Waits until the model is there, and holds it there.
    pub(crate) fn visit(self: &Arc<Line>, keep: Keep) -> Result<Visit, ChatError> {
        let mut state = self.lock();
        let failures = state.failures;
        state.check(state.serving.is_some())?;
        if state.expecting >= self.limits.waiting {
            let limit = EVERYBODY.to_owned();
            let value = self.limits.waiting as u64;
            return Err(ChatError::Busy { limit, value, retry_after_s: RETRY_AFTER_S });
        }
        state.wish(keep);
        state.expecting += 1;
        state.expected.get_or_insert_with(Instant::now);
        let served = loop {
            if state.closed {
                break Err(ChatError::ShuttingDown);
            }
            if let Some(serving) = &state.serving {
                break Ok(serving.clone());
            }
            match &state.failed {
                Some((_, error)) if state.failures > failures => break Err(error.clone()),
                _ => {}
            }
            self.bell.ring();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        state.expecting -= 1;
        if state.expecting == 0 {
            state.expected = None;
        }
        let serving = served?;
        state.visits += 1;
        Ok(Visit { line: Arc::clone(self), serving: Some(serving) })
    }

    /// Another version answers from now on.
    pub(crate) fn serve(&self, serving: Serving) {
        let mut state = self.lock();
        if matches!(serving.body, Body::Engine(_)) {
            state.doing.entry(serving.number).or_default();
        }
        state.serving = Some(serving);
        state.failed = None;
        state.used = Instant::now();
        drop(state);
        self.changed.notify_all();
    }

    /// The version of this number takes no more requests. Where it must be `idle` and is not, it stays.
    pub(crate) fn dismiss(&self, number: u64, idle: bool) -> bool {
        let mut state = self.lock();
        if !state.is_serving(number) || idle && (!state.is_idle(number) || state.is_wanted()) {
            return false;
        }
        state.serving = None;
        state.unwanted = false;
        state.left = Some(Instant::now());
        drop(state);
        self.changed.notify_all();
        true
    }

    /// It could not be loaded: everybody who waits is told so.
    pub(crate) fn fail(&self, error: &ChatError) {
        let mut state = self.lock();
        let told: Vec<Waiting> = state.queue.drain().collect();
        state.failed = Some((Instant::now(), error.clone()));
        state.failures += 1;
        drop(state);
        self.changed.notify_all();
        for mut waiting in told {
            (waiting.sink)(Event::Failed(error.clone()));
        }
    }

    /// Nobody enters any more, and those who wait are told so.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let told: Vec<Waiting> = state.queue.drain().collect();
        drop(state);
        self.changed.notify_all();
        for mut waiting in told {
            (waiting.sink)(Event::Failed(ChatError::ShuttingDown));
        }
    }

    /// A conversation is no more, and what is kept of it goes.
    pub(crate) fn forget(&self, app: &str, id: &str) {
        let mut state = self.lock();
        for doing in state.doing.values_mut() {
            doing.forgotten.push((app.to_owned(), id.to_owned()));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Lets go of those who wait and have gone away.
    pub(crate) fn ask(&self) {
        self.lock().queue.retain(|before, waiting| (waiting.sink)(Event::Waiting { before }));
    }

    pub(crate) fn status(&self) -> ModelStatus {
        let state = self.lock();
        let mut running = BTreeMap::new();
        for (app, count) in state.doing.values().flat_map(|doing| &doing.running) {
            *running.entry(app.clone()).or_default() += count;
        }
        let mut waiting = state.queue.counts();
        // Who waits or is served without a request has no app that would be known here.
        for (map, count) in [(&mut waiting, state.expecting), (&mut running, state.visits)] {
            if count > 0 {
                *map.entry(String::new()).or_default() += count;
            }
        }
        let about = state.serving.as_ref().map(|serving| &serving.about);
        let leaves = match state.keep {
            Keep::Seconds(seconds) if about.is_some() => {
                let idle = state.serving.as_ref().is_some_and(|s| state.is_idle(s.number));
                let gone = if idle { state.used.elapsed().as_secs() } else { 0 };
                Some(seconds.saturating_sub(gone))
            }
            _ => None,
        };
        ModelStatus {
            loaded: about.is_some(),
            bytes: about.map_or(0, |about| about.bytes),
            sha256: about.and_then(|about| about.sha256.clone()),
            waiting,
            running,
            kept_bytes: state.doing.values().map(|doing| doing.kept).sum(),
            tokens: state.tokens,
            cached_tokens: state.cached_tokens,
            leaves_in_s: leaves,
            problem: state.problem.clone(),
        }
    }
}

impl State {
    /// Whether somebody may enter; a model that was just found not to load is not tried at once.
    fn check(&self, there: bool) -> Result<(), ChatError> {
        if self.closed {
            return Err(ChatError::ShuttingDown);
        }
        match &self.failed {
            Some((when, error)) if !there && when.elapsed() < PAUSE => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// The last who comes says how long it stays.
    fn wish(&mut self, keep: Keep) {
        self.keep = if keep == Keep::Usual { self.usual } else { keep };
        self.unwanted = false;
        self.used = Instant::now();
    }

    pub(crate) fn is_serving(&self, number: u64) -> bool {
        self.serving.as_ref().is_some_and(|serving| serving.number == number)
    }

    /// Whether nobody is being answered by the version of this number.
    pub(crate) fn is_idle(&self, number: u64) -> bool {
        self.visits == 0 && self.doing.get(&number).is_none_or(|doing| !doing.busy)
    }

    /// Whether somebody waits.
    pub(crate) fn is_wanted(&self) -> bool {
        self.queue.len() > 0 || self.expecting > 0
    }

    /// Since when somebody waits for a version, those who came while one was there not counted.
    pub(crate) fn wanted_since(&self) -> Option<Instant> {
        let came = self.queue.fronts().map(|waiting| waiting.came);
        let first = came.chain(self.expected).min()?;
        Some(self.left.map_or(first, |left| left.max(first)))
    }

    /// The next who waits goes to the version of this number.
    pub(crate) fn next(&mut self, number: u64) -> Option<Waiting> {
        let (_, waiting) = self.queue.pop()?;
        self.doing.entry(number).or_default().busy = true;
        Some(waiting)
    }

    /// Apps that are being served, by whichever version.
    pub(crate) fn apps_served(&self) -> Vec<String> {
        self.doing.values().flat_map(|doing| doing.running.keys().cloned()).collect()
    }
}

/// A model that somebody uses without a request to answer.
pub(crate) struct Visit {
    line: Arc<Line>,
    serving: Option<Serving>,
}

impl Visit {
    pub(crate) fn body(&self) -> &Body {
        let serving = self.serving.as_ref().expect("it is there until it is dropped");
        &serving.body
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // First the model, then the word that it is free.
        self.serving = None;
        let mut state = self.line.lock();
        state.visits -= 1;
        state.used = Instant::now();
        drop(state);
        self.line.bell.ring();
    }
}

/// A line as the thread of one version sees it.
pub(crate) struct Desk {
    pub(crate) line: Arc<Line>,
    pub(crate) number: u64,
    pub(crate) limits: Limits,
    pub(crate) budget: Arc<Account>,
    /// Where keys and values may go, and what tells this version's from others.
    pub(crate) folder: Option<Arc<Folder>>,
    pub(crate) fingerprint: Fingerprint,
}

impl Desk {
    /// Wakes the thread, if it waits: something changed that it may look at.
    pub(crate) fn wake(&self) {
        // Under the lock, so that it has not looked already and not begun to wait.
        let _state = self.lock();
        self.line.changed.notify_all();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.line.lock()
    }

    /// Makes of who waits somebody who can be answered by this version, or tells why not.
    pub(crate) fn receive(&self, waiting: Waiting, serving: &Serving) -> Option<Arrival> {
        let Waiting { app, background, request, turn, mut sink, came } = waiting;
        let turn = match turn {
            Some((number, turn)) if number == self.number => Ok(*turn),
            _ => self.line.turn(serving, &request),
        };
        match turn {
            Ok(turn) => Some(Arrival { app, background, turn, sink, came, request }),
            Err(error) => {
                sink(Event::Failed(error));
                None
            }
        }
    }

    /// Puts back who could not be served, at the front.
    pub(crate) fn put_back(&self, arrival: Arrival) {
        let Arrival { app, background, turn, sink, came, request } = arrival;
        let turn = Some((self.number, Box::new(turn)));
        let mut waiting = Waiting { app: app.clone(), background, request, turn, sink, came };
        let mut state = self.lock();
        if state.closed {
            drop(state);
            (waiting.sink)(Event::Failed(ChatError::ShuttingDown));
            return;
        }
        state.queue.unpop(&app, background, waiting);
    }

    /// A request needs so many bytes more than are left; 0 where none does.
    pub(crate) fn lacks(&self, bytes: u64) {
        let mut state = self.lock();
        let doing = state.doing.entry(self.number).or_default();
        let since = doing.lacks.map_or_else(Instant::now, |(since, _)| since);
        doing.lacks = (bytes > 0).then_some((since, bytes));
        drop(state);
        if bytes > 0 {
            self.line.bell.ring();
        }
    }

    /// Nobody is being answered.
    pub(crate) fn rest(&self, state: &mut State) {
        let doing = state.doing.entry(self.number).or_default();
        doing.running.clear();
        doing.lacks = None;
        if std::mem::take(&mut doing.busy) {
            state.used = Instant::now();
            self.line.bell.ring();
        }
    }
}

/// Bytes that a request may come to need: keys and values of prompt and answer, and logits, its own and
/// those of the step.
pub(crate) fn bytes_for(engine: &Engine, turn: &Turn) -> u64 {
    needs(engine.shape(), turn.tokens.len().saturating_add(turn.answer))
        .map_or(u64::MAX, |(a, b)| a + b)
}

/// Bytes of keys and values for so many positions, and of their logits.
pub(crate) fn needs(shape: &ondine_model::Shape, positions: usize) -> Option<(u64, u64)> {
    let kv = shape.cache().bytes_for(positions)? as u64;
    let logits = shape.vocab.checked_mul(2 * size_of::<f32>())? as u64;
    kv.checked_add(logits)?;
    Some((kv, logits))
}
