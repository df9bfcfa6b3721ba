//! A model that says what a test wrote, or what a function of the test decides: agents and chains are
//! tested with it, without any weights.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ondine_chat::{
    Chat, ChatError, Event, FinishReason, Model, Prompt, Request, Sink, TokenLogprob, ToolCall,
    Usage,
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
    manner: Manner,
}

/// How it speaks.
#[derive(Clone, Default)]
struct Manner {
    /// Before each piece.
    pause: Duration,
    /// Of each word, where they are asked for.
    logprob: f32,
    /// Which answer breaks off (counted from 1), after how many pieces, and why.
    breaks: Vec<(usize, usize, ChatError)>,
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
            manner: Manner::default(),
        }
    }

    /// Speaks slowly, on a thread of its own: so long before each piece. `start` returns at once, as a
    /// real model's does.
    pub fn pausing(mut self, pause: Duration) -> ScriptedModel {
        self.manner.pause = pause;
        self
    }

    /// Its answer number `answer`, counted from 1, breaks off with `error` after so many pieces.
    pub fn breaking(mut self, answer: usize, pieces: usize, error: ChatError) -> ScriptedModel {
        self.manner.breaks.push((answer, pieces, error));
        self
    }

    /// The logarithm of the probability of each of its words, which is told where a request asks.
    pub fn logprob(mut self, logprob: f32) -> ScriptedModel {
        self.manner.logprob = logprob;
        self
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

/// An answer that is about to be given.
struct Said {
    reply: Reply,
    nth: usize,
    prompt_tokens: usize,
    /// Tokens that fit.
    room: usize,
    manner: Manner,
}

impl Said {
    fn speak(self, request: &Request, sink: &mut Sink) {
        let Said { reply, nth, prompt_tokens, room, manner } = self;
        let mut usage = Usage { prompt_tokens, ..Usage::default() };
        if !sink(Event::Started { prompt_tokens, cached_tokens: 0 }) {
            return;
        }
        let breaks = manner.breaks.into_iter().find(|(answer, ..)| *answer == nth);
        let most = request.max_tokens.unwrap_or(usize::MAX).min(room);
        let mut cut = false;
        for piece in reply.text.split_inclusive(char::is_whitespace) {
            if usage.completion_tokens == most {
                cut = true;
                break;
            }
            if let Some((_, pieces, error)) = &breaks
                && usage.completion_tokens == *pieces
            {
                sink(Event::Failed(error.clone()));
                return;
            }
            thread::sleep(manner.pause);
            usage.completion_tokens += 1;
            let logprobs = request.logprobs.map(|_| token(piece, manner.logprob));
            let logprobs = logprobs.into_iter().collect();
            if !sink(Event::Text { text: piece.to_owned(), logprobs }) {
                return;
            }
        }
        if let Some((_, _, error)) = breaks {
            sink(Event::Failed(error));
            return;
        }
        let calls = if cut { &[][..] } else { &reply.calls };
        for (n, (name, arguments)) in calls.iter().enumerate() {
            thread::sleep(manner.pause);
            usage.completion_tokens += 1;
            let id = format!("call_{nth}_{n}");
            if !sink(Event::Call(ToolCall { id, name: name.clone(), arguments: arguments.clone() }))
            {
                return;
            }
        }
        let reason = match () {
            () if cut => FinishReason::Length,
            () if !calls.is_empty() => FinishReason::Calls,
            () => FinishReason::Stop,
        };
        sink(Event::Finished { reason, usage });
    }
}

/// A word as a token.
fn token(text: &str, logprob: f32) -> TokenLogprob {
    let bytes = text.as_bytes().to_vec();
    TokenLogprob { text: text.to_owned(), bytes, logprob, top: Vec::new() }
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
        let room = self.context - prompt_tokens;
        let said = Said { reply, nth, prompt_tokens, room, manner: self.manner.clone() };
        if self.manner.pause.is_zero() {
            said.speak(&request, &mut sink);
            return Ok(());
        }
        thread::Builder::new()
            .name("scripted model".into())
            .spawn(move || said.speak(&request, &mut sink))
            .map_err(|error| ChatError::Internal(format!("no thread to speak on: {error}")))?;
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

    #[test]
    fn it_speaks_slowly_breaks_off_and_tells_how_sure_it_is() {
        let pause = Duration::from_millis(15);
        let model = ScriptedModel::by(|_| Ok(Reply::text("one two three")))
            .pausing(pause)
            .breaking(2, 1, ChatError::ShuttingDown)
            .logprob(-0.5);
        let begun = std::time::Instant::now();
        let (sender, events) = std::sync::mpsc::channel();
        let request = Request { logprobs: Some(0), ..Request::new("", [Message::user("x")]) };
        let sink: Sink = Box::new(move |event| sender.send(event).is_ok());
        model.start(request.clone(), sink).unwrap();
        assert!(begun.elapsed() < pause * 3, "it returns before the answer is there");
        let events: Vec<Event> = events.iter().collect();
        assert!(begun.elapsed() >= pause * 3, "{:?}", begun.elapsed());
        let logprobs = events.iter().filter_map(|event| match event {
            Event::Text { logprobs, .. } => Some(logprobs[0].logprob),
            _ => None,
        });
        assert_eq!(logprobs.collect::<Vec<_>>(), [-0.5; 3]);
        assert_eq!(model.ask(request.clone()), Err(ChatError::ShuttingDown));
        assert_eq!(model.ask(request).unwrap().text, "one two three");
    }
}
