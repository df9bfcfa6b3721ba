//! `POST /v1/completions`: OpenAI's older shapes, a text that is gone on from without a template.

use std::collections::BTreeMap;

use axum::response::Response;
use ondine_chat::{Answer, Event, Overflow, Prompt, Request, TokenLogprob};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::chat::StreamOptions;
use super::own::{self, Own};
use super::{Choosing, Cost, copies, error, finish};
use crate::Limits;
use crate::common::{self, at_most, id, logprob, now_s, within};
use crate::house::{Call, good};
use crate::stream::{self, Encode, sse};
use crate::trouble::Trouble;
use crate::wire::OneOr;

/// Tokens of an answer where nothing is said about it, as OpenAI documents.
const MAX_TOKENS_DEFAULT: usize = 16;
/// Likeliest tokens that this older endpoint tells at most.
const LOGPROBS_MAX: usize = 5;

// Bounds stand in `Limits` and in `Choosing::sampling`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "CompletionRequest")]
pub(super) struct Body {
    model: String,
    #[schemars(with = "OneOr<String>")]
    prompt: OneOr<Value>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    n: Option<usize>,
    #[serde(default)]
    best_of: Option<usize>,
    #[serde(default)]
    echo: Option<bool>,
    #[serde(default)]
    suffix: Option<String>,
    #[serde(default)]
    stop: Option<OneOr<String>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    logprobs: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    min_p: Option<f32>,
    #[serde(default)]
    presence_penalty: Option<f32>,
    #[serde(default)]
    frequency_penalty: Option<f32>,
    #[serde(default)]
    repetition_penalty: Option<f32>,
    #[serde(default)]
    logit_bias: Option<BTreeMap<String, f32>>,
    #[serde(default)]
    seed: Option<i64>,
    /// Not OpenAI's: what happens when the text does not fit.
    #[serde(default)]
    overflow: Option<Overflow>,
    #[serde(default)]
    ondine: Option<Own>,
}

/// Texts of a field that also may hold token numbers, which mean nothing across models.
pub(super) fn texts(
    limits: &Limits,
    path: &str,
    input: OneOr<Value>,
) -> Result<Vec<String>, Trouble> {
    let list = match input {
        OneOr::One(text) => return Ok(vec![text]),
        OneOr::Many(list) => list,
    };
    at_most(path, list.len(), limits.texts, "texts")?;
    if list.is_empty() {
        return Err(Trouble::at(path, "expected at least one text"));
    }
    let one = |(index, value): (usize, Value)| match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Array(_) => {
            Err(Trouble::at(path, "token numbers are not taken; send text"))
        }
        _ => Err(Trouble::at(format!("{path}[{index}]"), "expected a string")),
    };
    list.into_iter().enumerate().map(one).collect()
}

#[derive(Debug)]
struct Wanted {
    /// `n` after one another for each prompt.
    requests: Vec<Request>,
    n: usize,
    model: String,
    stream: bool,
    include_usage: bool,
    logprobs: bool,
    own: bool,
}

impl Body {
    fn wanted(self, limits: &Limits) -> Result<Wanted, Trouble> {
        if self.echo == Some(true) {
            return Err(Trouble::at("echo", "is not supported; the prompt is known to its sender"));
        }
        if self.suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(Trouble::at("suffix", "is not supported"));
        }
        let n = within("n", self.n, 1..=limits.choices)?.unwrap_or(1);
        if self.best_of.is_some_and(|best_of| best_of != n) {
            return Err(Trouble::at("best_of", "is not supported; use n"));
        }
        let prompts = texts(limits, "prompt", self.prompt)?;
        at_most("prompt", prompts.len().saturating_mul(n), limits.choices, "answers")?;
        let sampling = Choosing {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            repetition_penalty: self.repetition_penalty,
            logit_bias: self.logit_bias,
            seed: self.seed,
        }
        .sampling(limits)?;
        let max_tokens = within("max_tokens", self.max_tokens, 1..=limits.tokens)?;
        let stop = common::stops(limits, "stop", self.stop)?;
        let logprobs = within("logprobs", self.logprobs, 0..=LOGPROBS_MAX)?;
        let mut request = Request {
            sampling,
            max_tokens: Some(max_tokens.unwrap_or(MAX_TOKENS_DEFAULT)),
            stop,
            logprobs,
            overflow: self.overflow.unwrap_or_default(),
            ..Request::text(self.model.clone(), "")
        };
        let own = self.ondine.is_some();
        if let Some(ondine) = self.ondine {
            request.max_tokens = max_tokens;
            ondine.add_to(&mut request, limits)?;
        }
        let request = |prompt: String| Request { prompt: Prompt::Text(prompt), ..request.clone() };
        Ok(Wanted {
            requests: prompts.into_iter().flat_map(|prompt| copies(request(prompt), n)).collect(),
            n,
            model: self.model.clone(),
            stream: self.stream.unwrap_or(false),
            include_usage: self.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            logprobs: logprobs.is_some(),
            own,
        })
    }
}

