//! Where a running step is: its path, what is kept of it, and who is told. Every effect of a chain goes
//! through [`Scope::leaf`].
//!
//! A path is made of the order in which steps begin within the part that they belong to, which is the same
//! every time: `2.parallel/0/1.translate` is the first step of the first branch of what began second.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{ChainError, StepError};
use super::event::{Event, What};
use super::record::{Known, Record, digest};
use super::run::{Clock, Decision, Doubt};
use crate::journal::Journal;
use crate::tool::{Cancel, Effect};
use crate::trace;

/// Who decides about what is in doubt.
pub(super) type OnDoubt<'a> = dyn Fn(&Doubt) -> Decision + Sync + 'a;

/// What all parts of a running chain share.
pub(super) struct Run<'a> {
    pub(super) known: Known,
    pub(super) journal: Mutex<Journal>,
    pub(super) cancel: Cancel,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) on_doubt: &'a OnDoubt<'a>,
    /// Paths of what was done and cannot be taken back.
    pub(super) lasting: Mutex<Vec<String>>,
    /// Nothing is done: what the journal does not know is an error.
    pub(super) replay: bool,
}

impl Run<'_> {
    fn lasts(&self, path: &str) {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_owned());
    }

    /// Whether something below `path` was done that cannot be taken back.
    fn lasted(&self, path: &str) -> bool {
        let below =
            |done: &String| done.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner).iter().any(below)
    }

    pub(super) fn keep(&self, record: &Record) -> Result<(), ChainError> {
        Ok(self.journal.lock().unwrap_or_else(PoisonError::into_inner).append(record)?)
    }
}

/// Where a running step is.
pub struct Scope<'a> {
    pub(super) run: &'a Run<'a>,
    /// The path of the part that it belongs to.
    pub(super) at: String,
    /// Steps that have begun here.
    pub(super) begun: usize,
    pub(super) sink: &'a mut dyn FnMut(Event),
}

/// How an attempt ended.
pub(super) enum Attempt<O> {
    Done(O),
    Failed(String),
}

