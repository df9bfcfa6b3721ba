//! Wakes the one who waits for it. Rung while nobody waits, it is heard later, once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    /// Waits for it, and no longer than `patience` where there is one.
    pub(crate) fn wait(&self, patience: Option<Duration>) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |rung: &mut bool| !*rung;
        let mut rung = match patience {
            Some(patience) => {
                let waited = self.heard.wait_timeout_while(rung, patience, silent);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.heard.wait_while(rung, silent).unwrap_or_else(PoisonError::into_inner),
        };
        *rung = false;
    }
}
