//! A server on a real socket, and a client that says exactly what a test wants said.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ondine_chat::{
    Chat, ChatError, Embed, Embedded, Event, FinishReason, Model, Request, Script, Sink,
    TokenLogprob, ToolCall, Usage,
};
use ondine_server::{App, Door, Drained, Limits, Log, Reach, Server, Stop, Tokens};
use serde_json::Value;

/// The token of the app "notes".
pub(crate) const TOKEN: &str = "token-of-notes";
/// The token of the app "other", which works in the background.
pub(crate) const OTHER: &str = "token-of-other";

/// Keeps the log's lines.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Mutex<Vec<String>>);

impl Log for Lines {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Stop,
    pub(crate) log: Arc<Lines>,
    thread: Option<JoinHandle<Drained>>,
}

impl Running {
    /// Serves somebody within limits.
    pub(crate) fn new<T: Chat + Embed + 'static>(model: Arc<T>, limits: Limits) -> Running {
        Running::with(model, limits, |_| {})
    }

    /// Serves somebody within limits, and with what `more` adds.
    pub(crate) fn with<T: Chat + Embed + 'static>(
        model: Arc<T>,
        limits: Limits,
        more: impl FnOnce(&mut Server),
    ) -> Running {
        let app = |name: &str, background| App { name: name.into(), background };
        let doors =
            Tokens::new().allow(TOKEN, app("notes", false)).allow(OTHER, app("other", true));
        let log = Arc::new(Lines::default());
        let mut server = Server::new(model.clone(), model, Arc::new(doors));
        server.limits = limits;
        server.log = log.clone();
        more(&mut server);
        let door = Door::open("127.0.0.1:0".parse().unwrap(), Reach::ThisMachine).unwrap();
        let (address, stop) = (door.address(), Stop::new());
        let own = stop.clone();
        let thread = std::thread::spawn(move || server.serve(door, &own).unwrap());
        Running { address, stop, log, thread: Some(thread) }
    }

    /// Ends it, and says how it ended.
    pub(crate) fn end(mut self) -> Drained {
        self.stop.now();
        self.thread.take().unwrap().join().unwrap()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads to the end.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // A server that has heard enough may close before all is said.
        let _ = stream.write_all(bytes);
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        Reply::parse(&all)
    }

    /// A request with a token, over a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Reply {
        self.raw(request(method, path, more, body).as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[], "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.ask("POST", path, &[], &body.to_string())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.now();
    }
}

/// A request's bytes: with the usual headers, where others do not stand in their place.
pub(crate) fn request(method: &str, path: &str, more: &[(&str, &str)], body: &str) -> String {
    let mut out = format!("{method} {path} HTTP/1.1\r\n");
    let bearer = format!("Bearer {TOKEN}");
    let usual = [
        ("Host", "localhost"),
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("Connection", "close"),
    ];
    for (name, value) in usual {
        if !more.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
            out += &format!("{name}: {value}\r\n");
        }
    }
    for (name, value) in more.iter().filter(|(_, value)| *value != "-") {
        out += &format!("{name}: {value}\r\n");
    }
    if method != "GET" {
        out += &format!("Content-Length: {}\r\n", body.len());
    }
    out + "\r\n" + body
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 0 where nothing came.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Reply { status, head: head.to_owned(), body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (own, value) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Names and data of server-sent events.
    pub(crate) fn events(&self) -> Vec<(Option<String>, String)> {
        let blocks = self.body.split("\n\n").filter(|block| !block.is_empty());
        let field = |block: &str, name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
        };
        blocks
            .filter_map(|block| Some((field(block, "event: "), field(block, "data: ")?)))
            .collect()
    }

    /// The data of server-sent events that is JSON.
    pub(crate) fn data(&self) -> Vec<Value> {
        self.events().iter().filter_map(|(_, data)| serde_json::from_str(data).ok()).collect()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        out += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    out
}

/// Says words with a pause before each, and remembers when it was told to be silent.
#[derive(Default)]
pub(crate) struct Slow {
    pub(crate) pause: Duration,
    pub(crate) words: usize,
    pub(crate) silenced: Arc<Mutex<Option<std::time::Instant>>>,
}

impl Chat for Slow {
    fn start(&self, _: Request, mut sink: Sink) -> Result<(), ChatError> {
        let (pause, words, silenced) = (self.pause, self.words, self.silenced.clone());
        std::thread::spawn(move || {
            let mut open = sink(Event::Started { prompt_tokens: 1, cached_tokens: 0 });
            for _ in 0..words {
                if !open {
                    *silenced.lock().unwrap() = Some(std::time::Instant::now());
                    return;
                }
                std::thread::sleep(pause);
                open = sink(Event::Text { text: "word ".into(), logprobs: Vec::new() });
            }
            let usage = Usage { prompt_tokens: 1, completion_tokens: words, ..Usage::default() };
            sink(Event::Finished { reason: FinishReason::Stop, usage });
        });
        Ok(())
    }

    fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
        Ok(1)
    }

    fn models(&self) -> Vec<Model> {
        vec![Model { name: "slow".into(), chats: true, ..Model::default() }]
    }
}

impl Embed for Slow {
    fn embed(&self, _: &str, _: &[String]) -> Result<Embedded, ChatError> {
        Err(ChatError::invalid("model", "slow has no vectors"))
    }
}

/// Says the events it was given, whatever they are.
pub(crate) struct Tape(pub(crate) Vec<Event>);

impl Chat for Tape {
    fn start(&self, _: Request, mut sink: Sink) -> Result<(), ChatError> {
        for event in &self.0 {
            sink(event.clone());
        }
        Ok(())
    }

    fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
        Ok(1)
    }

    fn models(&self) -> Vec<Model> {
        Vec::new()
    }
}

impl Embed for Tape {
    fn embed(&self, _: &str, _: &[String]) -> Result<Embedded, ChatError> {
        Err(ChatError::invalid("model", "a tape has no vectors"))
    }
}

pub(crate) fn started() -> Event {
    Event::Started { prompt_tokens: 3, cached_tokens: 1 }
}

pub(crate) fn text(text: &str) -> Event {
    Event::Text { text: text.into(), logprobs: Vec::new() }
}

pub(crate) fn token(text: &str) -> Event {
    let token = TokenLogprob {
        text: text.into(),
        bytes: text.as_bytes().to_vec(),
        logprob: -0.5,
        top: vec![("x".into(), b"x".to_vec(), -1.0)],
    };
    Event::Text { text: text.into(), logprobs: vec![token] }
}

pub(crate) fn finished(reason: FinishReason) -> Event {
    let usage = Usage { prompt_tokens: 3, completion_tokens: 2, ..Usage::default() };
    Event::Finished { reason, usage }
}

/// A script that says "Good morning." and calls two tools where there are any.
pub(crate) fn script() -> Arc<Script> {
    let call =
        |id: &str, name: &str, arguments| ToolCall { id: id.into(), name: name.into(), arguments };
    Arc::new(Script::new(["Good ", "morning."]).calling([
        call("call_1", "get_time", serde_json::json!({"zone": "UTC"})),
        call("call_2", "get_time", serde_json::json!({"zone": "CET"})),
    ]))
}
