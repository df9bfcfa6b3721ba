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

use crate::budget::Account;
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
    budget: &'a Account,
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
        budget: &'a Account,
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
            let missing = bytes.saturating_sub(self.budget.free());
            if self.owed() >= missing {
                return false;
            }
            let Some(gone) = self.past.drop_one() else { return false };
            self.let_go(gone);
        }
        true
    }

    /// Bytes that are given back as soon as they are written.
    pub(crate) fn owed(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.porter.owed())
    }

    /// Lets so many bytes go, those used longest ago first: somebody else needs them.
    pub(crate) fn shed(&mut self, bytes: u64) {
        let mut freed = self.owed();
        while freed < bytes {
            let Some(gone) = self.past.drop_one() else { return };
            freed += gone.freed;
            self.let_go(gone);
        }
    }

    /// A session that begins as `prompt` does, where one is in memory.
    pub(crate) fn fork(&mut self, app: &str, prompt: &[TokenId]) -> Option<Session> {
        self.past.fork(app, prompt)
    }

    /// Begins to read what is on the disk of a prompt, where that saves time: a token takes `token_s`
    /// seconds to evaluate, or nobody knows yet. Gives the job's number.
    pub(crate) fn fetch(&mut self, app: &str, prompt: &[TokenId], token_s: f64) -> Option<u64> {
        let disk = self.disk.as_mut()?;
        let found = disk.folder.find(&disk.key(app)?, prompt)?;
        let saved = found.tokens().len().saturating_sub(self.past.shared(app, prompt));
        if saved < WORTH_SHARING {
            return None;
        }
        // A service that has just begun does not know its own pace, and is asked for what was said
        // before it ended. Reading was faster on every machine that was measured.
        let faster = token_s == 0.0 || found.bytes as f64 / disk.bytes_s < saved as f64 * token_s;
        if !faster {
            // What was slow may be fast again: without this it would never be tried.
            disk.bytes_s = 0.9 * disk.bytes_s + 0.1 * FIRST_BYTES_S;
            return None;
        }
        let blank = Session::blank_cache(self.engine, SessionOptions::default());
        Some(disk.porter.read(found, blank))
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

    /// Whether something is kept that may go to the disk as soon as the model's fingerprint is known.
    pub(crate) fn waits_for_its_name(&mut self) -> bool {
        let unknown = self.disk.as_ref().is_some_and(|disk| disk.model.get().is_none());
        unknown && self.past.iter_mut().any(|kept| kept.id.is_some())
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ondine_engine::EngineOptions;
    use ondine_format::gguf;
    use ondine_spill::Limits;
    use ondine_tensor::Bytes;

    use super::*;
    use crate::budget::Budget;

    fn account(total: u64) -> Account {
        Arc::new(Budget::new(total)).open(0).unwrap()
    }

    struct Temp(PathBuf);

    impl Drop for Temp {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn temp(name: &str) -> (Temp, Folder) {
        let name = format!("ondine-keeping-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let folder = Folder::open(&path, Limits { keep_free: 0, ..Limits::default() }).unwrap();
        (Temp(path), folder)
    }

    fn engine() -> Arc<Engine> {
        let bytes = include_bytes!("../../droplet/droplet.gguf");
        let file = gguf::read(Bytes::from_static(bytes)).unwrap();
        Engine::load(&file, EngineOptions::default()).unwrap()
    }

    /// Keeps a session of `count` times the same token, which is its own, promised for as if it had come to be twice as long.
    fn keep(keeping: &mut Keeping<'_>, id: &str, count: usize) {
        let mut session = keeping.engine.session(SessionOptions::default()).unwrap();
        session.sync(&vec![u32::from(id.as_bytes()[0]); count]).unwrap();
        let promised = 2 * session.kv_bytes() as u64;
        assert!(keeping.take(promised));
        keeping.keep("a", Some(id.to_owned()), session, promised);
    }

    #[test]
    fn the_disk_is_asked_where_it_is_faster() {
        let (_temp, folder) = temp("faster");
        let (engine, budget, porter) = (engine(), account(u64::MAX), Porter::default());
        let model = Fingerprint::of_hex(&"00".repeat(32));
        let disk = || Some(Disk::new(&folder, &porter, &engine, &model));
        let mut keeping = Keeping::new(&engine, &budget, disk());
        keep(&mut keeping, "s", 100);
        let known = [u32::from(b's'); 120];
        assert_eq!(keeping.fetch("a", &known, 0.0), None, "it is not there yet");
        keeping.leave();
        drop(porter.closing());
        porter.carry(&folder, || {});
        assert_eq!(keeping.news().len(), 0);
        assert_eq!(budget.taken(), 0);
        assert_eq!(folder.counts().written, 1);
        assert_eq!(keeping.fetch("a", &known[..15], 1.0), None, "too little");
        assert_eq!(keeping.fetch("b", &known, 1.0), None, "another app");
        for _ in 0..100 {
            assert_eq!(keeping.fetch("a", &known, 1e-9), None, "computing is faster");
        }
        let jobs = [0.0, 1.0].map(|token_s| keeping.fetch("a", &known, token_s).unwrap());
        porter.carry(&folder, || {});
        let fetched = keeping.news();
        assert_eq!(fetched.iter().map(|fetched| fetched.job).collect::<Vec<_>>(), jobs);
        let tokens = |fetched: &Fetched| fetched.session.as_ref().map(|s| s.tokens().len());
        assert_eq!(fetched.iter().map(tokens).collect::<Vec<_>>(), [Some(100); 2]);
        // Memory that knows as much is nearer.
        keep(&mut keeping, "s", 100);
        assert_eq!(keeping.fetch("a", &known, 1.0), None);
    }

    #[test]
    fn bytes_count_until_they_are_written() {
        let (_temp, folder) = temp("bytes");
        let (engine, porter) = (engine(), Porter::default());
        let page = engine.shape().cache().bytes_per_page().unwrap() as u64;
        let budget = account(10 * page);
        let model = Fingerprint::of_hex(&"00".repeat(32));
        let disk = Disk::new(&folder, &porter, &engine, &model);
        let mut keeping = Keeping::new(&engine, &budget, Some(disk));
        keep(&mut keeping, "s", 48);
        keep(&mut keeping, "t", 33);
        assert_eq!((budget.taken(), keeping.bytes()), (6 * page, 6 * page));
        // What is needed lies in one of the two: it is on its way, and not free before it is there.
        assert!(!keeping.take(7 * page));
        assert_eq!((budget.taken(), keeping.bytes()), (6 * page, 3 * page));
        assert!(!keeping.take(7 * page), "waiting for it lets no other go");
        assert_eq!(keeping.bytes(), 3 * page);
        drop(porter.closing());
        porter.carry(&folder, || {});
        keeping.news();
        assert_eq!(budget.taken(), 3 * page);
        assert!(keeping.take(7 * page));
        budget.give(7 * page);
        // One that is being written while there is time goes meanwhile.
        assert!(keeping.has_unwritten());
        keeping.write_one();
        assert!(!keeping.has_unwritten() && budget.taken() == 3 * page);
        keeping.forget("a", "t");
        assert_eq!((budget.taken(), keeping.bytes()), (3 * page, 0), "its pages are being written");
        porter.carry(&folder, || {});
        keeping.news();
        assert_eq!(budget.taken(), 0);
    }
}
