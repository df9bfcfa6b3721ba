//! The threads: one region at a time, entered by whoever comes in time.
//!
//! A region is a function that a thread runs at most once, with its index. The caller is thread 0.
//! Between regions the others spin for some tens of microseconds, since the next region of a token
//! follows at once, then yield, then sleep: an idle engine uses no processor time.
//!
//! Work is split by the caller's function, through [`Chunks`] or `Shares`, so that whoever comes
//! takes what is left. A region therefore does not wait for threads that have not come: one that the
//! system keeps from running costs its help and nothing else. (One that is stopped inside is waited
//! for: it holds a piece of the work.) Waiting for all made four threads on two cores six times
//! slower than two.
//!
//! The pool knows nothing of what it runs. There is no queue, no nesting and no result.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};

/// Rounds of spinning before a waiting thread begins to yield (some tens of microseconds).
const SPINS: u32 = 2_000;
/// Yields before it sleeps.
const YIELDS: u32 = 64;

/// A fixed number of threads, the caller among them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    /// Held while a region runs: two callers take turns.
    turn: Mutex<()>,
}

struct Worker {
    handle: Option<JoinHandle<()>>,
    thread: Thread,
}

struct Shared {
    /// The region's number (upper bits), whether it may still be entered ([`OPEN`]) and how many
    /// workers are inside (lower bits). A new number is the signal to come.
    gate: AtomicU64,
    /// The region, valid for a worker that has entered until it has left.
    region: Mutex<Option<Region>>,
    asleep: Vec<AtomicBool>,
    panicked: AtomicBool,
    stop: AtomicBool,
}

/// The bit of `gate` that is set while workers may enter.
const OPEN: u64 = 1 << 20;
/// The bits of `gate` that count workers inside.
const INSIDE: u64 = OPEN - 1;
/// One region later.
const NEXT: u64 = OPEN << 1;

/// The number of the region that a gate is at.
fn number(gate: u64) -> u64 {
    gate / NEXT
}

/// A region whose lifetime has been erased.
#[derive(Clone, Copy)]
struct Region(*const (dyn Fn(usize) + Sync));
// SAFETY: the pointer is to a `Sync` function, so it may be called from any thread; that it still
// lives is kept by `Pool::enter`, which does not return before the gate is closed and every worker
// that has entered has left, and a worker calls it only between entering and leaving.
unsafe impl Send for Region {}

