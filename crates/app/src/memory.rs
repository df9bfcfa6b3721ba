//! A memory that is larger than a model's window, and that the model keeps itself: MemGPT (Packer and
//! others, 2023, arXiv 2310.08560).
//!
//! The model sees instructions, a working context that it writes, a summary, and the last messages. All
//! messages are in *recall*, what it stores is in the *archive*, and it searches both with functions. When
//! the window is filling it is told so once; when it is full, about half of the messages are replaced by a
//! summary that it writes. Nothing is lost: every change is in a journal before it holds, and a memory
//! whose process was killed goes on in the middle of its turn.
//!
//! Where the model is and how a passage outside the archive is found is not known here.
//!
//! ```
//! use std::sync::Arc;
//! use ondine_app::{Llm, Reply, ScriptedModel};
//! use ondine_app::memory::{Memory, MemoryOptions};
//! use serde_json::json;
//!
//! let model = ScriptedModel::new([
//!     Reply::call("working_append", json!({"text": "The user is Ada.", "heartbeat": true})),
//!     Reply::call("send_message", json!({"message": "Hello Ada."})),
//! ]);
//! let mut memory = Memory::in_memory(Llm::new(Arc::new(model)), MemoryOptions::new(4096));
//! assert_eq!(memory.say("I am Ada.")?, "Hello Ada.");
//! assert_eq!(memory.working(), "The user is Ada.");
//! # Ok::<(), ondine_app::Error>(())
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `options` | how large everything is, and the words around it |
//! | `record` | what the journal holds, and the state that it makes |
//! | `words` | an index of words, in any language |
//! | `archive` | what the model stored, found by words and by meaning |
//! | `functions` | what the model may do |
//! | `pressure` | the window: what is shown, the notice, the summary |

mod archive;
mod functions;
mod options;
mod pressure;
mod record;
mod words;

#[cfg(test)]
mod tests;

pub use options::{MemoryOptions, Wording};
pub use record::Spoken;

use std::path::Path;
use std::sync::Arc;

use ondine_chat::{Message, ToolCall};

use self::archive::Archive;
use self::record::{Record, State, VERSION};
use crate::error::Error;
use crate::journal::Journal;
use crate::llm::Llm;
use crate::retrieve::Retrieve;

/// Why a memory cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The journal is not a memory's, or a newer one's.
    #[error("this journal is no memory that can be read here: {0}")]
    Strange(String),
    /// What is always shown leaves no room.
    #[error(
        "instructions, functions and working context take {used} tokens with room for an answer; \
         the window has {window}"
    )]
    Window {
        /// Tokens that they take.
        used: usize,
        /// Tokens that there are.
        window: usize,
    },
    /// The model goes on and on.
    #[error("the model was asked {0} times and still does not wait for the user")]
    Heartbeats(usize),
}

/// A conversation that remembers.
pub struct Memory {
    llm: Llm,
    options: MemoryOptions,
    journal: Journal,
    state: State,
    archive: Archive,
}

impl Memory {
    /// The memory in a file, begun where there is none.
    ///
    /// # Errors
    /// The file cannot be read or written, is damaged, or is something else.
    pub fn open(llm: Llm, path: impl AsRef<Path>, options: MemoryOptions) -> Result<Memory, Error> {
        let (journal, records) = Journal::open::<Record>(path)?;
        let mut memory = Memory { journal, ..Memory::in_memory(llm, options) };
        match records.first() {
            None => memory.journal.append(&Record::Begun { version: VERSION })?,
            Some(Record::Begun { version: VERSION }) => {}
            Some(Record::Begun { version }) => {
                let what = format!("its layout is version {version}, not {VERSION}");
                return Err(MemoryError::Strange(what).into());
            }
            Some(_) => {
                let what = "it does not begin as a memory does".to_owned();
                return Err(MemoryError::Strange(what).into());
            }
        }
        for record in records {
            memory.apply(record);
        }
        Ok(memory)
    }

