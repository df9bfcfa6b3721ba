//! What is kept for later requests, in memory and on disk: what goes when bytes are wanted, what is
//! written, and what is brought back because that is faster than computing it again.
//!
//! ```text
//!  keep ──→ past ──→ porter ──→ folder        bytes are wanted, or nobody is served for a moment,
//!   fork ←──┘ └──────── fetch ←────┘          or the service ends
//! ```
//!
//! Only what belongs to a kept conversation goes to the disk: an app that asks for answers and keeps
//! nothing here leaves nothing there. Nothing goes there, or comes from there, before the model's
//! fingerprint is known.

use std::sync::Arc;

use ondine_engine::{Engine, Session, SessionOptions, Snapshot};
use ondine_spill::{Folder, Key};
use ondine_text::vocab::TokenId;

use crate::budget::Budget;
use crate::fingerprint::Fingerprint;
use crate::past::{Gone, Kept, OnDisk, Past, WORTH_SHARING};
use crate::porter::{News, Porter, Write};

/// What a disk gives in a second, before the first was read: a slow card's rate.
const FIRST_BYTES_S: f64 = 200e6;

/// Sessions that wait to be written while others come: what has to go meanwhile goes without.
const WRITES_MAX: usize = 8;

/// While there is time, a session is written again when so many of its parts are new. So what is
/// written of a conversation that grows by a word at a time is some times its length, not its square.
const PARTS: usize = 8;

/// Where keys and values may go.
pub(crate) struct Disk<'a> {
    folder: &'a Folder,
    porter: &'a Porter,
    model: &'a Fingerprint,
    /// What decides the bits of keys and values beside the weights.
    form: String,
    /// What it gave in a second, of late.
    bytes_s: f64,
}

impl<'a> Disk<'a> {
    /// A folder, who carries, and what tells the model of `engine` from others.
    pub(crate) fn new(
        folder: &'a Folder,
        porter: &'a Porter,
        engine: &Engine,
        model: &'a Fingerprint,
    ) -> Disk<'a> {
        let form = engine.kv_form(SessionOptions::default());
        Disk { folder, porter, model, form, bytes_s: FIRST_BYTES_S }
    }

    fn key(&self, app: &str) -> Option<Key> {
        Some(Key::new(app, &self.model.get()?, &self.form))
    }

    /// The key of a session that may be here, and how many of its tokens are not.
    fn unwritten(&self, kept: &Kept) -> Option<(Key, usize)> {
        kept.id.as_ref()?;
        let key = self.key(&kept.app)?;
        Some((key, kept.tokens().len() - self.folder.knows(&key, kept.tokens())))
    }

    /// Begins to write a session; `owed` bytes are no one's else. Gives the job's number.
    fn write(&self, key: Key, kept: &Kept, owed: u64) -> u64 {
        let write = Write { key, id: kept.id.clone(), snapshot: kept.session.snapshot() };
        self.porter.write(write, owed)
    }
}

/// What is kept of one loaded model.
pub(crate) struct Keeping<'a> {
    engine: &'a Arc<Engine>,
    budget: &'a Budget,
    disk: Option<Disk<'a>>,
    past: Past,
}

/// Something that was on the disk, and now is in memory; or is not, after all.
pub(crate) struct Fetched {
    pub(crate) job: u64,
    pub(crate) session: Option<Session>,
}

