//! The sessions of one app, and their folder. A log is read when its session is first asked for; one that
//! is not what was written is set aside, and the others do not suffer by it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ondine_chat::{ChatError, SessionInfo};

use crate::error::{SessionsError, io_at};
use crate::layout::{Folder, Found};
use crate::record::{Head, Record};
use crate::session::Session;
use crate::storage::Storage;

/// What one app has.
pub(crate) struct App {
    name: String,
    folder: Folder,
    root: PathBuf,
    storage: Arc<dyn Storage>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    /// By id; `None` before the folder was read.
    sessions: Option<Sessions>,
    /// The folder is there, and on the disk.
    made: bool,
}

type Sessions = BTreeMap<String, Entry>;

#[derive(Clone)]
enum Entry {
    /// There is a log, which was not read yet.
    Unread,
    Sound(Arc<Session>),
    /// Where it is, and why it cannot be read.
    Unreadable(PathBuf, String),
}

impl App {
    pub(crate) fn new(storage: &Arc<dyn Storage>, root: &Path, name: &str) -> App {
        App {
            name: name.to_owned(),
            folder: Folder::of(root, name),
            root: root.to_path_buf(),
            storage: storage.clone(),
            inside: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One session.
    pub(crate) fn find(&self, id: &str) -> Result<Arc<Session>, ChatError> {
        let mut inside = self.lock();
        match self.sessions(&mut inside)?.get_mut(id) {
            None => Err(ChatError::NoSession { id: id.to_owned() }),
            Some(entry) => self.settle(id, entry),
        }
    }

    /// What is known of all that can be read, the latest first.
    pub(crate) fn list(&self) -> Result<Vec<SessionInfo>, ChatError> {
        let mut inside = self.lock();
        let mut infos = Vec::new();
        for (id, entry) in self.sessions(&mut inside)? {
            let session = match self.settle(id, entry) {
                Ok(session) => session,
                // It is told to whoever asks for it, and keeps nobody from the others.
                Err(_) if matches!(entry, Entry::Unreadable(..)) => continue,
                Err(error) => return Err(error),
            };
            let mut state = session.lock();
            session.mend(&mut state)?;
            infos.push(state.info.clone());
        }
        infos.sort_by_key(|info| std::cmp::Reverse((info.updated_s, info.created_s)));
        Ok(infos)
    }

    /// Makes a session, or gives the one that has its name, and whether it was made.
    pub(crate) fn create(
        &self,
        head: Head,
        records: Vec<Record>,
        most: usize,
    ) -> Result<(Arc<Session>, bool), ChatError> {
        let mut inside = self.lock();
        let sessions = self.sessions(&mut inside)?;
        if let Some(name) = &head.name {
            for (id, entry) in sessions.iter_mut() {
                match self.settle(id, entry) {
                    Ok(session) if session.lock().info.name.as_ref() == Some(name) => {
                        session.mend(&mut session.lock())?;
                        return Ok((session, false));
                    }
                    Err(error) if !matches!(entry, Entry::Unreadable(..)) => return Err(error),
                    _ => {}
                }
            }
        }
        if sessions.len() >= most {
            let what = format!("the app has {most} sessions, which is the limit; delete some");
            return Err(ChatError::Conflict(what));
        }
        if !inside.made {
            let path = self.folder.path();
            self.storage.make_folder(path).map_err(io_at(path, "make the folder"))?;
            self.storage.sync_folder(&self.root).map_err(io_at(&self.root, "sync"))?;
            inside.made = true;
        }
        let id = head.id.clone();
        let made = Session::create(&self.storage, &self.folder, head, records)?;
        let entry = Entry::Sound(made.session.clone());
        self.sessions(&mut inside)?.insert(id, entry);
        made.sure.map(|()| (made.session, true))
    }

    /// Takes a session away, a damaged one too.
    pub(crate) fn delete(&self, id: &str) -> Result<(), ChatError> {
        let mut inside = self.lock();
        let Slot::Occupied(mut slot) = self.sessions(&mut inside)?.entry(id.to_owned()) else {
            return Err(ChatError::NoSession { id: id.to_owned() });
        };
        match self.settle(id, slot.get_mut()) {
            Ok(session) => {
                let state = session.lock();
                session.quiet(&state)?;
                let sure = session.remove()?;
                slot.remove();
                sure
            }
            Err(error) => {
                let Entry::Unreadable(path, _) = slot.get() else { return Err(error) };
                self.storage.remove(path).map_err(io_at(path, "remove"))?;
                slot.remove();
                let folder = self.folder.path();
                self.storage.sync_folder(folder).map_err(io_at(folder, "sync"))?;
                Ok(())
            }
        }
    }

    /// The sessions, read from the folder where they were not yet.
    fn sessions<'a>(&self, inside: &'a mut Inside) -> Result<&'a mut Sessions, ChatError> {
        let known = inside.sessions.as_ref().is_some_and(|sessions| !sessions.is_empty());
        if (known || inside.made) && !self.storage.is_there(self.folder.path()) {
            // The app was removed, and what it had with it: this is another one of its name.
            *inside = Inside::default();
        }
        if inside.sessions.is_none() {
            inside.sessions = Some(self.read()?);
        }
        inside.sessions.as_mut().ok_or_else(|| ChatError::Internal("a folder is lost".into()))
    }

    fn read(&self) -> Result<Sessions, SessionsError> {
        let folder = self.folder.path();
        let names = self.storage.list(folder).map_err(io_at(folder, "list"))?;
        let mut sessions = Sessions::new();
        for found in names.iter().filter_map(|name| self.folder.found(name)) {
            match found {
                Found::Log(id) => {
                    sessions.insert(id, Entry::Unread);
                }
                Found::New(path) => {
                    self.storage.remove(&path).map_err(io_at(&path, "remove"))?;
                }
                Found::Damaged(id) => {
                    let path = self.folder.damaged(&id);
                    let what = "it was set aside when it was read before".to_owned();
                    let why = SessionsError::Damaged { path: path.clone(), what }.to_string();
                    sessions.entry(id).or_insert(Entry::Unreadable(path, why));
                }
            }
        }
        if !names.is_empty() {
            // Names that the process before this one did not get to sync are told of now.
            self.storage.sync_folder(folder).map_err(io_at(folder, "sync"))?;
        }
        Ok(sessions)
    }

    /// A session that was read, or why it cannot be.
    fn settle(&self, id: &str, entry: &mut Entry) -> Result<Arc<Session>, ChatError> {
        match entry {
            Entry::Sound(session) => return Ok(session.clone()),
            Entry::Unreadable(_, why) => return Err(ChatError::Disk(why.clone())),
            Entry::Unread => {}
        }
        match Session::load(&self.storage, &self.folder, &self.name, id) {
            Ok(session) => {
                let session = Arc::new(session);
                *entry = Entry::Sound(session.clone());
                Ok(session)
            }
            Err(SessionsError::Damaged { what, .. }) => {
                let (log, aside) = (self.folder.log(id), self.folder.damaged(id));
                self.storage.rename(&log, &aside).map_err(io_at(&log, "set aside"))?;
                let why = SessionsError::Damaged { path: aside.clone(), what }.to_string();
                *entry = Entry::Unreadable(aside, why.clone());
                Err(ChatError::Disk(why))
            }
            // It stays for the version that wrote it.
            Err(error @ SessionsError::Version { .. }) => {
                *entry = Entry::Unreadable(self.folder.log(id), error.to_string());
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
