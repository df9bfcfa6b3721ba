//! Responses that are kept for a while. It knows no HTTP: bytes, ages and whose they are.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ondine_chat::Message;
use serde_json::Value;

use crate::Limits;

/// A response, and the conversation up to and with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conversation {
    pub(super) turns: Vec<Message>,
    pub(super) body: Value,
}

/// What is kept, oldest first: by number, bytes and age the oldest goes.
pub(crate) struct Kept {
    entries: Mutex<VecDeque<Entry>>,
    most: usize,
    bytes_max: usize,
    time: Duration,
}

struct Entry {
    app: String,
    id: String,
    since: Instant,
    bytes: usize,
    conversation: Conversation,
}

impl Kept {
    pub(crate) fn new(limits: &Limits) -> Kept {
        Kept {
            entries: Mutex::new(VecDeque::new()),
            most: limits.responses,
            bytes_max: limits.responses_bytes,
            time: limits.responses_time,
        }
    }

    /// What is there and not too old.
    fn fresh(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        // Entries are put and taken whole.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        while entries.front().is_some_and(|oldest| oldest.since.elapsed() >= self.time) {
            entries.pop_front();
        }
        entries
    }

    pub(super) fn put(&self, app: &str, id: &str, conversation: Conversation) {
        let turns: usize = conversation.turns.iter().map(turn_bytes).sum();
        let bytes = turns + conversation.body.to_string().len();
        // One that is larger than everything together would only drive the others out.
        if bytes > self.bytes_max || self.most == 0 {
            return;
        }
        let (app, id, since) = (app.to_owned(), id.to_owned(), Instant::now());
        let mut entries = self.fresh();
        let mut held: usize = entries.iter().map(|entry| entry.bytes).sum();
        while entries.len() >= self.most || held + bytes > self.bytes_max {
            let Some(oldest) = entries.pop_front() else { break };
            held -= oldest.bytes;
        }
        entries.push_back(Entry { app, id, since, bytes, conversation });
    }

    pub(super) fn get(&self, app: &str, id: &str) -> Option<Conversation> {
        let entries = self.fresh();
        let found = entries.iter().find(|entry| entry.app == app && entry.id == id)?;
        Some(found.conversation.clone())
    }

    /// Whether it was there.
    pub(super) fn forget(&self, app: &str, id: &str) -> bool {
        let mut entries = self.fresh();
        let before = entries.len();
        entries.retain(|entry| entry.app != app || entry.id != id);
        entries.len() < before
    }
}

fn turn_bytes(turn: &Message) -> usize {
    let calls = turn
        .calls
        .iter()
        .map(|call| 64 + call.id.len() + call.name.len() + call.arguments.to_string().len());
    64 + turn.text.len() + calls.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Conversation {
        Conversation { turns: vec![Message::user(text)], body: Value::Null }
    }

    fn kept(responses: usize, responses_bytes: usize, responses_time: Duration) -> Kept {
        Kept::new(&Limits { responses, responses_bytes, responses_time, ..Limits::default() })
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn what_is_kept_belongs_to_one_app() {
        let kept = kept(9, 1000, HOUR);
        kept.put("a", "1", said("x"));
        assert_eq!(kept.get("a", "1"), Some(said("x")));
        assert_eq!(kept.get("b", "1"), None);
        assert!(!kept.forget("b", "1"));
        assert!(kept.forget("a", "1"));
        assert_eq!(kept.get("a", "1"), None);
    }

    #[test]
    fn the_oldest_goes_by_number_bytes_and_age() {
        let by_number = kept(2, 10_000, HOUR);
        let by_bytes = kept(99, 250, HOUR);
        for kept in [by_number, by_bytes] {
            for id in ["1", "2", "3"] {
                kept.put("a", id, said(&"x".repeat(50)));
            }
            assert_eq!(kept.get("a", "1"), None);
            assert!(kept.get("a", "2").is_some() && kept.get("a", "3").is_some());
        }
        let large = kept(9, 100, HOUR);
        large.put("a", "1", said("x"));
        large.put("a", "2", said(&"x".repeat(101)));
        assert!(large.get("a", "1").is_some() && large.get("a", "2").is_none());
        let short = kept(9, 1000, Duration::ZERO);
        short.put("a", "1", said("x"));
        assert_eq!(short.get("a", "1"), None);
    }
}