    /// A memory that ends with the program.
    pub fn in_memory(llm: Llm, options: MemoryOptions) -> Memory {
        let journal = Journal::in_memory();
        Memory { llm, options, journal, state: State::default(), archive: Archive::default() }
    }

    /// The archive is searched by meaning as well, with vectors of this model.
    pub fn vectors(mut self, llm: Llm) -> Memory {
        self.archive.embed_with(llm);
        self
    }

    /// A search of the archive finds what is in this index, too.
    pub fn knowledge(mut self, index: Arc<dyn Retrieve>) -> Memory {
        self.archive.look_into(index);
        self
    }

    /// What the model says to what the user said. It is kept before anybody is asked.
    ///
    /// # Errors
    /// The model does not answer, or goes on and on; the journal says no. What was kept stays: see
    /// [`Memory::go_on`].
    pub fn say(&mut self, text: &str) -> Result<String, Error> {
        // What was called before the program's end, or before an error, is done first.
        self.do_calls()?;
        self.keep(Record::Said { message: Message::user(text) })?;
        self.turn()
    }

    /// Goes on with a turn that did not end, where there is one: the program was killed, or the model did
    /// not answer.
    ///
    /// # Errors
    /// Those of [`Memory::say`].
    pub fn go_on(&mut self) -> Result<Option<String>, Error> {
        let open = !self.state.pending.is_empty() || self.state.owed;
        if open { self.turn().map(Some) } else { Ok(None) }
    }

    fn turn(&mut self) -> Result<String, Error> {
        self.do_calls()?;
        while self.state.owed {
            if self.state.beats >= self.options.heartbeats {
                return Err(MemoryError::Heartbeats(self.state.beats).into());
            }
            let request = self.room()?;
            let answer = self.llm.answer(request)?;
            let mut message = answer.message();
            // Whoever answers numbers calls from the beginning each time.
            let number = self.state.recall.len();
            for (n, call) in message.calls.iter_mut().enumerate() {
                call.id = format!("m{number}_{n}");
            }
            self.keep(Record::Said { message })?;
            self.do_calls()?;
        }
        Ok(self.state.sent.join("\n"))
    }

    /// Does what was called and has no result. Effect and result are one record, so that nothing is done
    /// twice.
    fn do_calls(&mut self) -> Result<(), Error> {
        while let Some(call) = self.state.pending.first().cloned() {
            let done = self.call(&call)?;
            self.keep(done)?;
        }
        Ok(())
    }

    fn call(&self, call: &ToolCall) -> Result<Record, Error> {
        functions::call(call, self)
    }

    /// Keeps a change; it holds when it is on disk.
    fn keep(&mut self, record: Record) -> Result<(), Error> {
        self.journal.append(&record)?;
        self.apply(record);
        Ok(())
    }

    fn apply(&mut self, record: Record) {
        if let Some((text, vector)) = self.state.apply(record) {
            self.archive.insert(text, vector);
        }
    }

    /// What the model wrote into its working context.
    pub fn working(&self) -> &str {
        &self.state.working
    }

    /// What the messages that are no longer shown were about.
    pub fn summary(&self) -> &str {
        &self.state.summary
    }

    /// All that was ever said, in its order.
    pub fn recall(&self) -> &[Message] {
        self.state.recall.messages()
    }

    /// What was said that has these words, best first, and of equals the newest; Chinese by pairs of
    /// characters. `skip` is for the next page.
    pub fn find(&self, words: &str, skip: usize, most: usize) -> Vec<Spoken<'_>> {
        self.state.recall.find(words).skip(skip).take(most).collect()
    }

    /// How many messages the model sees, notices not counted.
    pub fn shown(&self) -> usize {
        self.state.shown().count()
    }

    /// Passages of the archive.
    pub fn archived(&self) -> usize {
        self.archive.len()
    }

    /// Tokens that the window holds now, with room for an answer.
    ///
    /// # Errors
    /// Those of [`Llm::count`].
    pub fn used(&self) -> Result<usize, Error> {
        self.tokens(&self.request(self.options.window, true))
    }
}
