//! Locks between threads and processes: a file, and the system's lock on it.
//!
//! The system lets go of a lock when whoever holds it ends, however it ends. There is nothing to
//! clean up after a crash and no process number to be mistaken about. Lock files stay; only
//! [`crate::garbage`] removes them, while nobody can be waiting for one.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::error::{StoreError, io_at};
use crate::layout;

/// How often a waiting caller looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock(
    #[expect(dead_code, reason = "the lock lives as long as the open file")] File,
);

/// Whether others may hold it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// Others that share may.
    Shared,
    /// Nobody else.
    Alone,
}

impl Lock {
    /// Takes a lock where it is free.
    pub(crate) fn attempt(path: &Path, share: Share) -> Result<Option<Lock>, StoreError> {
        let file = layout::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(io_at(path, "open the lock"))?;
        Ok(take(&file, share).map_err(io_at(path, "lock"))?.then_some(Lock(file)))
    }

    /// Waits for a lock. `waiting` is called again and again, and may end the wait with an error.
    pub(crate) fn wait(
        path: &Path,
        share: Share,
        mut waiting: impl FnMut() -> Result<(), StoreError>,
    ) -> Result<Lock, StoreError> {
        loop {
            if let Some(lock) = Lock::attempt(path, share)? {
                return Ok(lock);
            }
            waiting()?;
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Whether the lock on an open file could be had.
pub(crate) fn take(file: &File, share: Share) -> io::Result<bool> {
    let taken = match share {
        Share::Shared => file.try_lock_shared(),
        Share::Alone => file.try_lock(),
    };
    match taken {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
