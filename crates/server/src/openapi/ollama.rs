//! What Ollama's endpoints tell, as types: `ollama.rs` writes the same as JSON.
#![expect(dead_code, reason = "types that are shapes: nobody holds one")]

use schemars::JsonSchema;
use serde_json::{Map, Value};

#[derive(JsonSchema)]
#[schemars(rename = "OllamaError")]
pub(crate) struct Error {
    /// For a person.
    error: String,
}

/// The whole answer, or a line of it; the last has `done` and what it took, in nanoseconds.
#[derive(JsonSchema)]
pub(crate) struct OllamaAnswer {
    model: String,
    created_at: String,
    /// Of `/api/chat`.
    message: Option<OllamaTurn>,
    /// Of `/api/generate`.
    response: Option<String>,
    done: bool,
    done_reason: Option<String>,
    total_duration: Option<u64>,
    prompt_eval_count: Option<usize>,
    prompt_eval_duration: Option<u64>,
    eval_count: Option<usize>,
    eval_duration: Option<u64>,
    /// Tokens that `truncate` left out.
    dropped_tokens: Option<usize>,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaTurn {
    role: String,
    content: String,
    #[schemars(default)]
    tool_calls: Vec<OllamaCall>,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaCall {
    id: String,
    function: OllamaFunction,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaFunction {
    index: usize,
    name: String,
    arguments: Value,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaEmbeddings {
    model: String,
    embeddings: Vec<Vec<f64>>,
    /// Nanoseconds.
    total_duration: u64,
    prompt_eval_count: usize,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaTags {
    models: Vec<OllamaModel>,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaModel {
    name: String,
    model: String,
    modified_at: String,
    /// Bytes.
    size: u64,
    /// SHA-256 of the file, or nothing.
    digest: String,
    details: OllamaDetails,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaDetails {
    parent_model: String,
    format: String,
    family: String,
    families: Vec<String>,
    parameter_size: String,
    quantization_level: String,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaShown {
    modified_at: String,
    details: OllamaDetails,
    model_info: Map<String, Value>,
    capabilities: Vec<String>,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaVersion {
    version: String,
}

/// A line of a download; the last one's `status` is `success`.
#[derive(JsonSchema)]
pub(crate) struct OllamaPulling {
    /// What is being done.
    status: String,
    /// `sha256:…` of what is fetched, where it is known.
    digest: Option<String>,
    /// Bytes in all.
    total: Option<u64>,
    /// Bytes that have arrived.
    completed: Option<u64>,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaRunning {
    models: Vec<OllamaRunningModel>,
}

#[derive(JsonSchema)]
pub(crate) struct OllamaRunningModel {
    name: String,
    model: String,
    /// Bytes.
    size: u64,
    /// SHA-256 of the file, or nothing.
    digest: String,
    details: OllamaDetails,
    /// When it leaves memory, if nobody asks.
    expires_at: String,
    size_vram: u64,
    context_length: usize,
}

#[derive(JsonSchema)]
pub(crate) struct Nothing {}
