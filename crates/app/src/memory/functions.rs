//! What the model may do with its memory. Whatever it says, it gets a result: what it got wrong is a
//! sentence that tells it so, and it may try again at once.

use ondine_chat::{Message, Tool, ToolCall};
use serde_json::{Value, json};

use super::Memory;
use super::record::{Change, Record};
use super::words::around;
use crate::error::Error;

/// The one function that the user hears.
pub(super) const SEND: &str = "send_message";

/// A function: its name, what it does, its texts, and whether it finds more than fits, which the model reads
/// at once.
struct Function {
    name: &'static str,
    about: &'static str,
    texts: &'static [&'static str],
    paged: bool,
}

const FUNCTIONS: [Function; 6] = [
    Function {
        name: SEND,
        about: "Says something to the user.",
        texts: &["message"],
        paged: false,
    },
    Function {
        name: "working_append",
        about: "Adds a line to the working context.",
        texts: &["text"],
        paged: false,
    },
    Function {
        name: "working_replace",
        about: "Replaces a text of the working context, with nothing to delete it.",
        texts: &["old", "new"],
        paged: false,
    },
    Function {
        name: "archive_insert",
        about: "Stores a passage for good.",
        texts: &["text"],
        paged: false,
    },
    Function {
        name: "archive_search",
        about: "Finds stored passages.",
        texts: &["query"],
        paged: true,
    },
    Function {
        name: "recall_search",
        about: "Finds older messages.",
        texts: &["query"],
        paged: true,
    },
];

/// The functions, as a request names them.
pub(super) fn tools() -> Vec<Tool> {
    let tool = |function: &Function| {
        let mut properties = serde_json::Map::new();
        for text in function.texts {
            properties.insert((*text).to_owned(), json!({"type": "string"}));
        }
        if function.paged {
            properties.insert("skip".to_owned(), json!({"type": "integer"}));
        } else {
            properties.insert("heartbeat".to_owned(), json!({"type": "boolean"}));
        }
        Tool {
            name: function.name.to_owned(),
            description: function.about.to_owned(),
            parameters: json!({
                "type": "object",
                "properties": properties,
                "required": function.texts,
                "additionalProperties": false,
            }),
        }
    };
    FUNCTIONS.iter().map(tool).collect()
}

/// What comes of a call.
///
/// # Errors
/// Nobody gives vectors who should, or an index cannot be read.
pub(super) fn call(call: &ToolCall, memory: &Memory) -> Result<Record, Error> {
    let paged = FUNCTIONS.iter().any(|function| function.name == call.name && function.paged);
    // Who searches wants to read what was found, and is not asked: every word here takes of the window.
    let beat = paged || call.arguments["heartbeat"].as_bool().unwrap_or(false);
    let done = match does(call, memory)? {
        Ok((said, change)) => (said, change, beat),
        Err(wrong) => (format!("error: {wrong}"), None, true),
    };
    let (said, change, again) = done;
    Ok(Record::Did { message: Message::tool(call.id.clone(), said), change, again })
}

/// What the model is told, and what is changed; or what it got wrong.
type Done = Result<(String, Option<Change>), String>;

fn does(call: &ToolCall, memory: &Memory) -> Result<Done, Error> {
    let Some(function) = FUNCTIONS.iter().find(|function| function.name == call.name) else {
        let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
        return Ok(Err(format!("there is no {}; there are {}", call.name, names.join(", "))));
    };
    let mut texts = Vec::new();
    for name in function.texts {
        match call.arguments[*name].as_str() {
            Some(text) => texts.push(text),
            None => return Ok(Err(format!("{} takes the text {name:?}", function.name))),
        }
    }
    let skip = match &call.arguments["skip"] {
        Value::Null => 0,
        skip => match skip.as_u64().and_then(|skip| usize::try_from(skip).ok()) {
            Some(skip) => skip,
            None => return Ok(Err("skip is a number, from 0".to_owned())),
        },
    };
    let fine = |change| Ok(("done".to_owned(), Some(change)));
    Ok(match (function.name, texts.as_slice()) {
        (SEND, [text]) => fine(Change::Sent((*text).to_owned())),
        ("working_append", [text]) => {
            let before = memory.working();
            let line = if before.is_empty() { "" } else { "\n" };
            held(memory, format!("{before}{line}{text}"))
        }
        ("working_replace", [old, new]) => match memory.working() {
            _ if old.is_empty() => Err("old is empty; working_append adds".to_owned()),
            before if before.contains(old) => held(memory, before.replacen(old, new, 1)),
            _ => Err(format!("the working context has no {old:?}")),
        },
        ("archive_insert", [text]) if text.trim().is_empty() => {
            Err("there is nothing to store".to_owned())
        }
        ("archive_insert", [text]) => {
            let vector = memory.archive.vector(text)?;
            fine(Change::Archived { text: (*text).to_owned(), vector })
        }
        ("archive_search", [query]) => {
            let found = memory.archive.search(query)?;
            Ok((page(memory, query, skip, found.into_iter()), None))
        }
        (_, [query, ..]) => {
            // What is in the window need not be found.
            let shown = |number| memory.state.shown().any(|other| other == number);
            let found = memory.state.recall.find(query).filter(|spoken| !shown(spoken.number));
            let line = |spoken: super::Spoken<'_>| {
                format!("#{} {}: {}", spoken.number, spoken.role.name(), spoken.text)
            };
            Ok((page(memory, query, skip, found.map(line)), None))
        }
        (name, []) => Err(format!("{name} takes more")),
    })
}

/// The working context, where there is room for it.
fn held(memory: &Memory, text: String) -> Done {
    let most = memory.options.working();
    if text.len() > most {
        return Err(format!(
            "the working context would have {} bytes of {most}; replace something, or archive it",
            text.len()
        ));
    }
    Ok(("done".to_owned(), Some(Change::Working(text))))
}

/// As much of what was found as fits, from `skip` on.
fn page(memory: &Memory, query: &str, skip: usize, found: impl Iterator<Item = String>) -> String {
    let most = memory.options.page();
    let found: Vec<String> = found.collect();
    let (mut out, mut shown) = (String::new(), 0);
    for text in found.iter().skip(skip) {
        let line = format!("- {}\n", around(text, query, most / 2));
        if shown > 0 && out.len() + line.len() > most {
            break;
        }
        out.push_str(&line);
        shown += 1;
    }
    let (all, next) = (found.len(), skip + shown);
    match () {
        () if all == 0 => "nothing found".to_owned(),
        () if shown == 0 => format!("no more: {all} found in all"),
        () if next < all => format!("{out}{all} found; the next with skip {next}"),
        () => format!("{out}{all} found, these are the last"),
    }
}
