//! A model that says what a test wrote, or what a function of the test decides: agents and chains are
//! tested with it, without any weights.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ondine_chat::{
    Chat, ChatError, Event, FinishReason, Model, Prompt, Request, Sink, ToolCall, Usage,
};
use serde_json::Value;

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The words.
    pub text: String,
    /// What is called: names and arguments.
    pub calls: Vec<(String, Value)>,
}

impl Reply {
    /// Words.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply { text: text.into(), calls: Vec::new() }
    }

    /// A call.
    pub fn call(name: impl Into<String>, arguments: Value) -> Reply {
        Reply { text: String::new(), calls: vec![(name.into(), arguments)] }
    }

    /// One more call.
    pub fn and_call(mut self, name: impl Into<String>, arguments: Value) -> Reply {
        self.calls.push((name.into(), arguments));
        self
    }
}

type Policy = Box<dyn FnMut(&Request) -> Result<Reply, ChatError> + Send>;

/// A model that says what a test wrote. A word is a token to it. What it was asked is kept.
pub struct ScriptedModel {
    policy: Mutex<Policy>,
    asked: Mutex<Vec<Request>>,
    context: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ScriptedModel {
    /// Gives these answers in order. To ask once more than there are is an error that says so.
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> ScriptedModel {
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let mut given = 0;
        ScriptedModel::by(move |_| {
            given += 1;
            let ended = || {
                ChatError::Internal(format!(
                    "the script has {} answers; this is question {given}",
                    given - 1
                ))
            };
            replies.pop_front().ok_or_else(ended)
        })
    }

    /// Answers as a function decides.
    pub fn by(
        policy: impl FnMut(&Request) -> Result<Reply, ChatError> + Send + 'static,
    ) -> ScriptedModel {
        ScriptedModel {
            policy: Mutex::new(Box::new(policy)),
            asked: Mutex::default(),
            context: 1 << 20,
        }
    }

    /// Has so many positions; a prompt that leaves no room is refused, as a real model does.
    pub fn context(mut self, tokens: usize) -> ScriptedModel {
        self.context = tokens;
        self
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Request> {
        lock(&self.asked).clone()
    }
}

/// Words of a prompt and of its tools.
fn words(request: &Request) -> usize {
    let count = |text: &str| text.split_whitespace().count();
    let prompt: usize = match &request.prompt {
        Prompt::Text(text) => count(text),
        Prompt::Messages(turns) => turns
            .iter()
            .map(|turn| {
                count(&turn.text)
                    + turn
                        .calls
                        .iter()
                        .map(|call| count(&call.arguments.to_string()))
                        .sum::<usize>()
            })
            .sum(),
    };
    prompt
        + request
            .tools
            .iter()
            .map(|tool| count(&tool.description) + count(&tool.parameters.to_string()))
            .sum::<usize>()
}

impl Chat for ScriptedModel {
    fn start(&self, request: Request, mut sink: Sink) -> Result<(), ChatError> {
        let nth = {
            let mut asked = lock(&self.asked);
            asked.push(request.clone());
            asked.len()
        };
        let prompt_tokens = words(&request);
        if prompt_tokens >= self.context {
            return Err(ChatError::Context { prompt_tokens, wanted: 1, context: self.context });
        }
        let reply = (lock(&self.policy))(&request)?;
        let mut usage = Usage { prompt_tokens, ..Usage::default() };
        if !sink(Event::Started { prompt_tokens, cached_tokens: 0 }) {
            return Ok(());
        }
        let most = request.max_tokens.unwrap_or(usize::MAX).min(self.context - prompt_tokens);
        let mut cut = false;
        for piece in reply.text.split_inclusive(char::is_whitespace) {
            if usage.completion_tokens == most {
                cut = true;
                break;
            }
            usage.completion_tokens += 1;
            if !sink(Event::Text { text: piece.to_owned(), logprobs: Vec::new() }) {
                return Ok(());
            }
        }
        let calls = if cut { &[][..] } else { &reply.calls };
        for (n, (name, arguments)) in calls.iter().enumerate() {
            usage.completion_tokens += 1;
            let id = format!("call_{nth}_{n}");
            if !sink(Event::Call(ToolCall { id, name: name.clone(), arguments: arguments.clone() }))
            {
                return Ok(());
            }
        }
        let reason = match () {
            () if cut => FinishReason::Length,
            () if !calls.is_empty() => FinishReason::Calls,
            () => FinishReason::Stop,
        };
        sink(Event::Finished { reason, usage });
        Ok(())
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        Ok(words(request))
    }

    fn models(&self) -> Vec<Model> {
        let name = "scripted".to_owned();
        vec![Model { name, context: self.context, chats: true, tools: true, ..Model::default() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine_chat::Message;

    #[test]
    fn it_says_what_was_written_and_no_more() {
        let model = ScriptedModel::new([
            Reply::text("good day"),
            Reply::call("clock", serde_json::json!({}))
                .and_call("clock", serde_json::json!({"zone": "UTC"})),
        ]);
        let ask = || model.ask(Request::new("", [Message::user("hi")]));
        assert_eq!(ask().unwrap().text, "good day");
        let calls = ask().unwrap();
        assert_eq!((calls.calls.len(), calls.reason), (2, FinishReason::Calls));
        assert!(ask().unwrap_err().to_string().contains("2 answers"), "the script is at its end");
        assert_eq!(model.asked().len(), 3);
    }
}
