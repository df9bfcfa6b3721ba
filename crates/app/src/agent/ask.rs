//! One question to a model, from which the agent can walk away at any moment.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ondine_chat::{Answer, ChatError, Event, Request};

use crate::llm::Llm;
use crate::tool::Cancel;
use crate::trace;

/// How long somebody who stops waiting may have to wait for that.
pub(super) const GLANCE: Duration = Duration::from_millis(10);

/// Why there is no answer.
pub(super) enum Silence {
    /// Nobody waits any more.
    Cancelled,
    /// It took too long.
    OutOfTime,
    /// Whoever answers says no.
    Failed(ChatError),
}

/// The answer to a request, its pieces told as they come. Whoever answers may block before it says
/// anything: it is asked on a thread of its own, and what it says after nobody waits is not heard.
pub(super) fn ask(
    llm: &Llm,
    request: Request,
    cancel: &Cancel,
    end: Option<Instant>,
    mut piece: impl FnMut(&str),
) -> Result<Answer, Silence> {
    let request = llm.ready(request);
    let span = trace::chat(&request);
    trace::prompt(&span, &**llm.chat(), &request);
    let (sender, events) = mpsc::channel();
    let (theirs, asked) = (llm.clone(), sender.clone());
    let within = span.clone();
    let spawned = thread::Builder::new().name("agent asks".into()).spawn(move || {
        let sink = Box::new(move |event| sender.send(Ok(event)).is_ok());
        if let Err(error) = within.in_scope(|| theirs.begin(request, sink)) {
            let _ = asked.send(Err(error));
        }
    });
    if let Err(error) = spawned {
        return Err(Silence::Failed(ChatError::Internal(format!("no thread to ask on: {error}"))));
    }
    let (mut text, mut calls, mut logprobs) = (String::new(), Vec::new(), Vec::new());
    loop {
        if cancel.is_set() {
            return Err(Silence::Cancelled);
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Err(Silence::OutOfTime);
        }
        match events.recv_timeout(GLANCE) {
            Ok(Ok(Event::Text { text: more, logprobs: tokens })) => {
                if !more.is_empty() {
                    piece(&more);
                }
                text.push_str(&more);
                logprobs.extend(tokens);
            }
            Ok(Ok(Event::Call(call))) => calls.push(call),
            Ok(Ok(Event::Finished { reason, usage })) => {
                let answer = Answer { text, calls, logprobs, reason, usage };
                trace::answered(&span, &answer);
                return Ok(answer);
            }
            Ok(Ok(Event::Failed(error)) | Err(error)) => {
                trace::failed(&span, &error);
                return Err(Silence::Failed(error));
            }
            Ok(Ok(_)) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let what = "the answer has no end".into();
                return Err(Silence::Failed(ChatError::Internal(what)));
            }
        }
    }
}