/// Goes on from texts.
pub(super) async fn complete(call: Call) -> Result<Response, Trouble> {
    let limits = call.house.limits.clone();
    let wanted = call.read::<Body>()?.wanted(&limits)?;
    let head = Head {
        id: id("cmpl-"),
        created: now_s(),
        model: wanted.model,
        n: wanted.n,
        logprobs: wanted.logprobs,
    };
    let (feed, place) = call.ask(wanted.requests).await?;
    if wanted.stream {
        let include_usage = wanted.include_usage;
        let (own, cost, offsets) = (wanted.own, Cost::default(), BTreeMap::new());
        let chunks = Chunks { head, include_usage, own, cost, offsets };
        return Ok(stream::response(feed, chunks, limits.keep_alive, place));
    }
    let answers = feed.answers().await?;
    Ok(good(&head.whole(&answers)))
}

#[derive(Debug)]
struct Head {
    id: String,
    created: u64,
    model: String,
    n: usize,
    logprobs: bool,
}

/// Tokens as this endpoint tells them: columns, with places in the text from `offset` on.
fn columns(tokens: &[TokenLogprob], mut offset: usize) -> Value {
    let (mut texts, mut values, mut tops, mut offsets) = (vec![], vec![], vec![], vec![]);
    for token in tokens {
        texts.push(token.text.clone());
        values.push(logprob(token.logprob));
        let top: Map<String, Value> = token
            .top
            .iter()
            .map(|(text, _, value)| (text.clone(), logprob(*value).into()))
            .collect();
        tops.push(top);
        offsets.push(offset);
        offset += token.text.chars().count();
    }
    json!({"tokens": texts, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets})
}

impl Head {
    fn whole(&self, answers: &[Answer]) -> Value {
        let mut cost = Cost::default();
        let mut choices = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            cost.add(&answer.usage, !index.is_multiple_of(self.n));
            choices.push(json!({
                "index": index,
                "text": answer.text,
                "logprobs": self.logprobs.then(|| columns(&answer.logprobs, 0)),
                "finish_reason": finish(answer.reason),
            }));
        }
        let mut body = self.part(choices.into());
        body["usage"] = cost.json();
        body
    }

    fn part(&self, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}

struct Chunks {
    head: Head,
    include_usage: bool,
    /// Whether the client is one of ours.
    own: bool,
    cost: Cost,
    /// Characters that each answer has so far.
    offsets: BTreeMap<usize, usize>,
}

impl Chunks {
    fn say(&self, out: &mut String, choice: Value) {
        let mut chunk = self.head.part(json!([choice]));
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        sse(out, None, &chunk);
    }
}

