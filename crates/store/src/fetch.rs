//! A file of the web becomes a part that is whole and has the digest it should have.
//!
//! ```text
//!   ask for one byte          → length, version, whether parts are sent
//!   several threads           take spans of missing chunks, write them, report each chunk
//!   this thread               notes the reports, hashes the file from the front, shows progress
//!   all chunks hashed         → the digest of the whole is compared
//! ```
//!
//! Parts are only ever put together where something says that they belong together: a version's
//! name that the server repeats, or a digest that the whole must have. Where neither is known, the
//! file comes in one piece.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::digest::{Digest, Hasher};
use crate::disk::Disk;
use crate::error::{StoreError, io_at};
use crate::http::{Client, Reply, is_strong};
use crate::layout::{self, Layout, PartKey};
use crate::part::{Head, Part};
use crate::plan::Plan;
use crate::remote::{Remote, within};

/// The longest file: larger than any model, smaller than any overflow.
pub const BLOB_BYTES_MAX: u64 = 1 << 42;
/// What must stay free on the disk when a model has arrived.
pub const SPACE_MARGIN_BYTES: u64 = 16 << 20;
/// Failures in a row, without a chunk between them, after which a connection is given up.
pub const ATTEMPTS_MAX: u32 = 4;
/// How often a download begins anew: the file changed, or it came in one piece that broke.
pub const RESTARTS_MAX: u32 = 3;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);
/// Bytes read from a connection at once.
const BUFFER_BYTES: usize = 128 << 10;

/// How far something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes that are there.
    pub done: u64,
    /// Bytes of the whole; 0 while nobody knows.
    pub total: u64,
    /// Whether somebody else does the work, and this caller waits for it.
    pub waiting: bool,
    /// What the whole must be, where that is known beforehand.
    pub digest: Option<Digest>,
}

/// Is told how far something is, and may stop it.
pub type Watch<'a> = dyn FnMut(Step) -> ControlFlow<()> + 'a;

/// What stays the same for one download.
pub(crate) struct Job<'a> {
    pub(crate) client: &'a Arc<Client>,
    pub(crate) layout: &'a Layout,
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) key: PartKey,
    pub(crate) remote: &'a Remote,
    /// Version and length of what is there already under the asked name.
    pub(crate) known: Option<(String, u64)>,
    pub(crate) connections: usize,
    /// The first pause before another attempt; each further one is twice as long.
    pub(crate) pause: Duration,
}

/// What came of it.
pub(crate) enum Fetched {
    /// The part is whole.
    Whole { digest: Digest, bytes: u64, etag: Option<String> },
    /// The server still has the version that is known.
    Unchanged,
}

/// Why an attempt ended, and whether another one may do better.
struct Ended {
    error: StoreError,
    again: bool,
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Ended {
        Ended { again: matches!(error, StoreError::Changed { .. }), error }
    }
}

impl Ended {
    /// For what has not tried again by itself.
    fn passing(error: StoreError) -> Ended {
        Ended { again: error.is_passing() || matches!(error, StoreError::Changed { .. }), error }
    }
}

/// Tells how far it is; an error where the caller wants to stop.
pub(crate) fn tell(watch: &mut Watch<'_>, step: Step) -> Result<(), StoreError> {
    match watch(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(StoreError::Cancelled),
    }
}

/// Fetches a file. The caller holds the lock of its key.
pub(crate) fn fetch(job: &Job<'_>, watch: &mut Watch<'_>) -> Result<Fetched, StoreError> {
    let mut restarts = 0;
    loop {
        match attempt(job, watch) {
            Ok(fetched) => return Ok(fetched),
            Err(Ended { error, again }) => {
                if !again || restarts == RESTARTS_MAX {
                    return Err(error);
                }
                if matches!(error, StoreError::Changed { .. }) {
                    Part::discard(job.layout, job.key)?;
                }
                pause(job.pause * 2u32.pow(restarts), watch)?;
                restarts += 1;
            }
        }
    }
}

/// Waits, and lets the caller stop meanwhile.
fn pause(time: Duration, watch: &mut Watch<'_>) -> Result<(), StoreError> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        tell(watch, Step::default())?;
        thread::sleep(TICK.min(time));
    }
    Ok(())
}

