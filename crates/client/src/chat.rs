//! Conversations and texts over OpenAI's API, and how a stream of any API becomes events for a sink.

use ondine_chat::{Chat, ChatError, Event, Model, Request, Sink};
use serde::Deserialize;
use serde_json::Value;
use ureq::BodyReader;

use crate::Client;
use crate::error::{self, ClientError};
use crate::http::{Ask, Http};
use crate::sse::{Broken, Events, Line};
use crate::wire::{self, Chunk};

impl Chat for Client {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        let (path, body) = wire::body(&request)?;
        let pieces = self.http.stream(path, &body).map_err(|e| named(e, &request.model))?;
        follow(self.http.clone(), path, pieces, sink, |_, data| {
            let chunk: Chunk = serde_json::from_str(data?).ok()?;
            chunk.told()
        })
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        let body = wire::counted(request)?;
        let answer = self.http.json("/v1/messages/count_tokens", Ask::Post(&body));
        let answer = answer.map_err(|e| named(e, &request.model))?;
        let tokens = answer["input_tokens"].as_u64();
        tokens.map(|tokens| tokens as usize).ok_or_else(|| self.http.nonsense("no count").into())
    }

    fn models(&self) -> Vec<Model> {
        self.known_models().unwrap_or_default()
    }
}

/// The error with the model's name in it, which a daemon does not tell again.
pub(crate) fn named(error: ClientError, asked: &str) -> ChatError {
    match error.into() {
        ChatError::NoModel { known, .. } => ChatError::NoModel { name: asked.to_owned(), known },
        other => other,
    }
}

#[derive(Deserialize)]
struct Listed {
    data: Vec<ModelIn>,
}

#[derive(Deserialize)]
struct ModelIn {
    id: String,
    #[serde(default)]
    created: u64,
    #[serde(default)]
    context_length: usize,
    #[serde(default)]
    capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
struct Capabilities {
    #[serde(default)]
    chat: bool,
    #[serde(default)]
    tools: bool,
}

/// The models of a daemon.
pub(crate) fn models(http: &Http) -> Result<Vec<Model>, ClientError> {
    let listed: Listed = serde_json::from_value(http.json("/v1/models", Ask::Get)?)
        .map_err(|_| http.nonsense("no list of models"))?;
    let model = |model: ModelIn| Model {
        name: model.id,
        context: model.context_length,
        chats: model.capabilities.chat,
        tools: model.capabilities.tools,
        created_s: model.created,
        ..Model::default()
    };
    Ok(listed.data.into_iter().map(model).collect())
}

/// What a piece of an answer says.
pub(crate) enum Told {
    /// More of it, or nothing.
    Events(Vec<Event>),
    /// What is wrong, in an API's shape.
    Trouble(Value),
}

/// Reads an answer on a thread of its own, and tells the sink. `read` makes events of an event's name
/// and data, or of the end where there are no data; `None` where they mean nothing. The connection ends with the thread: after the last event,
/// and as soon as nobody listens.
pub(crate) fn follow(
    http: Http,
    path: &'static str,
    pieces: BodyReader<'static>,
    mut sink: Sink,
    mut read: impl FnMut(&str, Option<&str>) -> Option<Told> + Send + 'static,
) -> Result<(), ChatError> {
    let work = move || {
        let mut events = Events::new(pieces);
        let mut started = false;
        loop {
            let told = match next(&http, path, &mut events, started, &mut read) {
                Ok(told) => told,
                Err(error) => {
                    sink(Event::Failed(http.words(error)));
                    return;
                }
            };
            for event in told {
                started |= matches!(event, Event::Started { .. });
                let last = matches!(event, Event::Finished { .. } | Event::Failed(_));
                if !sink(event) || last {
                    return;
                }
            }
        }
    };
    let named = std::thread::Builder::new().name("answer of a daemon".into());
    let begun = named.spawn(work).map(|_| ());
    begun.map_err(|error| ChatError::Internal(format!("no thread for an answer: {error}")))
}

/// The events of the next line.
fn next(
    http: &Http,
    path: &str,
    events: &mut Events<BodyReader<'static>>,
    started: bool,
    read: &mut impl FnMut(&str, Option<&str>) -> Option<Told>,
) -> Result<Vec<Event>, ClientError> {
    let url = || http.url().to_owned();
    let mut end = || match read("", None) {
        Some(Told::Events(told)) => Ok(told),
        _ => Err(cut(url())),
    };
    match events.next() {
        Ok(Some(Line::Event(_, data))) if data == "[DONE]" => end(),
        Ok(Some(Line::Event(name, data))) => match read(&name, Some(&data)) {
            Some(Told::Events(told)) => Ok(told),
            Some(Told::Trouble(said)) => Err(error::told(http.url(), 0, path, &said, None)),
            None => Err(http.nonsense("an event that means nothing")),
        },
        // Nothing new: whether somebody still listens is asked all the same.
        Ok(Some(Line::Alive)) if started => {
            Ok(vec![Event::Text { text: String::new(), logprobs: Vec::new() }])
        }
        Ok(Some(Line::Alive)) => Ok(vec![Event::Waiting { before: 0 }]),
        Ok(None) => end(),
        Err(Broken::TooLong(limit)) => Err(ClientError::TooLong { url: url(), limit }),
        Err(Broken::NoText) => Err(http.nonsense("events that are no text")),
        Err(Broken::Io(error)) => Err(http.broken(&error)),
    }
}

fn cut(url: String) -> ClientError {
    ClientError::Cut { url, reason: "it has no end".into() }
}
