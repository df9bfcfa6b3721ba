//! Ollama's API: chat, generate, embed, what is told about models, and how they come and go. A stream is one JSON object a
//! line, and is what a client gets that says nothing about it.

mod body;
mod pull;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use ondine_chat::{Answer, Event, FinishReason, Keep, Model, ToolCall, Usage};
use serde_json::{Value, json};

use self::body::{ChatBody, EmbedBody, GenerateBody, ShowBody, Wanted};
use crate::common::rfc3339;
use crate::house::{Call, House, Visit, good};
use crate::log;
use crate::memory;
use crate::openapi::ollama as told;
use crate::route::Route;
use crate::stream::{self, Encode};
use crate::trouble::{Kind, Trouble};

/// The media type of a stream.
const LINES: &str = "application/x-ndjson";

/// What stands where.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post(
            "/api/chat",
            "Answers a conversation, line by line unless told otherwise",
            chat,
        )
        .takes::<ChatBody>()
        .gives::<told::OllamaAnswer>()
        .streams::<told::OllamaAnswer>(LINES),
        Route::post(
            "/api/generate",
            "Answers a prompt, line by line unless told otherwise",
            generate,
        )
        .takes::<GenerateBody>()
        .gives::<told::OllamaAnswer>()
        .streams::<told::OllamaAnswer>(LINES),
        Route::post("/api/embed", "Turns texts into vectors", embed)
            .takes::<EmbedBody>()
            .gives::<told::OllamaEmbeddings>(),
        Route::get("/api/tags", "Lists the models", tags).gives::<told::OllamaTags>(),
        Route::get("/api/ps", "Lists the models in memory", running).gives::<told::OllamaRunning>(),
        Route::post("/api/show", "Tells of one model", show)
            .takes::<ShowBody>()
            .gives::<told::OllamaShown>(),
        Route::post("/api/pull", "Fetches a model, line by line unless told otherwise", pull::pull)
            .takes::<pull::PullBody>()
            .gives::<told::OllamaPulling>()
            .streams::<told::OllamaPulling>(LINES),
        Route::delete("/api/delete", "Takes a model from the disk", pull::delete)
            .takes::<pull::DeleteBody>()
            .gives::<told::Nothing>(),
        Route::get("/api/version", "Tells the server's version", version)
            .gives::<told::OllamaVersion>(),
    ]
}

/// An error as Ollama tells one. It has no more words than these for any kind.
pub(crate) fn error(trouble: &Trouble) -> Value {
    json!({"error": trouble.message})
}

/// Ollama's names have a tag, and clients add the usual one to names without. A model that was pulled by
/// its name is asked for by the same one, whatever it is called on the disk.
fn resolved(house: &House, name: String) -> String {
    let kept = pull::kept(&name);
    if kept == name {
        return name;
    }
    let models = house.chat.models();
    let known = |name: &str| models.iter().any(|model| model.name == name);
    match name.strip_suffix(":latest") {
        _ if known(&name) => name,
        _ if known(&kept) => kept,
        Some(short) => short.to_owned(),
        None => name,
    }
}

/// Which of the two shapes an answer has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kinds {
    Chat,
    Generate,
}

async fn chat(call: Call) -> Result<Response, Trouble> {
    let wanted = call.read::<ChatBody>()?.wanted(&call.house.limits)?;
    answer(call, wanted, Kinds::Chat).await
}

async fn generate(call: Call) -> Result<Response, Trouble> {
    let wanted = call.read::<GenerateBody>()?.wanted(&call.house.limits)?;
    answer(call, wanted, Kinds::Generate).await
}

async fn answer(call: Call, wanted: Wanted, kind: Kinds) -> Result<Response, Trouble> {
    let Wanted { mut request, stream, silent } = wanted;
    let keep_alive = call.house.limits.keep_alive;
    let head = Head { model: request.model.clone(), kind, since: Instant::now() };
    request.model = resolved(&call.house, request.model);
    if silent {
        // Where models stay as they are, a request that says nothing wants nothing.
        if call.house.keeper().is_err() {
            let part = if kind == Kinds::Chat { "messages" } else { "prompt" };
            return Err(Trouble::at(part, "is empty"));
        }
        let reason = if request.keep == Keep::Seconds(0) {
            memory::release(&call.house, request.model).await?;
            "unload"
        } else {
            memory::bring(&call.house, request.model, request.keep).await?;
            "load"
        };
        let mut line = head.line("", &[]);
        line["done"] = true.into();
        line["done_reason"] = reason.into();
        return Ok(good(&line));
    }
    let (feed, place) = call.ask(vec![request]).await?;
    if stream {
        return Ok(stream::response(feed, Lines { head }, keep_alive, place));
    }
    let Some(answer) = feed.answers().await?.pop() else {
        return Err(Trouble::new(Kind::Internal, "no answer came"));
    };
    Ok(good(&head.whole(&answer)))
}

