//! Bytes that may be used, and who was promised some. Knows no models and no memory: it counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// What of it will never be given back.
    fixed: u64,
}

impl Budget {
    pub(crate) fn new(total: u64) -> Budget {
        Budget { total, used: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account that begins with `bytes`, if they are left.
    pub(crate) fn open(self: &Arc<Budget>, bytes: u64) -> Option<Account> {
        let account = Account { budget: Arc::clone(self), taken: AtomicU64::new(0) };
        account.take(bytes).then_some(account)
    }

    /// Says that `bytes` of what is promised will never be given back.
    pub(crate) fn fix(&self, bytes: u64) {
        self.lock().fixed += bytes;
    }

    pub(crate) fn used(&self) -> u64 {
        self.lock().all
    }

    pub(crate) fn free(&self) -> u64 {
        self.total - self.used()
    }

    /// What may be left when all is given back that can be.
    pub(crate) fn most(&self) -> u64 {
        self.total - self.lock().fixed
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

/// Promises to one holder. What is left of them when it goes is given back.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Arc<Budget>,
    taken: AtomicU64,
}

impl Account {
    /// Promises `bytes` more, if they are left.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let mut used = self.budget.lock();
        let after = used.all.checked_add(bytes).filter(|after| *after <= self.budget.total);
        let Some(after) = after else { return false };
        used.all = after;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Takes a promise back.
    pub(crate) fn give(&self, bytes: u64) {
        let mut used = self.budget.lock();
        let taken = self.taken();
        assert!(taken >= bytes, "{bytes} bytes given back of {taken}");
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
        used.all -= bytes;
    }

    /// What is left for any holder.
    pub(crate) fn free(&self) -> u64 {
        self.budget.free()
    }

    /// What is promised and was not given back.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.give(self.taken());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_never_exceed_the_total() {
        let budget = Arc::new(Budget::new(10));
        let (a, b) = (budget.open(4).unwrap(), budget.open(0).unwrap());
        assert!(b.take(6) && budget.free() == 0);
        assert!(!a.take(1) && !a.take(u64::MAX) && budget.open(1).is_none());
        b.give(6);
        assert_eq!((budget.used(), a.taken(), b.taken()), (4, 4, 0));
        assert!(b.take(5));
        drop(b);
        assert_eq!(budget.used(), 4, "what was not given back is");
        budget.fix(4);
        assert_eq!((budget.most(), budget.total()), (6, 10));
    }
}
