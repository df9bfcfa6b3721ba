//! The thread that says when it is time. It sleeps until the next thing is due or something is changed,
//! and touches the clock and the desktop's book.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Zoned;

use super::book::{Book, Notice};
use crate::kept::Kept;

/// Whoever tells the user.
pub trait Notify: Send + Sync {
    /// It is time. Must not block for long: what is due next waits.
    fn notify(&self, notice: &Notice);
}

impl<F: Fn(&Notice) + Send + Sync> Notify for F {
    fn notify(&self, notice: &Notice) {
        self(notice);
    }
}

/// The longest sleep: the clock may be set meanwhile, and another program may write into the book.
const SLEEP: Duration = Duration::from_secs(30);

/// What wakes the thread.
#[derive(Default)]
struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Default)]
struct State {
    changed: bool,
    stop: bool,
}

/// The thread; it ends with this.
pub(super) struct Ring(Arc<Bell>);

impl Ring {
    pub(super) fn start(
        book: Arc<Kept>,
        notify: Arc<dyn Notify>,
        now: Arc<dyn Fn() -> Zoned + Send + Sync>,
    ) -> std::io::Result<Ring> {
        let bell = Arc::new(Bell::default());
        let own = bell.clone();
        thread::Builder::new()
            .name("ring".into())
            .spawn(move || run(&own, &book, &*notify, &*now))?;
        Ok(Ring(bell))
    }

    /// Something new may be due first.
    pub(super) fn changed(&self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).changed = true;
        self.0.rung.notify_one();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.0.rung.notify_one();
    }
}

fn run(bell: &Bell, book: &Kept, notify: &dyn Notify, now: &(dyn Fn() -> Zoned + Send + Sync)) {
    loop {
        let time = now();
        let due = book.read::<Book>().map(|book| book.due).unwrap_or_default();
        let next = due.iter().map(|due| due.notice.at_s).min();
        let is_due = next.is_some_and(|at_s| at_s <= time.timestamp().as_second());
        if is_due {
            // Taken out first: a program that ends in between is silent rather than rings twice.
            match book.change(|book: &mut Book| Ok(book.take(&time))) {
                Ok(notices) => notices.iter().for_each(|notice| notify.notify(notice)),
                Err(error) => tracing::warn!(%error, "what is due cannot be read"),
            }
        }
        let left = next.filter(|_| !is_due).map_or(SLEEP, |at_s| {
            let millis = at_s.saturating_mul(1000) - time.timestamp().as_millisecond();
            Duration::from_millis(u64::try_from(millis).unwrap_or(0) + 1).min(SLEEP)
        });
        let state = bell.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited =
            bell.rung.wait_timeout_while(state, left, |state| !state.changed && !state.stop);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.stop {
            return;
        }
        state.changed = false;
    }
}
