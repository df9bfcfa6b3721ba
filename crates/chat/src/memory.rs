//! Conversations that last as long as the process: for tests, and for programs that keep nothing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ChatError;
use crate::event::Event;
use crate::kept::{NewSession, SessionInfo, Sessions};
use crate::message::{Message, ToolCall};
use crate::request::{Overflow, Prompt, Request};
use crate::{Chat, Sink};

/// Keeps conversations in memory and nowhere else: the promise of [`Sessions`] to survive the end of the
/// process is the one that it does not keep.
pub struct Memory {
    chat: Arc<dyn Chat>,
    /// Seconds since 1970; this crate has no clock.
    now_s: fn() -> u64,
    kept: Arc<Mutex<Kept>>,
}

/// By app and id.
type Kept = BTreeMap<(String, String), Conversation>;

struct Conversation {
    info: SessionInfo,
    messages: Vec<Message>,
    /// Whether an answer is on its way.
    answering: bool,
}

impl Conversation {
    fn add(&mut self, messages: Vec<Message>, now_s: u64) {
        self.messages.extend(messages);
        self.info.messages = self.messages.len();
        self.info.updated_s = now_s;
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name that nobody guesses.
fn id() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("session_{:016x}{:016x}", word(), word())
}

fn none(id: &str) -> ChatError {
    ChatError::NoSession { id: id.to_owned() }
}

impl Memory {
    /// No conversations yet; `chat` will answer in them, and `now_s` says how many seconds have passed
    /// since 1970.
    pub fn new(chat: Arc<dyn Chat>, now_s: fn() -> u64) -> Memory {
        Memory { chat, now_s, kept: Arc::default() }
    }

    /// Does something with a session of an app.
    fn with<T>(
        &self,
        app: &str,
        id: &str,
        act: impl FnOnce(&mut Conversation) -> Result<T, ChatError>,
    ) -> Result<T, ChatError> {
        let mut kept = lock(&self.kept);
        let place = (app.to_owned(), id.to_owned());
        act(kept.get_mut(&place).ok_or_else(|| none(id))?)
    }

    fn put(&self, app: &str, info: SessionInfo, messages: Vec<Message>) -> SessionInfo {
        let now_s = (self.now_s)();
        let info = SessionInfo { id: id(), created_s: now_s, ..info };
        let mut conversation = Conversation { info, messages: Vec::new(), answering: false };
        conversation.add(messages, now_s);
        let info = conversation.info.clone();
        lock(&self.kept).insert((app.to_owned(), info.id.clone()), conversation);
        info
    }
}

impl Sessions for Memory {
    fn create(&self, app: &str, new: NewSession) -> Result<(SessionInfo, bool), ChatError> {
        let NewSession { name, model, overflow, messages } = new;
        if name.is_some() {
            let known = self.list(app)?.into_iter().find(|info| info.name == name);
            if let Some(known) = known {
                return Ok((known, false));
            }
        }
        let info = SessionInfo { name, model, overflow, ..SessionInfo::default() };
        Ok((self.put(app, info, messages), true))
    }

    fn list(&self, app: &str) -> Result<Vec<SessionInfo>, ChatError> {
        let kept = lock(&self.kept);
        let own = kept.iter().filter(|((owner, _), _)| owner == app);
        let mut infos: Vec<SessionInfo> = own.map(|(_, c)| c.info.clone()).collect();
        infos.sort_by_key(|info| std::cmp::Reverse(info.updated_s));
        Ok(infos)
    }

    fn read(&self, app: &str, id: &str) -> Result<(SessionInfo, Vec<Message>), ChatError> {
        self.with(app, id, |c| Ok((c.info.clone(), c.messages.clone())))
    }

    fn append(
        &self,
        app: &str,
        id: &str,
        messages: Vec<Message>,
        expected: Option<usize>,
    ) -> Result<SessionInfo, ChatError> {
        let now_s = (self.now_s)();
        self.with(app, id, |c| {
            if let Some(expected) = expected.filter(|expected| *expected != c.messages.len()) {
                let have = c.messages.len();
                return Err(ChatError::Conflict(format!(
                    "the session has {have} messages, not {expected}"
                )));
            }
            idle(c)?;
            c.add(messages, now_s);
            Ok(c.info.clone())
        })
    }

