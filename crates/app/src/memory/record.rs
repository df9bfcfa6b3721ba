//! What a memory's journal holds, and the state that it makes. The state is nothing but the records, one
//! after the other: a memory that is opened is the one that was closed.

use std::collections::VecDeque;

use ondine_chat::{Message, Role, ToolCall};
use serde::{Deserialize, Serialize};

use super::functions::SEND;
use super::words::Words;

/// The version of the layout.
pub(super) const VERSION: u32 = 1;

/// One record.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first.
    Begun { version: u32 },
    /// Somebody said something.
    Said { message: Message },
    /// The first call that has no result has one, and what it changed is changed.
    Did {
        message: Message,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<Change>,
        /// Whether the model goes on at once.
        again: bool,
    },
    /// The model was told that the window is filling.
    Noticed,
    /// These messages are no longer shown.
    Evicted { messages: Vec<usize>, summary: String },
}

/// What a call changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// The working context is this now.
    Working(String),
    /// One more passage.
    Archived {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vector: Option<Vec<f32>>,
    },
    /// The user is told.
    Sent(String),
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A message, by its number.
    Message(usize),
    /// That the window is filling.
    Notice,
}

/// All that a memory is, but for its archive.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) working: String,
    pub(super) summary: String,
    pub(super) recall: Recall,
    pub(super) queue: VecDeque<Entry>,
    /// The notice was given since the last time that there was room.
    pub(super) noticed: bool,
    /// Calls of the last answer that have no result.
    pub(super) pending: Vec<ToolCall>,
    /// One of them asks to go on.
    again: bool,
    /// The model is to be asked.
    pub(super) owed: bool,
    /// How often it was, since the user spoke.
    pub(super) beats: usize,
    /// What the user was told since.
    pub(super) sent: Vec<String>,
    /// What the user said last.
    pub(super) question: Option<usize>,
}

impl State {
    /// Makes the change that a record is, and gives what is new in the archive.
    pub(super) fn apply(&mut self, record: Record) -> Option<(String, Option<Vec<f32>>)> {
        match record {
            Record::Begun { .. } => {}
            Record::Said { message } => self.said(message),
            Record::Did { message, change, again } => {
                if !self.pending.is_empty() {
                    self.pending.remove(0);
                }
                self.push(message);
                self.again |= again;
                self.owed = self.pending.is_empty() && self.again;
                match change {
                    Some(Change::Working(text)) => self.working = text,
                    Some(Change::Sent(text)) => self.sent.push(text),
                    Some(Change::Archived { text, vector }) => return Some((text, vector)),
                    None => {}
                }
            }
            Record::Noticed => {
                self.noticed = true;
                self.queue.push_back(Entry::Notice);
            }
            Record::Evicted { messages, summary } => {
                self.queue.retain(|entry| match entry {
                    Entry::Message(number) => !messages.contains(number),
                    Entry::Notice => false,
                });
                self.summary = summary;
                self.noticed = false;
            }
        }
        None
    }

    fn said(&mut self, message: Message) {
        match message.role {
            Role::Assistant => {
                self.pending.clone_from(&message.calls);
                self.again = false;
                self.owed = false;
                self.beats += 1;
                if message.calls.is_empty() {
                    // A model that calls nothing speaks to the user.
                    self.sent.push(message.text.clone());
                }
            }
            _ => {
                self.question = Some(self.recall.len());
                self.owed = true;
                self.beats = 0;
                self.sent.clear();
            }
        }
        self.push(message);
    }

    fn push(&mut self, message: Message) {
        self.queue.push_back(Entry::Message(self.recall.len()));
        self.recall.push(message);
    }

    /// The numbers of the messages that the model sees.
    pub(super) fn shown(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().filter_map(|entry| match entry {
            Entry::Message(number) => Some(*number),
            Entry::Notice => None,
        })
    }
}

/// Something that was said, and found again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spoken<'a> {
    /// Its number: that of the first message is 0.
    pub number: usize,
    /// Who said it.
    pub role: Role,
    /// What.
    pub text: &'a str,
}

/// All messages, and their words. Results of functions are kept, but not found: what they say is said
/// elsewhere.
#[derive(Debug, Default)]
pub(super) struct Recall {
    messages: Vec<Message>,
    words: Words,
}

impl Recall {
    fn push(&mut self, message: Message) {
        self.words.add(heard(&message));
        self.messages.push(message);
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn find(&self, words: &str) -> impl Iterator<Item = Spoken<'_>> {
        self.words.find(words).into_iter().filter_map(|number| {
            let message = self.messages.get(number)?;
            Some(Spoken { number, role: message.role, text: heard(message) })
        })
    }
}

/// What somebody said so that another heard it.
fn heard(message: &Message) -> &str {
    let sent = || message.calls.iter().find(|call| call.name == SEND);
    match message.role {
        Role::Tool => "",
        Role::Assistant if message.text.is_empty() => {
            sent().and_then(|call| call.arguments["message"].as_str()).unwrap_or_default()
        }
        _ => &message.text,
    }
}
