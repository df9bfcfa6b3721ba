//! The lines of a recording: events and errors in a form that can be written, and what makes two
//! questions the same.

use ondine_chat::{
    ChatError, Event, FinishReason, Keep, Model, Request, TokenLogprob, ToolCall, Usage,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(super) enum Line {
    /// The first.
    Head { ondine_recording: u32, models: Vec<Model> },
    /// A question and what came of it.
    Asked {
        request: Request,
        events: Vec<Happened>,
        /// Whoever listened left before the end.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        left: bool,
    },
    /// A question that was refused before anything came.
    Refused { request: Request, error: Trouble },
    /// How many tokens a question has.
    Counted { key: String, tokens: usize },
    /// Texts that became vectors.
    Embedded { model: String, texts: Vec<String>, vectors: Vec<Vec<f32>>, tokens: usize },
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Happened {
    Waiting {
        before: usize,
    },
    Started {
        prompt: usize,
        cached: usize,
    },
    Reading {
        done: usize,
    },
    Text(String),
    /// Text with its tokens.
    Tokens {
        text: String,
        logprobs: Vec<TokenLogprob>,
    },
    Call(ToolCall),
    Finished {
        reason: FinishReason,
        usage: Usage,
    },
    Failed(Trouble),
}

impl Happened {
    pub(super) fn of(event: &Event) -> Happened {
        match event.clone() {
            Event::Waiting { before } => Happened::Waiting { before },
            Event::Started { prompt_tokens: prompt, cached_tokens: cached } => {
                Happened::Started { prompt, cached }
            }
            Event::Reading { done } => Happened::Reading { done },
            Event::Text { text, logprobs } if logprobs.is_empty() => Happened::Text(text),
            Event::Text { text, logprobs } => Happened::Tokens { text, logprobs },
            Event::Call(call) => Happened::Call(call),
            Event::Finished { reason, usage } => Happened::Finished { reason, usage },
            Event::Failed(error) => Happened::Failed(Trouble::of(&error)),
        }
    }

    pub(super) fn event(self) -> Event {
        match self {
            Happened::Waiting { before } => Event::Waiting { before },
            Happened::Started { prompt, cached } => {
                Event::Started { prompt_tokens: prompt, cached_tokens: cached }
            }
            Happened::Reading { done } => Event::Reading { done },
            Happened::Text(text) => Event::Text { text, logprobs: Vec::new() },
            Happened::Tokens { text, logprobs } => Event::Text { text, logprobs },
            Happened::Call(call) => Event::Call(call),
            Happened::Finished { reason, usage } => Event::Finished { reason, usage },
            Happened::Failed(trouble) => Event::Failed(trouble.error()),
        }
    }
}

/// An error of whoever answers. Its words are kept, and its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Trouble {
    NoModel { name: String, known: Vec<String> },
    Invalid { what: String, part: String },
    Context { prompt_tokens: usize, wanted: usize, context: usize },
    Busy { limit: String, value: u64, retry_after_s: u64 },
    Memory { what: String, needed: u64, available: u64, budget: u64 },
    NoSession { id: String },
    Conflict(String),
    Unsupported(String),
    Disk(String),
    ShuttingDown,
    Unreachable(String),
    Internal(String),
}

/// The parts of a request that an error may name.
const PARTS: &[&str] = &[
    "model",
    "prompt",
    "messages",
    "input",
    "tools",
    "tool_choice",
    "format",
    "sampling",
    "max_tokens",
    "stop",
    "logprobs",
    "overflow",
    "session",
    "name",
    "keep",
];

impl Trouble {
    pub(super) fn of(error: &ChatError) -> Trouble {
        match error.clone() {
            ChatError::NoModel { name, known } => Trouble::NoModel { name, known },
            ChatError::Invalid { what, part } => Trouble::Invalid { what, part: part.into() },
            ChatError::Context { prompt_tokens, wanted, context } => {
                Trouble::Context { prompt_tokens, wanted, context }
            }
            ChatError::Busy { limit, value, retry_after_s } => {
                Trouble::Busy { limit, value, retry_after_s }
            }
            ChatError::Memory { what, needed, available, budget } => {
                Trouble::Memory { what, needed, available, budget }
            }
            ChatError::NoSession { id } => Trouble::NoSession { id },
            ChatError::Conflict(what) => Trouble::Conflict(what),
            ChatError::Unsupported(what) => Trouble::Unsupported(what),
            ChatError::Disk(what) => Trouble::Disk(what),
            ChatError::ShuttingDown => Trouble::ShuttingDown,
            ChatError::Unreachable(what) => Trouble::Unreachable(what),
            ChatError::Internal(what) => Trouble::Internal(what),
            other => Trouble::Internal(other.to_string()),
        }
    }

    pub(super) fn error(self) -> ChatError {
        match self {
            Trouble::NoModel { name, known } => ChatError::NoModel { name, known },
            Trouble::Invalid { what, part } => {
                let known = PARTS.iter().find(|known| **known == part);
                ChatError::invalid(known.copied().unwrap_or("request"), what)
            }
            Trouble::Context { prompt_tokens, wanted, context } => {
                ChatError::Context { prompt_tokens, wanted, context }
            }
            Trouble::Busy { limit, value, retry_after_s } => {
                ChatError::Busy { limit, value, retry_after_s }
            }
            Trouble::Memory { what, needed, available, budget } => {
                ChatError::Memory { what, needed, available, budget }
            }
            Trouble::NoSession { id } => ChatError::NoSession { id },
            Trouble::Conflict(what) => ChatError::Conflict(what),
            Trouble::Unsupported(what) => ChatError::Unsupported(what),
            Trouble::Disk(what) => ChatError::Disk(what),
            Trouble::ShuttingDown => ChatError::ShuttingDown,
            Trouble::Unreachable(what) => ChatError::Unreachable(what),
            Trouble::Internal(what) => ChatError::Internal(what),
        }
    }
}

/// A question with nothing in it but what decides about its answer, keys of objects in order.
pub(super) fn canonical(request: &Request) -> Value {
    let same = Request {
        app: String::new(),
        background: false,
        session: None,
        keep: Keep::Usual,
        ..request.clone()
    };
    // A request is made of texts, numbers and JSON: it can be written.
    sorted(serde_json::to_value(same).unwrap_or_default())
}

/// The same value with the keys of its objects in order: who writes a schema may write them in any.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(String, Value)> =
                object.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(values) => values.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// What is the same for the same question.
pub(super) fn key(request: &Request) -> String {
    format!("{:032x}", xxh3_128(canonical(request).to_string().as_bytes()))
}
