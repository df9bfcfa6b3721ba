//! What Anthropic's endpoints tell, as types: `anthropic.rs` writes the same as JSON.
#![expect(dead_code, reason = "types that are shapes: nobody holds one")]

use schemars::JsonSchema;
use serde_json::Value;

#[derive(JsonSchema)]
#[schemars(rename = "AnthropicError")]
pub(crate) struct Error {
    #[schemars(extend("const" = "error"))]
    #[schemars(rename = "type")]
    kind: String,
    error: ErrorBody,
}

#[derive(JsonSchema)]
#[schemars(rename = "AnthropicErrorBody")]
pub(crate) struct ErrorBody {
    #[schemars(rename = "type")]
    kind: String,
    /// For a person.
    message: String,
}

#[derive(JsonSchema)]
#[schemars(rename = "AnthropicModelList")]
pub(crate) struct ModelList {
    data: Vec<Model>,
    has_more: bool,
    first_id: Option<String>,
    last_id: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "AnthropicModel")]
pub(crate) struct Model {
    #[schemars(extend("const" = "model"))]
    #[schemars(rename = "type")]
    kind: String,
    id: String,
    display_name: String,
    created_at: String,
    max_input_tokens: usize,
    max_tokens: usize,
}

#[derive(JsonSchema)]
#[schemars(rename = "AnthropicMessage")]
pub(crate) struct Message {
    id: String,
    #[schemars(extend("const" = "message"))]
    #[schemars(rename = "type")]
    kind: String,
    #[schemars(extend("const" = "assistant"))]
    role: String,
    model: String,
    content: Vec<ContentBlock>,
    stop_reason: Option<StopReason>,
    /// The text that ended the answer, where one did and only one was given.
    stop_sequence: Option<String>,
    usage: MessageUsage,
}

#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub(crate) enum ContentBlock {
    Text { text: String },
    ToolUse { id: String, name: String, input: Value },
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum StopReason {
    EndTurn,
    StopSequence,
    MaxTokens,
    ToolUse,
}

#[derive(JsonSchema)]
pub(crate) struct MessageUsage {
    /// Tokens of the prompt that were read.
    input_tokens: usize,
    cache_creation_input_tokens: usize,
    /// Tokens of the prompt that were known from before.
    cache_read_input_tokens: usize,
    output_tokens: usize,
}

/// One event of a streamed answer.
#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub(crate) enum MessageEvent {
    MessageStart {
        message: Message,
    },
    ContentBlockStart {
        index: usize,
        content_block: ContentBlock,
    },
    ContentBlockDelta {
        index: usize,
        delta: BlockDelta,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: MessageEnd,
        usage: MessageUsage,
    },
    MessageStop {},
    /// A sign of life.
    Ping {},
    Error {
        error: ErrorBody,
    },
}

#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub(crate) enum BlockDelta {
    TextDelta { text: String },
    InputJsonDelta { partial_json: String },
}

#[derive(JsonSchema)]
pub(crate) struct MessageEnd {
    stop_reason: StopReason,
    stop_sequence: Option<String>,
}

#[derive(JsonSchema)]
pub(crate) struct TokenCount {
    input_tokens: usize,
}