impl<'a> Keeping<'a> {
    pub(crate) fn new(
        engine: &'a Arc<Engine>,
        budget: &'a Budget,
        disk: Option<Disk<'a>>,
    ) -> Keeping<'a> {
        Keeping { engine, budget, disk, past: Past::default() }
    }

    /// Bytes of keys and values that are kept in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.past.bytes()
    }

    /// Takes bytes of the budget. Where they are not left, those who were used longest ago go; `false`
    /// where that does not do, or not yet.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        while !self.budget.take(bytes) {
            let missing = bytes.saturating_sub(self.budget.total() - self.budget.used());
            if self.disk.as_ref().is_some_and(|disk| disk.porter.owed() >= missing) {
                return false;
            }
            let Some(gone) = self.past.drop_one() else { return false };
            self.let_go(gone);
        }
        true
    }

    /// A session that begins as `prompt` does, where one is in memory.
    pub(crate) fn fork(&mut self, app: &str, prompt: &[TokenId]) -> Option<Session> {
        self.past.fork(app, prompt)
    }

    /// Begins to read what is on the disk of a prompt, where that saves time: a token takes `token_s`
    /// seconds to evaluate, or nobody knows yet. Gives the job's number.
    pub(crate) fn fetch(&mut self, app: &str, prompt: &[TokenId], token_s: f64) -> Option<u64> {
        let disk = self.disk.as_ref()?;
        let found = disk.folder.find(&disk.key(app)?, prompt)?;
        let saved = found.tokens().len().saturating_sub(self.past.shared(app, prompt));
        // A service that has just begun does not know its own pace, and is asked for what was said
        // before it ended. Reading was faster on every machine that was measured.
        let faster = token_s == 0.0 || found.bytes as f64 / disk.bytes_s < saved as f64 * token_s;
        let blank = || Session::blank_cache(self.engine, SessionOptions::default());
        (saved >= WORTH_SHARING && faster).then(|| disk.porter.read(found, blank()))
    }

    /// Whether something came of what the disk was asked for.
    pub(crate) fn has_news(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.porter.has_news())
    }

    /// Settles what was written, and gives what was read.
    pub(crate) fn news(&mut self) -> Vec<Fetched> {
        let news = self.disk.as_ref().map(|disk| disk.porter.news()).unwrap_or_default();
        let mut fetched = Vec::new();
        for news in news {
            match news {
                News::Written { job, freed } => {
                    self.budget.give(freed);
                    for kept in self.past.iter_mut().filter(|k| k.disk == OnDisk::Writing(job)) {
                        kept.disk = OnDisk::Done;
                    }
                }
                News::Read { job, found, result, seconds } => {
                    let session = result.ok().and_then(|cache| {
                        if let Some(disk) = &mut self.disk {
                            let now = found.bytes as f64 / seconds.max(1e-6);
                            disk.bytes_s = 0.5 * disk.bytes_s + 0.5 * now;
                        }
                        let snapshot = Snapshot { tokens: found.tokens().to_vec(), cache };
                        Session::resume(self.engine, SessionOptions::default(), snapshot).ok()
                    });
                    fetched.push(Fetched { job, session });
                }
            }
        }
        fetched
    }

    /// Keeps a session that was promised so many bytes: those that nobody else had taken for it stay
    /// taken, the others are given back.
    pub(crate) fn keep(&mut self, app: &str, id: Option<String>, session: Session, promised: u64) {
        let bytes = session.kv_bytes() as u64;
        if bytes == 0 || bytes > promised {
            return self.budget.give(promised);
        }
        let before = self.past.bytes();
        let gone = self.past.keep(app, id, session);
        let freed: u64 = gone.iter().map(|gone| gone.freed).sum();
        let taken = self.past.bytes() + freed - before;
        self.budget.give(promised - taken);
        for gone in gone {
            self.finish_with(gone);
        }
    }

    /// Lets everything of an app's conversation go.
    pub(crate) fn forget(&mut self, app: &str, id: &str) {
        for gone in self.past.forget(app, id) {
            self.finish_with(gone);
        }
    }

    /// Whether there may be something to [write](Keeping::write_one).
    pub(crate) fn has_unwritten(&mut self) -> bool {
        let Some(disk) = &self.disk else { return false };
        let unknown = |kept: &mut Kept| kept.id.is_some() && kept.disk == OnDisk::Unknown;
        disk.model.get().is_some()
            && disk.porter.writing() == 0
            && self.past.iter_mut().any(unknown)
    }

    /// Writes one session of those that are not on the disk.
    pub(crate) fn write_one(&mut self) {
        let Some(disk) = &self.disk else { return };
        for kept in self.past.iter_mut().filter(|kept| kept.disk == OnDisk::Unknown) {
            let Some((key, new)) = disk.unwritten(kept) else { continue };
            if new < WORTH_SHARING {
                kept.disk = OnDisk::Done;
            } else if new * PARTS < kept.tokens().len() {
                kept.disk = OnDisk::Mostly;
            } else {
                // Its pages stay in memory, and are paid for there.
                kept.disk = OnDisk::Writing(disk.write(key, kept, 0));
                return;
            }
        }
    }

    /// Nobody is served any more: all that is worth it is written.
    pub(crate) fn leave(&mut self) {
        while let Some(gone) = self.past.drop_one() {
            self.spill(gone, usize::MAX);
        }
    }

    /// Lets one go that was used longest ago.
    fn let_go(&mut self, gone: Gone) {
        self.spill(gone, WRITES_MAX);
    }

    /// Writes what goes where that is worth it and no more than `most` are being written; its bytes are
    /// given back when they are free.
    fn spill(&mut self, gone: Gone, most: usize) {
        if let Some(disk) = &self.disk
            && matches!(gone.kept.disk, OnDisk::Unknown | OnDisk::Mostly)
            && disk.porter.writing() < most
            && let Some((key, new)) = disk.unwritten(&gone.kept)
            && new >= WORTH_SHARING
        {
            disk.write(key, &gone.kept, gone.freed);
        } else {
            self.finish_with(gone);
        }
    }

    /// Gives back the bytes of what is kept no more, as soon as nobody holds them.
    fn finish_with(&self, gone: Gone) {
        let Gone { kept, freed } = gone;
        if let (Some(disk), OnDisk::Writing(job)) = (&self.disk, kept.disk)
            && disk.porter.owe(job, freed)
        {
            return;
        }
        drop(kept);
        self.budget.give(freed);
    }
}
