//! Brings models into memory and takes them away: one thread, so that there is one who decides.
//!
//! ```text
//! when somebody rings, and now and then
//!     take in what was loaded; let go of what nobody uses any more
//!     send away models whose time is over
//!     see whether names stand for something else than what answers
//!     for those who wait, who waits longest first: make room, and load
//! ```
//!
//! Memory that is short is shared by turns: who waits gets room from models that have had their turn,
//! and those finish what they are doing first. A new version of a model is loaded beside the old one
//! where both fit, and says a few words to itself before it is heard; where it cannot, the old one goes
//! on. Loading has a thread of its own, so that nobody who decides waits for more than a look into a file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

use ondine_chat::{ChatError, Keep};

use crate::budget::Account;
use crate::line::Line;
use crate::loader::{Body, Happened, Source};
use crate::plan::{self, Busy, Held};
use crate::residents::{Residents, Version};

/// How often names are looked up, while something answers to them.
const LOOK: Duration = Duration::from_secs(1);

/// How often those who wait are asked whether they still do.
const ASK: Duration = Duration::from_millis(150);

/// How often it is seen whether room has come free.
const SOON: Duration = Duration::from_millis(10);

/// How long a version that was refused is not tried again while an earlier one answers.
const REFUSED: Duration = Duration::from_secs(60);

pub(crate) struct Steward {
    residents: Arc<Residents>,
    loading: Option<Job>,
    /// What was loaded last, by name, while it may be needed once more.
    good: BTreeMap<String, Arc<Source>>,
    /// What is open to be loaded.
    open: BTreeMap<String, Arc<Source>>,
    refused: BTreeMap<String, Refused>,
    /// Names that stand for something else than what answers.
    changed: Vec<Arc<Line>>,
    looked: Instant,
    asked: Instant,
}

/// A model that is being loaded.
struct Job {
    line: Arc<Line>,
    source: Arc<Source>,
    begun: Instant,
    done: Receiver<(Account, Result<Body, String>)>,
}

struct Refused {
    sha256: Option<String>,
    when: Instant,
}

/// What somebody waits for.
struct Claim {
    line: Arc<Line>,
    since: Instant,
    /// Bytes for a request; where there are none, the model itself.
    bytes: Option<u64>,
}

impl Steward {
    pub(crate) fn new(residents: Arc<Residents>) -> Steward {
        let now = Instant::now();
        Steward {
            residents,
            loading: None,
            good: BTreeMap::new(),
            open: BTreeMap::new(),
            refused: BTreeMap::new(),
            changed: Vec::new(),
            looked: now,
            asked: now,
        }
    }

    /// Until the runtime closes, and what runs then is done.
    pub(crate) fn work(mut self) {
        while !self.residents.is_closing() {
            let patience = self.round();
            self.residents.bell.wait(patience);
        }
        let threads: Vec<_> =
            self.residents.versions().iter_mut().filter_map(|one| one.thread.take()).collect();
        for thread in threads {
            // One that panicked has lost its requests; their sinks are gone with it.
            let _ = thread.join();
        }
    }

    /// Does what can be done now, and says when to look again.
    fn round(&mut self) -> Option<Duration> {
        self.take_in();
        self.reap();
        if self.asked.elapsed() >= ASK {
            self.asked = Instant::now();
            for line in self.residents.lines() {
                let served = line.lock().serving.is_some();
                if !served {
                    line.ask();
                }
            }
        }
        let next = self.expire();
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.look();
        }
        let waits = self.serve_claims();
        self.renew();

