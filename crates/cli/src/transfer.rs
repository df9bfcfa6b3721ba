//! Fetching with a line of progress, and an interrupt that does not wait for a silent server.
//!
//! It knows how a fetch is watched and ended, and not what is fetched.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ondine_store::{Step, StoreError};

use crate::failure::Failure;
use crate::interrupt::Watch;
use crate::progress::Transfer;

/// How often an interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long an interrupted fetch may take to end by itself. It can be ended at any moment; what a
/// silent server keeps waiting is not worth waiting for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Does `work` in another thread, so that nothing it waits for delays an interrupt.
pub(crate) fn run<T: Send + 'static>(
    work: impl FnOnce(&mut ondine_store::Watch<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    let watch = Watch::new();
    let transfer = Transfer::new();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, news) = mpsc::channel();
    let stopped = stop.clone();
    thread::spawn(move || {
        let steps = sender.clone();
        let mut tell = |step: Step| {
            // Nobody listens where the command has ended.
            let _ = steps.send(News::Step(step));
            match stopped.load(Ordering::SeqCst) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let _ = sender.send(News::End(Box::new(work(&mut tell))));
    });
    let mut interrupted: Option<Instant> = None;
    loop {
        match news.recv_timeout(TICK) {
            Ok(News::Step(step)) => transfer.show(step),
            Ok(News::End(ended)) => {
                return match *ended {
                    Err(StoreError::Cancelled) => Err(Failure::interrupt()),
                    ended => Ok(ended?),
                };
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new("the fetch ended without a result")
                    .hint("this is a fault of the program; please report it"));
            }
        }
        if watch.interrupted() {
            stop.store(true, Ordering::SeqCst);
            let since = interrupted.get_or_insert_with(Instant::now);
            if since.elapsed() > FAREWELL {
                return Err(Failure::interrupt());
            }
        }
    }
}

/// What the fetching thread has to say.
enum News<T> {
    /// How far it is.
    Step(Step),
    /// What came of it.
    End(Box<Result<T, StoreError>>),
}
