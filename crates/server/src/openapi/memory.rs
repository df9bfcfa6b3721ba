//! What the endpoints about memory tell, as types: `memory.rs` writes the same as JSON. A plan is the
//! keeper's own type.
#![expect(dead_code, reason = "types that are shapes: nobody holds one")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

#[derive(JsonSchema)]
pub(crate) struct ServiceStatus {
    version: String,
    /// Seconds since the service began.
    uptime_s: u64,
    memory: MemoryUse,
    models: Vec<ModelUse>,
    requests: RequestCounts,
    /// Of the last minute.
    latency: Latency,
    /// Of the last seconds, all answers together.
    tokens_per_s: f64,
}

/// Bytes.
#[derive(JsonSchema)]
pub(crate) struct MemoryUse {
    budget: u64,
    used: u64,
}

#[derive(JsonSchema)]
pub(crate) struct ModelUse {
    name: String,
    loaded: bool,
    /// Of its weights.
    bytes: u64,
    sha256: Option<String>,
    /// Requests that wait, by app.
    waiting: BTreeMap<String, usize>,
    /// Requests that are answered, by app.
    running: BTreeMap<String, usize>,
    /// Bytes of keys and values that are kept for later requests.
    kept_bytes: u64,
    tokens: u64,
    cached_tokens: u64,
    leaves_in_s: Option<u64>,
    /// What is wrong with what the name stands for.
    problem: Option<String>,
}

#[derive(JsonSchema)]
pub(crate) struct RequestCounts {
    running: u64,
    waiting: u64,
    finished: u64,
    failed: u64,
}

/// Seconds.
#[derive(JsonSchema)]
pub(crate) struct Latency {
    queue_s: Quantiles,
    first_token_s: Quantiles,
    between_tokens_s: Quantiles,
}

/// Null where nothing was measured.
#[derive(JsonSchema)]
pub(crate) struct Quantiles {
    p50: Option<f64>,
    p99: Option<f64>,
}

#[derive(JsonSchema)]
pub(crate) struct ModelPlace {
    model: String,
    loaded: bool,
}
