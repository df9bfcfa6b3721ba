//! An archive over a simulated disk beside a plain map of what was acknowledged. Each step does something
//! to both and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, mpsc};

use ondine_chat::{ChatError, Event, Message, NewSession, Request, Script, SessionInfo, Sessions};

use crate::storage::Storage;
use crate::storage::simulated::{Chance, Failing, Simulated};
use crate::{Archive, Limits};

const ROOT: &str = "home/sessions";
const APPS: [&str; 2] = ["notes", "../other"];
const ANSWER: &str = "an answer";

/// An app and the id of one of its sessions.
type Key = (&'static str, String);

/// What has to be there of a session.
#[derive(Clone, Debug, Default)]
struct Known {
    name: Option<String>,
    /// Acknowledged.
    messages: Vec<Message>,
    /// What else may be there behind them: one of these, where the power went before anybody was told.
    maybe: Vec<Vec<Message>>,
    /// It may be gone.
    gone: bool,
}

/// The archive, and what is known of it.
pub(super) struct Run {
    pub(super) disk: Arc<Simulated>,
    model: Arc<Script>,
    archive: Option<Archive>,
    /// In the order in which they came, so that a seed does the same each time.
    keys: Vec<Key>,
    known: BTreeMap<Key, Known>,
    deleted: BTreeSet<String>,
    chance: Chance,
    words: usize,
    /// Something may fail now.
    armed: bool,
}

/// What went wrong, where something did.
pub(super) type Judged = Result<(), String>;

fn archive(disk: &Arc<Simulated>, model: &Arc<Script>) -> Option<Archive> {
    let root = Path::new(ROOT);
    Some(Archive::over(disk.clone(), root, model.clone(), Limits::default()).expect("a thread"))
}

impl Run {
    pub(super) fn new(seed: u64) -> Run {
        let disk = Arc::new(Simulated::new());
        disk.make_folder(Path::new(ROOT)).expect("nothing fails yet");
        disk.sync_folder(Path::new("home")).expect("nothing fails yet");
        let model = Arc::new(Script::new([ANSWER]));
        Run {
            archive: archive(&disk, &model),
            disk,
            model,
            keys: Vec::new(),
            known: BTreeMap::new(),
            deleted: BTreeSet::new(),
            chance: Chance(seed),
            words: 0,
            armed: false,
        }
    }

    fn sessions(&self) -> &Archive {
        self.archive.as_ref().expect("it is open between two steps")
    }

    /// From now on things fail.
    pub(super) fn fail(&mut self, failing: Failing) {
        self.armed = failing != Failing::Never;
        self.disk.fail(failing);
    }

    /// Something new to say.
    fn said(&mut self, most: usize) -> Vec<Message> {
        (0..self.chance.below(most + 1))
            .map(|_| {
                self.words += 1;
                Message::user(format!("message {} {}", self.words, "x".repeat(self.words % 90)))
            })
            .collect()
    }

    /// A step by chance. Some of them fail on the way.
    pub(super) fn step(&mut self) -> Judged {
        match self.chance.below(12) {
            0 => self.kill(),
            1 => self.cut_power(),
            number => {
                let soon = self.disk.operations() + self.chance.below(7);
                let failing = match self.chance.below(4) {
                    0 => Failing::Once(soon),
                    1 => Failing::From(soon),
                    _ => Failing::Never,
                };
                self.fail(failing);
                let judged = self.act(number);
                // What fails for good ends with the process, or without it.
                let judged = match (judged, self.chance.below(3)) {
                    (Ok(()), 0) if self.armed => self.cut_power(),
                    (Ok(()), 1) if self.armed => self.kill(),
                    (judged, _) => judged,
                };
                self.fail(Failing::Never);
                judged
            }
        }
    }

    /// One of the things that apps do.
    pub(super) fn act(&mut self, number: usize) -> Judged {
        match number % 10 {
            0 | 1 => self.create(),
            2 | 3 => self.append(),
            4..=6 => self.say(),
            7 => self.fork(),
            8 => self.list(),
            _ => self.delete(),
        }
    }

    /// Any of the sessions that are there.
    fn any(&mut self) -> Option<Key> {
        self.keys.retain(|key| self.known.contains_key(key));
        let at = self.chance.below(self.keys.len());
        self.keys.get(at).cloned()
    }

    fn known(&mut self, key: &Key) -> &mut Known {
        self.known.get_mut(key).expect("a key that was just there")
    }

    fn born(&mut self, key: Key, known: Known) {
        self.keys.push(key.clone());
        self.known.insert(key, known);
    }

    /// An error that has a reason.
    fn excused(&self, what: &str, error: ChatError) -> Judged {
        if self.armed && matches!(error, ChatError::Disk(_)) {
            return Ok(());
        }
        Err(format!("{what}: {error:?}"))
    }

    fn create(&mut self) -> Judged {
        let app = APPS[self.chance.below(APPS.len())];
        let name = ["a", "b", ""][self.chance.below(3)];
        let name = (!name.is_empty()).then(|| name.to_owned());
        let messages = self.said(2);
        let new =
            NewSession { name: name.clone(), messages: messages.clone(), ..NewSession::default() };
        let mut named =
            self.known.iter().filter(|((its, _), k)| *its == app && k.name == name && !k.gone);
        let there = named.next().filter(|_| name.is_some()).map(|((_, id), _)| id.clone());
        match (self.sessions().create(app, new), there) {
            (Ok((info, true)), None) => {
                let known = Known { name, messages, ..Known::default() };
                self.born((app, info.id), known);
                Ok(())
            }
            (Ok((info, false)), Some(id)) if info.id == id => Ok(()),
            (Ok((info, false)), None) if name.is_some() => self.discover(app, &info),
            (Ok(made), there) => Err(format!("created {made:?} while there was {there:?}")),
            (Err(error), _) => self.excused("create", error),
        }
    }

    /// A session that nobody was told of yet, and that was seen now: it has to stay.
    fn discover(&mut self, app: &'static str, info: &SessionInfo) -> Judged {
        if self.deleted.contains(&info.id) {
            return Err(format!("{} was deleted and is there", info.id));
        }
        match self.sessions().read(app, &info.id) {
            Ok((_, messages)) => {
                let known = Known { name: info.name.clone(), messages, ..Known::default() };
                self.born((app, info.id.clone()), known);
                Ok(())
            }
            Err(error) => self.excused("read what is new", error),
        }
    }

    fn append(&mut self) -> Judged {
        let Some(key) = self.any() else { return Ok(()) };
        let messages = self.said(3);
        let there = self.known(&key).messages.len();
        let expected = [None, Some(there)][self.chance.below(2)];
        let appended = self.sessions().append(key.0, &key.1, messages.clone(), expected);
        let known = self.known(&key);
        match appended {
            Ok(info) => {
                known.messages.extend(messages);
                known.maybe.clear();
                let told = info.messages;
                let there = known.messages.len();
                if told == there { Ok(()) } else { Err(format!("{told} messages told of {there}")) }
            }
            Err(ChatError::NoSession { .. }) if known.gone => self.forget(&key),
            Err(error) => {
                known.maybe.push(messages);
                self.excused("append", error)
            }
        }
    }

    fn forget(&mut self, key: &Key) -> Judged {
        self.known.remove(key);
        Ok(())
    }

    fn say(&mut self) -> Judged {
        let Some(key) = self.any() else { return Ok(()) };
        let new = self.said(2);
        let mut request = Request::new("", new.clone());
        request.app = key.0.to_owned();
        let refused = self.chance.below(4) == 0;
        if refused {
            self.model.refuse_next(ChatError::ShuttingDown);
        }
        let (sender, events) = mpsc::channel();
        let sink = Box::new(move |event| sender.send(event).is_ok());
        let started = self.sessions().say(&key.1, request, sink);
        self.model.refuse_none();
        let answer = Message::assistant(ANSWER);
        let known = self.known(&key);
        match started {
            Ok(()) => {
                known.messages.extend(new);
                known.maybe.clear();
            }
            Err(ChatError::NoSession { .. }) if known.gone => return self.forget(&key),
            Err(ChatError::Invalid { .. }) if known.messages.is_empty() && new.is_empty() => {
                return Ok(());
            }
            Err(error) => {
                // It may have been written before the model refused, and not be taken back for sure.
                known.maybe.push(new);
                if refused && error == ChatError::ShuttingDown {
                    return Ok(());
                }
                return self.excused("say", error);
            }
        }
        match events.iter().last() {
            Some(Event::Finished { .. }) => {
                known.messages.push(answer);
                Ok(())
            }
            Some(Event::Failed(error)) => {
                known.maybe.push(vec![answer]);
                self.excused("answer", error)
            }
            other => Err(format!("an answer ends with {other:?}")),
        }
    }

    fn fork(&mut self) -> Judged {
        let Some(key) = self.any() else { return Ok(()) };
        let messages = self.known(&key).messages.clone();
        let first = self.chance.below(messages.len() + 1);
        match self.sessions().fork(key.0, &key.1, Some(first)) {
            Ok(info) => {
                let messages = messages[..first].to_vec();
                if info.forked_from != Some((key.1.clone(), first)) {
                    return Err(format!("forked {info:?}"));
                }
                self.born((key.0, info.id), Known { messages, ..Known::default() });
                Ok(())
            }
            Err(ChatError::NoSession { .. }) if self.known(&key).gone => self.forget(&key),
            Err(error) => self.excused("fork", error),
        }
    }

    fn delete(&mut self) -> Judged {
        let Some(key) = self.any() else { return Ok(()) };
        match self.sessions().delete(key.0, &key.1) {
            Ok(()) => {
                self.known.remove(&key);
                self.deleted.insert(key.1);
                Ok(())
            }
            Err(ChatError::NoSession { .. }) if self.known(&key).gone => self.forget(&key),
            Err(error) => {
                self.known(&key).gone = true;
                self.excused("delete", error)
            }
        }
    }

    fn list(&mut self) -> Judged {
        for app in APPS {
            let infos = match self.sessions().list(app) {
                Ok(infos) => infos,
                Err(error) => return self.excused("list", error),
            };
            let ids: BTreeSet<&String> = infos.iter().map(|info| &info.id).collect();
            let there = self.known.iter().filter(|((its, _), known)| *its == app && !known.gone);
            if let Some(lost) = there.map(|((_, id), _)| id).find(|id| !ids.contains(id)) {
                return Err(format!("{lost} is not in the list"));
            }
            for info in infos {
                if !self.known.contains_key(&(app, info.id.clone())) {
                    self.discover(app, &info)?;
                }
            }
        }
        Ok(())
    }

    /// The process ends, and another begins.
    pub(super) fn kill(&mut self) -> Judged {
        self.archive = None;
        self.fail(Failing::Never);
        self.archive = archive(&self.disk, &self.model);
        self.check_after()
    }

    /// The power goes, and comes again.
    pub(super) fn cut_power(&mut self) -> Judged {
        self.archive = None;
        self.fail(Failing::Never);
        self.disk = Arc::new(self.disk.without_power(&mut self.chance));
        self.archive = archive(&self.disk, &self.model);
        self.check_after()
    }

    /// Compares when nothing is known of what was not acknowledged; what is seen now has to stay.
    fn check_after(&mut self) -> Judged {
        let keys: Vec<_> = self.known.keys().cloned().collect();
        for key in keys {
            let read = self.sessions().read(key.0, &key.1);
            let known = self.known(&key);
            match read {
                Ok((info, messages)) => {
                    let rest = messages.strip_prefix(&known.messages[..]);
                    let allowed = rest.is_some_and(|rest| {
                        rest.is_empty() || known.maybe.iter().any(|maybe| maybe == rest)
                    });
                    if !allowed || info.messages != messages.len() {
                        return Err(format!("{key:?} has {messages:?}; expected {known:?}"));
                    }
                    (known.messages, known.gone) = (messages, false);
                    known.maybe.clear();
                }
                Err(ChatError::NoSession { .. }) if known.gone => self.forget(&key)?,
                Err(error) => return Err(format!("{key:?}: {error:?}; expected {known:?}")),
            }
        }
        self.list()?;
        self.check_files()
    }

    /// Compares while the process lives: nothing is there that was not acknowledged.
    pub(super) fn check(&mut self) -> Judged {
        for (key, known) in self.known.clone() {
            match self.sessions().read(key.0, &key.1) {
                Ok((_, messages)) if messages == known.messages => {}
                Err(ChatError::NoSession { .. }) if known.gone => {}
                other => return Err(format!("{key:?}: {other:?}; expected {known:?}")),
            }
        }
        Ok(())
    }

    fn check_files(&self) -> Judged {
        let files = self.disk.files();
        let wrong = files.keys().find(|path| path.extension().is_none_or(|kind| kind != "log"));
        wrong.map_or(Ok(()), |path| Err(format!("{} is left", path.display())))
    }
}
