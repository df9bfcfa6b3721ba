//! OpenAI's shapes as everybody has them: without Ondine's own object, with calls that come in pieces, and
//! with the end told by a word. It knows no connection.

use ondine_chat::{
    ChatError, Event, FinishReason, Format, Overflow, Prompt, Request, TokenLogprob, ToolCall,
    Usage,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat::Told;
use crate::wire::{add_sampling, add_tools, message};

/// Bytes of all calls of an answer, and how many there may be.
const CALL_BYTES_MAX: usize = 4 << 20;
const CALLS_MAX: usize = 64;

/// The path and the body of a request.
pub(super) fn body(request: &Request) -> Result<(&'static str, Value), ChatError> {
    let none = |what: &str| {
        Err(ChatError::Unsupported(format!("an endpoint of OpenAI's API knows no {what}")))
    };
    if request.overflow != Overflow::Error {
        return none("way to leave out what does not fit");
    }
    let mut body = Map::new();
    body.insert("model".into(), request.model.clone().into());
    body.insert("stream".into(), true.into());
    body.insert("stream_options".into(), json!({"include_usage": true}));
    let format = match &request.format {
        Format::Text => None,
        Format::Json => Some(json!({"type": "json_object"})),
        Format::Schema(schema) => {
            let mut schema = schema.clone();
            // A word to our own decoder.
            if let Value::Object(map) = &mut schema {
                map.shift_remove("x-guidance");
            }
            let schema = json!({"name": "answer", "strict": true, "schema": schema});
            Some(json!({"type": "json_schema", "json_schema": schema}))
        }
        Format::Regex(_) => return none("regular expressions"),
        Format::Lark(_) => return none("grammars"),
    };
    let path = match &request.prompt {
        Prompt::Messages(messages) => {
            body.insert("messages".into(), messages.iter().map(message).collect());
            add_tools(&mut body, &request.tools, &request.tool_choice);
            if let Some(format) = format {
                body.insert("response_format".into(), format);
            }
            if let Some(top) = request.logprobs {
                body.insert("logprobs".into(), true.into());
                body.insert("top_logprobs".into(), top.into());
            }
            "/chat/completions"
        }
        Prompt::Text(_) if format.is_some() || !request.tools.is_empty() => {
            return none("form or tools for the answer to a plain text");
        }
        Prompt::Text(_) if request.logprobs.is_some() => return none("probabilities there"),
        Prompt::Text(text) => {
            body.insert("prompt".into(), text.clone().into());
            "/completions"
        }
    };
    if let Some(tokens) = request.max_tokens {
        body.insert("max_tokens".into(), tokens.into());
    }
    if !request.stop.is_empty() {
        body.insert("stop".into(), request.stop.clone().into());
    }
    add_sampling(&mut body, &request.sampling);
    Ok((path, body.into()))
}

/// The same body with its bound said otherwise, where a refusal tells that this would help: under the
/// newer name, or not at all, where it is more than the model can write anyhow.
pub(super) fn bounded_otherwise(body: &Value, refusal: &str) -> Option<Value> {
    let mut body = body.as_object()?.clone();
    let tokens = body.remove("max_tokens")?;
    if refusal.contains("max_completion_tokens") {
        body.insert("max_completion_tokens".into(), tokens);
        return Some(body.into());
    }
    let is_large =
        ["too large", "at most", "less than or equal"].iter().any(|w| refusal.contains(w));
    is_large.then(|| body.into())
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<UsageIn>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<Logprobs>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallPiece>>,
}

#[derive(Deserialize)]
struct CallPiece {
    #[serde(default)]
    index: usize,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<FunctionPiece>,
}

#[derive(Deserialize)]
struct FunctionPiece {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    #[serde(default)]
    content: Option<Vec<TokenIn>>,
}

#[derive(Deserialize)]
struct TokenIn {
    token: String,
    #[serde(default)]
    bytes: Option<Vec<u8>>,
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<TokenIn>,
}

impl TokenIn {
    fn bytes(&self) -> Vec<u8> {
        self.bytes.clone().unwrap_or_else(|| self.token.as_bytes().to_vec())
    }

    fn token(self) -> TokenLogprob {
        let top = self.top_logprobs.iter().map(|t| (t.token.clone(), t.bytes(), t.logprob));
        let (top, bytes) = (top.collect(), self.bytes());
        TokenLogprob { text: self.token, bytes, logprob: self.logprob, top }
    }
}

#[derive(Clone, Copy, Deserialize)]
struct UsageIn {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
    #[serde(default)]
    prompt_tokens_details: Option<Details>,
}

#[derive(Clone, Copy, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: usize,
}

/// A call whose pieces are still coming.
#[derive(Default)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

/// An answer on its way.
#[derive(Default)]
pub(super) struct Reading {
    started: bool,
    calls: Vec<Call>,
    call_bytes: usize,
    reason: Option<FinishReason>,
    usage: Usage,
}

