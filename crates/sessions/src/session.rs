//! One session: its log on the disk, and in memory no more than what is told in lists and where the log
//! ends. It knows how to add to a log and how to mend what a failing disk has left.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ondine_chat::{ChatError, SessionInfo};

use crate::error::{SessionsError, io_at};
use crate::layout::Folder;
use crate::limits::LOG_BYTES_MAX;
use crate::log::{self, Fault, Place};
use crate::record::{Contents, Head, Record};
use crate::storage::Storage;

/// A session of an app.
pub(crate) struct Session {
    storage: Arc<dyn Storage>,
    folder: Folder,
    app: String,
    path: PathBuf,
    state: Mutex<State>,
    answering: AtomicBool,
}

/// What is known of a session.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) info: SessionInfo,
    end: Place,
    mend: Mend,
}

impl State {
    /// Bytes of the log.
    pub(crate) fn bytes(&self) -> u64 {
        self.end.bytes
    }
}

/// What has to be done before anything else, because it failed when it was tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mend {
    Nothing,
    /// There are bytes behind the end that were never acknowledged.
    Tail,
    /// The log's name may not be on the disk.
    Name,
}

/// The right to answer in a session. Nobody else has it until this goes.
pub(crate) struct Turn(Arc<Session>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Release);
    }
}

