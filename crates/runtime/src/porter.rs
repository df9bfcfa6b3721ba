//! The thread that carries keys and values between memory and disk, so that nobody's words stop for it.
//!
//! ```text
//!  worker ── read, write ──→ porter ──→ folder
//!         ←──── news ───────┘ wakes it
//! ```
//!
//! What is read goes first: somebody waits for it. The bytes of what is being written are still in
//! memory, and are owed to the budget until it is on the disk. It decides nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ondine_cache::Cache;
use ondine_engine::Snapshot;
use ondine_spill::{Folder, Found, Key, SpillError};

/// Writing something that leaves memory is not waited for any longer: the disk does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something to put on the disk.
pub(crate) struct Write {
    pub(crate) key: Key,
    pub(crate) id: Option<String>,
    pub(crate) snapshot: Snapshot,
}

/// What came of a job.
pub(crate) enum News {
    /// What was read, and the seconds that it took.
    Read { job: u64, found: Found, result: Result<Cache, SpillError>, seconds: f64 },
    /// A job of writing ended. So many bytes are no longer in memory.
    Written { job: u64, freed: u64 },
}

/// The jobs, and what came of them.
#[derive(Default)]
pub(crate) struct Porter {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    reads: VecDeque<(u64, Found, Cache)>,
    writes: VecDeque<(u64, Write)>,
    /// Bytes that are no one's but a writing job's, by job; what is being written among them.
    owed: BTreeMap<u64, u64>,
    /// Since when one job has been at work.
    busy: Option<Instant>,
    news: Vec<News>,
    jobs: u64,
    closed: bool,
}

impl Porter {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was found into an empty cache. Gives the job's number.
    pub(crate) fn read(&self, found: Found, blank: Cache) -> u64 {
        let mut state = self.lock();
        state.jobs += 1;
        let job = state.jobs;
        state.reads.push_back((job, found, blank));
        self.came.notify_one();
        job
    }

    /// Writes a session whose pages of `owed` bytes are no one's else. Gives the job's number.
    pub(crate) fn write(&self, write: Write, owed: u64) -> u64 {
        let mut state = self.lock();
        state.jobs += 1;
        let job = state.jobs;
        state.writes.push_back((job, write));
        state.owed.insert(job, owed);
        self.came.notify_one();
        job
    }

    /// Says that a job's pages are no one's else from now on; whether it is still at work.
    pub(crate) fn owe(&self, job: u64, bytes: u64) -> bool {
        let mut state = self.lock();
        let owed = state.owed.get_mut(&job);
        owed.map(|owed| *owed += bytes).is_some()
    }

    /// Bytes that are given back as soon as all is written and told; none are counted on while the disk does not
    /// answer.
    pub(crate) fn owed(&self) -> u64 {
        let state = self.lock();
        if state.busy.is_some_and(|since| since.elapsed() > PATIENCE) {
            return 0;
        }
        let done = state.news.iter().map(|news| match news {
            News::Written { freed, .. } => *freed,
            News::Read { .. } => 0,
        });
        state.owed.values().sum::<u64>() + done.sum::<u64>()
    }

    /// Jobs of writing that have not ended.
    pub(crate) fn writing(&self) -> usize {
        self.lock().owed.len()
    }

    /// Whether there is something to [take](Porter::news).
    pub(crate) fn has_news(&self) -> bool {
        !self.lock().news.is_empty()
    }

    /// What came of jobs since it was asked last.
    pub(crate) fn news(&self) -> Vec<News> {
        std::mem::take(&mut self.lock().news)
    }

    /// The thread: works until it is [closed](Porter::closing) and all is done. Calls `wake` when
    /// there are news.
    pub(crate) fn carry(&self, folder: &Folder, wake: impl Fn()) {
        let mut state = self.lock();
        loop {
            let begun = Instant::now();
            let news = if let Some((job, found, mut cache)) = state.reads.pop_front() {
                state.busy = Some(begun);
                drop(state);
                let result = folder.read(&found, &mut cache).map(|()| cache);
                let seconds = begun.elapsed().as_secs_f64();
                state = self.lock();
                News::Read { job, found, result, seconds }
            } else if let Some((job, Write { key, id, snapshot })) = state.writes.pop_front() {
                state.busy = Some(begun);
                drop(state);
                // What cannot be written is computed again: nobody is worse off.
                let _ = folder.put(&key, id.as_deref(), &snapshot.tokens, &snapshot.cache);
                drop(snapshot);
                state = self.lock();
                News::Written { job, freed: state.owed.remove(&job).unwrap_or(0) }
            } else if state.closed {
                return;
            } else {
                state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.busy = None;
            state.news.push(news);
            drop(state);
            wake();
            state = self.lock();
        }
    }

    /// Closes it when it is dropped: the thread ends when all is done.
    pub(crate) fn closing(&self) -> Closing<'_> {
        Closing(self)
    }
}

/// See [`Porter::closing`].
pub(crate) struct Closing<'a>(&'a Porter);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.came.notify_one();
    }
}
