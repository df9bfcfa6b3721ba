//! The whole of it: [`Sessions`] over a folder and whoever answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ondine_chat::{
    Chat, ChatError, Message, NewSession, Overflow, Prompt, Request, SessionInfo, Sessions, Sink,
};

use crate::answer::Writer;
use crate::app::App;
use crate::error::{SessionsError, io_at};
use crate::layout;
use crate::limits::{Limits, MODEL_BYTES_MAX, NAME_CHARS_MAX};
use crate::record::{Head, Record, is_name};
use crate::session::{Session, State, now_s};
use crate::storage::{self, Disk, Storage};
use crate::summarizing::Summarizing;

/// Held by the process that writes in the folder.
const LOCK: &str = "lock";

/// Keeps conversations in a folder.
pub struct Archive {
    storage: Arc<dyn Storage>,
    root: PathBuf,
    chat: Summarizing,
    limits: Limits,
    apps: Mutex<BTreeMap<String, Arc<App>>>,
    writer: Writer,
    /// The lock lives as long as the open file.
    _lock: Option<File>,
}

impl Archive {
    /// Over a folder, which is made where there is none, and belongs to this process until the archive
    /// goes.
    ///
    /// # Errors
    /// The folder cannot be made or written to, or another process has it.
    pub fn open(
        folder: &Path,
        chat: Arc<dyn Chat>,
        limits: Limits,
    ) -> Result<Archive, SessionsError> {
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        make(&*storage, folder)?;
        let path = folder.join(LOCK);
        let lock = storage::options().create(true).truncate(false).open(&path);
        let lock = lock.map_err(io_at(&path, "open"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(SessionsError::InUse { path: folder.to_path_buf() });
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(io_at(&path, "lock")(error)),
        }
        let archive = Archive::over(storage, folder, chat, limits)?;
        Ok(Archive { _lock: Some(lock), ..archive })
    }

    /// Over any file system, whose folder is there.
    pub(crate) fn over(
        storage: Arc<dyn Storage>,
        root: &Path,
        chat: Arc<dyn Chat>,
        limits: Limits,
    ) -> Result<Archive, SessionsError> {
        Ok(Archive {
            storage,
            root: root.to_path_buf(),
            chat: Summarizing::new(chat),
            limits,
            apps: Mutex::default(),
            writer: Writer::start().map_err(io_at(root, "start a thread for"))?,
            _lock: None,
        })
    }

    /// Takes away what is kept in `folder` for an app, also while another process keeps it. Where nothing
    /// is kept for it, nothing happens.
    ///
    /// # Errors
    /// The folder cannot be removed.
    pub fn remove_app(folder: &Path, app: &str) -> Result<(), SessionsError> {
        let own = crate::layout::Folder::of(folder, app);
        match std::fs::remove_dir_all(own.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_at(own.path(), "remove")(error))
            }
            _ => Ok(()),
        }
    }

    fn app(&self, name: &str) -> Arc<App> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(App::new(&self.storage, &self.root, name));
        apps.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Whether a session that has `before` messages may have as many more.
    fn room(&self, before: usize, more: usize) -> Result<(), ChatError> {
        let most = self.limits.messages;
        if before + more > most {
            return Err(ChatError::Conflict(format!(
                "the session has {before} messages and {more} would come; at most {most} are kept"
            )));
        }
        Ok(())
    }

    /// Adds what is new to a session, where there is room.
    fn add(
        &self,
        session: &Session,
        state: &mut State,
        messages: Vec<Message>,
    ) -> Result<(), ChatError> {
        if messages.is_empty() {
            return session.mend(state);
        }
        let most = self.limits.session_bytes;
        if state.bytes() >= most {
            let what =
                format!("the session has {most} bytes or more, which is the limit; begin another");
            return Err(ChatError::Conflict(what));
        }
        session.append(state, &Record::Messages { at_s: now_s(), messages })
    }
}

/// Makes a folder and those above it, all on the disk.
fn make(storage: &dyn Storage, folder: &Path) -> Result<(), SessionsError> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.is_dir()).collect();
    storage.make_folder(folder).map_err(io_at(folder, "make the folder"))?;
    for path in missing {
        let Some(above) = path.parent() else { continue };
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        storage.sync_folder(above).map_err(io_at(above, "sync"))?;
    }
    Ok(())
}

impl Sessions for Archive {
    fn create(&self, app: &str, new: NewSession) -> Result<(SessionInfo, bool), ChatError> {
        let NewSession { name, model, overflow, messages } = new;
        if !name.as_deref().is_none_or(is_name) {
            let what = format!(
                "a session's name is 1 to {NAME_CHARS_MAX} characters, none of them control"
            );
            return Err(ChatError::invalid("name", what));
        }
        if model.len() > MODEL_BYTES_MAX {
            let what = format!("a model's name has at most {MODEL_BYTES_MAX} bytes");
            return Err(ChatError::invalid("model", what));
        }
        self.room(0, messages.len())?;
        let created_s = now_s();
        let head = Head {
            app: app.to_owned(),
            id: layout::id()?,
            name,
            model,
            overflow,
            created_s,
            forked_from: None,
        };
        let said = Record::Messages { at_s: created_s, messages };
        let records = if said.is_silent() { Vec::new() } else { vec![said] };
        let (session, made) = self.app(app).create(head, records, self.limits.sessions)?;
        let info = session.lock().info.clone();
        Ok((info, made))
    }

