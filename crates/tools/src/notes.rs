//! Notes: short texts that are added, listed, found and deleted. They touch one file, which is written as
//! a whole: what is deleted is gone from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ondine_app::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::kept::Kept;

/// Bytes of one note at most.
const NOTE_BYTES_MAX: usize = 8 << 10;
/// Notes at most.
const NOTES_MAX: usize = 5_000;
/// Notes that one call gives at most.
const GIVEN_MAX: u64 = 50;
/// Characters of a note in a list.
const LISTED_CHARS: usize = 300;

/// Notes in a file. Cheap to clone.
#[derive(Clone)]
pub struct Notes {
    kept: Arc<Kept>,
}

#[derive(Default, Serialize, Deserialize)]
struct Book {
    next: u64,
    notes: Vec<Note>,
}

/// One note.
#[derive(Clone, Serialize, Deserialize)]
struct Note {
    id: u64,
    /// When it was written, in UTC.
    at: String,
    text: String,
    /// The call that wrote it: the same call writes it once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    key: String,
}

fn listed(note: &Note) -> Value {
    let mut text: String = note.text.chars().take(LISTED_CHARS).collect();
    if text.len() < note.text.len() {
        text.push('…');
    }
    json!({"id": note.id, "at": note.at, "text": text})
}

impl Notes {
    /// The notes in a file, which is made when the first is written.
    pub fn at(path: impl Into<PathBuf>) -> Notes {
        Notes { kept: Arc::new(Kept::at(path)) }
    }

    /// Writes a note and gives its number. The same key writes it once.
    ///
    /// # Errors
    /// It is too long, there are too many, or the disk says no.
    pub fn add(&self, text: &str, key: &str) -> Result<u64, ToolError> {
        if text.len() > NOTE_BYTES_MAX {
            let what = format!("a note has at most {NOTE_BYTES_MAX} bytes");
            return Err(ToolError::Arguments(what));
        }
        self.kept.change(|book: &mut Book| {
            if let Some(note) = book.notes.iter().find(|note| !key.is_empty() && note.key == key) {
                return Ok(note.id);
            }
            if book.notes.len() >= NOTES_MAX {
                let what = format!("there are {NOTES_MAX} notes; delete some first");
                return Err(ToolError::Failed(what));
            }
            book.next += 1;
            let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let id = book.next;
            book.notes.push(Note { id, at, text: text.to_owned(), key: key.to_owned() });
            Ok(id)
        })
    }

    /// The tools `note_add`, `note_list`, `note_find` and `note_delete`.
    pub fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let add = {
            let notes = self.clone();
            FnTool::new(
                spec(
                    "note_add",
                    "Write a note that is kept. 写笔记",
                    Effect::Write,
                    json!({"text": {"type": "string", "description": "the note"}}),
                    &["text"],
                ),
                move |arguments: Value, context: &Context| {
                    let mut arguments = Arguments::of(arguments, &["text"])?;
                    let text = arguments.text("text", NOTE_BYTES_MAX)?;
                    Ok(json!({"id": notes.add(text.trim(), &context.key)?}))
                },
            )
        };
        let list = {
            let notes = self.clone();
            FnTool::new(
                spec(
                    "note_list",
                    "List the notes, the latest first. 列出笔记",
                    Effect::Read,
                    json!({"most": {"type": "integer", "minimum": 1, "maximum": GIVEN_MAX}}),
                    &[],
                ),
                move |arguments: Value, _: &Context| {
                    let mut arguments = Arguments::of(arguments, &["most"])?;
                    let most = arguments.number_if("most", 1, GIVEN_MAX)?.unwrap_or(20);
                    notes.given(most, |_| true)
                },
            )
        };
        let find = {
            let notes = self.clone();
            FnTool::new(
                spec(
                    "note_find",
                    "Find notes that contain all of some words. 查找笔记",
                    Effect::Read,
                    json!({"words": {"type": "string", "description": "words, with blanks between"}}),
                    &["words"],
                ),
                move |arguments: Value, _: &Context| {
                    let mut arguments = Arguments::of(arguments, &["words"])?;
                    let words = arguments.text("words", 500)?.to_lowercase();
                    let words: Vec<&str> = words.split_whitespace().collect();
                    notes.given(GIVEN_MAX, |note| {
                        let text = note.text.to_lowercase();
                        words.iter().all(|word| text.contains(word))
                    })
                },
            )
        };
        let delete = {
            let notes = self.clone();
            FnTool::new(
                spec(
                    "note_delete",
                    "Delete a note by its number. 删除笔记",
                    Effect::Write,
                    json!({"id": {"type": "integer", "minimum": 1}}),
                    &["id"],
                ),
                move |arguments: Value, _: &Context| {
                    let mut arguments = Arguments::of(arguments, &["id"])?;
                    let id = arguments.number_if("id", 1, u64::MAX)?;
                    let id = id.ok_or_else(|| ToolError::Arguments("`id` is missing".into()))?;
                    notes.kept.change(|book: &mut Book| {
                        let before = book.notes.len();
                        book.notes.retain(|note| note.id != id);
                        if book.notes.len() == before {
                            return Err(ToolError::Failed(format!("there is no note {id}")));
                        }
                        Ok(json!({"deleted": id}))
                    })
                },
            )
        };
        vec![Arc::new(add), Arc::new(list), Arc::new(find), Arc::new(delete)]
    }

    fn given(&self, most: u64, fits: impl Fn(&Note) -> bool) -> Result<Value, ToolError> {
        let book: Book = self.kept.read()?;
        let fitting: Vec<&Note> = book.notes.iter().rev().filter(|note| fits(note)).collect();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let notes: Vec<Value> = fitting.iter().take(most).map(|note| listed(note)).collect();
        Ok(json!({"notes": notes, "of": fitting.len()}))
    }
}

fn spec(name: &str, about: &str, effect: Effect, fields: Value, required: &[&str]) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        description: about.into(),
        parameters: json!({
            "type": "object", "properties": fields, "required": required, "additionalProperties": false,
        }),
        effect,
        timeout: Duration::from_secs(10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, called, hostile};

    #[test]
    fn notes_are_kept_found_and_gone() {
        let folder = Folder::new("notes");
        let path = folder.path().join("notes.json");
        let tools = Notes::at(&path).tools();
        let [add, list, find, delete] = &tools[..] else { panic!("four tools") };
        for text in ["buy leeks", "买牛奶", "call Ada about leeks"] {
            called(add, json!({"text": text})).unwrap();
        }
        // Another reader of the same file sees them.
        let again = Notes::at(&path).tools();
        assert_eq!(called(&again[1], json!({})).unwrap()["of"], 3);
        let found = called(find, json!({"words": "LEEKS call"})).unwrap();
        assert_eq!(found["notes"][0]["id"], 3);
        assert_eq!(called(find, json!({"words": "牛奶"})).unwrap()["of"], 1);
        called(delete, json!({"id": 2})).unwrap();
        assert!(called(delete, json!({"id": 2})).is_err());
        assert!(!std::fs::read_to_string(&path).unwrap().contains("牛奶"), "gone without trace");
        // A call that is tried again writes once; numbers are not given again.
        let context = Context { key: "run 1, step 2".into(), ..Context::default() };
        let first = add.call(json!({"text": "once"}), &context).unwrap();
        assert_eq!(add.call(json!({"text": "once"}), &context).unwrap(), first);
        assert_eq!(first["id"], 4);
        assert_eq!(called(list, json!({"most": 1})).unwrap()["notes"][0]["text"], "once");
        tools.iter().for_each(hostile);
    }
}
