//! Conversations that are kept: their API, and the real binary that is ended while apps talk.

mod api;
mod kills;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Folder, command, finish, tiny_model};

/// How long a request may take: where it takes longer, the service hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service, on a port of its own, with a home that outlives it.
struct Daemon {
    child: Child,
    address: String,
}

impl Daemon {
    fn begin(home: &Folder, model: &str) -> Child {
        let mut command = command(&["serve", "--listen", "127.0.0.1:0", "-m", model]);
        command.env("ONDINE_HOME", home.path("home")).stderr(Stdio::null());
        command.spawn().expect("the binary starts")
    }

    fn start(home: &Folder, model: &str) -> Daemon {
        let mut child = Daemon::begin(home, model);
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        let address = ready["listen"].as_str().expect("an address").to_owned();
        Daemon { child, address }
    }

    fn kill(mut child: Child) {
        child.kill().expect("a process that can be killed");
        child.wait().expect("a process that has ended");
    }
}

/// An app's token, and where it asks.
#[derive(Clone, Copy)]
struct Caller<'a> {
    address: &'a str,
    token: &'a str,
}

impl Caller<'_> {
    /// A connection on which a request was sent.
    fn begin(self, line: &str, body: &Value) -> Option<TcpStream> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (length, token) = (body.len(), self.token);
        write!(
            stream,
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: \
             application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}",
        )
        .ok()?;
        Some(stream)
    }

    /// Status and body, where all of them came.
    fn send(self, line: &str, body: &Value) -> Option<(u16, String)> {
        let mut stream = self.begin(line, body)?;
        let (mut answer, begun) = (Vec::new(), Instant::now());
        let read = stream.read_to_end(&mut answer);
        assert!(begun.elapsed() < PATIENCE, "the service hangs at {line}");
        read.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
        length.is_none_or(|length| body.len() == length).then(|| (status, body.to_owned()))
    }

    fn get(self, path: &str) -> Value {
        let (status, body) = self.send(&format!("GET {path}"), &Value::Null).expect("an answer");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }

    fn post(self, path: &str, body: &Value) -> Value {
        let (status, body) = self.send(&format!("POST {path}"), body).expect("an answer");
        assert!(matches!(status, 200 | 201), "{path}: {status} {body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

/// A new app's token.
fn token(home: &Folder, app: &str) -> String {
    let mut add = command(&["app", "add", app]);
    add.env("ONDINE_HOME", home.path("home"));
    finish(add.output().expect("the binary starts")).ok().trim().to_owned()
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[test]
fn a_long_conversation_goes_on_with_a_summary_and_so_it_does_after_a_kill() {
    let home = Folder::new();
    let token = token(&home, "notes");
    // Under its own name it answers with calls, to the last message alone.
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../droplet/droplet.gguf");
    let model = home.file("words.gguf", std::fs::read(weights).expect("the embedded model"));
    let Daemon { child, address } = Daemon::start(&home, &model);
    let caller = Caller { address: &address, token: &token };
    let session = caller.post("/v1/sessions", &json!({"overflow": "summarize"}));
    let answers = format!("/v1/sessions/{}/answers", session["id"].as_str().expect("an id"));
    let say = |caller: Caller<'_>, number: usize| {
        let text = format!("message {number}: {}", "the light in the kitchen is on, ".repeat(4));
        let body = json!({"messages": user(&text), "max_tokens": 16, "seed": 1});
        let answer = caller.post(&answers, &body);
        let told = answer["usage"]["prompt_tokens"].as_u64().expect("a number");
        assert!(told + 16 <= 512, "{answer}");
        assert_eq!(answer["session"]["messages"], 2 * number + 2, "all of them stay");
        answer["usage"]["dropped_tokens"].as_u64().expect("a number")
    };
    let number = (0..50).find(|&number| say(caller, number) > 0).expect("it grows too long");
    let dropped = say(caller, number + 1);
    assert!(dropped > 100, "{dropped}");
    Daemon::kill(child);

    let Daemon { child, address } = Daemon::start(&home, &model);
    let caller = Caller { address: &address, token: &token };
    assert_eq!(say(caller, number + 2), dropped, "the same summary, from the disk");
    let long = json!({"model": "words", "messages": user(&"very long ".repeat(1000)), "max_tokens": 16,
        "overflow": "summarize"});
    let (status, body) = caller.send("POST /v1/chat/completions", &long).expect("an answer");
    assert_eq!(status, 400, "one turn alone cannot be summarised: {body}");
    let mut turns = vec![json!({"role": "assistant", "content": "very long ".repeat(1000)})];
    turns.extend(user("and now").as_array().cloned().expect("a list"));
    let long =
        json!({"model": "words", "messages": turns, "max_tokens": 16, "overflow": "summarize"});
    let answer = caller.post("/v1/chat/completions", &long);
    assert!(answer["usage"]["dropped_tokens"].as_u64() > Some(1000), "{answer}");
    Daemon::kill(child);
}

#[cfg(unix)]
#[test]
fn an_answer_that_runs_when_the_service_ends_is_ended_and_kept() {
    let home = Folder::new();
    let (token, model) = (token(&home, "notes"), tiny_model(&home));
    let Daemon { mut child, address } = Daemon::start(&home, &model);
    let caller = Caller { address: &address, token: &token };
    let session = caller.post("/v1/sessions", &json!({}));
    let path = format!("/v1/sessions/{}", session["id"].as_str().expect("an id"));
    let body = json!({"messages": user("go on"), "max_tokens": 2000, "stream": true, "seed": 1});
    let mut stream = caller.begin(&format!("POST {path}/answers"), &body).expect("a connection");
    let mut told = vec![0; 400];
    stream.read_exact(&mut told).expect("the beginning of an answer");
    let second = finish(second_service(&home, &model)).fails(1);
    assert!(second.contains("another process") && second.contains("ONDINE_HOME"), "{second}");
    Command::new("kill").arg(child.id().to_string()).status().expect("kill starts");
    stream.read_to_end(&mut told).expect("the rest of it");
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("event: finished"), "{}", &told[told.len().saturating_sub(500)..]);
    assert_eq!(child.wait().expect("an end").code(), Some(0));

    let Daemon { child, address } = Daemon::start(&home, &model);
    let caller = Caller { address: &address, token: &token };
    let messages = caller.get(&format!("{path}/messages"));
    assert_eq!(messages["data"].as_array().map(Vec::len), Some(2), "{messages}");
    assert!(messages["data"][1]["content"].as_str().expect("words").len() > 1000);
    Daemon::kill(child);
}

/// What comes of a service that is started where one runs.
#[cfg(unix)]
fn second_service(home: &Folder, model: &str) -> std::process::Output {
    let mut second = command(&["serve", "--listen", "127.0.0.1:0", "-m", model]);
    second.env("ONDINE_HOME", home.path("home")).output().expect("the binary starts")
}

#[test]
fn an_app_that_was_removed_leaves_nothing_to_the_next_of_its_name() {
    let home = Folder::new();
    let (first, model) = (token(&home, "notes"), tiny_model(&home));
    let Daemon { child, address } = Daemon::start(&home, &model);
    let old = Caller { address: &address, token: &first };
    let session = old.post("/v1/sessions", &json!({"name": "diary", "messages": user("secret")}));
    assert_eq!(old.get("/v1/sessions")["data"].as_array().map(Vec::len), Some(1));
    let mut remove = command(&["app", "rm", "notes"]);
    remove.env("ONDINE_HOME", home.path("home"));
    finish(remove.output().expect("the binary starts")).ok();
    let second = token(&home, "notes");
    assert_ne!(first, second);
    let new = Caller { address: &address, token: &second };
    assert_eq!(new.get("/v1/sessions")["data"], json!([]), "of a service that runs");
    let id = session["id"].as_str().expect("an id");
    let (status, _) = new.send(&format!("GET /v1/sessions/{id}"), &Value::Null).expect("an answer");
    assert_eq!(status, 404);
    let again = new.post("/v1/sessions", &json!({"name": "diary"}));
    assert_eq!(again["messages"], 0, "{again}");
    Daemon::kill(child);
}
