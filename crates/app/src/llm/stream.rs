//! An answer as it comes: an iterator, which ends the answer when it is dropped.

use std::sync::mpsc::{self, Receiver};

use ondine_chat::{Answer, Chat, ChatError, Event, FinishReason, Request, Usage};
use tracing::Span;

use crate::error::Error;
use crate::trace;

/// What happens on the way to an answer. The last item is [`Event::Finished`] or an error. Dropping it
/// before tells whoever answers that nobody listens: the answer ends with its next token.
pub struct Events {
    events: Receiver<Event>,
    span: Span,
    answer: Answer,
    is_over: bool,
    failed: Option<ChatError>,
}

impl Events {
    pub(super) fn start(chat: &dyn Chat, request: Request) -> Result<Events, Error> {
        let span = trace::chat(&request);
        trace::prompt(&span, chat, &request);
        let (sender, events) = mpsc::channel();
        let sink = Box::new(move |event| sender.send(event).is_ok());
        let started = span.in_scope(|| chat.start(request, sink));
        started.inspect_err(|error| trace::failed(&span, error))?;
        let answer = Answer {
            text: String::new(),
            calls: Vec::new(),
            logprobs: Vec::new(),
            reason: FinishReason::Stop,
            usage: Usage::default(),
        };
        Ok(Events { events, span, answer, is_over: false, failed: None })
    }

    /// Waits for the end, and gives all of it, what was already taken as well.
    ///
    /// # Errors
    /// What goes wrong on the way, or went wrong before.
    pub fn finish(mut self) -> Result<Answer, Error> {
        for event in self.by_ref() {
            event?;
        }
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(self.answer),
        }
    }

    /// What went wrong on the way.
    pub(super) fn failed(&self) -> Option<&ChatError> {
        self.failed.as_ref()
    }

    fn fail(&mut self, error: ChatError) -> Option<Result<Event, Error>> {
        self.is_over = true;
        trace::failed(&self.span, &error);
        self.failed = Some(error.clone());
        Some(Err(error.into()))
    }

    /// Tells every piece until the end.
    pub(super) fn each_piece(&mut self, piece: &mut impl FnMut(&str)) -> Result<(), Error> {
        for event in self {
            if let Event::Text { text, .. } = event?
                && !text.is_empty()
            {
                piece(&text);
            }
        }
        Ok(())
    }
}

impl Iterator for Events {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.is_over {
            return None;
        }
        let Ok(event) = self.events.recv() else {
            return self.fail(ChatError::Internal("the answer has no end".into()));
        };
        match &event {
            Event::Text { text, logprobs } => {
                self.answer.text.push_str(text);
                self.answer.logprobs.extend(logprobs.iter().cloned());
            }
            Event::Call(call) => self.answer.calls.push(call.clone()),
            Event::Finished { reason, usage } => {
                self.is_over = true;
                (self.answer.reason, self.answer.usage) = (*reason, *usage);
                trace::answered(&self.span, &self.answer);
            }
            Event::Failed(error) => {
                let error = error.clone();
                return self.fail(error);
            }
            Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
        }
        Some(Ok(event))
    }
}

/// The words of an answer, piece by piece. Dropping it ends the answer.
pub struct Pieces(Events);

impl Pieces {
    pub(super) fn new(events: Events) -> Pieces {
        Pieces(events)
    }

    /// Waits for the end, and gives all of it.
    ///
    /// # Errors
    /// Those of [`Events::finish`].
    pub fn finish(self) -> Result<Answer, Error> {
        self.0.finish()
    }
}

impl Iterator for Pieces {
    type Item = Result<String, Error>;

    fn next(&mut self) -> Option<Result<String, Error>> {
        loop {
            match self.0.next()? {
                Ok(Event::Text { text, .. }) if !text.is_empty() => return Some(Ok(text)),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