impl Reading {
    /// What a chunk tells; `None` where it means nothing.
    pub(super) fn chunk(&mut self, data: &str) -> Option<Told> {
        let chunk: Chunk = serde_json::from_str(data).ok()?;
        if chunk.error.is_some() {
            return Some(Told::Trouble(json!({"error": chunk.error})));
        }
        let mut events = Vec::new();
        if !std::mem::replace(&mut self.started, true) {
            // How long the prompt is, is told at the end.
            events.push(Event::Started { prompt_tokens: 0, cached_tokens: 0 });
        }
        // One answer was asked for.
        if let Some(choice) = chunk.choices.into_iter().next() {
            let delta = choice.delta.unwrap_or_default();
            let text = delta.content.or(choice.text).unwrap_or_default();
            let logprobs = choice.logprobs.and_then(|l| l.content).unwrap_or_default();
            let logprobs: Vec<TokenLogprob> = logprobs.into_iter().map(TokenIn::token).collect();
            if !text.is_empty() || !logprobs.is_empty() {
                events.push(Event::Text { text, logprobs });
            }
            for piece in delta.tool_calls.unwrap_or_default() {
                self.piece(piece)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.reason = Some(match reason.as_str() {
                    "length" => FinishReason::Length,
                    "tool_calls" | "function_call" => FinishReason::Calls,
                    _ => FinishReason::Stop,
                });
            }
        }
        if let Some(usage) = chunk.usage {
            self.usage.prompt_tokens = usage.prompt_tokens;
            self.usage.completion_tokens = usage.completion_tokens;
            self.usage.cached_tokens = usage.prompt_tokens_details.map_or(0, |d| d.cached_tokens);
        }
        Some(Told::Events(events))
    }

    fn piece(&mut self, piece: CallPiece) -> Option<()> {
        if piece.index >= CALLS_MAX {
            return None;
        }
        while self.calls.len() <= piece.index {
            self.calls.push(Call::default());
        }
        let call = &mut self.calls[piece.index];
        let function = piece.function;
        let name = function.as_ref().and_then(|f| f.name.as_deref()).unwrap_or_default();
        let arguments = function.as_ref().and_then(|f| f.arguments.as_deref()).unwrap_or_default();
        let id = piece.id.as_deref().unwrap_or_default();
        self.call_bytes += id.len() + name.len() + arguments.len();
        if self.call_bytes > CALL_BYTES_MAX {
            return None;
        }
        if call.id.is_empty() {
            call.id.push_str(id);
        }
        if call.name.is_empty() {
            call.name.push_str(name);
        }
        call.arguments.push_str(arguments);
        Some(())
    }

    /// The end; `None` where the answer had none.
    pub(super) fn end(&mut self) -> Option<Told> {
        let mut reason = self.reason.take()?;
        let mut events = Vec::new();
        for (nth, call) in std::mem::take(&mut self.calls).into_iter().enumerate() {
            // Nobody held these arguments to anything: what is no JSON goes to the tool as the text it is,
            // which says what is wrong with it.
            let arguments = match call.arguments.trim() {
                "" => json!({}),
                text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            };
            let id = if call.id.is_empty() { format!("call_{nth}") } else { call.id };
            events.push(Event::Call(ToolCall { id, name: call.name, arguments }));
            // Some say "stop" there too.
            if reason == FinishReason::Stop {
                reason = FinishReason::Calls;
            }
        }
        events.push(Event::Finished { reason, usage: self.usage });
        Some(Told::Events(events))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine_chat::{Message, Sampling};

    #[test]
    fn a_body_has_what_the_api_has() {
        let schema = json!({"type": "object", "x-guidance": {"whitespace_pattern": "[ ]?"}});
        let request = Request {
            format: Format::Schema(schema),
            max_tokens: Some(5),
            sampling: Sampling { temperature: Some(0.5), ..Sampling::default() },
            ..Request::new("m", [Message::user("hi")])
        };
        let (path, told) = body(&request).unwrap();
        let wanted = json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "hi"}],
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "answer", "strict": true, "schema": {"type": "object"}}},
            "max_tokens": 5, "temperature": 0.5,
        });
        assert_eq!((path, told), ("/chat/completions", wanted));
        for format in [Format::Regex("a".into()), Format::Lark("start: \"a\"".into())] {
            let request = Request { format, ..Request::new("m", [Message::user("hi")]) };
            assert!(matches!(body(&request), Err(ChatError::Unsupported(_))));
        }
        let request = Request { overflow: Overflow::Anchored, ..Request::text("m", "x") };
        assert!(matches!(body(&request), Err(ChatError::Unsupported(_))));
    }

    #[test]
    fn a_bound_is_said_otherwise_where_that_helps() {
        let body = json!({"model": "m", "max_tokens": 9});
        let newer = "Unsupported parameter: use 'max_completion_tokens' instead.";
        let wanted = json!({"model": "m", "max_completion_tokens": 9});
        assert_eq!(bounded_otherwise(&body, newer), Some(wanted));
        let large = "max_tokens is too large: 9. This model supports at most 8";
        assert_eq!(bounded_otherwise(&body, large), Some(json!({"model": "m"})));
        assert_eq!(bounded_otherwise(&body, "no"), None);
        assert_eq!(bounded_otherwise(&json!({"model": "m"}), newer), None);
    }
}