impl Encode for Chunks {
    fn event(&mut self, index: usize, event: Event, out: &mut String) {
        if self.own {
            own::tell(out, &event, || self.head.part(json!([])));
        }
        match event {
            Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
            Event::Call(_) => {}
            Event::Text { text, logprobs } if text.is_empty() && logprobs.is_empty() => {}
            Event::Text { text, logprobs } => {
                let offset = self.offsets.entry(index).or_default();
                let tokens = self.head.logprobs.then(|| columns(&logprobs, *offset));
                *offset += logprobs.iter().map(|token| token.text.chars().count()).sum::<usize>();
                let reason = Value::Null;
                let choice = json!({
                    "index": index, "text": text, "logprobs": tokens, "finish_reason": reason,
                });
                self.say(out, choice);
            }
            Event::Finished { reason, usage } => {
                // Answers to one prompt are `n` after one another; the first tells its prompt.
                self.cost.add(&usage, !index.is_multiple_of(self.head.n));
                let reason = finish(reason);
                let choice = json!({
                    "index": index, "text": "", "logprobs": null, "finish_reason": reason,
                });
                self.say(out, choice);
            }
            Event::Failed(why) => sse(out, None, &error(&why.into())),
        }
    }

    fn end(&mut self, out: &mut String) {
        if self.include_usage {
            let mut chunk = self.head.part(json!([]));
            chunk["usage"] = self.cost.json();
            sse(out, None, &chunk);
        }
        *out += "data: [DONE]\n\n";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shape;

    fn wanted(body: Value) -> Result<Wanted, Trouble> {
        shape::<Body>(&body)?.wanted(&Limits::default())
    }

    #[test]
    fn each_field_has_its_place_or_a_refusal() {
        let rows = [
            (json!({"model": "m", "prompt": "x"}), None),
            (json!({"model": "m", "prompt": ["x", "y"], "n": 4}), None),
            (json!({"model": "m", "prompt": ["x", "y"], "n": 5}), Some("prompt")),
            (json!({"model": "m", "prompt": [1, 2]}), Some("prompt")),
            (json!({"model": "m", "prompt": [[1, 2]]}), Some("prompt")),
            (json!({"model": "m", "prompt": [{}]}), Some("prompt[0]")),
            (json!({"model": "m", "prompt": []}), Some("prompt")),
            (json!({"model": "m"}), Some("prompt")),
            (json!({"model": "m", "prompt": "x", "echo": true}), Some("echo")),
            (json!({"model": "m", "prompt": "x", "suffix": "y"}), Some("suffix")),
            (json!({"model": "m", "prompt": "x", "best_of": 1}), None),
            (json!({"model": "m", "prompt": "x", "best_of": 3}), Some("best_of")),
            (json!({"model": "m", "prompt": "x", "n": 1_000_000_000}), Some("n")),
            (json!({"model": "m", "prompt": "x", "logprobs": 5}), None),
            (json!({"model": "m", "prompt": "x", "logprobs": 6}), Some("logprobs")),
        ];
        for (body, expected) in rows {
            let param = wanted(body.clone()).err().map(|trouble| trouble.param.unwrap_or_default());
            assert_eq!(param.as_deref(), expected, "{body}");
        }
        let wanted =
            wanted(json!({"model": "m", "prompt": ["x", "y"], "n": 2, "seed": 5})).unwrap();
        let said: Vec<_> =
            wanted.requests.iter().map(|r| (r.prompt.clone(), r.sampling.seed.unwrap())).collect();
        let text = |text: &str| ondine_chat::Prompt::Text(text.into());
        assert_eq!(said, [(text("x"), 5), (text("x"), 6), (text("y"), 5), (text("y"), 6)]);
        assert_eq!(wanted.requests[0].max_tokens, Some(16));
    }

    #[test]
    fn tokens_stand_in_columns() {
        let token = |text: &str| TokenLogprob {
            text: text.into(),
            bytes: text.as_bytes().to_vec(),
            logprob: -0.5,
            top: vec![("z".into(), b"z".to_vec(), f32::NEG_INFINITY)],
        };
        assert_eq!(
            columns(&[token("é"), token("b")], 3),
            json!({
                "tokens": ["é", "b"], "token_logprobs": [-0.5, -0.5],
                "top_logprobs": [{"z": -9999.0}, {"z": -9999.0}], "text_offset": [3, 4],
            })
        );
    }
}