impl Pool {
    /// Starts `threads - 1` workers; with one thread, or none, everything runs on the caller.
    pub fn new(threads: usize) -> Pool {
        let count = threads.max(1) - 1;
        let shared = Arc::new(Shared {
            gate: AtomicU64::new(0),
            region: Mutex::new(None),
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let workers = (0..count)
            .map_while(|i| {
                let shared = Arc::clone(&shared);
                let handle = std::thread::Builder::new()
                    .name(format!("ondine-{}", i + 1))
                    .spawn(move || work(&shared, i))
                    .ok()?;
                let thread = handle.thread().clone();
                Some(Worker { handle: Some(handle), thread })
            })
            .collect();
        Pool { shared, workers, turn: Mutex::new(()) }
    }

    /// How many threads run a region. Fewer than asked for where the system gave fewer.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `region(0)` on the caller and `region(i)` once on every other thread that comes before
    /// the caller is through, and returns when all who came are done. The region hands out its work
    /// as it is asked for. Regions do not nest: `run` inside a region waits for itself for ever.
    ///
    /// # Panics
    /// Where the region panicked on any thread.
    pub fn run(&self, region: &(dyn Fn(usize) + Sync)) {
        self.enter(region);
    }

    /// Runs `region(i)` once on every thread `i` and returns when all are done.
    ///
    /// # Panics
    /// Where the region panicked on any thread.
    pub fn run_all(&self, region: &(dyn Fn(usize) + Sync)) {
        let came = AtomicUsize::new(0);
        self.enter(&|thread| {
            came.fetch_add(1, Ordering::Relaxed);
            region(thread);
            let mut rounds = 0;
            while thread == 0 && came.load(Ordering::Relaxed) < self.threads() {
                relax(&mut rounds);
            }
        });
    }

    fn enter(&self, region: &(dyn Fn(usize) + Sync)) {
        if self.workers.is_empty() {
            return region(0);
        }
        let _turn = self.turn.lock().unwrap_or_else(|e| e.into_inner());
        let shared = &*self.shared;
        // SAFETY: only the lifetime is changed. The guard below does not let this function end,
        // not even by a panic, before the gate is closed and every worker inside has left.
        let erased: *const (dyn Fn(usize) + Sync + 'static) =
            unsafe { std::mem::transmute(region as *const (dyn Fn(usize) + Sync)) };
        *shared.region.lock().unwrap_or_else(|e| e.into_inner()) = Some(Region(erased));
        shared.panicked.store(false, Ordering::Relaxed);
        // The gate is closed and empty here: only the caller whose turn it is opens it.
        let last = shared.gate.load(Ordering::Relaxed);
        shared.gate.store((last & !(OPEN | INSIDE)).wrapping_add(NEXT) | OPEN, Ordering::SeqCst);
        for (worker, asleep) in self.workers.iter().zip(&shared.asleep) {
            if asleep.load(Ordering::SeqCst) {
                worker.thread.unpark();
            }
        }
        struct Close<'a>(&'a Shared);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                let mut inside = self.0.gate.fetch_and(!OPEN, Ordering::AcqRel) & INSIDE;
                let mut rounds = 0;
                while inside != 0 {
                    relax(&mut rounds);
                    inside = self.0.gate.load(Ordering::Acquire) & INSIDE;
                }
            }
        }
        {
            let _close = Close(shared);
            region(0);
        }
        assert!(
            !shared.panicked.swap(false, Ordering::Relaxed),
            "a worker thread panicked; its message is above"
        );
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.gate.fetch_add(NEXT, Ordering::SeqCst);
        for worker in &mut self.workers {
            worker.thread.unpark();
            if let Some(handle) = worker.handle.take() {
                // A worker catches its regions' panics, so there is nothing to learn here.
                let _ = handle.join();
            }
        }
    }
}

fn relax(rounds: &mut u32) {
    *rounds = rounds.saturating_add(1);
    if *rounds < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let mut rounds = 0;
        let mut gate = shared.gate.load(Ordering::Acquire);
        while number(gate) == seen {
            if rounds < SPINS + YIELDS {
                relax(&mut rounds);
            } else {
                // Announce the sleep before the last look, so that a region begun in between either
                // is seen by that look or sees the announcement and wakes this thread.
                shared.asleep[index].store(true, Ordering::SeqCst);
                if number(shared.gate.load(Ordering::SeqCst)) == seen {
                    std::thread::park();
                }
                shared.asleep[index].store(false, Ordering::SeqCst);
            }
            gate = shared.gate.load(Ordering::Acquire);
        }
        seen = number(gate);
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        // Entering is one step with seeing that the gate is open: a closed one stays closed.
        let enter = |gate: u64| (number(gate) == seen && gate & OPEN != 0).then(|| gate + 1);
        if shared.gate.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_err() {
            continue;
        }
        // Whatever happens inside, the caller must learn that this thread has left.
        struct Leave<'a>(&'a Shared);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.gate.fetch_sub(1, Ordering::Release);
            }
        }
        let _leave = Leave(shared);
        let region = *shared.region.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(Region(region)) = region {
            let call = std::panic::AssertUnwindSafe(|| {
                // SAFETY: `Pool::enter` keeps the function alive until nobody is inside, and this
                // thread has entered and not left.
                let region = unsafe { &*region };
                region(index + 1);
            });
            if let Err(payload) = std::panic::catch_unwind(call) {
                shared.panicked.store(true, Ordering::Relaxed);
                // Dropping what was thrown may throw again.
                std::mem::forget(payload);
            }
        }
    }
}

/// Hands out consecutive ranges of `0..total` to whoever asks next.
///
/// Which thread gets which range is left to chance; kernels give the same result for a range
/// whoever computes it, so results do not depend on it.
pub struct Chunks {
    next: AtomicUsize,
    total: usize,
    size: usize,
}

