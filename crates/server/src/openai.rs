//! OpenAI's API: its routes, its errors, and what its endpoints share. Each endpoint's shapes are
//! a file in `openai/`. It knows nothing of the other APIs.

pub(crate) mod chat;
mod completions;
mod embeddings;
mod models;
mod own;
pub(crate) mod responses;

use std::collections::BTreeMap;

use ondine_chat::{FinishReason, Sampling, TokenLogprob, ToolChoice, Usage};
use serde_json::{Value, json};

use crate::Limits;
use crate::common::{at_most, logprob, within};
use crate::openapi::openai as told;
use crate::route::Route;
use crate::stream::SSE;
use crate::trouble::{Kind, Trouble};

/// What stands where.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::post("/v1/chat/completions", "Answers a conversation", chat::chat)
            .takes::<chat::Body>()
            .gives::<told::ChatCompletion>()
            .streams::<told::ChatCompletionChunk>(SSE),
        Route::post("/v1/completions", "Goes on from a text", completions::complete)
            .takes::<completions::Body>()
            .gives::<told::Completion>()
            .streams::<told::Completion>(SSE),
        Route::post("/v1/embeddings", "Turns texts into vectors", embeddings::embed)
            .takes::<embeddings::Body>()
            .gives::<told::EmbeddingList>(),
        Route::post("/v1/responses", "Answers, and remembers the conversation", responses::create)
            .takes::<responses::Body>()
            .gives::<told::Response>()
            .streams::<told::ResponseEvent>(SSE),
        Route::get("/v1/responses/{id}", "Tells a kept response", responses::fetch)
            .gives::<told::Response>(),
        Route::delete("/v1/responses/{id}", "Forgets a kept response", responses::forget)
            .gives::<told::ResponseDeleted>(),
        Route::get("/v1/models", "Lists the models", models::list).gives::<told::Models>(),
        Route::get("/v1/models/{*id}", "Tells of one model", models::one).gives::<told::OneModel>(),
    ]
}

/// OpenAI's `type` and `code` for each kind of trouble.
fn words(kind: Kind) -> (&'static str, Option<&'static str>) {
    match kind {
        Kind::Invalid | Kind::NotFound | Kind::Method => ("invalid_request_error", None),
        Kind::Context => ("invalid_request_error", Some("context_length_exceeded")),
        Kind::NoToken => ("invalid_request_error", Some("missing_api_key")),
        Kind::WrongToken => ("invalid_request_error", Some("invalid_api_key")),
        Kind::Forbidden => ("invalid_request_error", Some("forbidden")),
        Kind::NoModel => ("invalid_request_error", Some("model_not_found")),
        Kind::Slow => ("invalid_request_error", Some("request_timeout")),
        Kind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        Kind::MediaType => ("invalid_request_error", Some("unsupported_media_type")),
        Kind::Busy => ("rate_limit_error", Some("rate_limit_exceeded")),
        Kind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        Kind::Memory => ("server_error", Some("out_of_memory")),
        Kind::ShuttingDown => ("server_error", Some("shutting_down")),
        Kind::Conflict => ("invalid_request_error", Some("conflict")),
        Kind::Unsupported => ("server_error", Some("unsupported")),
        Kind::Disk => ("server_error", Some("insufficient_storage")),
        Kind::Internal => ("server_error", Some("internal_error")),
    }
}

/// An error as OpenAI tells one.
pub(crate) fn error(trouble: &Trouble) -> Value {
    let (kind, code) = words(trouble.kind);
    json!({"error": {
        "message": trouble.message,
        "type": kind,
        "param": trouble.param,
        "code": code,
    }})
}

/// Why an answer ended.
pub(crate) fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopText => "stop",
        FinishReason::Length => "length",
        FinishReason::Calls => "tool_calls",
    }
}

/// What answers to the same prompt cost: the prompt is counted once.
#[derive(Clone, Copy, Default)]
struct Cost {
    prompt: usize,
    cached: usize,
    dropped: usize,
    completion: usize,
}

