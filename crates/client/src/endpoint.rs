//! Somebody's endpoint of OpenAI's API, which is no daemon of Ondine: it has a path, perhaps a key, and
//! only what that API has. What it cannot do is refused; what it says is believed no more than a
//! stranger's words.

mod wire;

use std::sync::{Arc, OnceLock};

use ondine_chat::{Chat, ChatError, Embed, Embedded, Model, Request, Sink};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::address::Address;
use crate::chat::{follow, named};
use crate::error::ClientError;
use crate::http::{Ask, Http, Patience};

/// Somebody's endpoint, and the key for it. Cheap to clone.
///
/// ```no_run
/// use ondine_chat::{Chat, Message, Request};
/// use ondine_client::Endpoint;
///
/// let there = Endpoint::new("https://example.org/v1", "its-key")?;
/// println!("{}", there.ask(Request::new("large", [Message::user("hello")]))?.text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    http: Http,
    /// The first of its models, for requests that name none.
    first: Arc<OnceLock<String>>,
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
    /// Not of the API; several servers say it under one of these names.
    #[serde(default, alias = "max_model_len", alias = "max_context_length")]
    context_length: usize,
}

#[derive(Deserialize)]
struct Vectors {
    data: Vec<Row>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Row {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: usize,
}

impl Endpoint {
    /// The endpoint at an address such as `https://host/v1`, asked with a key; an empty one is not sent.
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// No address, or one to which a key and words would travel readable.
    pub fn new(url: &str, key: &str) -> Result<Endpoint, ClientError> {
        Endpoint::patient(url, key, Patience::default())
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// As [`Endpoint::new`].
    pub fn patient(url: &str, key: &str, patience: Patience) -> Result<Endpoint, ClientError> {
        let http = Http::new(Address::below(url)?, key, patience)?.foreign();
        Ok(Endpoint { http, first: Arc::default() })
    }

    /// Its models, as it lists them.
    ///
    /// # Errors
    /// It cannot be reached, or does not take the key.
    pub fn known_models(&self) -> Result<Vec<Model>, ChatError> {
        let listed = self.http.json("/models", Ask::Get).map_err(|e| self.http.words(e))?;
        let listed: Listed = serde_json::from_value(listed)
            .map_err(|_| self.http.words(self.http.nonsense("no list of models")))?;
        let model = |model: ModelIn| Model {
            name: model.id,
            context: model.context_length,
            chats: true,
            tools: true,
            created_s: model.created,
            ..Model::default()
        };
        Ok(listed.data.into_iter().map(model).collect())
    }

    /// The model that is asked for where a request names none.
    fn model(&self, asked: &str) -> Result<String, ChatError> {
        if !asked.is_empty() {
            return Ok(asked.to_owned());
        }
        if let Some(first) = self.first.get() {
            return Ok(first.clone());
        }
        let none = || ChatError::invalid("model", format!("{} lists no models", self.http.url()));
        let first = self.known_models()?.into_iter().next().ok_or_else(none)?.name;
        Ok(self.first.get_or_init(|| first).clone())
    }

    fn told(&self, error: ClientError, asked: &str) -> ChatError {
        match error {
            ClientError::Chat(ChatError::NoModel { .. }) => named(error, asked),
            other => self.http.words(other),
        }
    }
}

impl Chat for Endpoint {
    fn start(&self, mut request: Request, sink: Sink) -> Result<(), ChatError> {
        request.model = self.model(&request.model)?;
        let (path, body) = wire::body(&request)?;
        let mut answer = self.http.stream(path, &body);
        // The API has two names for one bound, and servers that know only one of them. Nothing was
        // computed for what was refused, so that it may be said again.
        if let Err(ClientError::Chat(ChatError::Invalid { what, part: "max_tokens" })) = &answer
            && let Some(body) = wire::bounded_otherwise(&body, what)
        {
            answer = self.http.stream(path, &body);
        }
        let pieces = answer.map_err(|error| self.told(error, &request.model))?;
        let mut reading = wire::Reading::default();
        follow(self.http.clone(), path, pieces, sink, move |_, data| match data {
            Some(data) => reading.chunk(data),
            None => reading.end(),
        })
    }

    fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
        Err(ChatError::Unsupported(format!("{} counts no tokens", self.http.url())))
    }

    fn models(&self) -> Vec<Model> {
        self.known_models().unwrap_or_default()
    }
}

impl Embed for Endpoint {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        if texts.is_empty() {
            return Ok(Embedded::default());
        }
        let model = self.model(model)?;
        let body = json!({"model": model, "input": texts, "encoding_format": "float"});
        let answer: Value = self
            .http
            .json("/embeddings", Ask::Post(&body))
            .map_err(|error| self.told(error, &model))?;
        let nonsense =
            || self.http.words(self.http.nonsense("vectors that are not those asked for"));
        let mut answer: Vectors = serde_json::from_value(answer).map_err(|_| nonsense())?;
        answer.data.sort_by_key(|row| row.index);
        let width = answer.data.first().map_or(0, |row| row.embedding.len());
        let whole = answer.data.len() == texts.len()
            && answer.data.iter().enumerate().all(|(place, row)| row.index == place)
            && answer.data.iter().all(|row| row.embedding.len() == width);
        if !whole {
            return Err(nonsense());
        }
        let vectors = answer.data.into_iter().map(|row| unit(row.embedding)).collect();
        Ok(Embedded { vectors, tokens: answer.usage.unwrap_or_default().prompt_tokens })
    }
}

/// A vector brought to length 1; one of no length stays as it is.
fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    vector
}
