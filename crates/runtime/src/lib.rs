//! One model for many apps of a device: who waits, who runs, what may be kept.
//!
//! A [`Runtime`] holds loaded models and answers [`Chat`] and [`Embed`] requests with them. Each model
//! has a thread that owns everything that changes; requests reach it through a queue and leave it
//! through their sinks.
//!
//! ```text
//!  start ─ turn ──→ queue ──→ running ──→ sink            (one thread a model)
//!          tokens,   by app,    a step evaluates all of them together,
//!          grammar   fair       then each takes its token
//!                                  │ done
//!                                  ▼
//!                                past: keys and values kept for the same app's next request
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `turn` | from a request to tokens and a grammar, and from an answer's text to events |
//! | `calls` | how a model writes calls of tools, and reads them |
//! | `queue` | whose turn it is |
//! | `past` | prefixes that were evaluated before, by app |
//! | `kept`, `porter` | what goes to the disk and comes from there; the thread that carries it |
//! | `budget` | bytes that may be used |
//! | `worker` | the thread: steps, one after another |
//!
//! The crate knows no network and no wire format, and of files the folder that it may be handed. An answer does not depend on who else
//! is being answered, bit for bit: engines are loaded steady.

mod budget;
mod calls;
mod fingerprint;
mod kept;
mod past;
mod porter;
mod queue;
mod turn;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ondine_chat::{Chat, ChatError, Embed, Embedded, Model, Request, Sink, Status};
use ondine_engine::{EmbedOptions, Embedder, Engine};
use ondine_spill::Folder;

pub use fingerprint::Fingerprint;
use turn::Turn;
use worker::{Arrival, Desk};

/// Limits of a runtime. Each is told to whoever meets it.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of weights, keys, values and scratch memory together.
    pub memory: u64,
    /// Requests of one app that wait.
    pub waiting_of_app: usize,
    /// Requests that wait for one model.
    pub waiting: usize,
    /// Requests that one model answers at once.
    pub running: usize,
    /// Tokens of an answer whose request names no bound.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: u64::MAX, waiting_of_app: 256, waiting: 1024, running: 16, answer: 4096 }
    }
}

struct Loaded {
    about: Model,
    engine: Arc<Engine>,
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Loaded models, and a thread for each.
pub struct Runtime {
    limits: Limits,
    budget: Arc<budget::Budget>,
    folder: Option<Arc<Folder>>,
    /// In the order in which they were added.
    models: Vec<Loaded>,
    /// They answer one at a time: an encoder uses all threads for a text anyway.
    embedders: Vec<(Model, Mutex<Embedder>)>,
}

impl Runtime {
    /// Without models.
    pub fn new(limits: Limits) -> Runtime {
        let budget = Arc::new(budget::Budget::new(limits.memory));
        Runtime { limits, budget, folder: None, models: Vec::new(), embedders: Vec::new() }
    }

    /// Keys and values of kept conversations go into `folder` when their bytes are wanted, when nobody
    /// is served for a moment, and at the end; and come back from there. Said before the first model
    /// is added.
    pub fn spill_to(&mut self, folder: Arc<Folder>) {
        self.folder = Some(folder);
    }

    /// The conversation `id` of an app is no more: what is kept for it goes from memory and disk.
    pub fn forget(&self, app: &str, id: &str) {
        if let Some(folder) = &self.folder {
            folder.forget(app, id);
        }
        for loaded in &self.models {
            loaded.desk.forget(app, id);
        }
    }

    /// Adds a model that answers. It should be loaded [steady](ondine_engine::EngineOptions::steady):
    /// else answers may hang on who else is being answered. What `about` says of names, bytes and
    /// files is believed; what the engine knows better is filled in.
    ///
    /// # Errors
    /// Weights beyond the budget.
    pub fn add(&mut self, about: Model, engine: Arc<Engine>) -> Result<(), ChatError> {
        let fingerprint = Fingerprint::of_hex(about.sha256.as_deref().unwrap_or_default());
        self.add_known(about, engine, fingerprint)
    }