fn attempt(job: &Job<'_>, watch: &mut Watch<'_>) -> Result<Fetched, Ended> {
    let wanted = job.remote.bytes;
    let left = Part::resume(job.layout, job.key)?.filter(|part| {
        wanted.is_none_or(|bytes| bytes == part.head.bytes) && joins(job, &part.head)
    });
    // Everything may be there already: whoever fetched it was stopped before the last step.
    if let Some(part) = left {
        let mut work = Work::new(job, part);
        if work.missing() == 0 {
            work.hash_all(watch)?;
        }
        if work.missing() == 0 {
            return Ok(work.finish(job)?);
        }
    }

    let url = job.remote.url.to_string();
    let reply = job.get(&[("range", "bytes=0-0")]).map_err(Ended::passing)?;
    let (bytes, ranges) = if reply.is_partial() {
        let Some((0, 0, bytes)) = reply.range() else {
            let found = reply.header("content-range").unwrap_or_default().to_string();
            return Err(StoreError::Range { url, expected: "bytes 0-0".into(), found }.into());
        };
        (bytes, true)
    } else {
        (reply.length().ok_or_else(|| StoreError::NoLength { url: url.clone() })?, false)
    };
    if let Some(expected) = wanted.filter(|expected| *expected != bytes) {
        return Err(StoreError::Size { url, expected, found: bytes }.into());
    }
    if bytes == 0 {
        return Err(StoreError::Size { url, expected: 1, found: 0 }.into());
    }
    within(bytes, &url)?;
    let etag = reply.etag();
    let strong = etag.clone().filter(|etag| is_strong(etag));
    if strong.is_some() && job.known == strong.map(|etag| (etag, bytes)) {
        return Ok(Fetched::Unchanged);
    }
    let mut head = Head::new(bytes, etag, ranges);
    head.ranges = ranges && joins(job, &head);
    // Parts would not be known to belong together: the file is asked for as a whole.
    let stream = match (ranges, head.ranges) {
        (true, true) => None,
        (true, false) => Some(job.get(&[]).map_err(Ended::passing)?),
        (false, _) => Some(reply),
    };

    let left = Part::resume(job.layout, job.key)?.filter(|part| part.head == head && head.ranges);
    let there: u64 = left.as_ref().map_or(0, |part| {
        let there = part.found.iter().enumerate().filter(|(_, digest)| digest.is_some());
        there.map(|(chunk, _)| part.head.length(chunk)).sum()
    });
    room(job, bytes - there)?;
    let part = match left {
        Some(part) => part,
        None => Part::create(job.layout, job.key, head)?,
    };
    let mut work = Work::new(job, part);
    work.run(job, stream, watch)?;
    Ok(work.finish(job)?)
}

/// Whether parts of this version can be known to belong together.
fn joins(job: &Job<'_>, head: &Head) -> bool {
    head.ranges && (job.remote.digest.is_some() || head.etag.as_deref().is_some_and(is_strong))
}

/// Refuses what will not fit, before it comes.
fn room(job: &Job<'_>, bytes: u64) -> Result<(), StoreError> {
    enough(job.disk.as_ref(), job.layout, bytes)
}

/// Refuses what will not fit on the disk.
pub(crate) fn enough(disk: &dyn Disk, layout: &Layout, bytes: u64) -> Result<(), StoreError> {
    let path = layout.parts();
    let free = disk.free(&path).map_err(io_at(&path, "ask for the free space"))?;
    let needed = bytes.saturating_add(SPACE_MARGIN_BYTES);
    if free < needed {
        return Err(StoreError::Space { path, needed, free });
    }
    Ok(())
}

impl Job<'_> {
    fn get(&self, headers: &[(&str, &str)]) -> Result<Reply, StoreError> {
        self.client.get(&self.remote.url, headers, self.remote.token.as_ref())
    }
}

/// What the threads of one download share.
struct Shared {
    client: Arc<Client>,
    remote: Remote,
    disk: Arc<dyn Disk>,
    head: Head,
    path: PathBuf,
    pause: Duration,
    plan: Mutex<Plan>,
    /// Told when there may be something to do, or nothing any more.
    news: Condvar,
    /// Bytes that are there, or being written.
    received: AtomicU64,
    stopped: AtomicBool,
    /// Held for reading by who writes to the file, for writing by who stops: after that, nothing
    /// is written any more, even by a thread that hangs in a read.
    gate: RwLock<()>,
}

