//! `ondine serve` and `ondine app`: the real binary on a port of its own, asked over plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Folder, Ran, command, finish};

/// A service with a home of its own, ended with its test.
struct Service {
    home: Folder,
    child: Child,
    address: String,
}

fn with_home(home: &Folder, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("ONDINE_HOME", home.path("home"));
    command
}

impl Service {
    fn start(home: Folder, more: &[&str]) -> Service {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        let mut child = with_home(&home, &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(ready["ready"], true);
        let address = ready["listen"].as_str().expect("an address").to_owned();
        Service { home, child, address }
    }

    fn ondine(&self, arguments: &[&str]) -> Ran {
        finish(with_home(&self.home, arguments).output().expect("the binary starts"))
    }

    /// Sends a request; gives its status and what followed the headers.
    fn send(&self, line: &str, token: Option<&str>, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a patience");
        let token = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.1\r\nHost: {}\r\n{token}Content-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.address
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("headers");
        (status, body.to_owned())
    }

    /// Asks it to end, and gives what it wrote to standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(kill.expect("kill starts").success());
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if begun.elapsed() > Duration::from_secs(20) => panic!("it does not end"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let mut log = String::new();
        self.child.stderr.take().expect("a pipe").read_to_string(&mut log).expect("a log");
        (status.code(), log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It is gone already where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn completion(max_tokens: usize) -> String {
    json!({ "model": "droplet", "prompt": "fn main() { let secret_word = ", "seed": 7,
        "max_tokens": max_tokens, "temperature": 0.5 })
    .to_string()
}

#[cfg(unix)]
#[test]
fn apps_with_a_token_are_answered_and_others_are_not() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().unwrap()).ok();
    let token = token.trim();
    let service = Service::start(home, &[]);
    let path = "POST /v1/completions";
    let (status, body) = service.send(path, Some(token), &completion(8));
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 0, "{answer}");
    let again = service.send(path, Some(token), &completion(8)).1;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!(answer["choices"], again["choices"], "the same seed, the same answer");
    for wrong in [None, Some("ondine-0"), Some("")] {
        assert_eq!(service.send(path, wrong, &completion(8)).0, 401, "{wrong:?}");
    }
    let (status, body) = service.send(path, Some(token), &completion(100_000));
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("512"), "how many positions there are: {body}");
    assert_eq!(service.send("GET /health", None, "").0, 200);

    // Who comes and goes while it runs.
    let other = service.ondine(&["app", "add", "chores", "--priority", "background"]).ok();
    assert_eq!(service.ondine(&["app", "ls"]).ok(), "notes\tinteractive\nchores\tbackground\n");
    assert_eq!(service.send("GET /v1/models", Some(other.trim()), "").0, 200);
    service.ondine(&["app", "rm", "notes"]).ok();
    assert_eq!(service.send("GET /v1/models", Some(token), "").0, 401);

    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("\"app\":\"notes\""), "{log}");
    assert!(!log.contains("secret_word") && !log.contains(token), "what was said: {log}");
}

#[cfg(unix)]
#[test]
fn the_first_start_makes_an_app() {
    let service = Service::start(Folder::new(), &["-m", "droplet"]);
    assert_eq!(service.ondine(&["app", "ls"]).ok(), "default\tinteractive\n");
    let (code, log) = service.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("ondine-"), "its token is told: {log}");
}

#[test]
fn what_cannot_be_served_is_refused_at_once() {
    let home = Folder::new();
    let rows: &[(&[&str], i32, &str)] = &[
        (&["serve", "--listen", "0.0.0.0:0"], 1, "other machines"),
        (&["serve", "--listen", "nowhere"], 2, "127.0.0.1:11435"),
        (&["serve", "--listen", "127.0.0.1:0", "-m", "absent.gguf"], 1, "absent.gguf"),
        (&["serve", "--listen", "127.0.0.1:0", "--memory", "1000"], 1, "--memory"),
        (&["app", "add"], 2, "NAME"),
        (&["app", "add", "../x"], 2, "letters"),
        (&["app", "rm", "nobody"], 1, "nobody"),
        (&["app", "sell", "x"], 2, "add, ls or rm"),
    ];
    for (arguments, code, words) in rows {
        let ran = finish(with_home(&home, arguments).output().expect("the binary starts"));
        let message = ran.fails(*code);
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
}