    /// Adds a model as [`Runtime::add`] does, whose fingerprint may be told later.
    ///
    /// # Errors
    /// Weights beyond the budget.
    pub fn add_known(
        &mut self,
        mut about: Model,
        engine: Arc<Engine>,
        fingerprint: Fingerprint,
    ) -> Result<(), ChatError> {
        self.budget.take_for(&about.name, about.bytes)?;
        about.context = engine.shape().context;
        about.chats = true;
        about.tools = engine.template().is_ok_and(|t| calls::knows_tools(t.source()));
        about.family.clone_from(&engine.shape().architecture);
        let (budget, folder) = (Arc::clone(&self.budget), self.folder.clone());
        let desk = Arc::new(Desk::new(self.limits, budget, folder, fingerprint));
        let (theirs, its) = (Arc::clone(&desk), Arc::clone(&engine));
        let work = move || worker::work(&its, &theirs);
        let thread = std::thread::Builder::new()
            .name(format!("model {}", about.name))
            .spawn(work)
            .map_err(|error| ChatError::Internal(format!("no thread for a model: {error}")))?;
        self.models.push(Loaded { about, engine, desk, thread: Some(thread) });
        Ok(())
    }

    /// Adds a model that turns texts into vectors.
    ///
    /// # Errors
    /// Weights beyond the budget.
    pub fn add_embedder(&mut self, mut about: Model, embedder: Embedder) -> Result<(), ChatError> {
        self.budget.take_for(&about.name, about.bytes)?;
        about.context = embedder.shape().context;
        about.chats = false;
        about.family.clone_from(&embedder.shape().architecture);
        self.embedders.push((about, Mutex::new(embedder)));
        Ok(())
    }

    /// What is going on now.
    pub fn status(&self) -> Status {
        let of = |loaded: &Loaded| {
            let mut status = loaded.desk.status();
            (status.loaded, status.bytes) = (true, loaded.about.bytes);
            status.sha256.clone_from(&loaded.about.sha256);
            (loaded.about.name.clone(), status)
        };
        Status {
            models: self.models.iter().map(of).collect(),
            memory_used: self.budget.used(),
            memory: self.limits.memory,
        }
    }

    /// Takes no more requests, and waits until those that run are answered. Those that still wait in
    /// the queue are told that the service ends.
    pub fn finish(&mut self) {
        for loaded in &self.models {
            loaded.desk.close();
        }
        for loaded in &mut self.models {
            if let Some(thread) = loaded.thread.take() {
                // A worker that panicked has lost its requests; their sinks are gone with it.
                let _ = thread.join();
            }
        }
    }

    fn find(&self, name: &str) -> Result<&Loaded, ChatError> {
        let mut models = self.models.iter();
        let found = models.find(|m| name.is_empty() || m.about.name == name);
        found.ok_or_else(|| ChatError::NoModel {
            name: name.to_owned(),
            known: self.models.iter().map(|m| m.about.name.clone()).collect(),
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Chat for Runtime {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        let loaded = self.find(&request.model)?;
        let turn = Turn::new(&loaded.engine, &request, self.limits.answer)?;
        let Request { app, session, background, .. } = request;
        loaded.desk.enter(&loaded.engine, Arrival::new(app, session, background, turn, sink))
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        turn::count(&self.find(&request.model)?.engine, request)
    }

    fn models(&self) -> Vec<Model> {
        let models = self.models.iter().map(|m| &m.about);
        models.chain(self.embedders.iter().map(|(about, _)| about)).cloned().collect()
    }
}

impl Embed for Runtime {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let mut embedders = self.embedders.iter();
        let Some((_, embedder)) = embedders.find(|(m, _)| model.is_empty() || m.name == model)
        else {
            if self.find(model).is_ok() {
                let what = format!("model {model:?} answers; it does not turn texts into vectors");
                return Err(ChatError::invalid("model", what));
            }
            let known = self.embedders.iter().map(|(m, _)| m.name.clone()).collect();
            return Err(ChatError::NoModel { name: model.to_owned(), known });
        };
        let embedder = embedder.lock().unwrap_or_else(PoisonError::into_inner);
        let mut embedded = Embedded::default();
        for text in texts {
            let one = (embedder.embed(text, EmbedOptions::default()))
                .map_err(|error| ChatError::invalid("input", error.to_string()))?;
            embedded.tokens += one.tokens;
            embedded.vectors.push(one.vector);
        }
        Ok(embedded)
    }
}
