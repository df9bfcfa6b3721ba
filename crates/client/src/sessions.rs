//! Conversations that the daemon keeps, over its own API. The token says whose they are, so that the
//! app's name that [`Sessions`] is given is not sent.

use ondine_chat::{
    ChatError, Event, FinishReason, Message, NewSession, Prompt, Request, SessionInfo, Sessions,
    Sink, Timing, ToolCall, Usage,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Client;
use crate::address::step;
use crate::chat::{Told, follow, named};
use crate::error::ClientError;
use crate::http::Ask;
use crate::wire::{self, TurnIn};

const PATH: &str = "/v1/sessions";
/// What messages call the path of an answer; the id in it is nobody's business.
const ANSWERS: &str = "/v1/sessions/…/answers";

impl Client {
    fn session(&self, id: &str, rest: &str, ask: Ask<'_>) -> Result<Value, ChatError> {
        // Without a name it would be another path.
        if id.is_empty() {
            return Err(gone(id));
        }
        let answer = self.http.json(&format!("{PATH}/{}{rest}", step(id)), ask);
        answer.map_err(|error| absent(error, id))
    }

    fn info(&self, value: Value) -> Result<SessionInfo, ChatError> {
        serde_json::from_value(value)
            .map_err(|_| self.http.nonsense("what describes no session").into())
    }
}

fn gone(id: &str) -> ChatError {
    ChatError::NoSession { id: id.to_owned() }
}

/// The error with the session's name in it, which a daemon does not tell again.
fn absent(error: ClientError, id: &str) -> ChatError {
    match error {
        ClientError::Refused { status: 404, .. } => gone(id),
        other => other.into(),
    }
}

impl Sessions for Client {
    fn create(&self, _: &str, new: NewSession) -> Result<(SessionInfo, bool), ChatError> {
        let NewSession { name, model, overflow, messages } = new;
        let mut body = json!({"overflow": overflow});
        if let Some(name) = name {
            body["name"] = name.into();
        }
        if !model.is_empty() {
            body["model"] = model.clone().into();
        }
        if !messages.is_empty() {
            body["messages"] = messages.iter().map(wire::message).collect();
        }
        let (status, made) =
            self.http.answered(PATH, Ask::Post(&body)).map_err(|error| named(error, &model))?;
        let info = self.info(made)?;
        Ok((info, status == CREATED))
    }

    fn list(&self, _: &str) -> Result<Vec<SessionInfo>, ChatError> {
        #[derive(Deserialize)]
        struct Listed {
            data: Vec<SessionInfo>,
        }
        let listed = self.http.json(PATH, Ask::Get)?;
        let listed: Listed = serde_json::from_value(listed)
            .map_err(|_| self.http.nonsense("no list of sessions"))?;
        Ok(listed.data)
    }

    fn read(&self, _: &str, id: &str) -> Result<(SessionInfo, Vec<Message>), ChatError> {
        #[derive(Deserialize)]
        struct Listed {
            data: Vec<TurnIn>,
        }
        let info = self.info(self.session(id, "", Ask::Get)?)?;
        let said = self.session(id, "/messages", Ask::Get)?;
        let messages: Option<Vec<Message>> = serde_json::from_value::<Listed>(said)
            .ok()
            .and_then(|said| said.data.into_iter().map(TurnIn::message).collect());
        let messages = messages.ok_or_else(|| self.http.nonsense("no list of messages"))?;
        // Between the two questions somebody may have said something: what was read counts.
        Ok((SessionInfo { messages: messages.len(), ..info }, messages))
    }

    fn append(
        &self,
        _: &str,
        id: &str,
        messages: Vec<Message>,
        expected: Option<usize>,
    ) -> Result<SessionInfo, ChatError> {
        let messages: Vec<Value> = messages.iter().map(wire::message).collect();
        let body = json!({"messages": messages, "expected": expected});
        self.info(self.session(id, "/messages", Ask::Post(&body))?)
    }

    fn fork(&self, _: &str, id: &str, messages: Option<usize>) -> Result<SessionInfo, ChatError> {
        let body = json!({"messages": messages});
        self.info(self.session(id, "/fork", Ask::Post(&body))?)
    }

    fn delete(&self, _: &str, id: &str) -> Result<(), ChatError> {
        self.session(id, "", Ask::Delete).map(|_| ())
    }

    fn say(&self, id: &str, request: Request, sink: Sink) -> Result<(), ChatError> {
        if id.is_empty() {
            return Err(gone(id));
        }
        let body = answer(&request)?;
        let path = format!("{PATH}/{}/answers", step(id));
        let pieces = self.http.stream(&path, &body).map_err(|error| absent(error, id))?;
        follow(self.http.clone(), ANSWERS, pieces, sink, |name, data| told(name, data?))
    }

    fn count_tokens(&self, _: &str, id: &str, messages: Vec<Message>) -> Result<usize, ChatError> {
        let messages: Vec<Value> = messages.iter().map(wire::message).collect();
        let body = json!({"messages": messages});
        let counted = self.session(id, "/count_tokens", Ask::Post(&body))?;
        let tokens = counted["tokens"].as_u64();
        tokens.map(|tokens| tokens as usize).ok_or_else(|| self.http.nonsense("no count").into())
    }
}

/// HTTP's number for something new.
const CREATED: u16 = 201;

/// The body that asks for an answer: that of a conversation without a session, but for what the
/// session has already. What a session cannot be asked, the daemon refuses by name.
fn answer(request: &Request) -> Result<Value, ChatError> {
    let Prompt::Messages(messages) = &request.prompt else {
        return Err(ChatError::invalid("prompt", "a session takes messages, not a plain text"));
    };
    let (_, mut body) = wire::body(request)?;
    if let Some(body) = body.as_object_mut() {
        if request.model.is_empty() {
            body.shift_remove("model");
        }
        if messages.is_empty() {
            body.shift_remove("messages");
        }
    }
    Ok(body)
}

#[derive(Deserialize)]
struct Finished {
    finish_reason: Reason,
    usage: UsageIn,
}

/// Why an answer ended.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    Stop,
    StopText,
    Length,
    #[serde(alias = "calls")]
    ToolCalls,
}

