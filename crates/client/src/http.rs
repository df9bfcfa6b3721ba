//! Requests to a daemon, and answers in one piece: statuses, lengths and silences, all with limits. It
//! knows paths and JSON, and nothing of what they mean.

use std::io::{self, Read};
use std::time::Duration;

use ondine_chat::ChatError;
use serde_json::Value;
use ureq::http::{HeaderValue, Response, header};
use ureq::{Agent, Body, BodyReader, RequestBuilder, Timeout};

use crate::address::Address;
use crate::error::{self, ClientError};

/// The longest answer in one piece.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// The longest words for what is wrong.
const TROUBLE_BYTES_MAX: u64 = 1 << 20;
/// What a daemon may send before its answer.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// How long to wait for a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it is connected.
    pub connect: Duration,
    /// Until an answer that comes in pieces begins, and then until its next byte. A daemon that is busy
    /// sends signs of life, but for bringing a model into memory.
    pub silence: Duration,
    /// Until an answer that comes in one piece is there.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(120),
            whole: Duration::from_secs(600),
        }
    }
}

/// A daemon, the token for it, and the patience with it.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    agent: Agent,
    address: Address,
    bearer: Option<HeaderValue>,
    patience: Patience,
    is_foreign: bool,
}

/// What is asked of a path.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    Get,
    Delete,
    Post(&'a Value),
}

/// How an answer comes.
#[derive(Clone, Copy)]
enum Comes {
    Whole,
    InPieces,
}

impl Http {
    pub(crate) fn new(
        address: Address,
        token: &str,
        patience: Patience,
    ) -> Result<Http, ClientError> {
        let wrong = |_| ClientError::Token {
            url: address.base().to_owned(),
            reason: "the token has characters that no token has".into(),
        };
        let bearer = match token {
            "" => None,
            token => {
                let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(wrong)?;
                bearer.set_sensitive(true);
                Some(bearer)
            }
        };
        let config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(patience.connect))
            .timeout_per_write(Some(patience.silence))
            .max_response_header_size(HEADER_BYTES_MAX)
            // A connection is for one request: to this machine it costs nothing, and one that the daemon
            // has closed in the meantime would lose a request that may not be sent twice.
            .max_idle_connections(0)
            .user_agent(concat!("ondine/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity");
        // A proxy would look for this machine on its own.
        let config = if address.is_this_machine { config.proxy(None) } else { config };
        let agent = Agent::new_with_config(config.build());
        Ok(Http { agent, address, bearer, patience, is_foreign: false })
    }

    /// Of somebody's endpoint, which is no daemon: what is wrong there is said in other words.
    pub(crate) fn foreign(self) -> Http {
        Http { is_foreign: true, ..self }
    }

    /// What is wrong, as those say it who ask.
    pub(crate) fn words(&self, error: ClientError) -> ChatError {
        if self.is_foreign { error::of_an_endpoint(error) } else { error.into() }
    }

    pub(crate) fn url(&self) -> &str {
        self.address.base()
    }

    /// Asks, and gives the answer in one piece; `null` where it is empty.
    pub(crate) fn json(&self, path: &str, ask: Ask<'_>) -> Result<Value, ClientError> {
        self.answered(path, ask).map(|(_, answer)| answer)
    }

    /// The same with its status.
    pub(crate) fn answered(&self, path: &str, ask: Ask<'_>) -> Result<(u16, Value), ClientError> {
        let response = self.call(path, ask, Comes::Whole)?;
        let status = response.status().as_u16();
        let bytes = self.read(response, ANSWER_BYTES_MAX)?;
        if bytes.is_empty() {
            return Ok((status, Value::Null));
        }
        let answer = serde_json::from_slice(&bytes);
        let answer = answer.map_err(|_| self.nonsense("an answer that is no JSON"))?;
        Ok((status, answer))
    }

    /// Asks, and gives the answer's pieces once it has begun.
    pub(crate) fn stream(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<BodyReader<'static>, ClientError> {
        let response = self.call(path, Ask::Post(body), Comes::InPieces)?;
        let media = response.headers().get(header::CONTENT_TYPE).and_then(|m| m.to_str().ok());
        if !media.is_some_and(|media| media.starts_with("text/event-stream")) {
            return Err(self.nonsense("something else than events"));
        }
        Ok(response.into_body().into_reader())
    }

    /// What is wrong where bytes do not come.
    pub(crate) fn broken(&self, error: &io::Error) -> ClientError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
            Some(error) => self.failed(error),
            None => ClientError::Cut { url: self.url().to_owned(), reason: error.to_string() },
        }
    }

    /// What is wrong where bytes mean nothing.
    pub(crate) fn nonsense(&self, what: &'static str) -> ClientError {
        ClientError::Nonsense { url: self.url().to_owned(), what }
    }

    /// An answer that is good, its body yet to be read.
    fn call(&self, path: &str, ask: Ask<'_>, comes: Comes) -> Result<Response<Body>, ClientError> {
        let url = self.address.at(path);
        let answered = match ask {
            Ask::Get => self.patient(self.agent.get(url), comes).call(),
            Ask::Delete => self.patient(self.agent.delete(url), comes).call(),
            Ask::Post(body) => self
                .patient(self.agent.post(url), comes)
                .header(header::CONTENT_TYPE, "application/json")
                .send(body.to_string()),
        };
        let response = answered.map_err(|error| self.failed(&error))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let retry = response.headers().get(header::RETRY_AFTER);
        let retry_after_s = retry.and_then(|value| value.to_str().ok()?.parse().ok());
        let said = self.read(response, TROUBLE_BYTES_MAX)?;
        let said = serde_json::from_slice(&said).unwrap_or(Value::Null);
        Err(error::told(self.url(), status, path, &said, retry_after_s))
    }

    /// A request with the token and with its time: of an answer in pieces, every silence has one.
    fn patient<T>(&self, request: RequestBuilder<T>, comes: Comes) -> RequestBuilder<T> {
        let (whole, silence) = match comes {
            Comes::Whole => (Some(self.patience.whole), None),
            Comes::InPieces => (None, Some(self.patience.silence)),
        };
        let request = match &self.bearer {
            Some(bearer) => request.header(header::AUTHORIZATION, bearer.clone()),
            None => request,
        };
        request.config().timeout_global(whole).timeout_per_read(silence).build()
    }

    fn read(&self, response: Response<Body>, limit: u64) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        let body = response.into_body().into_reader();
        body.take(limit + 1).read_to_end(&mut bytes).map_err(|error| self.broken(&error))?;
        if bytes.len() as u64 > limit {
            return Err(ClientError::TooLong { url: self.url().to_owned(), limit });
        }
        Ok(bytes)
    }

    fn failed(&self, error: &ureq::Error) -> ClientError {
        let url = self.url().to_owned();
        match error {
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                let seconds = self.patience.connect.as_secs();
                ClientError::Unreachable { url, reason: format!("no connection in {seconds} s") }
            }
            ureq::Error::Timeout(Timeout::PerRead | Timeout::PerWrite) => {
                ClientError::Silent { url, seconds: self.patience.silence.as_secs() }
            }
            ureq::Error::Timeout(_) => {
                ClientError::Silent { url, seconds: self.patience.whole.as_secs() }
            }
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                ClientError::Unreachable { url, reason: "nobody listens there".into() }
            }
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                ClientError::Unreachable { url, reason: error.to_string() }
            }
            ureq::Error::Protocol(_) | ureq::Error::Http(_) => self.nonsense("no HTTP"),
            other => ClientError::Cut { url, reason: other.to_string() },
        }
    }
}
