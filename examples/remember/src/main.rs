//! A conversation that remembers more than the model's window holds, and across programs: each line is said
//! to a memory in a file.
//!
//! ```text
//! echo "The key is under the red pot." | cargo run -p remember -- /tmp/memory
//! echo "Where is the key?"             | cargo run -p remember -- /tmp/memory
//! ```
//!
//! The model is scripted, so that the example needs no file: it stores what it is told, and searches when
//! it is asked. Put your own in `model`.

use std::error::Error;
use std::io::BufRead;
use std::sync::Arc;

use ondine::app::chat::{Message, Prompt, Request, Role};
use ondine::app::memory::{Memory, MemoryOptions};
use ondine::app::{Llm, Reply, ScriptedModel};
use serde_json::json;

/// Tokens that the model sees at once.
const WINDOW: usize = 256;

/// Stands for a model that calls functions. A word is a token to it.
fn model() -> Llm {
    let model = ScriptedModel::by(|request: &Request| {
        let Prompt::Messages(turns) = &request.prompt else { return Ok(Reply::text("?")) };
        if request.tools.is_empty() {
            return Ok(Reply::text("Things were told, and are stored."));
        }
        let notice = |turn: &&Message| !turn.text.starts_with("[memory]");
        let asked = turns.iter().filter(notice).rfind(|turn| turn.role == Role::User);
        let asked = asked.map_or("", |turn| turn.text.lines().next().unwrap_or_default());
        let found = turns.iter().rfind(notice).filter(|turn| turn.role == Role::Tool);
        let send = |text: &str| json!({"message": text});
        Ok(match found {
            _ if !asked.ends_with('?') => Reply::call("archive_insert", json!({"text": asked}))
                .and_call("send_message", send("Noted.")),
            None => Reply::call("archive_search", json!({"query": asked})),
            Some(found) => {
                let best = found.text.lines().next().unwrap_or_default();
                Reply::call(
                    "send_message",
                    send(best.strip_prefix("- ").unwrap_or("I don't know.")),
                )
            }
        })
    });
    Llm::new(Arc::new(model.context(WINDOW)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("name a file for the memory")?;
    let mut memory = Memory::open(model(), path, MemoryOptions::new(WINDOW))?;
    // A turn that a power cut ended goes on.
    if let Some(answer) = memory.go_on()? {
        println!("{answer}");
    }
    for line in std::io::stdin().lock().lines() {
        println!("{}", memory.say(&line?)?);
    }
    eprintln!(
        "{} messages are kept, {} of them are shown; {} passages are stored",
        memory.recall().len(),
        memory.shown(),
        memory.archived(),
    );
    Ok(())
}