impl Turn {
    pub(crate) fn session(&self) -> &Session {
        &self.0
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A log of these records, the first of which is the head.
fn bytes_of(records: &[Record]) -> Result<(Vec<u8>, Place), String> {
    let (mut bytes, mut place) = log::begin();
    for record in records {
        let (more, then) = log::record(place, &record.encode()?);
        bytes.extend(more);
        place = then;
    }
    Ok((bytes, place))
}

/// What bytes say of a session, and where that ends.
fn parse(bytes: &[u8], app: &str, id: &str) -> Result<(Contents, Place), Fault> {
    let (payloads, end) = log::read(bytes)?;
    Ok((Contents::of(&payloads, app, id).map_err(Fault::Damage)?, end))
}

impl Session {
    /// Makes a session's log: whole beside its place, then in its place. Where that fails there is no
    /// session, or one that could not be made sure of.
    pub(crate) fn create(
        storage: &Arc<dyn Storage>,
        folder: &Folder,
        head: Head,
        mut records: Vec<Record>,
    ) -> Result<Made, ChatError> {
        let (app, id) = (head.app.clone(), head.id.clone());
        records.insert(0, Record::Head(head));
        let refused = |what| ChatError::invalid("messages", what);
        let (bytes, end) = bytes_of(&records).map_err(refused)?;
        let (contents, _) = parse(&bytes, &app, &id)
            .map_err(|fault| ChatError::Internal(format!("a log that is none: {fault:?}")))?;
        let (beside, path) = (folder.new_log(&id), folder.log(&id));
        let renamed = storage
            .create(&beside, &bytes)
            .map_err(io_at(&beside, "write"))
            .and_then(|()| storage.rename(&beside, &path).map_err(io_at(&path, "make")));
        if let Err(error) = renamed {
            // What cannot be taken away now is when the app's folder is read the next time.
            let _ = storage.remove(&beside);
            return Err(error.into());
        }
        let state = State { info: contents.info, end, mend: Mend::Name };
        let session = Session::of(storage, folder, &app, &id, state);
        let sure = session.mend(&mut session.lock());
        match sure {
            // What is not told of had better not be there; the next sync of the folder makes sure.
            Err(error) if storage.remove(&path).is_ok() => Err(error),
            sure => Ok(Made { session: Arc::new(session), sure }),
        }
    }

    /// Reads a session's log, cuts off what a crash has left at its end, and makes sure that the rest is
    /// on the disk before anybody is told of it.
    pub(crate) fn load(
        storage: &Arc<dyn Storage>,
        folder: &Folder,
        app: &str,
        id: &str,
    ) -> Result<Session, SessionsError> {
        let path = folder.log(id);
        let bytes = storage.read(&path, LOG_BYTES_MAX).map_err(io_at(&path, "read"))?;
        let (contents, end) = parse(&bytes, app, id).map_err(|fault| said(fault, &path))?;
        if end.bytes < bytes.len() as u64 {
            storage.cut(&path, end.bytes).map_err(io_at(&path, "cut off what was not whole"))?;
        } else {
            storage.sync(&path).map_err(io_at(&path, "sync"))?;
        }
        let state = State { info: contents.info, end, mend: Mend::Nothing };
        Ok(Session::of(storage, folder, app, id, state))
    }

    fn of(
        storage: &Arc<dyn Storage>,
        folder: &Folder,
        app: &str,
        id: &str,
        state: State,
    ) -> Session {
        Session {
            storage: storage.clone(),
            folder: folder.clone(),
            app: app.to_owned(),
            path: folder.log(id),
            state: Mutex::new(state),
            answering: AtomicBool::new(false),
        }
    }

    /// What is known of it; whoever holds this is alone with the log.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // The state is changed when the disk is, in one step: a panic leaves it as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to answer, where nobody has it.
    pub(crate) fn turn(self: &Arc<Session>, _: &State) -> Result<Turn, ChatError> {
        if self.answering.swap(true, Ordering::Acquire) {
            return Err(busy());
        }
        Ok(Turn(self.clone()))
    }

    /// Fails where an answer is on its way.
    pub(crate) fn quiet(&self, _: &State) -> Result<(), ChatError> {
        if self.answering.load(Ordering::Acquire) { Err(busy()) } else { Ok(()) }
    }

    /// All that was said.
    pub(crate) fn contents(&self, state: &mut State) -> Result<Contents, ChatError> {
        self.mend(state)?;
        let read = self.storage.read(&self.path, LOG_BYTES_MAX);
        let bytes = read.map_err(io_at(&self.path, "read"))?;
        let (contents, end) =
            parse(&bytes, &self.app, &state.info.id).map_err(|fault| said(fault, &self.path))?;
        if end != state.end {
            let what = "it has changed, and not by this program".to_owned();
            return Err(SessionsError::Damaged { path: self.path.clone(), what }.into());
        }
        Ok(contents)
    }

    /// Adds a record. It is on the disk then; where that fails, nothing was added.
    pub(crate) fn append(&self, state: &mut State, record: &Record) -> Result<(), ChatError> {
        self.mend(state)?;
        let payload = record.encode().map_err(|what| ChatError::invalid("messages", what))?;
        let (bytes, then) = log::record(state.end, &payload);
        if then.bytes > LOG_BYTES_MAX {
            let what = format!("the session would have more than {LOG_BYTES_MAX} bytes");
            return Err(ChatError::Conflict(what));
        }
        if let Err(error) = self.storage.append(&self.path, state.end.bytes, &bytes) {
            state.mend = Mend::Tail;
            // Where this fails too, it is tried again before anything else is done.
            let _ = self.mend(state);
            return Err(io_at(&self.path, "write")(error).into());
        }
        state.end = then;
        if let Record::Messages { at_s, messages } = record {
            state.info.messages += messages.len();
            state.info.updated_s = *at_s;
        }
        Ok(())
    }

    /// Takes back what was added since `before`, of which nobody was told.
    pub(crate) fn retract(&self, state: &mut State, before: State) {
        if state.end != before.end {
            *state = State { mend: Mend::Tail, ..before };
            let _ = self.mend(state);
        }
    }

    /// Does what failed before.
    pub(crate) fn mend(&self, state: &mut State) -> Result<(), ChatError> {
        match state.mend {
            Mend::Nothing => {}
            Mend::Tail => {
                let cut = self.storage.cut(&self.path, state.end.bytes);
                cut.map_err(io_at(&self.path, "cut off what was not written"))?;
            }
            Mend::Name => {
                let folder = self.folder.path();
                self.storage.sync_folder(folder).map_err(io_at(folder, "sync"))?;
            }
        }
        state.mend = Mend::Nothing;
        Ok(())
    }

    /// Takes the log away. Gives whether that is on the disk; the session is gone anyway.
    pub(crate) fn remove(&self) -> Result<Result<(), ChatError>, ChatError> {
        self.storage.remove(&self.path).map_err(io_at(&self.path, "remove"))?;
        let folder = self.folder.path();
        let synced = self.storage.sync_folder(folder);
        Ok(synced.map_err(|error| io_at(folder, "sync")(error).into()))
    }
}

/// A session whose log is in its place.
pub(crate) struct Made {
    pub(crate) session: Arc<Session>,
    /// Whether it is there after the power has gone.
    pub(crate) sure: Result<(), ChatError>,
}

fn said(fault: Fault, path: &std::path::Path) -> SessionsError {
    let path = path.to_path_buf();
    match fault {
        Fault::Damage(what) => SessionsError::Damaged { path, what },
        Fault::Version(version) => SessionsError::Version { path, version, known: log::VERSION },
    }
}

fn busy() -> ChatError {
    ChatError::Conflict("the session is being answered; wait for the end of the answer".into())
}