/// What a thread has to say.
enum Report {
    /// A chunk is in the file.
    Chunk(usize, Digest),
    /// It gave up.
    Failed(StoreError),
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        // A thread that panics holds no half-made plan: each change is one call.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do; `None` when all is done.
    fn claim(&self) -> Option<Range<usize>> {
        let mut plan = self.plan();
        loop {
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(span) = plan.next() {
                return Some(span);
            }
            plan = self.news.wait(plan).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn release(&self, span: Range<usize>) {
        self.plan().release(span);
        self.news.notify_all();
    }

    fn stop(&self) {
        let gate = self.gate.write();
        self.stopped.store(true, Ordering::SeqCst);
        drop(gate);
        // Under the lock, or a thread between its question and its sleep would miss the news.
        let plan = self.plan();
        self.news.notify_all();
        drop(plan);
    }

    /// Waits before another attempt, not longer than the download lasts.
    fn rest(&self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time && !self.stopped.load(Ordering::SeqCst) {
            thread::sleep(TICK.min(time));
        }
    }

    /// The life of a thread: spans, until there are none.
    fn work(&self, reports: &Sender<Report>) {
        let mut failures = 0;
        while let Some(span) = self.claim() {
            let mut at = span.start;
            let result = self
                .ask(&span)
                .and_then(|mut reply| self.receive(&mut reply, &span, &mut at, reports));
            if at > span.start {
                failures = 0;
            }
            let error = match result {
                Ok(()) => continue,
                Err(error) => error,
            };
            self.release(at..span.end);
            if !error.is_passing() || failures == ATTEMPTS_MAX {
                // Nobody listens where the download has ended already.
                let _ = reports.send(Report::Failed(error));
                return;
            }
            self.rest(self.pause * 2u32.pow(failures));
            failures += 1;
        }
    }

    /// Asks for a span, and makes sure that this is what comes.
    fn ask(&self, span: &Range<usize>) -> Result<Reply, StoreError> {
        let (first, bytes) = (self.head.begin(span.start), self.length(span));
        let last = first + bytes - 1;
        let range = format!("bytes={first}-{last}");
        let mut headers = vec![("range", range.as_str())];
        if let Some(etag) = self.head.etag.as_deref().filter(|etag| is_strong(etag)) {
            headers.push(("if-range", etag));
        }
        let reply = self.client.get(&self.remote.url, &headers, self.remote.token.as_ref())?;
        let url = || self.remote.url.to_string();
        let version = reply.etag();
        if !reply.is_partial() || (version.is_some() && version != self.head.etag) {
            return Err(StoreError::Changed { url: url() });
        }
        let right = reply.range() == Some((first, last, self.head.bytes))
            && reply.length().is_none_or(|length| length == bytes);
        if !right {
            let expected = format!("bytes {first}-{last}/{}", self.head.bytes);
            let found = reply.header("content-range").unwrap_or_default().to_string();
            return Err(StoreError::Range { url: url(), expected, found });
        }
        Ok(reply)
    }

    fn length(&self, span: &Range<usize>) -> u64 {
        span.clone().map(|chunk| self.head.length(chunk)).sum()
    }

    /// Writes what comes to its place. `at` is the first chunk that is not there.
    fn receive(
        &self,
        reply: &mut Reply,
        span: &Range<usize>,
        at: &mut usize,
        reports: &Sender<Report>,
    ) -> Result<(), StoreError> {
        let open = || {
            let mut file = layout::options().write(true).open(&self.path)?;
            file.seek(SeekFrom::Start(self.head.begin(span.start)))?;
            Ok(file)
        };
        let mut file = open().map_err(io_at(&self.path, "open"))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        while *at < span.end {
            let wanted = self.head.length(*at);
            let (mut got, mut hasher) = (0, Hasher::new());
            let result = loop {
                if got == wanted {
                    break Ok(());
                }
                let most = (wanted - got).min(BUFFER_BYTES as u64) as usize;
                let read = match reply.read(&mut buffer[..most]) {
                    Ok(0) => {
                        let found = self.head.begin(*at) + got - self.head.begin(span.start);
                        let (url, expected) = (reply.url.to_string(), self.length(span));
                        break Err(StoreError::Truncated { url, expected, found });
                    }
                    Ok(read) => read,
                    Err(error) => break Err(error),
                };
                if let Err(error) = self.write(&mut file, &buffer[..read]) {
                    break Err(error);
                }
                hasher.update(&buffer[..read]);
                got += read as u64;
                self.received.fetch_add(read as u64, Ordering::Relaxed);
            };
            if let Err(error) = result {
                self.received.fetch_sub(got, Ordering::Relaxed);
                return Err(error);
            }
            // Nobody listens where the download has ended already.
            let _ = reports.send(Report::Chunk(*at, hasher.finish()));
            *at += 1;
        }
        // The end of the answer frees the connection for the next one. More than was announced is
        // never read into anything.
        match reply.read(&mut buffer[..1]) {
            Ok(1..) => {
                let (expected, url) = (self.length(span), reply.url.to_string());
                Err(StoreError::Size { url, expected, found: expected + 1 })
            }
            _ => Ok(()),
        }
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> Result<(), StoreError> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::SeqCst) {
            return Err(StoreError::Cancelled);
        }
        let written = self.disk.spend(bytes.len() as u64).and_then(|()| file.write_all(bytes));
        written.map_err(io_at(&self.path, "write"))
    }
}

/// The download, as the thread sees it that answers for it.
struct Work {
    shared: Arc<Shared>,
    part: Part,
    /// All chunks before this one are hashed.
    next: usize,
    hasher: Hasher,
    file: Option<File>,
}

impl Work {
    fn new(job: &Job<'_>, part: Part) -> Work {
        let head = part.head.clone();
        let mut plan = Plan::new(head.chunks(), job.connections);
        let mut received = 0;
        for (chunk, _) in part.found.iter().enumerate().filter(|(_, digest)| digest.is_some()) {
            plan.there(chunk);
            received += head.length(chunk);
        }
        let shared = Shared {
            client: job.client.clone(),
            remote: job.remote.clone(),
            disk: job.disk.clone(),
            head,
            path: part.path.clone(),
            pause: job.pause,
            plan: Mutex::new(plan),
            news: Condvar::new(),
            received: AtomicU64::new(received),
            stopped: AtomicBool::new(false),
            gate: RwLock::new(()),
        };
        Work { shared: Arc::new(shared), part, next: 0, hasher: Hasher::new(), file: None }
    }