impl Chunks {
    /// Ranges of `size` (at least 1); the last may be shorter.
    pub fn new(total: usize, size: usize) -> Chunks {
        Chunks { next: AtomicUsize::new(0), total, size: size.max(1) }
    }

    /// The next range, until none is left.
    pub fn take(&self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(self.size, Ordering::Relaxed);
        (start < self.total).then(|| start..self.total.min(start + self.size))
    }
}

/// Hands out `0..total` so that each thread walks one part of it from front to back, as one
/// sequential stream for the memory to run ahead of; who has finished takes from the back of what
/// others have left, so that a thread that is held up does not hold up all.
///
/// As with [`Chunks`], results do not depend on who gets what.
pub(crate) struct Shares {
    /// Each thread's part: where it goes on, and (in the upper half) where it ends.
    parts: Vec<AtomicU64>,
    piece: u32,
}

impl Shares {
    /// Parts for `threads` threads in pieces of `piece`; parts begin at multiples of a piece.
    ///
    /// # Panics
    /// Where `total` does not fit 32 bits, or a piece is nothing.
    pub(crate) fn new(total: usize, threads: usize, piece: usize) -> Shares {
        let (total, whole) = (u32::try_from(total).expect("rows fit 32 bits"), piece as u32);
        let pieces = total.div_ceil(whole) as usize;
        let border = |thread: usize| ((pieces * thread / threads) as u32 * whole).min(total);
        let parts = (0..threads)
            .map(|thread| AtomicU64::new(pack(border(thread), border(thread + 1))))
            .collect();
        Shares { parts, piece: whole }
    }

    /// The next piece for `thread`, until none is left anywhere.
    pub(crate) fn take(&self, thread: usize) -> Option<Range<usize>> {
        let own = |start: u32, end: u32| (start.saturating_add(self.piece).min(end), end);
        // A quarter of what is left, in whole pieces: the victim goes on undisturbed.
        let less = |start: u32, end: u32| {
            let pieces = (end - start).div_ceil(self.piece);
            let keep = (pieces - pieces.div_ceil(4)) * self.piece;
            (start, (start + keep).min(end))
        };
        loop {
            if let Some((from, to)) = self.cut(thread, own) {
                return Some(from.0 as usize..to.0 as usize);
            }
            let others = (1..self.parts.len()).map(|step| (thread + step) % self.parts.len());
            let (from, to) = others.into_iter().find_map(|victim| self.cut(victim, less))?;
            // What was taken becomes this thread's part, of which others may take again.
            self.parts[thread].store(pack(to.1, from.1), Ordering::Relaxed);
        }
    }

    /// Makes a part that is not empty smaller; what it was and what it became.
    fn cut(
        &self,
        thread: usize,
        to: impl Fn(u32, u32) -> (u32, u32),
    ) -> Option<((u32, u32), (u32, u32))> {
        let part = self.parts.get(thread)?;
        let mut seen = part.load(Ordering::Relaxed);
        loop {
            let (start, end) = (seen as u32, (seen >> 32) as u32);
            if start >= end {
                return None;
            }
            let new = to(start, end);
            let packed = pack(new.0, new.1);
            match part.compare_exchange_weak(seen, packed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(((start, end), new)),
                Err(now) => seen = now,
            }
        }
    }
}

fn pack(start: u32, end: u32) -> u64 {
    u64::from(start) | u64::from(end) << 32
}

/// A slice that several threads write, each its own part.
///
/// The kernels' one way to write results from a region. Its users are in this crate and each
/// names why its parts do not overlap.
pub(crate) struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    _borrow: std::marker::PhantomData<&'a mut [T]>,
}

