//! What the endpoints of kept conversations tell, as types: `sessions.rs` writes the same as JSON.
#![expect(dead_code, reason = "types that are shapes: nobody holds one")]

use ondine_chat::Overflow;
use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::openai::{CallTold, FinishReason};

#[derive(JsonSchema)]
pub(crate) struct Session {
    #[schemars(extend("const" = "session"))]
    object: String,
    id: String,
    name: Option<String>,
    /// Empty for the default model.
    model: String,
    overflow: Overflow,
    /// How many there are.
    messages: usize,
    /// Seconds since 1970.
    created_s: u64,
    /// Seconds since 1970.
    updated_s: u64,
    /// The session's id, and how many of its messages this one began with.
    forked_from: Option<(String, usize)>,
}

#[derive(JsonSchema)]
pub(crate) struct SessionList {
    #[schemars(extend("const" = "list"))]
    object: String,
    data: Vec<Session>,
}

#[derive(JsonSchema)]
pub(crate) struct SessionMessage {
    role: String,
    /// Null where the turn is calls alone.
    content: Option<String>,
    #[schemars(default)]
    tool_calls: Vec<CallTold>,
    /// The call that a tool's message answers.
    tool_call_id: Option<String>,
}

#[derive(JsonSchema)]
pub(crate) struct SessionMessages {
    #[schemars(extend("const" = "list"))]
    object: String,
    data: Vec<SessionMessage>,
}

#[derive(JsonSchema)]
pub(crate) struct SessionUsage {
    prompt_tokens: usize,
    /// Those of them that were known from before.
    cached_tokens: usize,
    completion_tokens: usize,
    /// Those that were left out of the prompt.
    dropped_tokens: usize,
    /// Seconds.
    queue_s: f64,
    /// Seconds.
    prefill_s: f64,
    /// Seconds.
    decode_s: f64,
}

#[derive(JsonSchema)]
pub(crate) struct SessionAnswer {
    message: SessionMessage,
    finish_reason: FinishReason,
    usage: SessionUsage,
    session: Session,
}

/// An event's data: of `text`, `call`, `finished` or `failed`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum SessionEvent {
    Text { text: String },
    Call { id: String, name: String, arguments: Map<String, Value> },
    Finished { finish_reason: FinishReason, usage: SessionUsage, session: Option<Session> },
    Failed(super::openai::Error),
}

#[derive(JsonSchema)]
pub(crate) struct SessionTokens {
    tokens: usize,
}
