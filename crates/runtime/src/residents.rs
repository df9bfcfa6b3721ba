//! The models that there are: by name a line of those who wait, by number the versions in memory.
//! Anybody may look; versions are brought and taken away by the steward alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ondine_chat::{ChatError, Keep, Model};
use ondine_spill::Folder;

use crate::Limits;
use crate::bell::Bell;
use crate::budget::{Account, Budget};
use crate::fingerprint::Fingerprint;
use crate::line::{Desk, Line, Serving};
use crate::loader::{Body, Loader, Source};
use crate::plan::Held;
use crate::worker;

/// A model's turn lasts at least so many times what loading it took: else memory would be filled and
/// emptied for little.
const TURN_LOADS: u32 = 4;

/// A version in memory. Where it is dropped, its weights go first, and then what was promised for them.
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) line: Arc<Line>,
    pub(crate) body: Body,
    pub(crate) about: Arc<Model>,
    /// Whether there is something to load it from again.
    pub(crate) pinned: bool,
    pub(crate) thread: Option<JoinHandle<()>>,
    account: Arc<Account>,
    fixed: u64,
    since: Instant,
    turn: Duration,
}

/// All of them.
pub(crate) struct Residents {
    pub(crate) limits: Limits,
    pub(crate) budget: Arc<Budget>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) loader: Option<Arc<dyn Loader>>,
    /// Where keys and values may go.
    folder: OnceLock<Arc<Folder>>,
    lines: Mutex<BTreeMap<String, Arc<Line>>>,
    versions: Mutex<Vec<Version>>,
    numbers: AtomicU64,
    closing: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Residents {
    pub(crate) fn new(limits: Limits, loader: Option<Arc<dyn Loader>>) -> Residents {
        Residents {
            limits,
            budget: Arc::new(Budget::new(limits.memory)),
            bell: Arc::default(),
            loader,
            folder: OnceLock::new(),
            lines: Mutex::default(),
            versions: Mutex::default(),
            numbers: AtomicU64::new(1),
            closing: AtomicBool::new(false),
        }
    }

    pub(crate) fn spill_to(&self, folder: Arc<Folder>) {
        // Whoever says it twice is content with the first.
        let _ = self.folder.set(folder);
    }

    /// The conversation `id` of an app is no more.
    pub(crate) fn forget(&self, app: &str, id: &str) {
        for line in self.lines() {
            line.forget(app, id);
        }
        if let Some(folder) = self.folder.get() {
            folder.forget(app, id);
        }
    }

    /// The line of a model that was added or that the loader knows now.
    pub(crate) fn line(&self, name: &str) -> Result<Arc<Line>, ChatError> {
        if self.is_closing() {
            return Err(ChatError::ShuttingDown);
        }
        if lock(&self.versions).iter().any(|one| one.pinned && one.line.name == name) {
            return Ok(self.line_of(name));
        }
        match self.loader.as_ref().and_then(|loader| loader.find(name)) {
            Some(model) => Ok(self.line_of(&model.name)),
            None => Err(ChatError::NoModel {
                name: name.to_owned(),
                known: self.models().into_iter().map(|model| model.name).collect(),
            }),
        }
    }

    /// The line of a name that is known.
    pub(crate) fn line_of(&self, name: &str) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        let (budget, bell) = (&self.budget, &self.bell);
        let line = lines.entry(name.to_owned()).or_insert_with(|| {
            let line = Line::new(name, self.limits, Arc::clone(budget), Arc::clone(bell));
            // Who closes goes through the lines that are there: this one comes later, or not at all.
            line.lock().closed = self.is_closing();
            Arc::new(line)
        });
        Arc::clone(line)
    }

    pub(crate) fn lines(&self) -> Vec<Arc<Line>> {
        lock(&self.lines).values().cloned().collect()
    }

    pub(crate) fn versions(&self) -> MutexGuard<'_, Vec<Version>> {
        lock(&self.versions)
    }

    /// What there is: what was added, then what the loader knows.
    pub(crate) fn models(&self) -> Vec<Model> {
        let pinned: Vec<Model> = {
            let versions = lock(&self.versions);
            let pinned = versions.iter().filter(|one| one.pinned);
            pinned.map(|one| Model::clone(&one.about)).collect()
        };
        let known = self.loader.as_ref().map(|loader| loader.known()).unwrap_or_default();
        let others = known.into_iter().filter(|model| pinned.iter().all(|p| p.name != model.name));
        let others: Vec<Model> = others.collect();
        pinned.into_iter().chain(others).collect()
    }

    /// A model that is there from the beginning and stays.
    pub(crate) fn pin(
        &self,
        mut about: Model,
        body: Body,
        scratch: u64,
        fingerprint: Fingerprint,
    ) -> Result<(), ChatError> {
        body.describe(&mut about);
        let fixed = about.bytes.saturating_add(scratch);
        let account = self.open(&about.name, fixed)?;
        self.budget.fix(fixed);
        let line = self.line_of(&about.name);
        {
            let mut state = line.lock();
            (state.usual, state.keep) = (Keep::Always, Keep::Always);
        }
        self.install(line, (Arc::new(about), fingerprint), body, account, Duration::ZERO, true)
    }

    /// An account for a model, or what is in the way.
    pub(crate) fn open(&self, name: &str, fixed: u64) -> Result<Account, ChatError> {
        self.budget.open(fixed).ok_or_else(|| ChatError::Memory {
            what: format!("model {name:?}"),
            needed: fixed,
            available: self.budget.free(),
            budget: self.budget.total(),
        })
    }

    /// A version that has been loaded answers from now on.
    pub(crate) fn install(
        &self,
        line: Arc<Line>,
        (about, fingerprint): (Arc<Model>, Fingerprint),
        body: Body,
        account: Account,
        took: Duration,
        pinned: bool,
    ) -> Result<(), ChatError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (fixed, account) = (account.taken(), Arc::new(account));
        let own = if pinned { 0 } else { fixed };
        let serving = Serving { number, body: body.clone(), about: Arc::clone(&about), own };
        let thread = match &body {
            Body::Embedder(_) => None,
            Body::Engine(engine) => {
                let (engine, its) = (Arc::clone(engine), serving.clone());
                let desk = Desk {
                    line: Arc::clone(&line),
                    number,
                    limits: self.limits,
                    budget: Arc::clone(&account),
                    folder: self.folder.get().cloned(),
                    fingerprint,
                };
                let bell = Arc::clone(&self.bell);
                let work = move || {
                    // Also where it breaks down, somebody has to see that it has ended.
                    let _rings = Rings(bell);
                    worker::work(&engine, &its, &desk);
                };
                let thread = std::thread::Builder::new().name(format!("model {}", line.name));
                // Before the thread looks, it is the one who answers.
                line.serve(serving.clone());
                let started = thread.spawn(work).map_err(|error| {
                    line.dismiss(number, false);
                    line.lock().doing.remove(&number);
                    ChatError::Internal(format!("no thread for a model: {error}"))
                });
                Some(started?)
            }
        };
        if thread.is_none() {
            line.serve(serving);
        }
        lock(&self.versions).push(Version {
            number,
            line,
            body,
            about,
            pinned,
            thread,
            account,
            fixed,
            since: Instant::now(),
            turn: self.limits.turn.max(took * TURN_LOADS),
        });
        Ok(())
    }

    /// What is in memory, for who makes room.
    pub(crate) fn held(&self) -> Vec<Held> {
        let of = |one: &Version| {
            let state = one.line.lock();
            let serving = state.is_serving(one.number);
            let doing = state.doing.get(&one.number);
            let (kept, stuck) =
                doing.map_or((0, false), |doing| (doing.kept, doing.lacks.is_some()));
            let busy = !state.is_idle(one.number);
            let running = one.account.taken().saturating_sub(one.fixed.saturating_add(kept));
            Held {
                model: one.line.name.clone(),
                number: one.number,
                fixed: one.fixed,
                kept,
                running,
                busy,
                wanted: serving && state.is_wanted(),
                leaving: !serving,
                pinned: one.pinned,
                always: state.keep == Keep::Always,
                used: state.used,
                since: one.since,
                // Who cannot go on has no use for its turn.
                turn: if stuck && !busy { Duration::ZERO } else { one.turn },
            }
        };
        lock(&self.versions).iter().map(of).collect()
    }

    /// A source of what a name stands for now.
    pub(crate) fn source(&self, name: &str) -> Result<Source, ChatError> {
        let unknown = || ChatError::NoModel {
            name: name.to_owned(),
            known: self.models().into_iter().map(|model| model.name).collect(),
        };
        self.loader.as_ref().ok_or_else(unknown)?.open(name)
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        for line in self.lines() {
            line.close();
        }
        self.bell.ring();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}

struct Rings(Arc<Bell>);

impl Drop for Rings {
    fn drop(&mut self) {
        self.0.ring();
    }
}