/// What all lines of an answer have in common.
#[derive(Debug)]
struct Head {
    model: String,
    kind: Kinds,
    since: Instant,
}

/// Why an answer ended. A call is a stop, in Ollama's words.
fn done_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopText | FinishReason::Calls => "stop",
        FinishReason::Length => "length",
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds).map_or(0, |time| time.as_nanos() as u64)
}

fn call_json(index: usize, call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "function": {"index": index, "name": call.name, "arguments": call.arguments},
    })
}

impl Head {
    fn line(&self, text: &str, calls: &[Value]) -> Value {
        let mut line = json!({"model": self.model, "created_at": rfc3339(log::now_s())});
        match self.kind {
            Kinds::Generate => line["response"] = text.into(),
            Kinds::Chat => {
                line["message"] = json!({"role": "assistant", "content": text});
                if !calls.is_empty() {
                    line["message"]["tool_calls"] = calls.into();
                }
            }
        }
        line["done"] = false.into();
        line
    }

    fn finish(&self, line: &mut Value, reason: FinishReason, usage: &Usage) {
        line["done"] = true.into();
        line["done_reason"] = done_reason(reason).into();
        line["total_duration"] = nanoseconds(self.since.elapsed().as_secs_f64()).into();
        line["prompt_eval_count"] = usage.prompt_tokens.into();
        line["prompt_eval_duration"] = nanoseconds(usage.timing.prefill_s).into();
        line["eval_count"] = usage.completion_tokens.into();
        line["eval_duration"] = nanoseconds(usage.timing.decode_s).into();
        // Not Ollama's: tokens that `truncate` left out, which it does not tell.
        if usage.dropped_tokens > 0 {
            line["dropped_tokens"] = usage.dropped_tokens.into();
        }
    }

    fn whole(&self, answer: &Answer) -> Value {
        let calls: Vec<Value> =
            answer.calls.iter().enumerate().map(|(index, call)| call_json(index, call)).collect();
        let mut line = self.line(&answer.text, &calls);
        self.finish(&mut line, answer.reason, &answer.usage);
        line
    }
}

/// The answer line by line.
struct Lines {
    head: Head,
}

fn push_line(out: &mut String, line: &Value) {
    *out += &line.to_string();
    *out += "\n";
}

impl Encode for Lines {
    fn event(&mut self, _: usize, event: Event, out: &mut String) {
        match event {
            Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
            Event::Text { text, .. } if text.is_empty() => {}
            Event::Text { text, .. } => push_line(out, &self.head.line(&text, &[])),
            Event::Call(call) => push_line(out, &self.head.line("", &[call_json(0, &call)])),
            Event::Finished { reason, usage } => {
                let mut line = self.head.line("", &[]);
                self.head.finish(&mut line, reason, &usage);
                push_line(out, &line);
            }
            Event::Failed(why) => push_line(out, &error(&why.into())),
        }
    }

    fn end(&mut self, _: &mut String) {}

    // A reader of lines would take anything for a part of the answer.
    fn alive(&self) -> &'static str {
        ""
    }

    fn media(&self) -> &'static str {
        LINES
    }
}

/// Turns texts into vectors.
async fn embed(call: Call) -> Result<Response, Trouble> {
    let since = Instant::now();
    let (model, texts) = call.read::<EmbedBody>()?.wanted(&call.house.limits)?;
    let embedded = call.vectors(resolved(&call.house, model.clone()), texts).await?;
    let vectors: Vec<Value> = embedded
        .vectors
        .iter()
        .map(|vector| vector.iter().copied().map(f64::from).collect())
        .collect();
    Ok(good(&json!({
        "model": model,
        "embeddings": vectors,
        "total_duration": nanoseconds(since.elapsed().as_secs_f64()),
        "prompt_eval_count": embedded.tokens,
    })))
}

fn details(model: &Model) -> Value {
    json!({
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": "",
        "quantization_level": model.quantisation,
    })
}

