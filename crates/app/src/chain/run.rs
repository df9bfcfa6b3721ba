//! A chain from its beginning, or from where it was, to its end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{ChainError, StepError};
use super::event::{Event, What};
use super::record::{Known, Record, VERSION, digest};
use super::scope::{OnDoubt, Run, Scope};
use super::shape::Shape;
use super::step::Step;
use crate::drawing::{Drawing, Form};
use crate::journal::{Journal, JournalError};
use crate::tool::Cancel;
use crate::trace;

/// Who waits between two tries.
pub trait Clock: Send + Sync {
    /// Waits so long, or until nobody waits any more.
    fn wait(&self, time: Duration, cancel: &Cancel);
}

/// The clock on the wall.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn wait(&self, time: Duration, cancel: &Cancel) {
        /// How long a caller who stops waiting may have to wait for that.
        const GLANCE: Duration = Duration::from_millis(20);
        let begun = Instant::now();
        while !cancel.is_set() {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(GLANCE));
        }
    }
}

/// A step that cannot be taken back was begun before the program's end, and no result was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Where the step stands.
    pub path: String,
    /// What [`Live::key`](crate::chain::Live::key) was then, and would be again.
    pub key: String,
}

/// What is to be done about a [`Doubt`].
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing: the chain ends with [`ChainError::Doubt`], and can be asked again.
    Stop,
    /// Somebody has looked: it was not done. It is done now.
    Again,
    /// Somebody has looked: it was done, and this is its result.
    Done(Value),
}

/// Steps with a name: what is run, resumed, replayed and drawn.
pub struct Chain<S> {
    name: String,
    version: u32,
    step: S,
}

impl<S: Step> Chain<S> {
    /// These steps under this name.
    pub fn new(name: impl Into<String>, step: S) -> Chain<S> {
        Chain { name: name.into(), version: 1, step }
    }

    /// Another version: to be changed where what its functions do changes, which no shape shows.
    pub fn version(mut self, version: u32) -> Chain<S> {
        self.version = version;
        self
    }

    /// How it is built.
    pub fn shape(&self) -> Shape {
        self.step.shape()
    }

    /// Its picture.
    pub fn drawing(&self) -> Drawing {
        let mut drawing = Drawing::new(&self.name);
        let begin = drawing.node("start", Form::End);
        let ends = self.shape().draw(&mut drawing, vec![(begin, String::new())]);
        let end = drawing.node("end", Form::End);
        ends.into_iter().for_each(|(from, when)| drawing.edge(from, end, when));
        drawing
    }

    fn fingerprint(&self) -> u64 {
        self.shape().fingerprint() ^ u64::from(self.version).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl<S: Step> Chain<S>
where
    S::Input: Serialize + DeserializeOwned,
{
    /// What it gives. Nothing is kept.
    ///
    /// # Errors
    /// A step has no result, and nothing in the chain deals with that.
    pub fn run(&self, input: S::Input) -> Result<S::Output, ChainError> {
        self.go(input).end()
    }

    /// Runs with an input, once it is said how: [`Go::end`] begins.
    pub fn go(&self, input: S::Input) -> Go<'_, S> {
        Go { input: Some(input), ..self.bare() }
    }

    /// Goes on with what a journal says was begun.
    pub fn resume(&self, journal: impl AsRef<Path>) -> Go<'_, S> {
        Go { journal: Some(journal.as_ref().into()), ..self.bare() }
    }

    /// Tells what a complete journal says, and gives its output. No step is done, and no model asked.
    pub fn replay(&self, journal: impl AsRef<Path>) -> Go<'_, S> {
        Go { replay: true, ..self.resume(journal) }
    }

    fn bare(&self) -> Go<'_, S> {
        Go {
            chain: self,
            input: None,
            journal: None,
            replay: false,
            cancel: Cancel::default(),
            clock: Arc::new(WallClock),
            listener: Box::new(|_| ()),
            on_doubt: Box::new(|_| Decision::Stop),
        }
    }

    /// What happens, as an iterator: the chain runs on a thread of its own. To drop it is to stop
    /// listening, and ends the chain at its next step.
    pub fn events(self: &Arc<Self>, input: S::Input, journal: Option<PathBuf>) -> Events<S::Output>
    where
        S: 'static,
        S::Input: 'static,
        S::Output: 'static,
    {
        let (sender, told) = mpsc::channel();
        let cancel = Cancel::default();
        let (chain, own) = (Arc::clone(self), cancel.clone());
        let ended = thread::Builder::new().name("chain".into()).spawn(move || {
            let mut go =
                chain.go(input).cancel(&own).listen(|event| drop(sender.send(event.clone())));
            go.journal = journal;
            go.end()
        });
        Events { told, cancel, ended: Some(ended) }
    }
}

/// A run of a chain, as it is to be.
pub struct Go<'a, S: Step> {
    chain: &'a Chain<S>,
    input: Option<S::Input>,
    journal: Option<PathBuf>,
    replay: bool,
    cancel: Cancel,
    clock: Arc<dyn Clock>,
    listener: Box<dyn FnMut(&Event) + 'a>,
    on_doubt: Box<OnDoubt<'a>>,
}

