//! What is asked of a model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keeper::Keep;
use crate::message::Message;

/// What the model goes on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// A conversation, which the model's chat template turns into text.
    Messages(Vec<Message>),
    /// Text as it stands, with no template around it.
    Text(String),
}

/// One request for an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The model's name; the default model where it is empty.
    pub model: String,
    /// What it goes on from.
    pub prompt: Prompt,
    /// What it may call.
    pub tools: Vec<Tool>,
    /// Whether it may, must, or must not.
    pub tool_choice: ToolChoice,
    /// What its words may be.
    pub format: Format,
    /// How a token is chosen.
    pub sampling: Sampling,
    /// Tokens of the answer at most; as many as fit where `None`.
    pub max_tokens: Option<usize>,
    /// Texts that end the answer. They are not part of it.
    pub stop: Vec<String>,
    /// How many of the likeliest tokens are told with each of the answer; `Some(0)` tells the
    /// token's own alone.
    pub logprobs: Option<usize>,
    /// What happens when prompt and answer do not fit.
    pub overflow: Overflow,
    /// Whose request it is: its turn in the queue, its quota, and what it shares a prefix with.
    pub app: String,
    /// Goes behind requests that somebody waits for.
    pub background: bool,
    /// The kept conversation that it continues, where it continues one: what was computed for it is
    /// worth keeping.
    pub session: Option<String>,
    /// How long the model stays in memory afterwards.
    pub keep: Keep,
}

impl Request {
    /// A conversation, with nothing special asked.
    pub fn new(model: impl Into<String>, messages: impl IntoIterator<Item = Message>) -> Request {
        Request::of(model, Prompt::Messages(messages.into_iter().collect()))
    }

    /// A text to go on from, with nothing special asked.
    pub fn text(model: impl Into<String>, text: impl Into<String>) -> Request {
        Request::of(model, Prompt::Text(text.into()))
    }

    fn of(model: impl Into<String>, prompt: Prompt) -> Request {
        Request {
            model: model.into(),
            prompt,
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            format: Format::Text,
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            logprobs: None,
            overflow: Overflow::Error,
            app: String::new(),
            background: false,
            session: None,
            keep: Keep::Usual,
        }
    }
}

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// Whether tools are called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToolChoice {
    /// As the model likes.
    #[default]
    Auto,
    /// Never.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
}

/// What the words of an answer may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Format {
    /// Anything.
    #[default]
    Text,
    /// A JSON object of any kind.
    Json,
    /// JSON that this schema allows.
    Schema(Value),
    /// Text that this regular expression matches from end to end.
    Regex(String),
    /// Text of this Lark grammar.
    Lark(String),
}

/// How a token is chosen. What is `None` is as the model's own default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 takes the likeliest.
    pub temperature: Option<f32>,
    /// The likeliest so many.
    pub top_k: Option<usize>,
    /// The likeliest that together have this probability.
    pub top_p: Option<f32>,
    /// Those with at least this share of the likeliest's probability.
    pub min_p: Option<f32>,
    /// Divides the logits of tokens that were there before.
    pub repeat_penalty: Option<f32>,
    /// Taken from the logits of tokens that were there before.
    pub presence_penalty: Option<f32>,
    /// The same for each time that they were there.
    pub frequency_penalty: Option<f32>,
    /// Added to logits, by token.
    pub logit_bias: BTreeMap<u32, f32>,
    /// The same request with the same seed gets the same answer.
    pub seed: Option<u64>,
}

/// What happens when prompt and answer do not fit into the model's positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// The request is refused, with both numbers.
    #[default]
    Error,
    /// The oldest turns after the system's are left out, whole; how many tokens they had is told.
    Anchored,
    /// The oldest turns after the system's are replaced by a summary that the model writes of them; how
    /// many tokens they had is told.
    Summarize,
    /// The answer ends where the positions do.
    Stop,
}
