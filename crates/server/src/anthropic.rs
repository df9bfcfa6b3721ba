//! Anthropic's API: `POST /v1/messages`, its stream and its count of tokens. Its shapes, its errors,
//! and nothing of the other APIs.

mod body;

use axum::http::StatusCode;
use axum::response::Response;
use ondine_chat::{Answer, Event, FinishReason, Model, ToolCall, Usage};
use serde_json::{Value, json};

use self::body::{Body, Wanted};
use crate::common::{id, rfc3339};
use crate::house::{Call, good};
use crate::openapi::anthropic as told;
use crate::route::Route;
use crate::stream::{self, Encode, SSE, sse};
use crate::trouble::{Kind, Trouble};

/// What stands where. The path of the models is shared with OpenAI, whose routes have it.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/messages", "Answers a conversation", messages)
            .takes::<Body>()
            .gives::<told::Message>()
            .streams::<told::MessageEvent>(SSE),
        Route::post("/v1/messages/count_tokens", "Counts a conversation's tokens", count_tokens)
            .takes::<Body>()
            .gives::<told::TokenCount>(),
    ]
}

/// Anthropic's word for each kind of trouble.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid | Kind::Context | Kind::Method => "invalid_request_error",
        Kind::MediaType | Kind::Slow | Kind::Conflict => "invalid_request_error",
        Kind::NoToken | Kind::WrongToken => "authentication_error",
        Kind::Forbidden => "permission_error",
        Kind::NoModel | Kind::NotFound => "not_found_error",
        Kind::TooLarge => "request_too_large",
        Kind::Busy | Kind::Quota => "rate_limit_error",
        Kind::Memory => "overloaded_error",
        Kind::ShuttingDown | Kind::Unsupported | Kind::Disk | Kind::Internal => "api_error",
    }
}

/// Its status: the one that all agree on, but for being overloaded.
pub(crate) fn status(kind: Kind) -> StatusCode {
    const OVERLOADED: u16 = 529;
    match kind {
        Kind::Memory => StatusCode::from_u16(OVERLOADED).unwrap_or(kind.status()),
        _ => kind.status(),
    }
}

/// An error as Anthropic tells one.
pub(crate) fn error(trouble: &Trouble) -> Value {
    json!({
        "type": "error",
        "error": {"type": word(trouble.kind), "message": trouble.message},
    })
}

/// A model as Anthropic tells one.
pub(crate) fn model(model: &Model) -> Value {
    json!({
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": rfc3339(model.created_s as f64),
        "max_input_tokens": model.context,
        "max_tokens": model.context,
    })
}

/// All models, in one page.
pub(crate) fn models(models: &[Model]) -> Value {
    let data: Vec<Value> = models.iter().map(model).collect();
    json!({
        "data": data,
        "has_more": false,
        "first_id": models.first().map(|model| &model.name),
        "last_id": models.last().map(|model| &model.name),
    })
}

/// Answers a conversation.
async fn messages(call: Call) -> Result<Response, Trouble> {
    let limits = call.house.limits.clone();
    let Wanted { request, stream, one_call } = call.read::<Body>()?.answer(&limits)?;
    // Which of several stop texts came is not told by the model; where there is one, it is known.
    let only_stop = match &request.stop[..] {
        [stop] => Some(stop.clone()),
        _ => None,
    };
    let head = Head { id: id("msg_"), model: request.model.clone(), only_stop, one_call };
    let (feed, place) = call.ask(vec![request]).await?;
    if stream {
        let blocks = Blocks { head, open: false, closed: 0, calls: 0 };
        return Ok(stream::response(feed, blocks, limits.keep_alive, place));
    }
    let Some(answer) = feed.answers().await?.pop() else {
        return Err(Trouble::new(Kind::Internal, "no answer came"));
    };
    Ok(good(&head.whole(&answer)))
}

/// Tokens of a conversation, without an answer.
async fn count_tokens(call: Call) -> Result<Response, Trouble> {
    let request = call.read::<Body>()?.count(&call.house.limits)?;
    let tokens = call.count(request).await?;
    Ok(good(&json!({"input_tokens": tokens})))
}