    /// Chunks that are not there.
    fn missing(&self) -> usize {
        let plan = self.shared.plan();
        (0..self.part.head.chunks()).filter(|chunk| !plan.is_there(*chunk)).count()
    }

    /// Hashes everything that is there from the front on.
    fn hash_all(&mut self, watch: &mut Watch<'_>) -> Result<(), StoreError> {
        while self.hash_next()? {
            tell(watch, self.step())?;
        }
        Ok(())
    }

    /// Hashes the next chunk, where it is there.
    fn hash_next(&mut self) -> Result<bool, StoreError> {
        let chunk = self.next;
        if chunk == self.part.head.chunks() || !self.shared.plan().is_there(chunk) {
            return Ok(false);
        }
        let (begin, length) = (self.part.head.begin(chunk), self.part.head.length(chunk));
        let read = |file: &mut Option<File>, hasher: &mut Hasher| {
            let file = match file {
                Some(file) => file,
                None => file.insert(File::open(&self.part.path)?),
            };
            file.seek(SeekFrom::Start(begin))?;
            hasher.read(file, length)
        };
        // A chunk that an earlier attempt wrote may not have reached the disk before a crash.
        if let Some(expected) = self.part.found[chunk] {
            let mut own = Hasher::new();
            let there = read(&mut self.file, &mut own);
            there.map_err(io_at(&self.part.path, "read"))?;
            if own.finish() != expected {
                self.part.found[chunk] = None;
                self.shared.plan().lost(chunk);
                self.shared.received.fetch_sub(length, Ordering::Relaxed);
                self.shared.news.notify_all();
                return Ok(false);
            }
        }
        let there = read(&mut self.file, &mut self.hasher);
        there.map_err(io_at(&self.part.path, "read"))?;
        self.next += 1;
        Ok(true)
    }

