//! A device: whoever answers, in this process or not, with the few verbs that most apps need.

use std::sync::{Arc, mpsc};

use ondine_app::Llm;
use ondine_chat::{
    Chat, ChatError, Embed, Event, Message, NewSession, Request, SessionInfo, Sessions, Sink,
};
use ondine_client::Client;

use crate::Error;

/// Whose sessions they are, where there is one app alone. A daemon goes by the token instead.
const APP: &str = "app";

/// Whoever answers. Cheap to clone.
#[derive(Clone)]
pub struct Device {
    chat: Arc<dyn Chat>,
    embed: Arc<dyn Embed>,
    sessions: Arc<dyn Sessions>,
}

impl From<Client> for Device {
    fn from(client: Client) -> Device {
        let client = Arc::new(client);
        Device::new(client.clone(), client.clone(), client)
    }
}

impl Device {
    /// Of parts that a program has made itself.
    pub fn new(chat: Arc<dyn Chat>, embed: Arc<dyn Embed>, sessions: Arc<dyn Sessions>) -> Device {
        Device { chat, embed, sessions }
    }

    /// The answer to one question, by the default model, of which nothing is kept.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn ask(&self, text: &str) -> Result<String, Error> {
        self.ask_to(text, |_| {})
    }

    /// The same, each piece told as it comes.
    ///
    /// # Errors
    /// Those of [`Chat::ask`].
    pub fn ask_to(&self, text: &str, piece: impl FnMut(&str)) -> Result<String, Error> {
        told(piece, |sink| self.chat.start(Request::new("", [Message::user(text)]), sink))
    }

    /// A vector for each text, by the default model for that; of length 1, so that the product of two
    /// says how alike their texts are.
    ///
    /// # Errors
    /// Those of [`Embed::embed`].
    pub fn vectors(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        Ok(self.embed.embed("", texts)?.vectors)
    }

    /// This app's conversation of that name, begun where there is none.
    ///
    /// # Errors
    /// Those of [`Sessions::create`].
    pub fn session(&self, name: &str) -> Result<Session, Error> {
        let new = NewSession { name: Some(name.to_owned()), ..NewSession::default() };
        let (info, _) = self.sessions.create(APP, new)?;
        Ok(Session { sessions: self.sessions.clone(), id: info.id })
    }

    /// The framework's model of it: typed answers, tools, templates, streams.
    pub fn llm(&self) -> Llm {
        Llm::new(self.chat.clone()).embedding_with(self.embed.clone())
    }

    /// Whoever answers, for requests with tools, schemas and sampling.
    pub fn chat(&self) -> &dyn Chat {
        &*self.chat
    }

    /// Whoever turns texts into vectors.
    pub fn embed(&self) -> &dyn Embed {
        &*self.embed
    }

    /// Whoever keeps conversations.
    pub fn sessions(&self) -> &dyn Sessions {
        &*self.sessions
    }
}

/// One conversation that is kept.
#[derive(Clone)]
pub struct Session {
    sessions: Arc<dyn Sessions>,
    id: String,
}

impl Session {
    /// Says something, and gives the answer. Both are kept.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub fn say(&self, text: &str) -> Result<String, Error> {
        self.say_to(text, |_| {})
    }

    /// The same, each piece told as it comes.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub fn say_to(&self, text: &str, piece: impl FnMut(&str)) -> Result<String, Error> {
        let request = Request { app: APP.to_owned(), ..Request::new("", [Message::user(text)]) };
        told(piece, |sink| self.sessions.say(&self.id, request, sink))
    }

    /// Its name, its model and how far it has come.
    ///
    /// # Errors
    /// Those of [`Sessions::read`].
    pub fn info(&self) -> Result<SessionInfo, Error> {
        Ok(self.sessions.read(APP, &self.id)?.0)
    }

    /// What was said in it.
    ///
    /// # Errors
    /// Those of [`Sessions::read`].
    pub fn messages(&self) -> Result<Vec<Message>, Error> {
        Ok(self.sessions.read(APP, &self.id)?.1)
    }

    /// A second conversation, without a name, that begins with all of this one.
    ///
    /// # Errors
    /// Those of [`Sessions::fork`].
    pub fn fork(&self) -> Result<Session, Error> {
        let fork = self.sessions.fork(APP, &self.id, None)?;
        Ok(Session { sessions: self.sessions.clone(), id: fork.id })
    }

    /// Ends it, and takes everything away that was kept of it.
    ///
    /// # Errors
    /// Those of [`Sessions::delete`].
    pub fn delete(self) -> Result<(), Error> {
        Ok(self.sessions.delete(APP, &self.id)?)
    }
}

/// Waits for an answer, telling its pieces on the way, on the thread of whoever asks.
fn told(
    mut piece: impl FnMut(&str),
    start: impl FnOnce(Sink) -> Result<(), ChatError>,
) -> Result<String, Error> {
    let (sender, events) = mpsc::channel();
    start(Box::new(move |event| sender.send(event).is_ok()))?;
    let mut whole = String::new();
    for event in events {
        match event {
            Event::Text { text, .. } if !text.is_empty() => {
                piece(&text);
                whole += &text;
            }
            Event::Finished { .. } => return Ok(whole),
            Event::Failed(error) => return Err(error.into()),
            _ => {}
        }
    }
    Err(ChatError::Internal("the answer has no end".into()).into())
}
