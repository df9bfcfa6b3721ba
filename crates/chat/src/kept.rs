//! Conversations that are kept for an app, whatever becomes of the process.

use serde::{Deserialize, Serialize};

use crate::Sink;
use crate::error::ChatError;
use crate::message::Message;
use crate::request::{Overflow, Request};

/// What a conversation that is kept is called, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionInfo {
    /// Given when it was created; not guessable, and the same for ever.
    pub id: String,
    /// What its app calls it: no two of an app have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model that answers; the default model where it is empty.
    #[serde(default)]
    pub model: String,
    /// What happens when it outgrows the model's positions.
    #[serde(default)]
    pub overflow: Overflow,
    /// Messages in it.
    pub messages: usize,
    /// In seconds since 1970.
    pub created_s: u64,
    /// When the last message came, in seconds since 1970.
    pub updated_s: u64,
    /// The session that it was forked from, and how many of its messages it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<(String, usize)>,
}

/// A conversation that is to be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewSession {
    /// What its app calls it.
    pub name: Option<String>,
    /// The model that answers; the default model where it is empty.
    pub model: String,
    /// What happens when it outgrows the model's positions.
    pub overflow: Overflow,
    /// What it begins with.
    pub messages: Vec<Message>,
}

/// Whoever keeps conversations. What a method has returned, and what a sink was told is
/// [finished](crate::Event::Finished), survives the end of the process and of the power. An app's
/// sessions do not exist for another app.
pub trait Sessions: Send + Sync {
    /// Begins a conversation. Where the app has one of that name already, that one is given, as it
    /// is, and `false`.
    ///
    /// # Errors
    /// A name that is none, a limit, or the disk.
    fn create(&self, app: &str, new: NewSession) -> Result<(SessionInfo, bool), ChatError>;

    /// The app's sessions, the latest first.
    ///
    /// # Errors
    /// The disk.
    fn list(&self, app: &str) -> Result<Vec<SessionInfo>, ChatError>;

    /// One session.
    ///
    /// # Errors
    /// The app has none of this id; the disk.
    fn info(&self, app: &str, id: &str) -> Result<SessionInfo, ChatError> {
        Ok(self.read(app, id)?.0)
    }

    /// One session, and what was said in it.
    ///
    /// # Errors
    /// The app has none of this id; the disk.
    fn read(&self, app: &str, id: &str) -> Result<(SessionInfo, Vec<Message>), ChatError>;

    /// Adds messages without asking for an answer. Where `expected` is given, only if the session has
    /// as many messages now: so that a request that was sent twice counts once.
    ///
    /// # Errors
    /// No such session, another number of messages, a limit, or the disk. Nothing was added then.
    fn append(
        &self,
        app: &str,
        id: &str,
        messages: Vec<Message>,
        expected: Option<usize>,
    ) -> Result<SessionInfo, ChatError>;

    /// A second conversation with the same beginning: all of it, or the first `messages`.
    ///
    /// # Errors
    /// No such session, fewer messages than that, a limit, or the disk.
    fn fork(&self, app: &str, id: &str, messages: Option<usize>) -> Result<SessionInfo, ChatError>;

    /// Ends a session, and takes everything away that was kept of it.
    ///
    /// # Errors
    /// No such session; the disk.
    fn delete(&self, app: &str, id: &str) -> Result<(), ChatError>;

    /// Says something in the session `id` of the request's app and answers it. The request's prompt is
    /// what is new; the session's messages go before it. The new messages are kept before the answer
    /// begins, and the answer before its end is told.
    ///
    /// # Errors
    /// No such session, one that is being answered in, and those of [`Chat::start`](crate::Chat::start).
    fn say(&self, id: &str, request: Request, sink: Sink) -> Result<(), ChatError>;

    /// Tokens of the session and of `messages` behind it, as the model would read them, without
    /// running it.
    ///
    /// # Errors
    /// Those of [`Chat::count_tokens`](crate::Chat::count_tokens), and no such session.
    fn count_tokens(&self, app: &str, id: &str, messages: Vec<Message>)
    -> Result<usize, ChatError>;
}