    fn list(&self, app: &str) -> Result<Vec<SessionInfo>, ChatError> {
        self.app(app).list()
    }

    fn info(&self, app: &str, id: &str) -> Result<SessionInfo, ChatError> {
        let session = self.app(app).find(id)?;
        let mut state = session.lock();
        session.mend(&mut state)?;
        Ok(state.info.clone())
    }

    fn read(&self, app: &str, id: &str) -> Result<(SessionInfo, Vec<Message>), ChatError> {
        let session = self.app(app).find(id)?;
        let contents = session.contents(&mut session.lock())?;
        Ok((contents.info, contents.messages))
    }

    fn append(
        &self,
        app: &str,
        id: &str,
        messages: Vec<Message>,
        expected: Option<usize>,
    ) -> Result<SessionInfo, ChatError> {
        let session = self.app(app).find(id)?;
        let mut state = session.lock();
        session.quiet(&state)?;
        let there = state.info.messages;
        if let Some(expected) = expected.filter(|&expected| expected != there) {
            let what = format!("the session has {there} messages, and {expected} were expected");
            return Err(ChatError::Conflict(what));
        }
        self.room(there, messages.len())?;
        self.add(&session, &mut state, messages)?;
        Ok(state.info.clone())
    }

    fn fork(&self, app: &str, id: &str, messages: Option<usize>) -> Result<SessionInfo, ChatError> {
        let session = self.app(app).find(id)?;
        let mut contents = session.contents(&mut session.lock())?;
        let there = contents.messages.len();
        let first = messages.unwrap_or(there);
        if first > there {
            let what = format!("the session has {there} messages; {first} cannot be taken from it");
            return Err(ChatError::invalid("messages", what));
        }
        contents.messages.truncate(first);
        let created_s = now_s();
        let head = Head {
            app: app.to_owned(),
            id: layout::id()?,
            name: None,
            model: contents.info.model,
            overflow: contents.info.overflow,
            created_s,
            forked_from: Some((contents.info.id, first)),
        };
        let said = Record::Messages { at_s: created_s, messages: contents.messages };
        let summary = contents.summary.filter(|summary| summary.upto <= first);
        let records = [said].into_iter().filter(|said| !said.is_silent());
        let records = records.chain(summary.map(Record::Summary)).collect();
        let (fork, _) = self.app(app).create(head, records, self.limits.sessions)?;
        let info = fork.lock().info.clone();
        Ok(info)
    }

    fn delete(&self, app: &str, id: &str) -> Result<(), ChatError> {
        self.app(app).delete(id)?;
        self.chat.forget(app, id);
        Ok(())
    }

    /// An error means that nothing was added. What fails later, when the model is at it, is told to the
    /// sink: the new messages are in the session then, and of the answer nothing is.
    fn say(&self, id: &str, request: Request, sink: Sink) -> Result<(), ChatError> {
        let session = self.app(&request.app).find(id)?;
        let Request { prompt: Prompt::Messages(new), .. } = &request else {
            let what = "what is said in a session are messages, not a text";
            return Err(ChatError::invalid("prompt", what));
        };
        let new = new.clone();
        let (turn, before, mut contents) = {
            let mut state = session.lock();
            let turn = Arc::new(session.turn(&state)?);
            let contents = session.contents(&mut state)?;
            if contents.messages.is_empty() && new.is_empty() {
                let what = "there is nothing to answer: the session is empty, and nothing is said";
                return Err(ChatError::invalid("messages", what));
            }
            // The answer is a message too.
            self.room(contents.messages.len(), new.len() + 1)?;
            let before = state.clone();
            self.add(&session, &mut state, new.clone())?;
            (turn, before, contents)
        };
        contents.messages.extend(new);
        let mut request = Request {
            prompt: Prompt::Messages(contents.messages),
            session: Some(id.to_owned()),
            ..request
        };
        if request.model.is_empty() {
            request.model = contents.info.model;
        }
        if request.overflow == Overflow::Error {
            request.overflow = contents.info.overflow;
        }
        let its = session.clone();
        // A summary that could not be kept is written again another time.
        let remember = Box::new(move |summary: &_| {
            let record = Record::Summary(Clone::clone(summary));
            let _ = its.append(&mut its.lock(), &record);
        });
        let sink = self.writer.listening(turn.clone(), sink);
        let started = self.chat.start_knowing(request, contents.summary, remember, sink);
        if started.is_err() {
            session.retract(&mut session.lock(), before);
        }
        // Nobody else adds to the session before this.
        drop(turn);
        started
    }

    fn count_tokens(
        &self,
        app: &str,
        id: &str,
        messages: Vec<Message>,
    ) -> Result<usize, ChatError> {
        let session = self.app(app).find(id)?;
        let mut contents = session.contents(&mut session.lock())?;
        contents.messages.extend(messages);
        let mut request = Request::new(contents.info.model, contents.messages);
        request.app = app.to_owned();
        request.session = Some(id.to_owned());
        self.chat.count_tokens(&request)
    }
}
