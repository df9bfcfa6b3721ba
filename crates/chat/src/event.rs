//! What comes of a request, piece by piece.

use serde::{Deserialize, Serialize};

use crate::error::ChatError;
use crate::message::ToolCall;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits for its turn. Comes now and then, before [`Event::Started`], so that who has gone
    /// away does not keep a place in the queue.
    Waiting {
        /// How many of the same app are before it.
        before: usize,
    },
    /// The prompt has been accepted and its turn has come.
    Started {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Those that were known from before.
        cached_tokens: usize,
    },
    /// The prompt is being read.
    Reading {
        /// Tokens of it that are known by now.
        done: usize,
    },
    /// Whole characters, perhaps none: a token may end inside of one.
    Text {
        /// What became certain.
        text: String,
        /// The tokens it was made of, where they were asked for.
        logprobs: Vec<TokenLogprob>,
    },
    /// A call, whole: its arguments keep to the tool's schema.
    Call(ToolCall),
    /// The last event of an answer.
    Finished {
        /// Why it ended.
        reason: FinishReason,
        /// What it cost.
        usage: Usage,
    },
    /// The last event where there is no answer, or no end to it.
    Failed(ChatError),
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum FinishReason {
    /// The model ended its turn, or what it may say is complete.
    Stop,
    /// One of the request's stop texts came.
    StopText,
    /// As many tokens as were allowed, or as there are positions.
    Length,
    /// It called tools and waits for their answers.
    Calls,
}

/// What an answer cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were known from before.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
    /// Tokens that were left out of the prompt because the request allowed it.
    pub dropped_tokens: usize,
    /// How long it took.
    pub timing: Timing,
}

/// How long the parts of an answer took, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timing {
    /// Waiting for its turn.
    pub queue_s: f64,
    /// Reading the prompt.
    pub prefill_s: f64,
    /// From the first token to the last.
    pub decode_s: f64,
}

/// A token of an answer and how likely it was, by the model alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// Its text; what is not a whole character stands as U+FFFD.
    pub text: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens in its place, likeliest first: text, bytes, logarithm.
    pub top: Vec<(String, Vec<u8>, f32)>,
}
