//! What roles tell each other, in order, and who has read how far.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Who tells it.
    pub from: String,
    /// Whom; everybody where it is empty.
    pub to: String,
    /// What.
    pub text: String,
}

/// All that was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bus {
    notes: Vec<Note>,
    read: BTreeMap<String, usize>,
}

impl Bus {
    /// Tells somebody something; everybody where `to` is empty.
    pub fn tell(&mut self, from: &str, to: &str, text: impl Into<String>) {
        self.notes.push(Note { from: from.to_owned(), to: to.to_owned(), text: text.into() });
    }

    /// What was told to somebody, or to everybody, since this was asked last.
    pub fn inbox(&mut self, name: &str) -> Vec<Note> {
        let from = self.read.insert(name.to_owned(), self.notes.len()).unwrap_or(0);
        let mine = |note: &&Note| note.to == name || (note.to.is_empty() && note.from != name);
        self.notes[from.min(self.notes.len())..].iter().filter(mine).cloned().collect()
    }

    /// Everything, in order.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}
