//! Models for the many apps of a device: who waits, who runs, what is in memory.
//!
//! A [`Runtime`] answers [`Chat`] and [`Embed`] requests with models that it [loads](Loader) when
//! somebody asks for them and lets go when nobody does. Each version of a model in memory has a thread
//! that owns everything that changes; requests reach it through the line of its name and leave it
//! through their sinks.
//!
//! ```text
//!  start ──→ line ──→ running ──→ sink                    (one thread a version)
//!            by app,    a step evaluates all of them together,
//!            fair       then each takes its token
//!              │           │ done
//!              ▼           ▼
//!           steward     past: keys and values kept for the same app's next request
//!           loads, makes room, switches versions          (one thread)
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `turn` | from a request to tokens and a grammar, and from an answer's text to events |
//! | `calls` | how a model writes calls of tools, and reads them |
//! | `queue` | whose turn it is |
//! | `line` | those who wait for a name, and the version that answers them |
//! | `worker` | the thread of a version: steps, one after another |
//! | `past` | prefixes that were evaluated before, by app |
//! | `kept`, `porter` | what goes to the disk and comes from there; the thread that carries it |
//! | `fingerprint` | what tells a model's keys and values from another's |
//! | `budget` | bytes that may be used |
//! | `plan` | what has to leave memory so that something else fits |
//! | `residents` | the models that there are |
//! | `steward`, `bell` | the thread that brings them and takes them away, and how it is woken |
//! | `loader` | where they come from |
//! | `others` | those who answer and are no engine |
//! | `keeper` | what is told of all this, and what may be asked of it |
//!
//! The crate knows no network and no wire format, and of files the folder that it may be handed. An
//! answer does not depend on who else is being answered, bit for bit: engines are loaded steady.

mod bell;
mod budget;
mod calls;
mod fingerprint;
mod keeper;
mod kept;
mod line;
mod loader;
mod others;
mod past;
mod plan;
mod porter;
mod queue;
mod residents;
mod steward;
mod turn;
mod worker;

pub use fingerprint::Fingerprint;
pub use loader::{Happened, Loader, Source};

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ondine_chat::{Chat, ChatError, Embed, Embedded, Keep, Model, Prompt, Rendered, Request, Sink};
use ondine_engine::{EmbedOptions, Embedder, Engine};
use ondine_spill::Folder;

use line::Line;
use loader::Body;
use others::Other;
use residents::Residents;
use steward::Steward;

/// Limits of a runtime. Each is told to whoever meets it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of weights, keys, values and scratch memory together.
    pub memory: u64,
    /// Requests of one app that wait for one model.
    pub waiting_of_app: usize,
    /// Requests that wait for one model.
    pub waiting: usize,
    /// Requests that one model answers at once.
    pub running: usize,
    /// Tokens of an answer whose request names no bound.
    pub answer: usize,
    /// How long a model stays in memory when nobody uses it and nobody said otherwise.
    pub keep: Keep,
    /// How long a model that others wait for answers at least before it makes room for them.
    pub turn: Duration,
}

impl Default for Limits {
    /// Five minutes is what other services have made people used to.
    fn default() -> Limits {
        Limits {
            memory: u64::MAX,
            waiting_of_app: 256,
            waiting: 1024,
            running: 16,
            answer: 4096,
            keep: Keep::Seconds(300),
            turn: Duration::from_secs(2),
        }
    }
}

/// Models, in memory and not, and those who answer with them.
pub struct Runtime {
    residents: Arc<Residents>,
    others: Vec<Other>,
    steward: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Without models but those that are added.
    pub fn new(limits: Limits) -> Runtime {
        Runtime::over(Residents::new(limits, None))
    }

    /// With the models of a loader, none of them in memory yet.
    pub fn with_loader(limits: Limits, loader: Arc<dyn Loader>) -> Runtime {
        Runtime::over(Residents::new(limits, Some(loader)))
    }

