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
    /// It is over, for now or for good.
    Ended(Ended),
}

/// What happens, as an iterator: the last item is how it ended. Who drops it stops the agent.
pub struct Happenings {
    events: Receiver<Result<Happening, Error>>,
    cancel: Cancel,
}

impl Drive<'static> {
    /// Drives on a thread of its own, and gives what happens as it happens.
    pub fn events(mut self) -> Happenings {
        let (sender, events) = mpsc::channel();
        let cancel = self.cancel.clone();
        let told = sender.clone();
        let mut before = self.watch.take();
        let drive = self.watch(move |happening| {
            if let Some(before) = &mut before {
                before(happening);
            }
            // Nobody may listen any more; the agent is stopped by that.
            let _ = told.send(Ok(happening.clone()));
        });
        let last = sender.clone();
        let spawned = thread::Builder::new().name("agent".into()).spawn(move || {
            if let Err(error) = drive.go() {
                let _ = last.send(Err(error));
            }
        });
        if let Err(error) = spawned {
            let what = format!("no thread for the agent: {error}");
            let _ = sender.send(Err(ondine_chat::ChatError::Internal(what).into()));
        }
        Happenings { events, cancel }
    }
}

impl Iterator for Happenings {
    type Item = Result<Happening, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.recv().ok()
    }
}

impl Drop for Happenings {
    fn drop(&mut self) {
        self.cancel.now();
    }
}
