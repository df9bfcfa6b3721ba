//! What the records of a log say, and a conversation put together from them. A log is a stranger's until
//! all of it was read: what does not fit together is refused, and nothing of it is believed.

use ondine_chat::{Message, Overflow, SessionInfo};
use serde::{Deserialize, Serialize};

use crate::limits::{MODEL_BYTES_MAX, NAME_CHARS_MAX, RECORD_BYTES_MAX};
use crate::summary::Summary;

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Record {
    /// The first one, and no other.
    Head(Head),
    /// What was said; an answer is one message.
    Messages {
        /// When, in seconds since 1970.
        at_s: u64,
        /// At least one.
        messages: Vec<Message>,
    },
    /// What stands for the oldest turns when not all fit. The last one counts.
    Summary(Summary),
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) app: String,
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) model: String,
    pub(crate) overflow: Overflow,
    pub(crate) created_s: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forked_from: Option<(String, usize)>,
}

impl Record {
    /// As bytes. What could not be read again is not written: JSON that is nested too deep, or more of
    /// it than a record may have.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let bytes = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(format!(
                "{} bytes at once; at most {RECORD_BYTES_MAX} are kept",
                bytes.len()
            ));
        }
        Record::decode(&bytes)?;
        Ok(bytes)
    }

    /// Whether it says nothing at all.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Record::Messages { messages, .. } if messages.is_empty())
    }

    fn decode(bytes: &[u8]) -> Result<Record, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// A session as its log has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) info: SessionInfo,
    pub(crate) messages: Vec<Message>,
    pub(crate) summary: Option<Summary>,
}

impl Contents {
    /// Puts a log's records together.
    pub(crate) fn of(payloads: &[&[u8]], app: &str, id: &str) -> Result<Contents, String> {
        let mut records = payloads.iter().map(|payload| Record::decode(payload));
        let Some(Record::Head(head)) = records.next().transpose()? else {
            return Err("the first record is not the head".into());
        };
        if head.app != app || head.id != id {
            return Err("it is another session's, or another app's".into());
        }
        if !head.name.as_deref().is_none_or(is_name) || head.model.len() > MODEL_BYTES_MAX {
            return Err("the head has a name that is none".into());
        }
        let mut contents = Contents { info: head.info(), ..Contents::default() };
        for record in records {
            contents.add(record?)?;
        }
        Ok(contents)
    }

    fn add(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::Head(_) => return Err("there is a second head".into()),
            Record::Messages { at_s, messages } => {
                self.messages.extend(messages);
                self.info.messages = self.messages.len();
                self.info.updated_s = at_s;
            }
            Record::Summary(summary) => {
                if summary.upto > self.messages.len() {
                    return Err("a summary is of messages that are not there".into());
                }
                self.summary = Some(summary);
            }
        }
        Ok(())
    }
}

impl Head {
    fn info(self) -> SessionInfo {
        SessionInfo {
            id: self.id,
            name: self.name,
            model: self.model,
            overflow: self.overflow,
            messages: 0,
            created_s: self.created_s,
            updated_s: self.created_s,
            forked_from: self.forked_from,
        }
    }
}

/// Whether a text can be a session's name: it stands in lists and on terminals.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = 1..=NAME_CHARS_MAX;
    fits.contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(app: &str, id: &str) -> Record {
        Record::Head(Head {
            app: app.into(),
            id: id.into(),
            name: None,
            model: String::new(),
            overflow: Overflow::Error,
            created_s: 7,
            forked_from: None,
        })
    }

    fn said(text: &str, at_s: u64) -> Record {
        Record::Messages { at_s, messages: vec![Message::user(text)] }
    }

    fn summary(upto: usize) -> Record {
        Record::Summary(Summary { upto, text: "s".into(), tokens: 3 })
    }

    #[test]
    fn records_that_do_not_fit_together_are_no_session() {
        let rows = [
            (vec![head("a", "1"), said("x", 9), summary(1)], true),
            (vec![head("a", "1")], true),
            (vec![], false),
            (vec![said("x", 9)], false),
            (vec![head("b", "1")], false),
            (vec![head("a", "2")], false),
            (vec![head("a", "1"), head("a", "1")], false),
            (vec![head("a", "1"), summary(1)], false),
        ];
        for (records, good) in rows {
            let payloads: Vec<Vec<u8>> = records.iter().map(|r| r.encode().unwrap()).collect();
            let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
            assert_eq!(Contents::of(&payloads, "a", "1").is_ok(), good, "{records:?}");
        }
        assert!(Contents::of(&[b"{}"], "a", "1").is_err());
        assert!(Contents::of(&[b"\xff"], "a", "1").is_err());
        let deep = "[".repeat(100_000);
        assert!(Contents::of(&[deep.as_bytes()], "a", "1").is_err());
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let mut arguments = serde_json::Value::Null;
        for _ in 0..125 {
            arguments = serde_json::Value::Array(vec![arguments]);
        }
        let call = ondine_chat::ToolCall { id: "1".into(), name: "f".into(), arguments };
        let message = Message { calls: vec![call], ..Message::assistant("") };
        assert!(Record::Messages { at_s: 0, messages: vec![message] }.encode().is_err());
    }

    #[test]
    fn names_are_short_and_plain() {
        for (name, good) in [
            ("notes", true),
            ("Größe 大", true),
            ("", false),
            ("a\nb", false),
            ("\u{1b}[31m", false),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
        ] {
            assert_eq!(is_name(name), good, "{name:?}");
        }
    }
}