    fn fork(&self, app: &str, id: &str, messages: Option<usize>) -> Result<SessionInfo, ChatError> {
        let (info, mut beginning) = self.read(app, id)?;
        let count = messages.unwrap_or(beginning.len());
        if count > beginning.len() {
            let what = format!("the session has {} messages, not {count}", beginning.len());
            return Err(ChatError::invalid("messages", what));
        }
        beginning.truncate(count);
        let forked_from = Some((info.id.clone(), count));
        Ok(self.put(app, SessionInfo { name: None, forked_from, ..info }, beginning))
    }

    fn delete(&self, app: &str, id: &str) -> Result<(), ChatError> {
        let place = (app.to_owned(), id.to_owned());
        lock(&self.kept).remove(&place).map(|_| ()).ok_or_else(|| none(id))
    }

    fn say(&self, id: &str, request: Request, mut sink: Sink) -> Result<(), ChatError> {
        let Prompt::Messages(new) = &request.prompt else {
            return Err(ChatError::invalid("prompt", "a session takes messages, not a plain text"));
        };
        let now_s = (self.now_s)();
        let (before, whole, info) = self.with(&request.app, id, |c| {
            idle(c)?;
            let before = c.messages.len();
            c.add(new.clone(), now_s);
            c.answering = true;
            Ok((before, c.messages.clone(), c.info.clone()))
        })?;
        let place = (request.app.clone(), id.to_owned());
        let mut answering = Answering { kept: Arc::clone(&self.kept), place: place.clone() };
        let mut said = Message::assistant("");
        let clock = self.now_s;
        let keeping: Sink = Box::new(move |event| {
            match &event {
                Event::Text { text, .. } => said.text.push_str(text),
                Event::Call(call) => said.calls.push(ToolCall::clone(call)),
                Event::Finished { .. } => {
                    let answer = std::mem::replace(&mut said, Message::assistant(""));
                    answering.keep(answer, clock());
                }
                _ => {}
            }
            sink(event)
        });
        let overflow = match request.overflow {
            Overflow::Error => info.overflow,
            asked => asked,
        };
        let model = if request.model.is_empty() { info.model } else { request.model };
        let prompt = Prompt::Messages(whole);
        let session = Some(info.id);
        let begun =
            self.chat.start(Request { prompt, overflow, model, session, ..request }, keeping);
        if begun.is_err() {
            // What was refused was never said.
            if let Some(conversation) = lock(&self.kept).get_mut(&place) {
                conversation.messages.truncate(before);
                conversation.info.messages = before;
            }
        }
        begun
    }

