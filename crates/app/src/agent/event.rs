//! What happens while an agent works, for whoever watches: told to a function, or taken from an iterator.

use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::{Drive, Ended};
use crate::error::Error;
use crate::policy::{Question, Verdict};
use crate::run::{News, Spent, ToDo};
use crate::tool::{Cancel, Observation};

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The model of this role is asked.
    Asked {
        /// Whose turn it is.
        agent: String,
    },
    /// It says this; a piece of its answer.
    Piece(String),
    /// What it wants done, or a conversation that begins or ends.
    News(News),
    /// A call is performed now.
    Calling(ToDo),
    /// This came of it.
    Observed {
        /// Which call.
        key: String,
        /// What came of it.
        observation: Observation,
    },
    /// A person is asked.
    Asking(Question),
    /// This is what they said; nothing where they left it open.
    Decided {
        /// Which call.
        key: String,
        /// What they said.
        verdict: Option<Verdict>,
    },
    /// A run goes on that was begun before.
    Resumed,
    /// What it cost so far, after each answer of a model.
    Spent(Spent),
}

/// What happens, as an iterator: the last item is how it ended. Who drops it stops the agent.
pub struct Events {
    events: Receiver<Result<Step, Error>>,
    cancel: Cancel,
}

/// An item of [`Events`].
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Something happens.
    Happening(Happening),
    /// It is over.
    Ended(Ended),
}

impl Drive<'static> {
    /// Drives on a thread of its own, and gives what happens as it happens.
    pub fn events(mut self) -> Events {
        let (sender, events) = mpsc::channel();
        let cancel = self.cancel.clone();
        let told = sender.clone();
        let mut before = self.watch.take();
        let drive = self.watch(move |happening| {
            if let Some(before) = &mut before {
                before(happening);
            }
            // Nobody may listen any more; the agent is stopped by that.
            let _ = told.send(Ok(Step::Happening(happening.clone())));
        });
        let last = sender.clone();
        let spawned = thread::Builder::new().name("agent".into()).spawn(move || {
            let _ = last.send(drive.go().map(Step::Ended));
        });
        if let Err(error) = spawned {
            let what = format!("no thread for the agent: {error}");
            let _ = sender.send(Err(ondine_chat::ChatError::Internal(what).into()));
        }
        Events { events, cancel }
    }
}

impl Iterator for Events {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.recv().ok()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.cancel.now();
    }
}
