//! What OpenAI's endpoints tell, as types: `openai/` writes the same as JSON.
#![expect(dead_code, reason = "types that are shapes: nobody holds one")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Map, Value};

#[derive(JsonSchema)]
#[schemars(rename = "OpenAiError")]
pub(crate) struct Error {
    error: ErrorBody,
}

#[derive(JsonSchema)]
#[schemars(rename = "OpenAiErrorBody")]
pub(crate) struct ErrorBody {
    /// For a person.
    message: String,
    #[schemars(rename = "type")]
    kind: String,
    /// The part of the request that is to blame.
    param: Option<String>,
    code: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "ChatCompletion")]
pub(crate) struct ChatCompletion {
    id: String,
    #[schemars(extend("const" = "chat.completion"))]
    object: String,
    /// Seconds since 1970.
    created: u64,
    model: String,
    choices: Vec<ChatChoice>,
    usage: CompletionUsage,
    system_fingerprint: Option<String>,
}

#[derive(JsonSchema)]
pub(crate) struct ChatChoice {
    index: usize,
    message: ChatAnswer,
    logprobs: Option<ChatLogprobs>,
    finish_reason: FinishReason,
}

#[derive(JsonSchema)]
pub(crate) struct ChatAnswer {
    #[schemars(extend("const" = "assistant"))]
    role: String,
    /// Null where the turn is calls alone.
    content: Option<String>,
    refusal: Option<String>,
    #[schemars(default)]
    tool_calls: Vec<CallTold>,
}

#[derive(JsonSchema)]
pub(crate) struct CallTold {
    id: String,
    #[schemars(extend("const" = "function"))]
    #[schemars(rename = "type")]
    kind: String,
    function: FunctionTold,
    /// In a stream: which of the answer's calls it is.
    #[schemars(default)]
    index: usize,
}

#[derive(JsonSchema)]
pub(crate) struct FunctionTold {
    name: String,
    /// A JSON object, in a string.
    arguments: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    Stop,
    Length,
    ToolCalls,
}

#[derive(JsonSchema)]
pub(crate) struct ChatLogprobs {
    content: Vec<TokenLogprob>,
    refusal: Option<Value>,
}

#[derive(JsonSchema)]
pub(crate) struct TokenLogprob {
    token: String,
    bytes: Vec<u8>,
    logprob: f64,
    /// The likeliest, likeliest first.
    #[schemars(default)]
    top_logprobs: Vec<TokenLogprob>,
}

#[derive(JsonSchema)]
pub(crate) struct CompletionUsage {
    /// Those that were left out of the prompt because the request allowed it.
    dropped_tokens: usize,
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(JsonSchema)]
pub(crate) struct PromptDetails {
    /// Tokens of the prompt that were known from before.
    cached_tokens: usize,
}

#[derive(JsonSchema)]
pub(crate) struct CompletionDetails {
    reasoning_tokens: usize,
}

/// A piece of a streamed answer; the last event is `[DONE]`.
#[derive(JsonSchema)]
pub(crate) struct ChatCompletionChunk {
    /// Beginning and end in Ondine's words, where the request asked for them.
    ondine: Option<Value>,
    id: String,
    #[schemars(extend("const" = "chat.completion.chunk"))]
    object: String,
    created: u64,
    model: String,
    system_fingerprint: Option<String>,
    choices: Vec<ChunkChoice>,
    /// In the last piece, where `stream_options` asks for it.
    usage: Option<CompletionUsage>,
}

#[derive(JsonSchema)]
pub(crate) struct ChunkChoice {
    index: usize,
    delta: ChatDelta,
    logprobs: Option<ChatLogprobs>,
    finish_reason: Option<FinishReason>,
}

#[derive(JsonSchema)]
pub(crate) struct ChatDelta {
    role: Option<String>,
    content: Option<String>,
    refusal: Option<String>,
    #[schemars(default)]
    tool_calls: Vec<CallTold>,
}

/// The whole answer, or a piece of it.
#[derive(JsonSchema)]
pub(crate) struct Completion {
    /// Beginning and end in Ondine's words, where the request asked for them.
    ondine: Option<Value>,
    id: String,
    #[schemars(extend("const" = "text_completion"))]
    object: String,
    created: u64,
    model: String,
    choices: Vec<TextChoice>,
    usage: Option<CompletionUsage>,
}

#[derive(JsonSchema)]
pub(crate) struct TextChoice {
    index: usize,
    text: String,
    logprobs: Option<TextLogprobs>,
    finish_reason: Option<FinishReason>,
}

