//! A model that says what it was told to, for tests of those who ask.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::error::ChatError;
use crate::event::{Event, FinishReason, Usage};
use crate::message::ToolCall;
use crate::request::{Prompt, Request};
use crate::{Chat, Embed, Embedded, Model, Sink};

/// Gives the same pieces to every request, a word of the prompt being a token, and keeps what it
/// was asked. It answers before [`Chat::start`] returns.
#[derive(Debug, Default)]
pub struct Script {
    pieces: Vec<String>,
    calls: Vec<ToolCall>,
    failures: Mutex<VecDeque<ChatError>>,
    asked: Mutex<Vec<Request>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Script {
    /// Says these pieces.
    pub fn new<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Script {
        Script { pieces: pieces.into_iter().map(Into::into).collect(), ..Script::default() }
    }

    /// Makes these calls after its words.
    pub fn calling(mut self, calls: impl IntoIterator<Item = ToolCall>) -> Script {
        self.calls = calls.into_iter().collect();
        self
    }

    /// Refuses the next request with this.
    pub fn refuse_next(&self, error: ChatError) {
        lock(&self.failures).push_back(error);
    }

    /// Refuses nothing that it was told to refuse and was not asked yet.
    pub fn refuse_none(&self) {
        lock(&self.failures).clear();
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Request> {
        lock(&self.asked).clone()
    }
}

fn words(request: &Request) -> usize {
    match &request.prompt {
        Prompt::Text(text) => text.split_whitespace().count(),
        Prompt::Messages(turns) => turns.iter().map(|m| m.text.split_whitespace().count()).sum(),
    }
}

impl Chat for Script {
    fn start(&self, request: Request, mut sink: Sink) -> Result<(), ChatError> {
        lock(&self.asked).push(request.clone());
        if let Some(error) = lock(&self.failures).pop_front() {
            return Err(error);
        }
        let prompt_tokens = words(&request);
        let mut usage = Usage { prompt_tokens, ..Usage::default() };
        if !sink(Event::Started { prompt_tokens, cached_tokens: 0 }) {
            return Ok(());
        }
        let most = request.max_tokens.unwrap_or(usize::MAX);
        for text in self.pieces.iter().take(most) {
            usage.completion_tokens += 1;
            if !sink(Event::Text { text: text.clone(), logprobs: Vec::new() }) {
                return Ok(());
            }
        }
        let calls = if request.tools.is_empty() { &[][..] } else { &self.calls };
        for call in calls {
            usage.completion_tokens += 1;
            if !sink(Event::Call(call.clone())) {
                return Ok(());
            }
        }
        let reason = match () {
            () if self.pieces.len() > most => FinishReason::Length,
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
        let name = "script".to_owned();
        vec![Model { name, context: 4096, chats: true, tools: true, ..Model::default() }]
    }
}

impl Embed for Script {
    /// One number for each text: 1.
    fn embed(&self, _: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let tokens = texts.iter().map(|text| text.split_whitespace().count()).sum();
        Ok(Embedded { vectors: vec![vec![1.0]; texts.len()], tokens })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Tool;
    use crate::{Answer, Message};

    #[test]
    fn it_says_what_it_was_told_and_keeps_what_it_was_asked() {
        let call =
            ToolCall { id: "1".into(), name: "now".into(), arguments: serde_json::json!({}) };
        let script = Script::new(["a", "b", "c"]).calling([call.clone()]);
        let mut request = Request::new("m", [Message::user("one two three")]);
        let answer = script.ask(request.clone()).unwrap();
        assert_eq!((answer.text.as_str(), answer.reason), ("abc", FinishReason::Stop));
        assert_eq!((answer.usage.prompt_tokens, answer.usage.completion_tokens), (3, 3));

        request.tools.push(Tool {
            name: "now".into(),
            description: String::new(),
            parameters: serde_json::json!({}),
        });
        let answer = script.ask(request.clone()).unwrap();
        assert_eq!((answer.calls.as_slice(), answer.reason), (&[call][..], FinishReason::Calls));
        assert_eq!(answer.message().calls, answer.calls);

        request.max_tokens = Some(2);
        request.tools.clear();
        let answer = script.ask(request.clone()).unwrap();
        assert_eq!((answer.text.as_str(), answer.reason), ("ab", FinishReason::Length));
        assert_eq!(script.asked().len(), 3);

        script.refuse_next(ChatError::ShuttingDown);
        assert_eq!(script.ask(request.clone()), Err(ChatError::ShuttingDown));
        assert!(script.ask(request).is_ok(), "once");
    }

    #[test]
    fn who_does_not_listen_is_not_told_more() {
        let script = Script::new(["a", "b"]);
        let mut told = 0;
        let (sender, count) = std::sync::mpsc::channel();
        let sink: Sink = Box::new(move |_| {
            told += 1;
            sender.send(told).unwrap();
            told < 2
        });
        script.start(Request::text("m", "x"), sink).unwrap();
        assert_eq!(count.iter().last(), Some(2));
    }

    #[test]
    fn an_answer_without_an_end_is_an_error() {
        let answer = Answer::collect(|mut sink| {
            sink(Event::Text { text: "a".into(), logprobs: Vec::new() });
            Ok(())
        });
        assert!(matches!(answer, Err(ChatError::Internal(_))));
    }
}
