//! Pages of the web by HTTP GET, as text. It touches the network, and of that the public part alone: see
//! `fetch/guard.rs`. A name is looked up once and what is connected to is the very address that was
//! checked; every redirect is checked again. No cookies, no credentials, no proxy of the environment.
//!
//! | module | what it holds |
//! |---|---|
//! | `address` | addresses of the web, taken apart in one way |
//! | `guard` | which places may be asked |
//! | `html` | a page becomes text |

mod address;
mod guard;
mod html;

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ondine_app::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Uri, header};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::arguments::Arguments;
use address::Address;

/// Redirects that one page may take.
const REDIRECTS_MAX: usize = 5;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Bytes of a head.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Characters that one call gives; more with `from`.
const GIVEN_CHARS: usize = 6_000;

/// Whoever knows the addresses of names. The system does; tests know others.
pub trait Resolve: Send + Sync {
    /// The addresses of a name.
    ///
    /// # Errors
    /// There is no such name, or nobody who knows.
    fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>>;
}

/// The system's own way to look names up.
struct System;

impl Resolve for System {
    fn resolve(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }
}

/// What may be fetched, and how much of it. Cheap to clone.
#[derive(Clone)]
pub struct Fetch {
    resolve: Arc<dyn Resolve>,
    /// Ports that are asked.
    ports: Vec<u16>,
    /// Places that are asked although the list refuses them.
    allowed: Vec<SocketAddr>,
    bytes: u64,
    patience: Duration,
}

/// A page as it came.
pub(crate) struct Fetched {
    address: Address,
    status: u16,
    kind: String,
    text: String,
    cut: bool,
}

impl Default for Fetch {
    fn default() -> Fetch {
        Fetch {
            resolve: Arc::new(System),
            ports: vec![80, 443, 8080, 8443],
            allowed: Vec::new(),
            bytes: 2 << 20,
            patience: Duration::from_secs(20),
        }
    }
}

impl Fetch {
    /// The public web: ports 80, 443, 8080 and 8443, two mebibytes and twenty seconds a page.
    pub fn new() -> Fetch {
        Fetch::default()
    }

    /// One place that is asked although it is not public: a service of the user's own, or a test's.
    pub fn allowing(mut self, place: SocketAddr) -> Fetch {
        self.allowed.push(place);
        self
    }

    /// One more port that is asked.
    pub fn port(mut self, port: u16) -> Fetch {
        self.ports.push(port);
        self
    }

    /// Names are looked up elsewhere. What comes of that is checked all the same.
    pub fn resolving_with(mut self, resolve: Arc<dyn Resolve>) -> Fetch {
        self.resolve = resolve;
        self
    }

    /// Bytes of a page at most, and how long it may take with all its redirects.
    pub fn within(mut self, bytes: u64, patience: Duration) -> Fetch {
        (self.bytes, self.patience) = (bytes, patience);
        self
    }

    /// The tool `web_fetch`.
    pub fn tool(&self) -> Arc<dyn Tool> {
        let spec = ToolSpec {
            name: "web_fetch".into(),
            description: "Fetch a public page of the web by its address and give its text. \
                A long page comes in parts: ask again with `from`. 打开网页"
                .into(),
            parameters: json!({
                "type": "object",
                "properties": {
                    "url": {"type": "string", "description": "begins with https:// or http://"},
                    "from": {"type": "integer", "minimum": 0, "description": "characters to leave out"},
                },
                "required": ["url"],
                "additionalProperties": false,
            }),
            effect: Effect::Read,
            // The tool's own patience ends first, with a better word.
            timeout: self.patience + Duration::from_secs(5),
        };
        let fetch = self.clone();
        Arc::new(FnTool::new(spec, move |arguments: Value, context: &Context| {
            let mut arguments = Arguments::of(arguments, &["url", "from"])?;
            let url = arguments.text("url", 4096)?;
            let from = arguments.number_if("from", 0, 1 << 40)?.unwrap_or(0);
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let page = fetch.get(&url, "text/html, text/*, application/json", context)?;
            Ok(page.shown(from))
        }))
    }

