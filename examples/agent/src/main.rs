//! An agent that asks before it does what cannot be taken back, and goes on where it was after its
//! process has ended.
//!
//! ```text
//! cargo run -p agent -- /tmp/errand              # asks on the terminal, where there is one
//! cargo run -p agent -- /tmp/errand allow        # answers what was left open; or: deny
//! cargo run -p agent -- /tmp/errand - droplet    # the model inside Ondine, which only knows the form
//! ```
//!
//! The folder gets the run's journal and what the tools write. Without a model's name a script plays the
//! model, so that the program does the same everywhere.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ondine::app::{
    Constraint, FnTool, Happening, Manner, Reply, ScriptedModel, ToolError, ToolSpec,
};
use ondine::chat::{ChatError, Overflow, Prompt as Said, Role};
use ondine::prelude::*;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: agent FOLDER [allow | deny | -] [droplet | MODEL.gguf]");
        return ExitCode::from(2);
    };
    let answer = arguments.next().filter(|word| word != "-");
    match run(&folder, answer.as_deref(), arguments.next().as_deref()) {
        Ok(Ended::Done { answer, .. }) => println!("{answer}"),
        Ok(Ended::Waiting(questions)) => {
            for question in questions {
                println!("open: {}", question.shown());
            }
            return ExitCode::from(3);
        }
        Ok(Ended::Failed { failure, .. }) => {
            println!("without an answer: {}; reached: {}", failure.why, failure.reached);
            return ExitCode::FAILURE;
        }
        Ok(Ended::Cancelled) => return ExitCode::from(130),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Has the errand run: a note may be taken without asking, a message may not be sent.
fn run(
    folder: &Path,
    answer: Option<&str>,
    model: Option<&str>,
) -> Result<Ended, Box<dyn std::error::Error>> {
    std::fs::create_dir_all(folder)?;
    let llm = match model {
        Some(name) => Llm::open(name)?,
        None => Llm::new(Arc::new(script())),
    };
    let agent = Agent::new("errand", llm)
        .brief("You run errands.")
        .manner(Manner::Text)
        .max_tokens(200)
        .overflow(Overflow::Anchored)
        .sampling(Sampling { temperature: Some(0.0), ..Sampling::default() })
        .tool(appends(folder, "note", Effect::Write))
        .tool(appends(folder, "send", Effect::Irreversible))
        .grant(Grant::tool("note").only("text", Constraint::StartsWith("Buy".into())).times(2))
        .budget(Budget { steps: Some(6), ..Budget::default() });
    let ended = agent
        .task_in(folder.join("run"), "Note that milk is to be bought, and tell Ann.")
        .watch(|happening: &Happening| match happening {
            Happening::Calling(call) => eprintln!("calls {} {}", call.tool, call.arguments),
            Happening::Observed { observation, .. } => eprintln!("sees {}", observation.text),
            Happening::News(news) => eprintln!("{news:?}"),
            _ => {}
        })
        .human(|question: &Question| decide(question, answer))
        .go()?;
    Ok(ended)
}

/// What a person says: beforehand, on the terminal, or later.
fn decide(question: &Question, answer: Option<&str>) -> Option<Verdict> {
    let mut line = answer.map(str::to_owned).unwrap_or_default();
    if line.is_empty() && io::stdin().is_terminal() {
        eprint!("{}? [allow, deny, or nothing for later] ", question.shown());
        io::stderr().flush().ok()?;
        io::stdin().read_line(&mut line).ok()?;
    }
    match line.trim() {
        "allow" => Some(Verdict::Allow),
        "deny" => Some(Verdict::Deny("not today".into())),
        _ => None,
    }
}

/// A tool that adds a line to a file of its name, once for each key.
fn appends(folder: &Path, name: &str, effect: Effect) -> impl Tool + use<> {
    let spec = ToolSpec {
        name: name.into(),
        description: match effect {
            Effect::Irreversible => "Sends a message.".into(),
            _ => "Takes a note.".into(),
        },
        parameters: json!({
            "type": "object",
            "properties": { "text": { "type": "string", "maxLength": 80 } },
            "required": ["text"],
            "additionalProperties": false,
        }),
        effect,
        timeout: Duration::from_secs(5),
    };
    let path = folder.join(name);
    FnTool::new(spec, move |arguments: Value, context: &Context| {
        let text = arguments["text"].as_str().ok_or(ToolError::Arguments("text".into()))?;
        let failed = |error: io::Error| ToolError::Failed(error.to_string());
        let key = format!("{}\t", context.key);
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        if !known.lines().any(|line| line.starts_with(&key)) {
            let open = OpenOptions::new().create(true).append(true).open(&path);
            let mut file = open.map_err(failed)?;
            writeln!(file, "{key}{}", text.replace('\n', " ")).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        Ok(json!("done"))
    })
}

/// Plays the model: what it says follows from how often it has spoken.
fn script() -> ScriptedModel {
    ScriptedModel::by(|request| {
        let Said::Messages(turns) = &request.prompt else {
            return Err(ChatError::invalid("prompt", "expected a conversation"));
        };
        let spoken = turns.iter().filter(|turn| turn.role == Role::Assistant).count();
        let refused = turns.last().is_some_and(|turn| turn.text.contains("not allowed"));
        Ok(Reply::text(match spoken {
            0 => "Thought: First the note.\nAction: note\nAction Input: {\"text\": \"Buy milk\"}",
            1 => {
                "Thought: Now Ann.\nAction: send\nAction Input: {\"text\": \"Ann: milk is on the list\"}"
            }
            _ if refused => "Thought: No message then.\nFinal Answer: Noted; Ann does not know.",
            _ => "Thought: All is done.\nFinal Answer: Noted, and Ann knows.",
        }))
    })
}