/// What all parts of a response have in common.
#[derive(Debug)]
struct Head {
    id: String,
    model: String,
    only_stop: Option<String>,
    one_call: bool,
}

/// Why an answer ended.
fn stop_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "end_turn",
        FinishReason::StopText => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::Calls => "tool_use",
    }
}

/// Anthropic counts tokens that were known from before apart from those that were read.
fn usage_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens.saturating_sub(usage.cached_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    })
}

fn tool_use(call: &ToolCall, input: &Value) -> Value {
    json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
}

impl Head {
    /// The text that ended the answer, where one did and it is known.
    fn stop_text(&self, reason: FinishReason) -> Option<&str> {
        self.only_stop.as_deref().filter(|_| reason == FinishReason::StopText)
    }

    fn message(&self, content: Vec<Value>, reason: Option<FinishReason>, usage: &Usage) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason.map(stop_reason),
            "stop_sequence": reason.and_then(|reason| self.stop_text(reason)),
            "usage": usage_json(usage),
        })
    }

    fn whole(&self, answer: &Answer) -> Value {
        let mut content = Vec::new();
        if !answer.text.is_empty() {
            content.push(json!({"type": "text", "text": answer.text}));
        }
        let most = if self.one_call { 1 } else { usize::MAX };
        content.extend(answer.calls.iter().take(most).map(|call| tool_use(call, &call.arguments)));
        self.message(content, Some(answer.reason), &answer.usage)
    }
}

/// The response in pieces: blocks that open, grow and close.
struct Blocks {
    head: Head,
    /// Whether a block of text is open.
    open: bool,
    /// Blocks that are closed; the next one's index.
    closed: usize,
    calls: usize,
}

impl Blocks {
    fn say(out: &mut String, name: &'static str, mut data: Value) {
        data["type"] = name.into();
        sse(out, Some(name), &data);
    }

    fn start(&self, out: &mut String, block: Value) {
        let data = json!({"type": "", "index": self.closed, "content_block": block});
        Blocks::say(out, "content_block_start", data);
    }

    fn delta(&self, out: &mut String, delta: Value) {
        let data = json!({"type": "", "index": self.closed, "delta": delta});
        Blocks::say(out, "content_block_delta", data);
    }

    fn stop(&mut self, out: &mut String) {
        Blocks::say(out, "content_block_stop", json!({"type": "", "index": self.closed}));
        self.closed += 1;
        self.open = false;
    }
}

impl Encode for Blocks {
    fn event(&mut self, _: usize, event: Event, out: &mut String) {
        match event {
            Event::Waiting { .. } | Event::Reading { .. } => {}
            Event::Started { prompt_tokens, cached_tokens } => {
                let usage = Usage { prompt_tokens, cached_tokens, ..Usage::default() };
                let message = self.head.message(Vec::new(), None, &usage);
                Blocks::say(out, "message_start", json!({"type": "", "message": message}));
            }
            Event::Text { text, .. } if text.is_empty() => {}
            Event::Text { text, .. } => {
                if !self.open {
                    self.open = true;
                    self.start(out, json!({"type": "text", "text": ""}));
                }
                self.delta(out, json!({"type": "text_delta", "text": text}));
            }
            Event::Call(call) => {
                self.calls += 1;
                if self.head.one_call && self.calls > 1 {
                    return;
                }
                if self.open {
                    self.stop(out);
                }
                self.start(out, tool_use(&call, &json!({})));
                let input = call.arguments.to_string();
                self.delta(out, json!({"type": "input_json_delta", "partial_json": input}));
                self.stop(out);
            }
            Event::Finished { reason, usage } => {
                if self.open {
                    self.stop(out);
                }
                let delta = json!({
                    "stop_reason": stop_reason(reason),
                    "stop_sequence": self.head.stop_text(reason),
                });
                let data = json!({"type": "", "delta": delta, "usage": usage_json(&usage)});
                Blocks::say(out, "message_delta", data);
            }
            Event::Failed(why) => sse(out, Some("error"), &error(&why.into())),
        }
    }