#[derive(JsonSchema)]
pub(crate) struct TextLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f64>,
    top_logprobs: Vec<BTreeMap<String, f64>>,
    /// Where each token begins, in characters.
    text_offset: Vec<usize>,
}

#[derive(JsonSchema)]
pub(crate) struct EmbeddingList {
    #[schemars(extend("const" = "list"))]
    object: String,
    data: Vec<Embedding>,
    model: String,
    usage: EmbeddingUsage,
}

#[derive(JsonSchema)]
pub(crate) struct Embedding {
    #[schemars(extend("const" = "embedding"))]
    object: String,
    index: usize,
    embedding: Vector,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Vector {
    Numbers(Vec<f64>),
    /// Little-endian numbers of 32 bits, as base64.
    Base64(String),
}

#[derive(JsonSchema)]
pub(crate) struct EmbeddingUsage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// All models, in the shape of whoever asks: clients that send `anthropic-version` get Anthropic's.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Models {
    OpenAi(ModelList),
    Anthropic(super::anthropic::ModelList),
}

/// One model, in the shape of whoever asks.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(crate) enum OneModel {
    OpenAi(Model),
    Anthropic(super::anthropic::Model),
}

#[derive(JsonSchema)]
#[schemars(rename = "OpenAiModelList")]
pub(crate) struct ModelList {
    #[schemars(extend("const" = "list"))]
    object: String,
    data: Vec<Model>,
}

#[derive(JsonSchema)]
#[schemars(rename = "OpenAiModel")]
pub(crate) struct Model {
    id: String,
    #[schemars(extend("const" = "model"))]
    object: String,
    created: u64,
    owned_by: String,
    /// Positions that a prompt and its answer have together.
    context_length: usize,
    capabilities: Capabilities,
}

#[derive(JsonSchema)]
pub(crate) struct Capabilities {
    chat: bool,
    tools: bool,
    embeddings: bool,
}

#[derive(JsonSchema)]
pub(crate) struct Response {
    id: String,
    #[schemars(extend("const" = "response"))]
    object: String,
    created_at: u64,
    status: ResponseStatus,
    error: Option<ResponseError>,
    incomplete_details: Option<Incomplete>,
    model: String,
    output: Vec<OutputItem>,
    usage: Option<ResponseUsage>,
    instructions: Option<String>,
    max_output_tokens: Option<usize>,
    metadata: Map<String, Value>,
    parallel_tool_calls: bool,
    previous_response_id: Option<String>,
    reasoning: Value,
    store: bool,
    temperature: Option<f64>,
    text: Value,
    tool_choice: Value,
    tools: Vec<Value>,
    top_p: Option<f64>,
    truncation: String,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum ResponseStatus {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

#[derive(JsonSchema)]
pub(crate) struct ResponseError {
    code: Option<String>,
    message: String,
}

#[derive(JsonSchema)]
pub(crate) struct Incomplete {
    reason: String,
}

#[derive(JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case")]
pub(crate) enum OutputItem {
    Message { id: String, status: String, role: String, content: Vec<OutputText> },
    FunctionCall { id: String, call_id: String, name: String, arguments: String, status: String },
}

#[derive(JsonSchema)]
pub(crate) struct OutputText {
    #[schemars(extend("const" = "output_text"))]
    #[schemars(rename = "type")]
    kind: String,
    text: String,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

#[derive(JsonSchema)]
pub(crate) struct ResponseUsage {
    input_tokens: usize,
    input_tokens_details: PromptDetails,
    output_tokens: usize,
    output_tokens_details: CompletionDetails,
    total_tokens: usize,
    /// Tokens that `truncation: auto` left out.
    dropped_tokens: usize,
}

/// One event; which fields it has depends on its type.
#[derive(JsonSchema)]
pub(crate) struct ResponseEvent {
    #[schemars(rename = "type")]
    kind: String,
    sequence_number: u64,
    response: Option<Response>,
    item: Option<OutputItem>,
    part: Option<OutputText>,
    item_id: Option<String>,
    output_index: Option<usize>,
    content_index: Option<usize>,
    delta: Option<String>,
    text: Option<String>,
    name: Option<String>,
    arguments: Option<String>,
    logprobs: Option<Vec<Value>>,
}

#[derive(JsonSchema)]
pub(crate) struct ResponseDeleted {
    id: String,
    #[schemars(extend("const" = "response"))]
    object: String,
    deleted: bool,
}
