//! The journal of one run: what it was given, record by record, from which the same run is made again.
//!
//! The file begins with a run; each record after it is something that it was given. When those have
//! outgrown the run by far, the run as it stands takes the place of all of them, so that a history has a
//! bound and reading it takes no longer than it must. A lock beside the file keeps a second process out:
//! two that go on with the same run would do everything twice.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{GiveError, Given, News, Run};
use crate::error::Error;
use crate::journal::{Journal, JournalError};

/// A journal is made anew when it is this many times as long as the run.
const BYTES_PER_RUN_BYTE: u64 = 4;
/// No journal that is shorter is made anew.
const BYTES_MIN: u64 = 64 << 10;

/// A run and the journal that it is in.
#[derive(Debug)]
pub struct Diary {
    journal: Journal,
    run: Run,
    /// Bytes of the run when it was last written whole.
    whole: u64,
    /// Held as long as the diary is.
    _lock: Option<Lock>,
}

#[derive(Serialize, Deserialize)]
enum Record {
    Run(Box<Run>),
    Given { given: Given, took: Duration },
}

impl Diary {
    /// A run that lasts as long as the process.
    pub fn in_memory(run: Run) -> Diary {
        Diary { journal: Journal::in_memory(), run, whole: 0, _lock: None }
    }

    /// The run in a file, as it was when the last record was acknowledged; where there is no file, or
    /// none with a run in it, the one that `begin` gives is begun. `<path>.lock` is taken until the diary
    /// is dropped.
    ///
    /// # Errors
    /// The file cannot be read or written, is damaged or of another version, or somebody else has it.
    pub fn open(path: impl AsRef<Path>, begin: impl FnOnce() -> Run) -> Result<Diary, Error> {
        let path = path.as_ref();
        let lock = lock(path)?;
        let (journal, records) = Journal::open::<Record>(path)?;
        let damaged = |line: usize, what: String| JournalError::Damaged {
            path: path.to_path_buf(),
            line: line + 1,
            what,
        };
        let mut run: Option<Run> = None;
        for (line, record) in records.into_iter().enumerate() {
            match (record, &mut run) {
                (Record::Run(whole), _) => run = Some(*whole),
                (Record::Given { given, took }, Some(run)) => {
                    run.give(given, took).map_err(|error| damaged(line, error.to_string()))?;
                }
                (Record::Given { .. }, None) => {
                    return Err(damaged(line, "it does not begin with a run".into()).into());
                }
            }
        }
        let begun = run.is_some();
        let run = run.unwrap_or_else(begin);
        let mut diary = Diary { journal, run, whole: 0, _lock: Some(lock) };
        if begun {
            diary.whole = diary.run_bytes();
        } else {
            diary.journal.append(&Record::Run(Box::new(diary.run.clone())))?;
            diary.whole = diary.journal.bytes();
        }
        Ok(diary)
    }

    /// The run as it stands.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Gives the run something, and keeps that: it is on disk when this returns.
    ///
    /// # Errors
    /// The run does not need that, which changes nothing; the disk says no, and then nothing more may be
    /// done until the diary is opened anew.
    pub fn give(&mut self, given: Given, took: Duration) -> Result<Vec<News>, Error> {
        // Tried on a copy, so that what cannot be kept has not happened.
        let mut next = self.run.clone();
        let news = next.give(given.clone(), took)?;
        self.journal.append(&Record::Given { given, took })?;
        self.run = next;
        if self.journal.bytes() > BYTES_MIN.max(BYTES_PER_RUN_BYTE * self.whole) {
            self.whole = self.run_bytes();
            // A run that grew as fast as its history is still written once for each doubling alone.
            if self.journal.bytes() > BYTES_MIN.max(BYTES_PER_RUN_BYTE / 2 * self.whole) {
                self.journal.replace(&Record::Run(Box::new(self.run.clone())))?;
            }
        }
        Ok(news)
    }

    /// The run, for whoever keeps it elsewhere.
    pub fn into_run(self) -> Run {
        self.run
    }

    fn run_bytes(&self) -> u64 {
        serde_json::to_string(&self.run).map_or(0, |text| text.len() as u64)
    }
}

impl From<GiveError> for Error {
    fn from(error: GiveError) -> Error {
        Error::Give(error)
    }
}

/// A lock that is given back when it is dropped, and not when the file is closed: a process that is being
/// started has the file open too, for a moment.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where this fails, the lock goes with the last who has the file open.
        let _ = self.0.unlock();
    }
}

fn lock(path: &Path) -> Result<Lock, Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let failed = |source| JournalError::File { path: beside.clone().into(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Taken { path: path.to_path_buf() }),
        Err(TryLockError::Error(source)) => Err(failed(source).into()),
    }
}
