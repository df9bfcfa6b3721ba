//! `ondine rag ask`: an answer from passages, by a model that chats, or the passages themselves.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ondine_app::{Hit, trace};
use ondine_chat::{Answer as Spoken, Chat, Event, FinishReason, Request, Sampling};
use ondine_rag::{Found, citation, citations, fitting, messages, quoted};
use serde_json::{Value, json};

use super::{found, hit_json, place_of};
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::output::{self, Answer};
use crate::{asking, model};

/// How often an interrupt is looked for while a model thinks.
const LOOK: Duration = Duration::from_millis(100);

/// Answers a question.
pub(super) fn run(arguments: &Arguments<'_>, question: &str) -> Result<(), Failure> {
    let path = arguments.path_needed("model")?;
    // A model that is not there is known before anything is looked up.
    let chats = chats(path)?;
    let mut passages = found(arguments, question)?;
    if passages.is_empty() || !chats {
        return quote(arguments, &passages);
    }
    let chat = asking::open(arguments, false)?;
    let max_tokens = arguments.count_or("max-tokens", 512);
    let context = chat.models().first().map_or(0, |model| model.context);
    let mut hits: Vec<Hit> = passages.iter().map(|found| found.hit.clone()).collect();
    if context > 0 {
        let fit = fitting(&*chat, question, &hits, context, max_tokens)
            .map_err(|error| Failure::from_error(&error))?;
        if fit < hits.len() {
            output::remark(format_args!("{fit} of {} passages fit the model", hits.len()));
            hits.truncate(fit);
            passages.truncate(fit);
        }
    }
    let mut request = Request::new("", messages(question, &hits));
    request.max_tokens = Some(max_tokens);
    request.sampling =
        Sampling { temperature: Some(0.0), seed: Some(arguments.seed()), ..Sampling::default() };

    let json = arguments.on("json");
    let mut answer = Answer::new();
    let text = spoken(&*chat, request, |piece| if json { Ok(()) } else { answer.piece(piece) })?;
    let cited = citations(&text, &hits);
    if json {
        let rows: Vec<Value> = cited.iter().map(|citation| json!(citation)).collect();
        return answer.line(object("model", &text, &passages, rows));
    }
    answer.line("")?;
    answer.row("")?;
    if cited.is_empty() {
        output::remark("the answer cites none of the passages it was given");
    }
    for citation in &cited {
        let number = citation.number;
        answer.row(format_args!("[{number}] {}", place_of(&passages[number - 1])))?;
    }
    answer.done()
}

/// Whether a model can be asked in words: droplet calls functions, an encoder makes vectors, and a file
/// without a chat template continues texts.
fn chats(path: &Path) -> Result<bool, Failure> {
    let name = path.to_string_lossy();
    let elsewhere = name.starts_with("http://") || name.starts_with("https://");
    if elsewhere || path.extension().is_some_and(|extension| extension == "jsonl") {
        return Ok(true);
    }
    if model::is_droplet(path) {
        output::note(
            "droplet does not chat: these are the passages; -m names a model that answers",
        );
        return Ok(false);
    }
    let opened = model::open(path)?;
    let chats = opened.file.metadata.get("tokenizer.chat_template").is_some();
    if !chats {
        output::note("this model does not chat: these are the passages");
    }
    Ok(chats)
}

/// The passages as the answer.
fn quote(arguments: &Arguments<'_>, passages: &[Found]) -> Result<(), Failure> {
    let hits: Vec<Hit> = passages.iter().map(|found| found.hit.clone()).collect();
    let text = quoted(&hits);
    let mut answer = Answer::new();
    if arguments.on("json") {
        let rows = (1..).zip(&hits).map(|(number, hit)| json!(citation(number, hit))).collect();
        return answer.line(object("passages", &text, passages, rows));
    }
    if hits.is_empty() {
        output::remark("nothing was found");
        return Ok(());
    }
    answer.piece(&text)?;
    answer.line("")
}

fn object(by: &str, answer: &str, passages: &[Found], citations: Vec<Value>) -> Value {
    let hits: Vec<Value> = passages.iter().map(hit_json).collect();
    json!({ "answer": answer, "answered_by": by, "hits": hits, "citations": citations })
}

/// What a model says, handed on as it comes.
fn spoken(
    chat: &dyn Chat,
    request: Request,
    mut piece: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let watch = Watch::new();
    let (sender, events) = mpsc::channel();
    let failed = |error: ondine_chat::ChatError| Failure::from_error(&error);
    let span = trace::chat(&request);
    trace::prompt(&span, chat, &request);
    let sink = Box::new(move |event| sender.send(event).is_ok());
    span.in_scope(|| chat.start(request, sink)).map_err(failed)?;
    let mut text = String::new();
    loop {
        watch.check()?;
        match events.recv_timeout(LOOK) {
            Ok(Event::Text { text: more, .. }) => {
                piece(&more)?;
                text.push_str(&more);
            }
            Ok(Event::Finished { reason, usage }) => {
                let (calls, logprobs) = Default::default();
                trace::answered(
                    &span,
                    &Spoken { text: text.clone(), calls, logprobs, reason, usage },
                );
                if reason == FinishReason::Length {
                    output::note("the answer was cut before it was complete; raise --max-tokens");
                }
                return Ok(text);
            }
            Ok(Event::Failed(error)) => {
                trace::failed(&span, &error);
                return Err(failed(error));
            }
            Ok(_) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(Failure::new("the answer has no end"));
            }
        }
    }
}