impl Scope<'_> {
    /// The path of what begins now.
    pub(crate) fn next(&mut self, name: &str) -> String {
        self.begun += 1;
        let own = format!("{}.{name}", self.begun);
        if self.at.is_empty() { own } else { format!("{}/{own}", self.at) }
    }

    pub(super) fn tell(&mut self, path: &str, what: What) {
        (self.sink)(Event { path: path.to_owned(), what });
    }

    /// The part at `path`, told to the same listener.
    pub(crate) fn within<R>(&mut self, path: String, work: impl FnOnce(&mut Scope<'_>) -> R) -> R {
        work(&mut Scope { run: self.run, at: path, begun: 0, sink: &mut *self.sink })
    }

    /// Whether anybody still waits.
    pub fn cancel(&self) -> &Cancel {
        &self.run.cancel
    }

    /// One thing that is done: told, kept, and not done again when the chain is resumed. `input` is what
    /// it is done with, of which the journal keeps a digest.
    ///
    /// Whatever `work` gives goes through JSON, so that a resumed chain goes on with the very same.
    ///
    /// # Errors
    /// Those of `work`; the journal says no, or knows the step with another input; nobody waits; or the
    /// step cannot be taken back, was begun before, and nobody knows whether it was done.
    pub fn leaf<O: Serialize + DeserializeOwned>(
        &mut self,
        name: &str,
        effect: Effect,
        input: &impl Serialize,
        work: impl FnOnce(&mut Live<'_>) -> Result<O, StepError>,
    ) -> Result<O, ChainError> {
        let path = self.next(name);
        let unkept =
            |what: &dyn Display| ChainError::Value { path: path.clone(), what: what.to_string() };
        let input = digest(&serde_json::to_value(input).map_err(|error| unkept(&error))?);
        if let Some((of, output, events)) = self.run.known.done.get(&path) {
            if *of != input {
                return Err(ChainError::Changed(format!("{path} had another input then")));
            }
            let output = O::deserialize(output).map_err(|error| unkept(&error))?;
            events.iter().for_each(|what| self.tell(&path, what.clone()));
            if effect == Effect::Irreversible {
                self.run.lasts(&path);
            }
            return Ok(output);
        }
        if self.run.replay {
            return Err(ChainError::Incomplete { path });
        }
        if self.run.cancel.is_set() {
            return Err(ChainError::Cancelled);
        }
        let key = format!("{}-{:016x}", self.run.known.run, digest(&Value::from(path.as_str())));
        let (run, sink) = (self.run, &mut *self.sink);
        let mut live = Live { run, sink, path: &path, key, told: Vec::new() };
        live.tell(What::Started);
        let finish = |live: &mut Live<'_>, output: Value| {
            let mut events = std::mem::take(&mut live.told);
            events.push(What::Finished);
            run.keep(&Record::Done { path: path.clone(), input, output, events })?;
            if effect == Effect::Irreversible {
                run.lasts(&path);
            }
            (live.sink)(Event { path: path.clone(), what: What::Finished });
            Ok::<(), ChainError>(())
        };
        let risky = effect == Effect::Irreversible;
        if risky {
            if run.known.intents.contains(&path) {
                let doubt = Doubt { path: path.clone(), key: live.key.clone() };
                match (run.on_doubt)(&doubt) {
                    Decision::Stop => {
                        let why = "no result was kept".to_owned();
                        return Err(ChainError::Doubt { path, why });
                    }
                    Decision::Again => {}
                    Decision::Done(output) => {
                        let result = O::deserialize(&output).map_err(|error| unkept(&error))?;
                        finish(&mut live, output)?;
                        return Ok(result);
                    }
                }
            }
            run.keep(&Record::Intent { path: path.clone() })?;
        }
        let span = trace::step(name, &path);
        let tried = catch_unwind(AssertUnwindSafe(|| span.in_scope(|| work(&mut live))));
        let tried = tried.unwrap_or_else(|panic| Err(StepError::Panicked(said(&*panic))));
        match tried {
            Ok(output) => {
                let output = serde_json::to_value(output).map_err(|error| unkept(&error))?;
                let result = O::deserialize(&output).map_err(|error| unkept(&error))?;
                finish(&mut live, output)?;
                Ok(result)
            }
            Err(error) => {
                live.tell(What::Failed(error.to_string()));
                if risky && error.leaves_doubt() {
                    return Err(ChainError::Doubt { path, why: error.to_string() });
                }
                if risky {
                    run.keep(&Record::Undone { path: path.clone() })?;
                }
                match error {
                    StepError::Cancelled if run.cancel.is_set() => Err(ChainError::Cancelled),
                    error => Err(ChainError::Step { path, error }),
                }
            }
        }
    }

    /// What may fail without the chain's end, at `path`. An error that `handles` agrees to is kept with
    /// all that was told, and is the same when the chain is resumed. An attempt in which something was
    /// done that cannot be taken back is not made up for: it would be done twice.
    pub(super) fn attempt<O>(
        &mut self,
        path: String,
        handles: impl FnOnce(&StepError) -> bool,
        work: impl FnOnce(&mut Scope<'_>) -> Result<O, ChainError>,
    ) -> Result<Attempt<O>, ChainError> {
        let run = self.run;
        if let Some((error, events)) = run.known.failed.get(&path) {
            events.iter().cloned().for_each(&mut *self.sink);
            return Ok(Attempt::Failed(error.clone()));
        }
        let mut events = Vec::new();
        let mut tee = |event: Event| {
            events.push(event.clone());
            (self.sink)(event);
        };
        let tried = work(&mut Scope { run, at: path.clone(), begun: 0, sink: &mut tee });
        match tried {
            Ok(output) => Ok(Attempt::Done(output)),
            Err(ChainError::Step { error, .. }) if handles(&error) && !run.lasted(&path) => {
                let error = error.to_string();
                run.keep(&Record::Failed { path, error: error.clone(), events })?;
                Ok(Attempt::Failed(error))
            }
            Err(error) => Err(error),
        }
    }
}

/// A step while it is done.
pub struct Live<'a> {
    run: &'a Run<'a>,
    sink: &'a mut dyn FnMut(Event),
    path: &'a str,
    key: String,
    told: Vec<What>,
}

impl Live<'_> {
    pub(super) fn tell(&mut self, what: What) {
        self.told.push(what.clone());
        (self.sink)(Event { path: self.path.to_owned(), what });
    }

    /// Tells a piece of text.
    pub fn text(&mut self, piece: impl Into<String>) {
        self.tell(What::Text(piece.into()));
    }

    /// Tells which way was taken.
    pub fn chosen(&mut self, way: impl Into<String>) {
        self.tell(What::Chosen(way.into()));
    }

    /// The same for every try of this step in this run, and no other step's: what a service needs so as to
    /// do a thing once.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether anybody still waits.
    pub fn cancel(&self) -> &Cancel {
        &self.run.cancel
    }
}

/// What a panic said.
pub(super) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".to_owned())
}