async fn tags(visit: Visit) -> Response {
    let models = visit.house.chat.models();
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            json!({
                "name": model.name,
                "model": model.name,
                "modified_at": rfc3339(model.created_s as f64),
                "size": model.bytes,
                "digest": model.sha256.as_deref().unwrap_or_default(),
                "details": details(model),
            })
        })
        .collect();
    good(&json!({"models": models}))
}

/// What stays until room is needed ends, in a field that has no word for it, so many seconds from now:
/// a hundred years.
const FOREVER_S: u64 = 100 * 365 * 24 * 3600;

/// The models in memory.
async fn running(visit: Visit) -> Result<Response, Trouble> {
    let keeper = visit.house.keeper()?.clone();
    let told = visit.house.blocking(move |house| Ok((keeper.status(), house.chat.models())));
    let (status, models) = told.await?;
    let shown = |model: &Model| {
        let own = status.models.get(&model.name).filter(|own| own.loaded)?;
        let leaves_s = own.leaves_in_s.unwrap_or(FOREVER_S).min(FOREVER_S);
        Some(json!({
            "name": model.name,
            "model": model.name,
            "size": own.bytes,
            "digest": own.sha256.as_deref().unwrap_or_default(),
            "details": details(model),
            "expires_at": rfc3339(log::now_s() + leaves_s as f64),
            "size_vram": 0,
            "context_length": model.context,
        }))
    };
    let models: Vec<Value> = models.iter().filter_map(shown).collect();
    Ok(good(&json!({"models": models})))
}

async fn show(call: Call) -> Result<Response, Trouble> {
    let name = resolved(&call.house, call.read::<ShowBody>()?.name()?);
    let models = call.house.chat.models();
    let Some(model) = models.iter().find(|model| model.name == name) else {
        return Err(Trouble::new(Kind::NoModel, "there is no such model"));
    };
    let mut capabilities = vec![if model.chats { "completion" } else { "embedding" }];
    if model.tools {
        capabilities.push("tools");
    }
    let context = format!("{}.context_length", model.family);
    Ok(good(&json!({
        "modified_at": rfc3339(model.created_s as f64),
        "details": details(model),
        "model_info": {"general.architecture": model.family, context: model.context},
        "capabilities": capabilities,
    })))
}

async fn version(State(house): State<Arc<House>>) -> Response {
    good(&json!({"version": house.version}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine_chat::Timing;

    #[test]
    fn every_error_is_one_string_with_its_status() {
        let rows = [
            (Kind::Invalid, 400),
            (Kind::WrongToken, 401),
            (Kind::NoModel, 404),
            (Kind::TooLarge, 413),
            (Kind::Busy, 429),
            (Kind::Quota, 429),
            (Kind::Conflict, 409),
            (Kind::Unsupported, 501),
            (Kind::Disk, 507),
            (Kind::Internal, 500),
            (Kind::ShuttingDown, 503),
        ];
        for (kind, status) in rows {
            assert_eq!(kind.status().as_u16(), status);
            assert_eq!(error(&Trouble::new(kind, "x")), json!({"error": "x"}));
        }
    }

    #[test]
    fn the_last_line_tells_counts_and_nanoseconds() {
        let timing = Timing { queue_s: 1.0, prefill_s: 0.5, decode_s: 0.25 };
        let usage = Usage { prompt_tokens: 7, completion_tokens: 3, timing, ..Usage::default() };
        let rows = [
            (FinishReason::Stop, "stop"),
            (FinishReason::StopText, "stop"),
            (FinishReason::Calls, "stop"),
            (FinishReason::Length, "length"),
        ];
        for (reason, expected) in rows {
            let head = Head { model: "m".into(), kind: Kinds::Generate, since: Instant::now() };
            let mut out = String::new();
            Lines { head }.event(0, Event::Finished { reason, usage }, &mut out);
            let line: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(line["done_reason"], expected);
            assert_eq!(line["prompt_eval_duration"], 500_000_000);
            assert_eq!(line["eval_duration"], 250_000_000);
            assert_eq!((&line["prompt_eval_count"], &line["eval_count"]), (&json!(7), &json!(3)));
            assert_eq!((&line["done"], &line["response"]), (&json!(true), &json!("")));
        }
        assert_eq!(nanoseconds(-1.0), 0);
        assert_eq!(nanoseconds(f64::NAN), 0);
    }
}
