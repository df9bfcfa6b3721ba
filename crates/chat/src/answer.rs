//! A whole answer, for those who need no pieces.

use std::sync::mpsc;

use crate::Sink;
use crate::error::ChatError;
use crate::event::{Event, FinishReason, TokenLogprob, Usage};
use crate::message::{Message, ToolCall};

/// All that a request gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The words.
    pub text: String,
    /// What was called.
    pub calls: Vec<ToolCall>,
    /// The tokens, where they were asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// Why it ended.
    pub reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

impl Answer {
    /// Waits for the answer to a request that `start` hands a sink to.
    ///
    /// # Errors
    /// Those of `start`, and what went wrong on the way.
    pub fn collect(start: impl FnOnce(Sink) -> Result<(), ChatError>) -> Result<Answer, ChatError> {
        let (sender, events) = mpsc::channel();
        start(Box::new(move |event| sender.send(event).is_ok()))?;
        let (mut text, mut calls, mut logprobs) = (String::new(), Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
                Event::Text { text: piece, logprobs: tokens } => {
                    text.push_str(&piece);
                    logprobs.extend(tokens);
                }
                Event::Call(call) => calls.push(call),
                Event::Finished { reason, usage } => {
                    return Ok(Answer { text, calls, logprobs, reason, usage });
                }
                Event::Failed(error) => return Err(error),
            }
        }
        Err(ChatError::Internal("the answer has no end".into()))
    }

    /// The turn that it is in the conversation.
    pub fn message(&self) -> Message {
        Message { calls: self.calls.clone(), ..Message::assistant(self.text.clone()) }
    }
}