    fn step(&self) -> Step {
        let done = self.shared.received.load(Ordering::Relaxed);
        Step { done, total: self.part.head.bytes, ..Step::default() }
    }

    /// Lets threads fetch what is missing, and sees to it until all is hashed.
    fn run(
        &mut self,
        job: &Job<'_>,
        stream: Option<Reply>,
        watch: &mut Watch<'_>,
    ) -> Result<(), Ended> {
        let (sender, reports) = mpsc::channel();
        let streamed = stream.is_some();
        match stream {
            Some(reply) => {
                let span = self.shared.plan().whole();
                self.start(&sender, move |shared, reports| shared.stream(reply, &span, reports));
            }
            None => {
                for _ in 0..job.connections.clamp(1, self.part.head.chunks()) {
                    self.start(&sender, Shared::work);
                }
            }
        }
        // Threads hang on to the channel's other end; without ours it closes with the last.
        drop(sender);
        let result = self.attend(&reports, watch);
        self.shared.stop();
        result.map_err(|error| if streamed { Ended::passing(error) } else { error.into() })
    }

    fn start(
        &self,
        sender: &Sender<Report>,
        work: impl FnOnce(&Shared, &Sender<Report>) + Send + 'static,
    ) {
        let (shared, sender) = (self.shared.clone(), sender.clone());
        // Not joined: after `stop` it writes nothing, and a silent server may keep it a while.
        thread::spawn(move || work(&shared, &sender));
    }

    fn attend(
        &mut self,
        reports: &Receiver<Report>,
        watch: &mut Watch<'_>,
    ) -> Result<(), StoreError> {
        let mut told: Option<Instant> = None;
        while self.next < self.part.head.chunks() {
            if told.is_none_or(|told| told.elapsed() >= TICK) {
                tell(watch, self.step())?;
                told = Some(Instant::now());
            }
            // Reports first: they are what an interrupted download resumes from.
            if let Ok(report) = reports.try_recv() {
                self.note(report)?;
                continue;
            }
            if self.hash_next()? {
                continue;
            }
            match reports.recv_timeout(TICK) {
                Ok(report) => self.note(report)?,
                Err(RecvTimeoutError::Timeout) => {}
                // A chunk may have been found bad just now, after a stream had ended.
                Err(RecvTimeoutError::Disconnected) => {
                    let (url, total) = (self.shared.remote.url.to_string(), self.part.head.bytes);
                    let found = self.shared.received.load(Ordering::Relaxed);
                    return Err(StoreError::Truncated { url, expected: total, found });
                }
            }
        }
        tell(watch, self.step())
    }

    fn note(&mut self, report: Report) -> Result<(), StoreError> {
        match report {
            Report::Chunk(chunk, digest) => {
                self.part.record(chunk, digest)?;
                self.shared.plan().there(chunk);
                Ok(())
            }
            Report::Failed(error) => Err(error),
        }
    }

    /// Compares the digest of the whole.
    fn finish(self, job: &Job<'_>) -> Result<Fetched, StoreError> {
        let Work { part, hasher, .. } = self;
        let found = hasher.finish();
        if let Some(expected) = job.remote.digest.filter(|expected| *expected != found) {
            // Which chunk is wrong nobody knows, and the next attempt must not begin with it.
            Part::discard(job.layout, job.key)?;
            let what = job.remote.url.to_string();
            return Err(StoreError::Mismatch { what, expected, found });
        }
        Ok(Fetched::Whole { digest: found, bytes: part.head.bytes, etag: part.head.etag })
    }
}

impl Shared {
    /// The life of the one thread of a file that comes in one piece.
    fn stream(&self, mut reply: Reply, span: &Range<usize>, reports: &Sender<Report>) {
        let mut at = span.start;
        let announced = reply.length();
        let result = if announced == Some(self.head.bytes) && !reply.is_partial() {
            self.receive(&mut reply, span, &mut at, reports)
        } else {
            let (url, expected) = (reply.url.to_string(), self.head.bytes);
            Err(match announced {
                Some(found) => StoreError::Size { url, expected, found },
                None => StoreError::NoLength { url },
            })
        };
        if let Err(error) = result {
            // Nobody listens where the download has ended already.
            let _ = reports.send(Report::Failed(error));
        }
    }
}