    fn over(residents: Residents) -> Runtime {
        let residents = Arc::new(residents);
        let steward = Steward::new(Arc::clone(&residents));
        let thread = std::thread::Builder::new().name("steward".into());
        let steward = thread.spawn(move || steward.work());
        // As for `std::thread::spawn`: a system that has no thread at the start has none later.
        let steward = steward.expect("a thread for the steward");
        Runtime { residents, others: Vec::new(), steward: Some(steward) }
    }

    /// Keys and values of kept conversations go into `folder` when their bytes are wanted, when nobody
    /// is served for a moment, and at the end; and come back from there. Said once, before the first
    /// model is there.
    pub fn spill_to(&mut self, folder: Arc<Folder>) {
        self.residents.spill_to(folder);
    }

    /// Adds a model that answers, is there already and stays. It should be loaded
    /// [steady](ondine_engine::EngineOptions::steady): else answers may hang on who else is being
    /// answered. What `about` says of names, bytes and files is believed; what the engine knows better
    /// is filled in.
    ///
    /// # Errors
    /// Weights and scratch memory beyond the budget.
    pub fn add(&mut self, about: Model, engine: Arc<Engine>) -> Result<(), ChatError> {
        let fingerprint = Fingerprint::of_hex(about.sha256.as_deref().unwrap_or_default());
        self.add_known(about, engine, fingerprint)
    }

    /// Adds a model as [`Runtime::add`] does, whose fingerprint may be told later.
    ///
    /// # Errors
    /// Weights and scratch memory beyond the budget.
    pub fn add_known(
        &mut self,
        about: Model,
        engine: Arc<Engine>,
        fingerprint: Fingerprint,
    ) -> Result<(), ChatError> {
        let scratch = loader::scratch(engine.shape());
        self.residents.pin(about, Body::Engine(engine), scratch, fingerprint)
    }

    /// Adds a model that turns texts into vectors, is there already and stays.
    ///
    /// # Errors
    /// Weights and scratch memory beyond the budget.
    pub fn add_embedder(&mut self, about: Model, embedder: Embedder) -> Result<(), ChatError> {
        let scratch = loader::scratch(embedder.shape());
        let body = Body::Embedder(Arc::new(Mutex::new(embedder)));
        self.residents.pin(about, body, scratch, Fingerprint::default())
    }

    /// Adds somebody else who answers conversations, one at a time and before [`Chat::start`] returns:
    /// the runtime gives them a queue and a thread. Where the loader has a model of the same name, that
    /// one goes on with plain texts. `memory` is how many bytes they take, from now on.
    ///
    /// # Errors
    /// Memory beyond the budget.
    pub fn add_chat(
        &mut self,
        about: Model,
        memory: u64,
        chat: Arc<dyn Chat>,
    ) -> Result<(), ChatError> {
        let account = self.residents.open(&about.name, memory)?;
        self.residents.budget.fix(memory);
        self.others.push(Other::new(about, chat, self.residents.limits, account)?);
        Ok(())
    }

    /// Brings a model into memory that stays there until room is needed.
    ///
    /// # Errors
    /// No such model, or one that cannot be loaded.
    pub fn hold(&self, name: &str) -> Result<(), ChatError> {
        if self.other(name).is_some() {
            return Ok(());
        }
        let line = self.residents.line(name)?;
        line.lock().usual = Keep::Always;
        line.visit(Keep::Usual).map(|_| ())
    }

    /// Takes no more requests, and waits until those that run are answered. Those that still wait in
    /// the queue are told that the service ends.
    pub fn finish(&mut self) {
        self.residents.close();
        self.others.iter().for_each(Other::close);
        self.others.iter_mut().for_each(Other::join);
        if let Some(steward) = self.steward.take() {
            // It holds nobody's request.
            let _ = steward.join();
        }
    }

    /// Who else answers to this name.
    fn other(&self, name: &str) -> Option<&Other> {
        self.others.iter().find(|other| other.about.name == name)
    }

    /// The name that is meant, where none is said: that of the first model that does such work.
    fn named(&self, name: &str, chats: bool) -> String {
        if !name.is_empty() {
            return name.to_owned();
        }
        let mut models = self.models().into_iter();
        models.find(|model| model.chats == chats).map(|model| model.name).unwrap_or_default()
    }