#[derive(Deserialize)]
struct UsageIn {
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    dropped_tokens: usize,
    #[serde(flatten)]
    timing: Timing,
}

#[derive(Deserialize)]
struct Started {
    prompt_tokens: usize,
    cached_tokens: usize,
}

#[derive(Deserialize)]
struct Text {
    text: String,
}

/// What an event of the stream says. Names that are not known are passed over: a daemon may be newer.
fn told(name: &str, data: &str) -> Option<Told> {
    let event = match name {
        "started" => {
            let Started { prompt_tokens, cached_tokens } = serde_json::from_str(data).ok()?;
            Event::Started { prompt_tokens, cached_tokens }
        }
        "text" => {
            let Text { text } = serde_json::from_str(data).ok()?;
            Event::Text { text, logprobs: Vec::new() }
        }
        "call" => Event::Call(serde_json::from_str::<ToolCall>(data).ok()?),
        "finished" => {
            let Finished { finish_reason, usage } = serde_json::from_str(data).ok()?;
            let reason = match finish_reason {
                Reason::Stop => FinishReason::Stop,
                Reason::StopText => FinishReason::StopText,
                Reason::Length => FinishReason::Length,
                Reason::ToolCalls => FinishReason::Calls,
            };
            let usage = Usage {
                prompt_tokens: usage.prompt_tokens,
                cached_tokens: usage.cached_tokens,
                completion_tokens: usage.completion_tokens,
                dropped_tokens: usage.dropped_tokens,
                timing: usage.timing,
            };
            Event::Finished { reason, usage }
        }
        "failed" => return serde_json::from_str(data).ok().map(Told::Trouble),
        _ => return Some(Told::Events(Vec::new())),
    };
    Some(Told::Events(vec![event]))
}
