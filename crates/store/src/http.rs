//! Asking a server for something: redirects, statuses, lengths and silences, all with limits.
//!
//! The client below follows no redirect by itself, unpacks nothing and keeps no cookies. What is
//! decided about where requests go is decided here and in [`crate::url`].

use std::io::{self, Read};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, header};
use ureq::{Agent, Body, BodyReader};

use crate::error::StoreError;
use crate::url::Url;

/// Redirects one request may take.
pub const REDIRECTS_MAX: usize = 5;
/// The longest listing or manifest of a server.
pub const LISTING_BYTES_MAX: u64 = 16 << 20;
/// The longest name of a file's version that is kept.
const ETAG_CHARS_MAX: usize = 256;
/// What a server may send before its answer.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// How long to wait for a server.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it is connected.
    pub connect: Duration,
    /// Until the next byte arrives. There is no limit on the whole: large models take hours.
    pub read: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect: Duration::from_secs(20), read: Duration::from_secs(30) }
    }
}

/// A secret, and the only server that is told.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) origin: Url,
    pub(crate) secret: String,
}

impl Token {
    /// Whether a request to this address may carry the secret: to its own server alone, and not
    /// readable by others on the way.
    fn is_for(&self, url: &Url) -> bool {
        self.origin.same_origin(url) && (url.is_secure() || url.is_this_machine())
    }
}

/// Who asks.
pub(crate) struct Client {
    agent: Agent,
}

impl Client {
    /// A client with its patience.
    pub(crate) fn new(patience: Patience) -> Client {
        let config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.read))
            .timeout_per_write(Some(patience.read))
            .max_response_header_size(HEADER_BYTES_MAX)
            .user_agent(concat!("ondine/", env!("CARGO_PKG_VERSION")))
            // Without it the client would offer to unpack; what is asked for is the file itself.
            .accept_encoding("identity")
            .build();
        Client { agent: Agent::new_with_config(config) }
    }

    /// Asks for something, through redirects, and gives a successful answer.
    pub(crate) fn get(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        token: Option<&Token>,
    ) -> Result<Reply, StoreError> {
        let mut place = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.once(&place, headers, token)?;
            let status = response.status().as_u16();
            match status {
                301 | 302 | 303 | 307 | 308 => {
                    let location = text(response.headers(), header::LOCATION.as_str());
                    place = place.redirect(location.unwrap_or_default())?;
                }
                200 | 206 => return Reply::new(place, response),
                _ => return Err(StoreError::Status { url: place.to_string(), status }),
            }
        }
        Err(StoreError::Redirect {
            from: url.to_string(),
            to: place.to_string(),
            reason: "it is the sixth in a row; the limit is five",
        })
    }

    fn once(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        token: Option<&Token>,
    ) -> Result<Response<Body>, StoreError> {
        let mut request = self.agent.get(url.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token.filter(|token| token.is_for(url)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.secret));
        }
        let failed = |error| failed(url, &error);
        if url.is_this_machine() {
            // A proxy is for the way out; it would look for the address on its own machine.
            return request.config().proxy(None).build().call().map_err(failed);
        }
        request.call().map_err(failed)
    }

    /// Asks for a JSON value of bounded length.
    pub(crate) fn json(
        &self,
        url: &Url,
        headers: &[(&str, &str)],
        token: Option<&Token>,
    ) -> Result<(serde_json::Value, Reply), StoreError> {
        let mut reply = self.get(url, headers, token)?;
        let bytes = reply.all(LISTING_BYTES_MAX)?;
        let value = serde_json::from_slice(&bytes).map_err(|error| StoreError::Listing {
            url: reply.url.to_string(),
            reason: format!("expected JSON: {error}"),
        })?;
        Ok((value, reply))
    }
}

/// A successful answer: its head, and its body yet to come.
pub(crate) struct Reply {
    /// Who answered, after redirects.
    pub(crate) url: Url,
    headers: HeaderMap,
    partial: bool,
    body: BodyReader<'static>,
}

impl Reply {
    fn new(url: Url, response: Response<Body>) -> Result<Reply, StoreError> {
        let partial = response.status().as_u16() == 206;
        let (head, body) = response.into_parts();
        let encoding = text(&head.headers, header::CONTENT_ENCODING.as_str());
        if let Some(encoding) =
            encoding.filter(|encoding| !encoding.eq_ignore_ascii_case("identity"))
        {
            let encoding = encoding.to_string();
            return Err(StoreError::Encoded { url: url.to_string(), encoding });
        }
        Ok(Reply { url, headers: head.headers, partial, body: body.into_reader() })
    }

    /// Whether this is a part of the file, with status 206.
    pub(crate) fn is_partial(&self) -> bool {
        self.partial
    }

    /// A header, where it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// Bytes of the body, as announced.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// What the server calls this version of the file.
    pub(crate) fn etag(&self) -> Option<String> {
        let etag = self.header("etag")?;
        let plain =
            etag.len() <= ETAG_CHARS_MAX && etag.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then(|| etag.to_string())
    }

    /// First byte, last byte and length of the whole, where the server says so in the one form.
    pub(crate) fn range(&self) -> Option<(u64, u64, u64)> {
        let (range, whole) =
            self.header("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((number(first)?, number(last)?, number(whole)?))
    }

    /// Reads the whole body, which has so many bytes at most.
    pub(crate) fn all(&mut self, limit: u64) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let read = (&mut self.body).take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.broken(&error))?;
        if bytes.len() as u64 > limit {
            let what = format!("the answer of {}", self.url);
            return Err(StoreError::TooLarge { what, limit });
        }
        Ok(bytes)
    }

    /// Reads a piece of the body.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StoreError> {
        loop {
            match self.body.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
                Ok(read) => return Ok(read),
            }
        }
    }

    fn broken(&self, error: &io::Error) -> StoreError {
        StoreError::Transport { url: self.url.to_string(), reason: error.to_string() }
    }
}

/// Whether a version's name promises that the file is the same byte for byte.
pub(crate) fn is_strong(etag: &str) -> bool {
    etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"')
}

/// A whole number as it stands in headers: digits alone.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn failed(url: &Url, error: &ureq::Error) -> StoreError {
    let insecure = match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    };
    let (secure, url, reason) = (url.is_secure(), url.to_string(), error.to_string());
    // Asking again would bring the same certificate.
    if insecure && secure {
        StoreError::Untrusted { url, reason }
    } else {
        StoreError::Transport { url, reason }
    }
}