    /// The host and the port of an address.
    pub(crate) fn place_of(url: &str) -> Result<(String, u16), ToolError> {
        let address = read(url)?;
        Ok((address.host, address.port))
    }

    /// Asks for something, through redirects.
    pub(crate) fn get(
        &self,
        url: &str,
        accept: &str,
        context: &Context,
    ) -> Result<Fetched, ToolError> {
        let end = Instant::now() + self.patience;
        let mut address = read(url)?;
        for _ in 0..=REDIRECTS_MAX {
            let places = self.places(&address, end)?;
            if context.cancel.is_set() {
                return Err(ToolError::Cancelled);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(slow());
            }
            let config = Agent::config_builder()
                .max_redirects(0)
                .max_redirects_will_error(false)
                .http_status_as_error(false)
                .proxy(None)
                .timeout_global(Some(left))
                .max_response_header_size(HEAD_BYTES_MAX)
                .max_idle_connections(0)
                .user_agent(concat!("ondine/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .build();
            let agent = Agent::with_parts(config, DefaultConnector::default(), Pinned(places));
            let response = agent
                .get(address.to_string())
                .header(header::ACCEPT, accept)
                .call()
                .map_err(|error| failed(&address, &error))?;
            let status = response.status().as_u16();
            let head = |name: header::HeaderName| {
                response
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned)
            };
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                let to = head(header::LOCATION).unwrap_or_default();
                let next = address.join(&to).map_err(|what| {
                    ToolError::Refused(format!(
                        "the redirect of {address} leads to no address: {what}"
                    ))
                })?;
                if address.secure && !next.secure {
                    let what = format!("the redirect of {address} leaves https for http");
                    return Err(ToolError::Refused(what));
                }
                address = next;
                continue;
            }
            let kind = head(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
            let encoding = head(header::CONTENT_ENCODING);
            if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
                return Err(ToolError::Failed(format!("{address} came packed, unasked")));
            }
            let charset = readable(&kind).map_err(|what| {
                ToolError::Failed(format!(
                    "{address} (status {status}) is {what}; only text is read"
                ))
            })?;
            let mut bytes = Vec::new();
            let mut body = response.into_body().into_reader().take(self.bytes + 1);
            let read = body.read_to_end(&mut bytes);
            read.map_err(|error| failed(&address, &error.into()))?;
            let cut = bytes.len() as u64 > self.bytes;
            if cut {
                bytes.truncate(usize::try_from(self.bytes).unwrap_or(usize::MAX));
            }
            let text = match charset {
                Charset::Utf8 => String::from_utf8_lossy(&bytes).into_owned(),
                Charset::Latin1 => bytes.iter().copied().map(char::from).collect(),
            };
            return Ok(Fetched { address, status, kind, text, cut });
        }
        Err(ToolError::Failed(format!("{url} is redirected more than {REDIRECTS_MAX} times")))
    }

    /// The addresses that a host may be asked at: all that it has, or it is refused.
    fn places(&self, address: &Address, end: Instant) -> Result<Vec<SocketAddr>, ToolError> {
        let refused = |what: &str| Err(ToolError::Refused(format!("{}: {what}", address.host)));
        let is_allowed = |ip: IpAddr| self.allowed.contains(&SocketAddr::new(ip, address.port));
        let places = match address.ip() {
            Some(ip) => vec![SocketAddr::new(ip, address.port)],
            None => {
                let known = self.allowed.iter().any(|place| place.port() == address.port);
                if let Some(what) = guard::refusal_of_name(&address.host).filter(|_| !known) {
                    return refused(what);
                }
                self.looked_up(address, end)?
            }
        };
        for place in &places {
            if is_allowed(place.ip()) && place.port() == address.port {
                continue;
            }
            // One address of several that is inside is enough: which one is asked is not ours to choose.
            if let Some(what) = guard::refusal(place.ip()) {
                return refused(&format!("its address is {what}"));
            }
            if !self.ports.contains(&address.port) {
                return refused(&format!("port {} is not asked", address.port));
            }
        }
        Ok(places)
    }