    fn count_tokens(
        &self,
        app: &str,
        id: &str,
        messages: Vec<Message>,
    ) -> Result<usize, ChatError> {
        let (info, mut whole) = self.read(app, id)?;
        whole.extend(messages);
        self.chat.count_tokens(&Request::new(info.model, whole))
    }
}

fn idle(conversation: &Conversation) -> Result<(), ChatError> {
    if conversation.answering {
        let what = "the session is being answered in; wait for the end, or fork it";
        return Err(ChatError::Conflict(what.into()));
    }
    Ok(())
}

/// An answer on its way, over when it is dropped: with its sink, whoever dropped that.
struct Answering {
    kept: Arc<Mutex<Kept>>,
    place: (String, String),
}

impl Answering {
    fn keep(&mut self, answer: Message, now_s: u64) {
        if let Some(conversation) = lock(&self.kept).get_mut(&self.place) {
            conversation.add(vec![answer], now_s);
            conversation.answering = false;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(conversation) = lock(&self.kept).get_mut(&self.place) {
            conversation.answering = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Script};

    const NOW: u64 = 7;

    fn memory(script: &Arc<Script>) -> Memory {
        Memory::new(script.clone(), || NOW)
    }

    fn say(memory: &Memory, app: &str, id: &str, text: &str) -> Result<Answer, ChatError> {
        let request = Request { app: app.into(), ..Request::new("", [Message::user(text)]) };
        Answer::collect(|sink| memory.say(id, request, sink))
    }

    fn named(name: &str) -> NewSession {
        NewSession { name: Some(name.into()), ..NewSession::default() }
    }

    #[test]
    fn a_conversation_grows_by_what_is_said_and_answered() {
        let script = Arc::new(Script::new(["Good ", "morning."]));
        let memory = memory(&script);
        let (info, new) = memory.create("a", named("notes")).unwrap();
        assert_eq!((new, info.messages, info.created_s), (true, 0, NOW));
        assert_eq!(say(&memory, "a", &info.id, "hello").unwrap().text, "Good morning.");
        say(&memory, "a", &info.id, "again").unwrap();
        let (again, new) = memory.create("a", named("notes")).unwrap();
        assert_eq!((new, again.messages, &again.id), (false, 4, &info.id));
        let asked = script.asked();
        let expected =
            [Message::user("hello"), Message::assistant("Good morning."), Message::user("again")];
        assert_eq!(asked[1].prompt, Prompt::Messages(expected.to_vec()));
        assert_eq!(asked[1].session.as_deref(), Some(info.id.as_str()));
        assert_eq!(memory.count_tokens("a", &info.id, vec![Message::user("x y")]).unwrap(), 8);
    }

    #[test]
    fn another_app_has_no_such_session() {
        let memory = memory(&Arc::new(Script::new(["x"])));
        let (info, _) = memory.create("a", named("notes")).unwrap();
        let none = ChatError::NoSession { id: info.id.clone() };
        assert_eq!(memory.read("b", &info.id), Err(none.clone()));
        assert_eq!(memory.delete("b", &info.id), Err(none.clone()));
        assert_eq!(say(&memory, "b", &info.id, "hello"), Err(none.clone()));
        assert_eq!(memory.list("b").unwrap(), []);
        memory.delete("a", &info.id).unwrap();
        assert_eq!(memory.delete("a", &info.id), Err(none));
    }

    #[test]
    fn what_was_sent_twice_or_refused_is_not_there() {
        let script = Arc::new(Script::new(["x"]));
        let memory = memory(&script);
        let (info, _) = memory.create("a", named("notes")).unwrap();
        let append = |expected| memory.append("a", &info.id, vec![Message::user("1")], expected);
        assert_eq!(append(Some(0)).unwrap().messages, 1);
        assert!(matches!(append(Some(0)), Err(ChatError::Conflict(_))));
        script.refuse_next(ChatError::ShuttingDown);
        assert_eq!(say(&memory, "a", &info.id, "2"), Err(ChatError::ShuttingDown));
        assert_eq!(memory.read("a", &info.id).unwrap().1, [Message::user("1")]);
        say(&memory, "a", &info.id, "3").unwrap();
        assert!(memory.fork("a", &info.id, Some(9)).is_err());
        let fork = memory.fork("a", &info.id, Some(1)).unwrap();
        assert_eq!((fork.messages, fork.forked_from), (1, Some((info.id.clone(), 1))));
        assert_eq!(memory.read("a", &fork.id).unwrap().1, [Message::user("1")]);
    }

    #[test]
    fn one_answer_at_a_time_and_a_listener_who_leaves_frees_the_session() {
        /// Holds every sink instead of answering.
        #[derive(Default)]
        struct Held(Mutex<Vec<Sink>>);
        impl Chat for Held {
            fn start(&self, _: Request, sink: Sink) -> Result<(), ChatError> {
                self.0.lock().unwrap().push(sink);
                Ok(())
            }
            fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
                Ok(0)
            }
            fn models(&self) -> Vec<crate::Model> {
                Vec::new()
            }
        }
        let held = Arc::new(Held::default());
        let memory = Memory::new(held.clone(), || NOW);
        let (info, _) = memory.create("", NewSession::default()).unwrap();
        let request = || Request::new("", [Message::user("x")]);
        memory.say(&info.id, request(), Box::new(|_| true)).unwrap();
        let second = memory.say(&info.id, request(), Box::new(|_| true));
        assert!(matches!(second, Err(ChatError::Conflict(_))), "{second:?}");
        held.0.lock().unwrap().clear();
        memory.say(&info.id, request(), Box::new(|_| true)).unwrap();
        assert_eq!(memory.read("", &info.id).unwrap().0.messages, 2);
    }
}