    /// What a model makes of a request before it is run: by somebody else who answers, or by an engine.
    /// Waits for the model where it has to be loaded first.
    fn looked_at<T>(
        &self,
        request: &Request,
        other: impl FnOnce(&Other) -> Result<T, ChatError>,
        engine: impl FnOnce(&Engine, &Request) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let name = self.named(&request.model, true);
        if let Some(it) = self.other(&name)
            && matches!(request.prompt, Prompt::Messages(_))
        {
            return other(it);
        }
        let visit = self.line(&name)?.visit(Keep::Usual)?;
        match visit.body() {
            Body::Engine(it) => engine(it, request),
            Body::Embedder(_) => {
                let what = format!("model {name:?} turns texts into vectors; it does not answer");
                Err(ChatError::invalid("model", what))
            }
        }
    }

    /// The line of a name; those of others who answer are among what is known.
    fn line(&self, name: &str) -> Result<Arc<Line>, ChatError> {
        self.residents.line(name).map_err(|error| match error {
            ChatError::NoModel { name, .. } => {
                let known = self.models().into_iter().map(|model| model.name).collect();
                ChatError::NoModel { name, known }
            }
            other => other,
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Chat for Runtime {
    /// Returns at once, also where the model has to be loaded first: the request then waits in the
    /// queue, and what is wrong with it is told when the model is there.
    fn start(&self, mut request: Request, sink: Sink) -> Result<(), ChatError> {
        let name = self.named(&request.model, true);
        if let Some(other) = self.other(&name)
            && (matches!(request.prompt, Prompt::Messages(_))
                || self.residents.line(&name).is_err())
        {
            return other.start(request, sink);
        }
        let line = self.line(&name)?;
        request.model.clone_from(&line.name);
        line.enter(request, sink)
    }

    /// Waits for the model where it has to be loaded first.
    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.looked_at(request, |other| other.count_tokens(request), turn::count)
    }

    /// Waits for the model where it has to be loaded first.
    fn rendered(&self, request: &Request) -> Result<Rendered, ChatError> {
        self.looked_at(request, |other| other.rendered(request), turn::rendered)
    }

    fn models(&self) -> Vec<Model> {
        let models = self.residents.models().into_iter();
        let mut models: Vec<Model> = models
            .map(|model| self.other(&model.name).map_or(model, |other| other.about.clone()))
            .collect();
        for other in &self.others {
            if models.iter().all(|model| model.name != other.about.name) {
                models.push(other.about.clone());
            }
        }
        models
    }

    fn forget(&self, app: &str, session: &str) {
        self.residents.forget(app, session);
    }
}

impl Embed for Runtime {
    /// Waits for the model where it has to be loaded first.
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let unknown = || {
            let models = self.models().into_iter().filter(|model| !model.chats);
            let known = models.map(|model| model.name).collect();
            ChatError::NoModel { name: model.to_owned(), known }
        };
        let answers = || {
            let what = format!("model {model:?} answers; it does not turn texts into vectors");
            ChatError::invalid("model", what)
        };
        let name = self.named(model, false);
        match self.models().iter().find(|model| model.name == name) {
            Some(model) if model.chats => return Err(answers()),
            _ => {}
        }
        let line = self.residents.line(&name).map_err(|error| match error {
            ChatError::NoModel { .. } => unknown(),
            other => other,
        })?;
        let visit = line.visit(Keep::Usual)?;
        let Body::Embedder(embedder) = visit.body() else { return Err(answers()) };
        let embedder = embedder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut embedded = Embedded::default();
        for text in texts {
            let one = (embedder.embed(text, EmbedOptions::default()))
                .map_err(|error| ChatError::invalid("input", error.to_string()))?;
            embedded.tokens += one.tokens;
            embedded.vectors.push(one.vector);
        }
        drop(embedder);
        line.lock().tokens += embedded.tokens as u64;
        Ok(embedded)
    }
}