    fn looked_up(&self, address: &Address, end: Instant) -> Result<Vec<SocketAddr>, ToolError> {
        let (sender, answer) = mpsc::sync_channel(1);
        let (resolve, host, port) = (self.resolve.clone(), address.host.clone(), address.port);
        // The system's resolver knows no patience.
        let spawned = thread::Builder::new().name("look up".into()).spawn(move || {
            let _ = sender.send(resolve.resolve(&host, port));
        });
        spawned.map_err(|error| ToolError::Failed(error.to_string()))?;
        let left = end.saturating_duration_since(Instant::now());
        let found = answer.recv_timeout(left).map_err(|_| slow())?;
        let mut places =
            found.map_err(|error| ToolError::Failed(format!("{}: {error}", address.host)))?;
        places.iter_mut().for_each(|place| place.set_port(address.port));
        if places.is_empty() {
            return Err(ToolError::Failed(format!("{} has no address", address.host)));
        }
        Ok(places)
    }
}

fn read(url: &str) -> Result<Address, ToolError> {
    Address::read(url).map_err(|what| {
        let url: String = url.chars().take(100).flat_map(char::escape_debug).collect();
        ToolError::Refused(format!("{url}: {what}"))
    })
}

fn slow() -> ToolError {
    ToolError::Failed("the page did not come in time".into())
}

fn failed(address: &Address, error: &ureq::Error) -> ToolError {
    match error {
        ureq::Error::Timeout(_) => slow(),
        error => ToolError::Failed(format!("{address}: {error}")),
    }
}

#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Latin1,
}

/// How bytes of a type become text.
fn readable(kind: &str) -> Result<Charset, String> {
    let (essence, rest) = kind.split_once(';').unwrap_or((kind, ""));
    let essence = essence.trim();
    let is_text = essence.starts_with("text/")
        || matches!(essence, "application/json" | "application/xml" | "application/javascript")
        || essence.ends_with("+json")
        || essence.ends_with("+xml");
    let shown = |text: &str| text.chars().take(60).flat_map(char::escape_debug).collect::<String>();
    if !is_text {
        return Err(if essence.is_empty() { "of no said type".into() } else { shown(essence) });
    }
    let charset = rest.split(';').find_map(|part| part.trim().strip_prefix("charset="));
    match charset.map(|charset| charset.trim().trim_matches('"')) {
        None | Some("" | "utf-8" | "utf8" | "us-ascii") => Ok(Charset::Utf8),
        Some("iso-8859-1" | "latin1" | "windows-1252") => Ok(Charset::Latin1),
        Some(other) => Err(format!("written in {}", shown(other))),
    }
}

impl Fetched {
    /// The text that a server gave, where it says that all is well.
    pub(crate) fn body(self) -> Result<String, ToolError> {
        match self.status {
            200..=299 if !self.cut => Ok(self.text),
            200..=299 => Err(ToolError::Failed(format!("{} is too long", self.address))),
            status => Err(ToolError::Failed(format!("{}: status {status}", self.address))),
        }
    }

    fn shown(self, from: usize) -> Value {
        let is_page = self.kind.contains("html");
        let page = if is_page {
            html::read(&self.text, &self.address)
        } else {
            html::Page { title: String::new(), text: self.text }
        };
        let all = page.text.chars().count();
        let text: String = page.text.chars().skip(from).take(GIVEN_CHARS).collect();
        let mut value = json!({
            "url": self.address.to_string(), "status": self.status, "type": self.kind, "text": text,
        });
        if !page.title.is_empty() {
            value["title"] = json!(page.title);
        }
        let next = from.saturating_add(GIVEN_CHARS);
        if next < all {
            value["next_from"] = json!(next);
        }
        if self.cut {
            value["cut"] = json!(true);
        }
        value
    }
}

/// Gives the addresses that were checked, whatever is asked.
struct Pinned(Vec<SocketAddr>);

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pinned").field(&self.0).finish()
    }
}

impl Resolver for Pinned {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for place in self.0.iter().take(ADDRESSES_MAX) {
            found.push(*place);
        }
        Ok(found)
    }
}

#[cfg(test)]
pub(crate) mod tests;