    fn end(&mut self, out: &mut String) {
        Blocks::say(out, "message_stop", json!({"type": ""}));
    }

    fn alive(&self) -> &'static str {
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_has_anthropic_s_words() {
        let rows = [
            (Kind::Invalid, 400, "invalid_request_error"),
            (Kind::Context, 400, "invalid_request_error"),
            (Kind::NoToken, 401, "authentication_error"),
            (Kind::WrongToken, 401, "authentication_error"),
            (Kind::Forbidden, 403, "permission_error"),
            (Kind::NoModel, 404, "not_found_error"),
            (Kind::TooLarge, 413, "request_too_large"),
            (Kind::MediaType, 415, "invalid_request_error"),
            (Kind::Busy, 429, "rate_limit_error"),
            (Kind::Quota, 429, "rate_limit_error"),
            (Kind::Memory, 529, "overloaded_error"),
            (Kind::ShuttingDown, 503, "api_error"),
            (Kind::Conflict, 409, "invalid_request_error"),
            (Kind::Unsupported, 501, "api_error"),
            (Kind::Disk, 507, "api_error"),
            (Kind::Internal, 500, "api_error"),
        ];
        for (kind, own_status, own_word) in rows {
            assert_eq!((status(kind).as_u16(), word(kind)), (own_status, own_word), "{kind:?}");
        }
        let said = error(&Trouble::new(Kind::NoModel, "gone"));
        let expected =
            json!({"type": "error", "error": {"type": "not_found_error", "message": "gone"}});
        assert_eq!(said, expected);
    }

    #[test]
    fn each_end_has_anthropic_s_word() {
        let head = |only_stop: Option<&str>| Head {
            id: "msg_1".into(),
            model: "m".into(),
            only_stop: only_stop.map(str::to_owned),
            one_call: false,
        };
        let rows = [
            (FinishReason::Stop, Some("x"), "end_turn", None),
            (FinishReason::StopText, Some("x"), "stop_sequence", Some("x")),
            (FinishReason::StopText, None, "stop_sequence", None),
            (FinishReason::Length, None, "max_tokens", None),
            (FinishReason::Calls, None, "tool_use", None),
        ];
        for (reason, only, word, text) in rows {
            assert_eq!((stop_reason(reason), head(only).stop_text(reason)), (word, text));
        }
    }

    #[test]
    fn a_stream_has_its_events_in_order() {
        let head = Head { id: "msg_1".into(), model: "m".into(), only_stop: None, one_call: false };
        let mut blocks = Blocks { head, open: false, closed: 0, calls: 0 };
        let call =
            |id: &str| ToolCall { id: id.into(), name: "f".into(), arguments: json!({"x": 1}) };
        let text = |text: &str| Event::Text { text: text.into(), logprobs: Vec::new() };
        let usage = Usage { prompt_tokens: 9, cached_tokens: 4, ..Usage::default() };
        let mut out = String::new();
        for event in [
            Event::Started { prompt_tokens: 9, cached_tokens: 4 },
            text("a"),
            text(""),
            text("b"),
            Event::Call(call("1")),
            Event::Call(call("2")),
            Event::Finished { reason: FinishReason::Calls, usage },
        ] {
            blocks.event(0, event, &mut out);
        }
        blocks.end(&mut out);
        let names: Vec<&str> =
            out.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        let block = ["content_block_start", "content_block_delta", "content_block_stop"];
        let mut expected = vec!["message_start", block[0], block[1], block[1], block[2]];
        expected.extend(block);
        expected.extend(block);
        expected.extend(["message_delta", "message_stop"]);
        assert_eq!(names, expected);
        let data = out.lines().filter_map(|line| line.strip_prefix("data: "));
        let data: Vec<Value> = data.map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(data.iter().zip(&names).all(|(data, name)| data["type"] == *name), "{out}");
        let usage = &data[0]["message"]["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["cache_read_input_tokens"]),
            (&json!(5), &json!(4))
        );
        assert_eq!(data[6]["delta"]["partial_json"], "{\"x\":1}");
        assert_eq!(data[8]["index"], 2);
    }
}
