//! The window: what the model is shown, when it is told that there is little room, and what goes.
//!
//! ```text
//! used = tokens of the prompt and room for an answer
//! while used >= window:          the oldest half of the queue goes, and a summary of it comes
//! used >= 70 % of the window:    a notice, once until there is room again
//! ```
//!
//! A call and its results go together; what the user said last stays, and as long as there is another way
//! so does the newest, which the model has not read yet. Where nothing else is left that could go, the
//! notice is left out, and long messages are shown shorter; they are whole in recall.

use ondine_chat::{Message, Request, Role};

use super::functions::{SEND, tools};
use super::record::{Entry, Record};
use super::{Memory, MemoryError};
use crate::error::Error;

/// A message is not cut to fewer bytes.
const LEAST: usize = 64;

impl Memory {
    pub(super) fn tokens(&self, request: &Request) -> Result<usize, Error> {
        Ok(self.llm.count(request)? + self.options.answer)
    }

    /// The next request, for which there is room.
    pub(super) fn room(&mut self) -> Result<Request, Error> {
        let window = self.options.window;
        let (mut most, mut notice) = (window.max(LEAST), true);
        let (request, used) = loop {
            let request = self.request(most, notice);
            let used = self.tokens(&request)?;
            if used < window {
                break (request, used);
            }
            if let Some(record) = self.eviction(1)? {
                self.keep(record)?;
            } else if notice && self.state.noticed {
                notice = false;
            } else if most > LEAST {
                most = (most / 2).max(LEAST);
            } else if let Some(record) = self.eviction(0)? {
                self.keep(record)?;
            } else {
                return Err(MemoryError::Window { used, window }.into());
            }
        };
        if used * 100 >= window * self.options.notice_at && !self.state.noticed {
            self.keep(Record::Noticed)?;
            let told = self.request(most, true);
            // Where the notice itself would be too much, it is shown as soon as there is room.
            if self.tokens(&told)? < window {
                return Ok(told);
            }
        }
        Ok(request)
    }

    /// What the model is shown: no message longer than so many bytes, and the notice where there is one.
    pub(super) fn request(&self, most: usize, notice: bool) -> Request {
        let words = &self.options.wording;
        let mut system = words.instructions.clone();
        for (title, text) in
            [(&words.working, &self.state.working), (&words.summary, &self.state.summary)]
        {
            if !text.is_empty() {
                system.push_str(&format!("\n\n{title}:\n{text}"));
            }
        }
        let mut turns = vec![Message::system(system)];
        for entry in &self.state.queue {
            let turn = match entry {
                Entry::Notice if !notice => continue,
                Entry::Notice => Message::user(&words.notice),
                Entry::Message(number) => self.shown_as(*number, most),
            };
            match turns.last_mut() {
                // Templates want turns in turn: what follows on the same side is one.
                Some(last) if last.role == Role::User && turn.role == Role::User => {
                    last.text.push_str("\n\n");
                    last.text.push_str(&turn.text);
                }
                // And a user's first.
                Some(last) if last.role == Role::System && turn.role != Role::User => {
                    turns.extend([Message::user("…"), turn]);
                }
                _ => turns.push(turn),
            }
        }
        let mut request = Request::new("", turns);
        request.tools = tools();
        request.max_tokens = Some(self.options.answer);
        request
    }

    fn shown_as(&self, number: usize, most: usize) -> Message {
        let mut message = self.state.recall.messages()[number].clone();
        if message.text.len() > most {
            let note = format!("\n[… message #{number} is longer; recall_search finds in it]");
            message.text.truncate(whole(&message.text, most));
            message.text.push_str(&note);
        }
        message
    }

    /// The oldest messages that go together, so that about half of the queue is left, and the summary in
    /// their place; nothing where nothing is left that may go. The `newest` stay.
    fn eviction(&self, newest: usize) -> Result<Option<Record>, Error> {
        let messages = self.state.recall.messages();
        // Calls and their results: a message of a function belongs to what was before it.
        let mut units: Vec<Vec<usize>> = Vec::new();
        for number in self.state.shown() {
            match units.last_mut() {
                Some(unit) if messages[number].role == Role::Tool => unit.push(number),
                _ => units.push(vec![number]),
            }
        }
        let bytes =
            |unit: &[usize]| -> usize { unit.iter().map(|&number| size(&messages[number])).sum() };
        let total: usize = units.iter().map(|unit| bytes(unit)).sum();
        units.truncate(units.len().saturating_sub(newest));
        units.retain(|unit| self.state.question.is_none_or(|asked| !unit.contains(&asked)));
        let mut going: Vec<Vec<usize>> = Vec::new();
        let mut gone = 0;
        for unit in units {
            if gone * 2 >= total && !going.is_empty() {
                break;
            }
            gone += bytes(&unit);
            going.push(unit);
        }
        if going.is_empty() {
            return Ok(None);
        }
        let said: Vec<String> = going.iter().map(|unit| self.told(unit)).collect();
        let summary = self.summed(&self.state.summary, &said)?;
        Ok(Some(Record::Evicted { messages: going.concat(), summary }))
    }

    /// Messages as the summary's writer reads them.
    fn told(&self, unit: &[usize]) -> String {
        let mut out = String::new();
        for message in unit.iter().map(|&number| &self.state.recall.messages()[number]) {
            let who = message.role.name();
            if !message.text.is_empty() {
                out.push_str(&format!("{who}: {}\n", message.text));
            }
            for call in &message.calls {
                match call.arguments["message"].as_str().filter(|_| call.name == SEND) {
                    Some(text) => out.push_str(&format!("{who}: {text}\n")),
                    None => out.push_str(&format!("{who}: {} {}\n", call.name, call.arguments)),
                }
            }
        }
        out
    }

    /// A summary of an earlier one and of what came then, in as many questions as the window needs.
    fn summed(&self, before: &str, said: &[String]) -> Result<String, Error> {
        let words = &self.options.wording;
        let known = match before {
            "" => String::new(),
            before => format!("{}:\n{before}\n\n", words.summary),
        };
        let prompt = format!("{}\n\n{known}{}", words.summarise, said.concat());
        let mut request = Request::new("", [Message::user(prompt)]);
        let most = self.options.summary();
        request.max_tokens = Some(most);
        let used = self.llm.count(&request)? + most;
        if used < self.options.window {
            let mut summary = self.llm.answer(request)?.text.trim().to_owned();
            // Whoever answers may not count as asked.
            summary.truncate(whole(&summary, most.saturating_mul(8)));
            return Ok(summary);
        }
        if let [text] = said {
            // One message that is too long by itself: it is read in halves.
            let half = whole(text, text.len() / 2);
            if half < LEAST {
                return Err(MemoryError::Window { used, window: self.options.window }.into());
            }
            let halves = [text[..half].to_owned(), text[half..].to_owned()];
            return self.summed(&self.summed(before, &halves[..1])?, &halves[1..]);
        }
        let (first, second) = said.split_at(said.len() / 2);
        self.summed(&self.summed(before, first)?, second)
    }
}

/// Bytes of a message.
fn size(message: &Message) -> usize {
    let calls = message.calls.iter().map(|call| call.arguments.to_string().len());
    message.text.len() + calls.sum::<usize>() + 1
}

/// The last boundary of characters at or before a place.
fn whole(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
