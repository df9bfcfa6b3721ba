//! A model that can be asked, wherever it is.

use std::sync::Arc;

use ondine_chat::{Answer, Chat, ChatError, Embed, Message, Request, Sink};

use crate::error::Error;
use crate::trace;

/// A model that can be asked. Cheap to clone. Where it is, the crate that opened it knows.
#[derive(Clone)]
pub struct Llm {
    chat: Arc<dyn Chat>,
    embed: Option<Arc<dyn Embed>>,
    model: String,
}

impl Llm {
    /// The default model of whoever answers.
    pub fn new(chat: Arc<dyn Chat>) -> Llm {
        Llm { chat, embed: None, model: String::new() }
    }

    /// Texts become vectors there.
    pub fn embedding_with(mut self, embed: Arc<dyn Embed>) -> Llm {
        self.embed = Some(embed);
        self
    }

    /// Another model of whoever answers.
    pub fn model(mut self, name: impl Into<String>) -> Llm {
        self.model = name.into();
        self
    }

    /// The answer to one question.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn ask(&self, text: &str) -> Result<String, Error> {
        Ok(self.answer(Request::new("", [Message::user(text)]))?.text)
    }

    /// The answer to a request, whole. A request that names no model is asked of this one.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn answer(&self, mut request: Request) -> Result<Answer, Error> {
        if request.model.is_empty() {
            request.model.clone_from(&self.model);
        }
        let span = trace::chat(&request);
        let answer = span.in_scope(|| self.chat.ask(request))?;
        trace::answered(&span, &answer);
        Ok(answer)
    }

    /// Begins to answer, as [`Chat::start`] does, with this model's name in the request. An agent asks so:
    /// it must be able to stop listening.
    pub(crate) fn begin(&self, mut request: Request, sink: Sink) -> Result<(), ChatError> {
        if request.model.is_empty() {
            request.model.clone_from(&self.model);
        }
        self.chat.start(request, sink)
    }

    /// A vector of length 1 for each text.
    ///
    /// # Errors
    /// Those of [`Embed::embed`]; nobody here turns texts into vectors.
    pub fn vectors(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        let none = || ChatError::Unsupported("this model gives no vectors".into());
        Ok(self.embed.as_ref().ok_or_else(none)?.embed(&self.model, texts)?.vectors)
    }

    /// Tokens of a request's prompt, without running it.
    ///
    /// # Errors
    /// Those of [`Chat::count_tokens`].
    pub fn count(&self, request: &Request) -> Result<usize, Error> {
        Ok(self.chat.count_tokens(request)?)
    }

    /// Whoever answers, for what these verbs do not say.
    pub fn chat(&self) -> &Arc<dyn Chat> {
        &self.chat
    }
}