impl<'a, S: Step> Go<'a, S>
where
    S::Input: Serialize + DeserializeOwned,
{
    /// Keeps what happens in this file. Where it holds the same chain with the same input, that goes on;
    /// what it holds is told again.
    pub fn journal(mut self, path: impl Into<PathBuf>) -> Self {
        self.journal = Some(path.into());
        self
    }

    /// Tells what happens, while it happens, on the thread that waits.
    pub fn listen(mut self, listener: impl FnMut(&Event) + 'a) -> Self {
        self.listener = Box::new(listener);
        self
    }

    /// Ends where this says that nobody waits any more.
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Waits by another clock.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Decides about steps that cannot be taken back, were begun before the program's end, and have no
    /// result. Without it the chain stops there.
    pub fn on_doubt(mut self, decide: impl Fn(&Doubt) -> Decision + Sync + 'a) -> Self {
        self.on_doubt = Box::new(decide);
        self
    }

    /// Runs it, and gives what comes of it.
    ///
    /// # Errors
    /// A step has no result, and nothing in the chain deals with that; the journal is another chain's, or
    /// cannot be read or written; a step is in doubt; nobody waits any more.
    pub fn end(mut self) -> Result<S::Output, ChainError> {
        let (journal, known, input) = self.open()?;
        let run = Run {
            known,
            journal: Mutex::new(journal),
            cancel: self.cancel,
            clock: self.clock,
            on_doubt: &*self.on_doubt,
            lasting: Mutex::default(),
            replay: self.replay,
        };
        let listener = &mut self.listener;
        let mut sink = |event: Event| listener(&event);
        let mut scope = Scope { run: &run, at: String::new(), begun: 0, sink: &mut sink };
        scope.tell("", What::Started);
        let span = trace::workflow(&self.chain.name);
        let mut result = span.in_scope(|| self.chain.step.run(input, &mut scope));
        if result.is_ok() && !run.known.ended {
            let kept = match run.replay {
                true => Err(ChainError::Incomplete { path: "its end".into() }),
                false => run.keep(&Record::Ended),
            };
            result = kept.and(result);
        }
        scope.tell(
            "",
            match &result {
                Ok(_) => What::Finished,
                Err(ChainError::Cancelled) => What::Cancelled,
                Err(error) => What::Failed(error.to_string()),
            },
        );
        result
    }

    /// The journal, what it says, and the input.
    fn open(&mut self) -> Result<(Journal, Known, S::Input), ChainError> {
        let unkept = |error: serde_json::Error| ChainError::Value {
            path: "the chain's input".into(),
            what: error.to_string(),
        };
        let none = |path: &Path| {
            let source = std::io::Error::other("there is nothing to go on with");
            ChainError::Journal(JournalError::File { path: path.into(), source })
        };
        let given = self.input.take();
        let given = given.map(|input| serde_json::to_value(input).map_err(unkept)).transpose()?;
        let fingerprint = self.chain.fingerprint();
        let (mut journal, records) = match &self.journal {
            Some(path) if given.is_none() && !path.exists() => return Err(none(path)),
            Some(path) => Journal::open::<Record>(path)?,
            None => (Journal::in_memory(), Vec::new()),
        };
        let (known, input) = match (records.is_empty(), given) {
            (true, None) => return Err(none(self.journal.as_deref().unwrap_or(Path::new("")))),
            (true, Some(input)) => {
                let known = Known::fresh();
                journal.append(&Record::Begun {
                    version: VERSION,
                    run: known.run.clone(),
                    chain: self.chain.name.clone(),
                    shape: fingerprint,
                    input: input.clone(),
                })?;
                (known, input)
            }
            (false, given) => {
                let (known, kept) = Known::read(records, &self.chain.name, fingerprint)?;
                if given.is_some_and(|given| digest(&given) != digest(&kept)) {
                    return Err(ChainError::Changed("it began with another input".into()));
                }
                (known, kept)
            }
        };
        // Also a new input goes through JSON, so that a resumed chain goes on with the very same.
        Ok((journal, known, S::Input::deserialize(input).map_err(unkept)?))
    }
}

/// What happens in a chain that runs on a thread of its own.
pub struct Events<O> {
    told: mpsc::Receiver<Event>,
    cancel: Cancel,
    ended: Option<std::io::Result<thread::JoinHandle<Result<O, ChainError>>>>,
}

impl<O> Iterator for Events<O> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.told.recv().ok()
    }
}

impl<O> Events<O> {
    /// Ends it at its next step, or piece of text.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Those of [`Go::end`].
    pub fn output(mut self) -> Result<O, ChainError> {
        let broke = |what: String| {
            let error = StepError::Panicked(what);
            Err(ChainError::Step { path: "the chain".into(), error })
        };
        match self.ended.take() {
            Some(Ok(thread)) => {
                thread.join().unwrap_or_else(|panic| broke(super::scope::said(&*panic)))
            }
            Some(Err(error)) => broke(format!("no thread for it: {error}")),
            None => broke("it ended before".into()),
        }
    }
}

impl<O> Drop for Events<O> {
    fn drop(&mut self) {
        // After `output` there is nothing left to end.
        self.cancel.now();
    }
}
