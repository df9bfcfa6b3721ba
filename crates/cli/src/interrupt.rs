//! Ctrl-C: ends the program, unless something that can stop politely is under way.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, Kind};

/// Whether somebody watches for an interrupt and will stop by themselves.
static WATCHED: AtomicBool = AtomicBool::new(false);
/// Whether an interrupt came while it was watched for.
static CAME: AtomicBool = AtomicBool::new(false);

/// Listens for Ctrl-C from now on. The first one stops what watches; a second one, or one that
/// nobody watches for, ends the program with 130.
pub(crate) fn listen() {
    let heard = ctrlc::set_handler(|| {
        let polite = WATCHED.load(Ordering::SeqCst) && !CAME.swap(true, Ordering::SeqCst);
        if !polite {
            process::exit(i32::from(Kind::Interrupt.code()));
        }
    });
    // Without a handler the system ends the program on Ctrl-C, which is nearly the same.
    let _ = heard;
}

/// While it lives, an interrupt is noted instead of ending the program.
pub(crate) struct Watch(());

impl Watch {
    /// Begins to watch.
    pub(crate) fn new() -> Watch {
        CAME.store(false, Ordering::SeqCst);
        WATCHED.store(true, Ordering::SeqCst);
        Watch(())
    }

    /// Whether an interrupt came.
    pub(crate) fn interrupted(&self) -> bool {
        CAME.load(Ordering::SeqCst)
    }

    /// Fails where an interrupt came.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.interrupted() { Err(Failure::interrupt()) } else { Ok(()) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.store(false, Ordering::SeqCst);
    }
}