// SAFETY: a `Parts` is a mutable borrow that is handed out in disjoint pieces (asked of `part`'s
// callers), and `T: Send` lets the pieces be written by other threads.
unsafe impl<T: Send> Sync for Parts<'_, T> {}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Parts<'a, T> {
        Parts { start: slice.as_mut_ptr(), len: slice.len(), _borrow: std::marker::PhantomData }
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// No two parts that live at the same time overlap.
    ///
    /// # Panics
    /// Where the range leaves the slice.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts of one exclusive borrow")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "part leaves the slice");
        // SAFETY: inside the borrowed slice by the assertion; not aliased by the contract above.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_runs_every_region_once() {
        for threads in [1, 2, 3, 5] {
            let pool = Pool::new(threads);
            let sum = AtomicU64::new(0);
            for round in 0..300u64 {
                pool.run_all(&|i| {
                    sum.fetch_add(round * 10 + i as u64, Ordering::Relaxed);
                });
            }
            let n = pool.threads() as u64;
            let expected = (0..300).map(|r| r * 10 * n + n * (n - 1) / 2).sum::<u64>();
            assert_eq!(sum.into_inner(), expected);
        }
    }

    #[test]
    fn sleeping_workers_wake() {
        let pool = Pool::new(3);
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let count = AtomicUsize::new(0);
            pool.run_all(&|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 3);
        }
    }

    #[test]
    fn nobody_is_waited_for_who_has_not_come() {
        let pool = Pool::new(4);
        let done: Vec<AtomicUsize> = (0..4000).map(|_| AtomicUsize::new(0)).collect();
        for done in &done {
            // Work for one: the others may come or not, and are gone when the region ends.
            let chunks = Chunks::new(1, 1);
            let inside = AtomicUsize::new(0);
            pool.run(&|_| {
                inside.fetch_add(1, Ordering::SeqCst);
                if chunks.take().is_some() {
                    done.fetch_add(1, Ordering::Relaxed);
                }
                inside.fetch_sub(1, Ordering::SeqCst);
            });
            assert_eq!(inside.into_inner(), 0);
        }
        assert!(done.iter().all(|n| n.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(2);
        for culprit in [0, 1] {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.run_all(&|i| assert!(i != culprit, "on purpose"));
            }));
            assert!(result.is_err());
            pool.run(&|_| {});
        }
    }

    #[test]
    fn callers_take_turns() {
        let pool = Pool::new(2);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..200 {
                        let inside = AtomicUsize::new(0);
                        pool.run_all(&|_| {
                            inside.fetch_add(1, Ordering::Relaxed);
                        });
                        assert_eq!(inside.into_inner(), 2);
                    }
                });
            }
        });
    }

    #[test]
    fn chunks_cover_everything_once() {
        let chunks = Chunks::new(103, 10);
        let mut seen = [0; 103];
        while let Some(range) = chunks.take() {
            range.for_each(|i| seen[i] += 1);
        }
        assert!(seen.iter().all(|&n| n == 1));
    }

    #[test]
    fn shares_cover_everything_once_whoever_takes() {
        for (total, threads, piece) in [(0, 2, 16), (1, 3, 16), (103, 2, 16), (640, 3, 32)] {
            // One thread takes everything; then all at once, many times.
            let shares = Shares::new(total, threads, piece);
            let mut seen = vec![0; total];
            while let Some(range) = shares.take(threads - 1) {
                range.for_each(|i| seen[i] += 1);
            }
            assert!(seen.iter().all(|&n| n == 1), "{total} {threads} {piece}");
            let pool = Pool::new(threads);
            for _ in 0..100 {
                let shares = Shares::new(total, threads, piece);
                let seen: Vec<AtomicUsize> = (0..total).map(|_| AtomicUsize::new(0)).collect();
                pool.run(&|thread| {
                    while let Some(range) = shares.take(thread) {
                        for i in range {
                            seen[i].fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
                assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_share_is_walked_from_front_to_back() {
        let shares = Shares::new(128, 2, 32);
        assert_eq!(shares.take(0), Some(0..32));
        assert_eq!(shares.take(1), Some(64..96));
        assert_eq!(shares.take(0), Some(32..64));
        // The first thread is through and helps the second from its end.
        assert_eq!(shares.take(0), Some(96..128));
        assert_eq!(shares.take(1), None);
    }
}