        let leaving = self.residents.held().iter().any(|one| one.leaving);
        let soon = (waits || leaving || !self.changed.is_empty() && self.loading.is_none())
            .then_some(SOON);
        let named = self.residents.loader.is_some() && !self.residents.versions().is_empty();
        let look = named.then(|| LOOK.saturating_sub(self.looked.elapsed()));
        let ask = self.loading.is_some().then_some(ASK);
        [soon, look, ask, next].into_iter().flatten().min()
    }

    /// What was loaded answers from now on; what could not be does not.
    fn take_in(&mut self) {
        let Some(job) = &self.loading else { return };
        let outcome = match job.done.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => None,
        };
        let Some(Job { line, source, begun, .. }) = self.loading.take() else { return };
        let took = begun.elapsed();
        let installed = match outcome {
            Some((account, Ok(body))) => {
                let about = Arc::new(source.about().clone());
                let known = (about, source.fingerprint().clone());
                self.residents.install(Arc::clone(&line), known, body, account, took, false)
            }
            Some((_, Err(why))) => Err(ChatError::Internal(why)),
            None => Err(ChatError::Internal("loading it broke down".into())),
        };
        self.changed.retain(|other| other.name != line.name);
        match installed {
            Err(error) => self.refuse(&line, source.about().sha256.clone(), error),
            Ok(()) => {
                self.open.remove(&line.name);
                let fell_back = self.refused.contains_key(&line.name)
                    && self.good.get(&line.name).is_some_and(|good| Arc::ptr_eq(good, &source));
                if !fell_back {
                    self.refused.remove(&line.name);
                    line.lock().problem = None;
                }
                self.tell(Happened::Loaded {
                    model: &line.name,
                    sha256: source.about().sha256.as_deref(),
                    took_s: took.as_secs_f64(),
                });
                self.good.insert(line.name.clone(), source);
            }
        }
    }

    /// A version that cannot be loaded. Where there is another, that one goes on answering.
    fn refuse(&mut self, line: &Arc<Line>, sha256: Option<String>, error: ChatError) {
        let name = &line.name;
        let why = match &error {
            ChatError::Internal(why) => why.clone(),
            other => other.to_string(),
        };
        self.tell(Happened::Refused { model: name, sha256: sha256.as_deref(), why: &why });
        self.open.remove(name);
        let error = match error {
            ChatError::Internal(why) => {
                ChatError::Internal(format!("model {name:?} cannot be loaded: {why}"))
            }
            other => other,
        };
        let another = self.good.get(name).is_some_and(|good| good.about().sha256 != sha256);
        self.refused.insert(name.clone(), Refused { sha256, when: Instant::now() });
        let mut state = line.lock();
        state.problem = Some(why);
        let answers = state.serving.is_some();
        drop(state);
        if !answers && !another {
            self.good.remove(name);
            line.fail(&error);
        }
    }

    /// Threads that have ended are joined, and what nobody has any more leaves memory.
    fn reap(&mut self) {
        let mut gone: Vec<Version> = Vec::new();
        {
            let mut versions = self.residents.versions();
            for one in versions.iter_mut() {
                if let Some(thread) = one.thread.take_if(|thread| thread.is_finished())
                    && thread.join().is_err()
                {
                    one.line.dismiss(one.number, false);
                    one.line.lock().problem = Some("its thread broke down".into());
                }
            }
            let is_gone = |one: &mut Version| {
                let serving = one.line.lock().is_serving(one.number);
                !serving && one.thread.is_none() && one.body.is_alone()
            };
            gone.extend(versions.extract_if(.., is_gone));
        }
        for one in gone {
            let (line, about) = (Arc::clone(&one.line), Arc::clone(&one.about));
            line.lock().doing.remove(&one.number);
            drop(one);
            self.tell(Happened::Left { model: &line.name, sha256: about.sha256.as_deref() });
        }
    }

    /// Models that nobody has used for as long as they were to stay go; says when the next may.
    fn expire(&mut self) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        let mut over = Vec::new();
        for one in self.residents.versions().iter().filter(|one| !one.pinned) {
            let state = one.line.lock();
            if !state.is_serving(one.number) || !state.is_idle(one.number) || state.is_wanted() {
                continue;
            }
            let stays = match state.keep {
                _ if state.unwanted => Duration::ZERO,
                Keep::Seconds(seconds) => Duration::from_secs(seconds),
                Keep::Usual | Keep::Always => continue,
            };
            let left = stays.saturating_sub(state.used.elapsed());
            if left.is_zero() {
                over.push((Arc::clone(&one.line), one.number));
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        for (line, number) in over {
            if line.dismiss(number, true) && !self.refused.contains_key(&line.name) {
                self.good.remove(&line.name);
            }
        }
        next
    }

    /// Sees which names stand for something else now.
    fn look(&mut self) {
        let Some(loader) = self.residents.loader.clone() else { return };
        let answering: Vec<(Arc<Line>, u64, Option<String>)> = {
            let versions = self.residents.versions();
            let own =
                versions.iter().filter(|one| !one.pinned && one.line.lock().is_serving(one.number));
            own.map(|one| (Arc::clone(&one.line), one.number, one.about.sha256.clone())).collect()
        };
        self.changed.clear();
        for (line, number, sha256) in answering {
            match loader.find(&line.name) {
                // Its name was taken away: it goes when nobody uses it.
                None => {
                    line.dismiss(number, true);
                    self.good.remove(&line.name);
                }
                Some(model) if model.sha256 != sha256 => {
                    if !self.is_refused(&line.name, model.sha256.as_ref()) {
                        self.changed.push(line);
                    }
                }
                // What was refused is not what it stands for any more.
                Some(_) => {
                    if self.refused.remove(&line.name).is_some() {
                        line.lock().problem = None;
                    }
                }
            }
        }
    }

    fn is_refused(&self, name: &str, sha256: Option<&String>) -> bool {
        self.refused.get(name).is_some_and(|refused| {
            refused.sha256.as_ref() == sha256 && refused.when.elapsed() < REFUSED
        })
    }

    /// What a name is to be loaded from.
    fn candidate(&mut self, line: &Arc<Line>) -> Result<Arc<Source>, ChatError> {
        let name = &line.name;
        let stands_for = self.residents.loader.as_ref().and_then(|loader| loader.find(name));
        let sha256 = stands_for.and_then(|model| model.sha256);
        if self.is_refused(name, sha256.as_ref())
            && let Some(good) = self.good.get(name)
        {
            return Ok(Arc::clone(good));
        }
        if let Some(open) = self.open.get(name).filter(|open| open.about().sha256 == sha256) {
            return Ok(Arc::clone(open));
        }
        let source = Arc::new(self.residents.source(name)?);
        self.open.insert(name.clone(), Arc::clone(&source));
        Ok(source)
    }

    /// Loads for those who wait, and makes room for them; whether somebody still waits for room.
    fn serve_claims(&mut self) -> bool {
        for Claim { line, bytes, .. } in self.claims() {
            let (needed, source) = match bytes {
                Some(bytes) => (bytes, None),
                None if self.loading.is_some() => continue,
                None => match self.candidate(&line) {
                    Ok(source) => (source.fixed(), Some(source)),
                    Err(error) => {
                        let loader = self.residents.loader.as_ref();
                        let now = loader.and_then(|loader| loader.find(&line.name));
                        self.refuse(&line, now.and_then(|model| model.sha256), error);
                        continue;
                    }
                },
            };
            let most = self.residents.budget.most();
            if let Some(source) = source.as_ref().filter(|source| source.fixed() > most) {
                let (what, budget) =
                    (format!("model {:?}", line.name), self.residents.budget.total());
                let error = ChatError::Memory { what, needed, available: most, budget };
                self.refuse(&line, source.about().sha256.clone(), error);
                continue;
            }
            let missing = needed.saturating_sub(self.residents.budget.free());
            if missing > 0 {
                let held = self.residents.held();
                // Its own requests that run will end, and leave what it needs.
                let own = held.iter().any(|one| one.model == line.name && one.busy);
                let turns = if own { Busy::Stay } else { Busy::Over(Instant::now()) };
                self.make_room(missing, &line.name, turns, &held);
                // Who waits longest is served first: nobody may take what is freed for it.
                return true;
            }
            if let Some(source) = source {
                self.load(line, source);
            }
        }
        false
    }

    /// Who waits, longest first.
    fn claims(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        for line in self.residents.lines() {
            let state = line.lock();
            let claim = match &state.serving {
                None => state.wanted_since().map(|since| (since, None)),
                Some(serving) => {
                    let doing = state.doing.get(&serving.number);
                    doing.and_then(|doing| doing.lacks).map(|(since, bytes)| (since, Some(bytes)))
                }
            };
            drop(state);
            if let Some((since, bytes)) = claim {
                claims.push(Claim { line, since, bytes });
            }
        }
        claims.sort_by_key(|claim| claim.since);
        claims
    }

    /// Sends away what has to go; gives how many bytes are missing when all of it has.
    fn make_room(&self, missing: u64, name: &str, turns: Busy, held: &[Held]) -> u64 {
        let (goes, still) = plan::goes(missing, name, turns, held);
        let lines: Vec<(u64, Arc<Line>)> = {
            let versions = self.residents.versions();
            versions.iter().map(|one| (one.number, Arc::clone(&one.line))).collect()
        };
        for one in goes {
            let Some((_, line)) = lines.iter().find(|(number, _)| *number == one.number) else {
                continue;
            };
            match one.evicted.what {
                ondine_chat::Eviction::Kv => {
                    if let Some(doing) = line.lock().doing.get_mut(&one.number) {
                        doing.shed = one.evicted.bytes;
                    }
                    line.changed.notify_all();
                }
                ondine_chat::Eviction::Model => {
                    line.dismiss(one.number, one.idle);
                }
            }
        }
        still
    }

    /// New versions are loaded: beside the old one where both fit, else when it is done.
    fn renew(&mut self) {
        if self.loading.is_some() {
            return;
        }
        let Some(line) = self.changed.first().cloned() else { return };
        let Some(number) = line.lock().serving.as_ref().map(|serving| serving.number) else {
            // It has gone meanwhile: whoever comes next gets the new one.
            self.changed.remove(0);
            return;
        };
        let source = match self.candidate(&line) {
            Ok(source) => source,
            Err(error) => {
                let loader = self.residents.loader.as_ref();
                let now = loader.and_then(|loader| loader.find(&line.name));
                self.changed.remove(0);
                self.refuse(&line, now.and_then(|model| model.sha256), error);
                return;
            }
        };
        let missing = source.fixed().saturating_sub(self.residents.budget.free());
        if missing == 0 {
            self.load(line, source);
        } else if source.fixed() > self.residents.budget.most() {
            self.changed.remove(0);
            let (what, budget) = (format!("model {:?}", line.name), self.residents.budget.total());
            let (needed, available) = (source.fixed(), self.residents.budget.most());
            let error = ChatError::Memory { what, needed, available, budget };
            self.refuse(&line, source.about().sha256.clone(), error);
        } else if self.make_room(missing, &line.name, Busy::Stay, &self.residents.held()) > 0 {
            line.dismiss(number, false);
        }
    }

    fn load(&mut self, line: Arc<Line>, source: Arc<Source>) {
        let account = match self.residents.open(&line.name, source.fixed()) {
            Ok(account) => account,
            // Somebody was quicker: once more in the next round.
            Err(_) => return,
        };
        let (sender, done) = mpsc::channel();
        let (own, bell) = (Arc::clone(&source), Arc::clone(&self.residents.bell));
        let thread = std::thread::Builder::new().name(format!("load {}", line.name));
        let begun = Instant::now();
        let started = thread.spawn(move || {
            let loaded = own.load();
            // Nobody is there to take it where the service ends meanwhile.
            let _ = sender.send((account, loaded));
            bell.ring();
        });
        match started {
            Ok(_) => self.loading = Some(Job { line, source, begun, done }),
            Err(error) => {
                let error = ChatError::Internal(format!("no thread to load with: {error}"));
                self.refuse(&line, source.about().sha256.clone(), error);
            }
        }
    }

    fn tell(&self, happened: Happened<'_>) {
        if let Some(loader) = &self.residents.loader {
            loader.told(&happened);
        }
    }
}
