//! `ondine run`: one answer, a batch of answers, or a conversation.

mod by_droplet;
mod by_model;

use std::path::Path;

use serde_json::{Value, json};

use crate::chat::{self, Partner};
use crate::failure::{Failure, Kind};
use crate::flags::Arguments;
use crate::output::Answer;
use crate::{input, model};

/// What is wrong with a prompt of nothing, be it typed, piped or a line of a batch.
const EMPTY: &str = "the prompt is empty";

/// Whoever answers prompts.
trait Answerer: Partner {
    /// One answer, printed as it comes.
    fn print(&mut self, prompt: &str) -> Result<(), Failure>;
    /// One answer as an object.
    fn json(&mut self, prompt: &str) -> Result<Value, Failure>;
}

/// Answers.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let json = arguments.on("json");
    let batch = arguments.path("batch");
    let prompt = arguments.text("prompt");
    if batch.is_some() && !json {
        return Err(Failure::usage("--batch prints objects: it needs --json"));
    }
    if batch.is_some() && prompt.is_some() {
        return Err(Failure::usage("--batch has its own prompts: leave the prompt out"));
    }
    let talk = batch.is_none() && prompt.is_none() && !json && input::is_conversation();
    // The prompt is read before the model, so that nobody waits for a model to learn of a typing
    // mistake.
    let prompt = match (batch, prompt) {
        (Some(_), _) => String::new(),
        (None, Some(prompt)) => prompt,
        (None, None) if talk => String::new(),
        (None, None) => input::piped("there is no prompt: type one or give a pipe")?,
    };
    if batch.is_none() && !talk && prompt.trim().is_empty() {
        return Err(Failure::usage(EMPTY).hint("`ondine run \"wake me at 7\"`, or pipe text in"));
    }

    let mut answerer = answerer(arguments)?;
    match batch {
        Some(file) => answer_lines(&mut *answerer, file),
        None if talk => chat::converse(&mut *answerer),
        None if json => Answer::new().line(answerer.json(&prompt)?),
        None => answerer.print(&prompt),
    }
}

fn answerer(arguments: &Arguments<'_>) -> Result<Box<dyn Answerer>, Failure> {
    let path = arguments.path_needed("model")?;
    // Asked for raw continuation or for a grammar of the user's own, droplet is a model like any.
    let own = ["schema", "grammar"].iter().any(|flag| arguments.typed(flag));
    if model::is_droplet(path) && !own && !arguments.on("raw") {
        Ok(Box::new(by_droplet::Caller::open(arguments)?))
    } else {
        Ok(Box::new(by_model::Talker::open(arguments, path)?))
    }
}

/// One prompt a line, one object a line. A prompt that fails has an object that says why, and the
/// others are answered.
fn answer_lines(answerer: &mut dyn Answerer, file: &Path) -> Result<(), Failure> {
    let prompts = input::text(file)?;
    let mut failed = 0;
    let mut answer = Answer::new();
    for prompt in prompts.lines() {
        let answered = match prompt.trim() {
            "" => Err(Failure::new(EMPTY)),
            _ => answerer.json(prompt),
        };
        let object = match answered {
            Ok(object) => object,
            Err(failure) if failure.kind == Kind::Interrupt => return Err(failure),
            Err(failure) => {
                failed += 1;
                json!({ "error": failure.message })
            }
        };
        answer.line(object)?;
        answerer.forget();
    }
    match failed {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{failed} of {} prompts failed", prompts.lines().count()))
            .at(file.display())
            .hint("their objects have an `error`")),
    }
}