impl Cost {
    /// Adds an answer to the prompt of an earlier one, where there was one.
    fn add(&mut self, usage: &Usage, same_prompt: bool) {
        if !same_prompt {
            self.prompt += usage.prompt_tokens;
            self.cached += usage.cached_tokens;
            self.dropped += usage.dropped_tokens;
        }
        self.completion += usage.completion_tokens;
    }

    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
            // Not OpenAI's: tokens that `overflow` left out.
            "dropped_tokens": self.dropped,
        })
    }
}

/// Tokens of an answer as the chat endpoint tells them.
fn logprobs(tokens: &[TokenLogprob]) -> Value {
    let one = |text: &str, bytes: &[u8], value: f32| json!({"token": text, "bytes": bytes, "logprob": logprob(value)});
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| {
            let mut said = one(&token.text, &token.bytes, token.logprob);
            said["top_logprobs"] =
                token.top.iter().map(|(text, bytes, value)| one(text, bytes, *value)).collect();
            said
        })
        .collect();
    json!({"content": content, "refusal": null})
}

/// The fields that say how a token is chosen; `top_k`, `min_p` and `repetition_penalty` are not
/// OpenAI's own, but clients of local servers send them.
#[derive(Default)]
struct Choosing {
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    min_p: Option<f32>,
    presence_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    seed: Option<i64>,
}

impl Choosing {
    fn sampling(self, limits: &Limits) -> Result<Sampling, Trouble> {
        let mut logit_bias = BTreeMap::new();
        if let Some(biases) = self.logit_bias {
            at_most("logit_bias", biases.len(), limits.logit_bias, "tokens with a bias")?;
            for (token, bias) in biases {
                let Ok(token) = token.parse::<u32>() else {
                    return Err(Trouble::at("logit_bias", "expected token numbers as keys"));
                };
                within("logit_bias", Some(bias), -100.0..=100.0)?;
                logit_bias.insert(token, bias);
            }
        }
        Ok(Sampling {
            temperature: within("temperature", self.temperature, 0.0..=2.0)?,
            top_k: self.top_k,
            top_p: within("top_p", self.top_p, 0.0..=1.0)?,
            min_p: within("min_p", self.min_p, 0.0..=1.0)?,
            repeat_penalty: within("repetition_penalty", self.repetition_penalty, 0.01..=10.0)?,
            presence_penalty: within("presence_penalty", self.presence_penalty, -2.0..=2.0)?,
            frequency_penalty: within("frequency_penalty", self.frequency_penalty, -2.0..=2.0)?,
            logit_bias,
            // Negative seeds are seeds too: their bits are taken.
            seed: self.seed.map(|seed| seed as u64),
        })
    }
}

/// The same request `n` times. With a seed each has its own, or all would say the same.
fn copies(request: ondine_chat::Request, n: usize) -> Vec<ondine_chat::Request> {
    (0..n as u64)
        .map(|index| {
            let mut copy = request.clone();
            copy.sampling.seed = copy.sampling.seed.map(|seed| seed.wrapping_add(index));
            copy
        })
        .collect()
}

