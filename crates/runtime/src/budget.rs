//! Bytes that may be used, and who was promised some. Knows no models and no memory: it counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ondine_chat::ChatError;

/// A number of bytes that promises never exceed.
#[derive(Debug)]
pub(crate) struct Budget {
    total: u64,
    used: Mutex<Used>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// All that is promised.
    all: u64,
    /// What of it stays for as long as its model.
    weights: u64,
}

impl Budget {
    pub(crate) fn new(total: u64) -> Budget {
        Budget { total, used: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Promises `bytes`, if they are left.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let mut used = self.lock();
        match used.all.checked_add(bytes).filter(|after| *after <= self.total) {
            Some(after) => {
                used.all = after;
                true
            }
            None => false,
        }
    }

    /// Promises `bytes` to the weights of `what`, or says what is in the way.
    pub(crate) fn take_for(&self, what: &str, bytes: u64) -> Result<(), ChatError> {
        if self.take(bytes) {
            self.lock().weights += bytes;
            return Ok(());
        }
        let (budget, available) = (self.total, self.total - self.used());
        Err(ChatError::Memory { what: what.to_owned(), needed: bytes, available, budget })
    }

    /// Takes a promise back.
    pub(crate) fn give(&self, bytes: u64) {
        let mut used = self.lock();
        assert!(used.all - used.weights >= bytes, "{bytes} bytes given back of {used:?}");
        used.all -= bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock().all
    }

    /// What is left when nothing but weights is there.
    pub(crate) fn beside_weights(&self) -> u64 {
        self.total - self.lock().weights
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_never_exceed_the_total() {
        let budget = Budget::new(10);
        assert!(budget.take(4) && budget.take(6));
        assert!(!budget.take(1) && !budget.take(u64::MAX));
        budget.give(6);
        assert_eq!(budget.used(), 4);
        let error = budget.take_for("a model", 7).unwrap_err();
        let what = "a model".to_owned();
        assert_eq!(error, ChatError::Memory { what, needed: 7, available: 6, budget: 10 });
    }
}