/// `"auto"`, `"none"`, `"required"`, or an object that has the name of the one function that has to be
/// called at `place`, a JSON pointer: the two APIs put it in different ones.
fn tool_choice(choice: Option<&Value>, place: &str) -> Result<ToolChoice, Trouble> {
    let named = |object: &Value| Some(ToolChoice::Named(object.pointer(place)?.as_str()?.into()));
    let chosen = match choice {
        None | Some(Value::Null) => Some(ToolChoice::Auto),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Some(ToolChoice::Auto),
            "none" => Some(ToolChoice::None),
            "required" => Some(ToolChoice::Required),
            _ => None,
        },
        Some(object) => named(object),
    };
    let wrong = "expected auto, none, required, or an object that names a function";
    chosen.ok_or_else(|| Trouble::at("tool_choice", wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_has_openai_s_words() {
        let rows = [
            (Kind::Invalid, 400, "invalid_request_error", None),
            (Kind::Context, 400, "invalid_request_error", Some("context_length_exceeded")),
            (Kind::NoToken, 401, "invalid_request_error", Some("missing_api_key")),
            (Kind::WrongToken, 401, "invalid_request_error", Some("invalid_api_key")),
            (Kind::NoModel, 404, "invalid_request_error", Some("model_not_found")),
            (Kind::TooLarge, 413, "invalid_request_error", Some("request_too_large")),
            (Kind::MediaType, 415, "invalid_request_error", Some("unsupported_media_type")),
            (Kind::Busy, 429, "rate_limit_error", Some("rate_limit_exceeded")),
            (Kind::Quota, 429, "insufficient_quota", Some("insufficient_quota")),
            (Kind::Memory, 503, "server_error", Some("out_of_memory")),
            (Kind::ShuttingDown, 503, "server_error", Some("shutting_down")),
            (Kind::Conflict, 409, "invalid_request_error", Some("conflict")),
            (Kind::Unsupported, 501, "server_error", Some("unsupported")),
            (Kind::Disk, 507, "server_error", Some("insufficient_storage")),
            (Kind::Internal, 500, "server_error", Some("internal_error")),
        ];
        for (kind, status, own_kind, code) in rows {
            assert_eq!(kind.status().as_u16(), status, "{kind:?}");
            assert_eq!(words(kind), (own_kind, code), "{kind:?}");
        }
        for kind in Kind::ALL {
            let said = error(&Trouble::new(kind, "x"));
            let keys: Vec<&String> = said["error"].as_object().unwrap().keys().collect();
            assert_eq!(keys, ["message", "type", "param", "code"], "{kind:?}");
        }
    }

    #[test]
    fn how_tokens_are_chosen_has_bounds() {
        let limits = Limits { logit_bias: 1, ..Limits::default() };
        let none = Choosing::default;
        let bias = |rows: &[(&str, f32)]| {
            Some(rows.iter().map(|(token, bias)| ((*token).to_owned(), *bias)).collect())
        };
        let rows = [
            (none(), true),
            (Choosing { temperature: Some(2.0), ..none() }, true),
            (Choosing { temperature: Some(2.1), ..none() }, false),
            (Choosing { temperature: Some(-1.0), ..none() }, false),
            (Choosing { top_p: Some(1.1), ..none() }, false),
            (Choosing { min_p: Some(-0.1), ..none() }, false),
            (Choosing { presence_penalty: Some(3.0), ..none() }, false),
            (Choosing { frequency_penalty: Some(-3.0), ..none() }, false),
            (Choosing { repetition_penalty: Some(0.0), ..none() }, false),
            (Choosing { logit_bias: bias(&[("5", 1.0)]), ..none() }, true),
            (Choosing { logit_bias: bias(&[("5", 101.0)]), ..none() }, false),
            (Choosing { logit_bias: bias(&[("x", 1.0)]), ..none() }, false),
            (Choosing { logit_bias: bias(&[("5", 1.0), ("6", 1.0)]), ..none() }, false),
        ];
        for (index, (choosing, good)) in rows.into_iter().enumerate() {
            assert_eq!(choosing.sampling(&limits).is_ok(), good, "row {index}");
        }
        let seeded = Choosing { seed: Some(-1), ..none() }.sampling(&limits).unwrap();
        assert_eq!(seeded.seed, Some(u64::MAX));
    }

    #[test]
    fn copies_have_their_own_seeds() {
        let mut request = ondine_chat::Request::text("m", "x");
        assert!(copies(request.clone(), 2).iter().all(|copy| copy.sampling.seed.is_none()));
        request.sampling.seed = Some(u64::MAX);
        let seeds: Vec<_> = copies(request, 2).iter().map(|copy| copy.sampling.seed).collect();
        assert_eq!(seeds, [Some(u64::MAX), Some(0)]);
    }
}
