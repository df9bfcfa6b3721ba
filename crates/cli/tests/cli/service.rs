//! `ondine serve` and `ondine app`: the real binary on a port of its own, asked over plain sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Folder, Ran, command, finish, plain_model, tiny_model};

/// A service with a home of its own, ended with its test.
pub(crate) struct Service {
    home: Folder,
    pub(crate) child: Child,
    pub(crate) address: String,
    /// Reads its standard error, where somebody does.
    log: Option<JoinHandle<String>>,
}

pub(crate) fn with_home(home: &Folder, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env("ONDINE_HOME", home.path("home"));
    command
}

impl Service {
    pub(crate) fn start(home: Folder, more: &[&str]) -> Service {
        let mut service = Service::unread(home, more);
        let mut stderr = service.child.stderr.take().expect("a pipe");
        service.log = Some(std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("a log");
            log
        }));
        service
    }

    /// One whose standard error nobody reads.
    fn unread(home: Folder, more: &[&str]) -> Service {
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
        Service { home, child, address, log: None }
    }

    pub(crate) fn ondine(&self, arguments: &[&str]) -> Ran {
        finish(with_home(&self.home, arguments).output().expect("the binary starts"))
    }

    /// Sends a request; gives its status and what followed the headers.
    pub(crate) fn send(&self, line: &str, token: Option<&str>, body: &str) -> (u16, String) {
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

    /// Waits for its end, which somebody has asked for, and gives its home to another.
    pub(crate) fn ended(mut self) -> (Folder, Option<i32>) {
        let status = self.child.wait().expect("a child");
        (std::mem::replace(&mut self.home, Folder::new()), status.code())
    }

    /// Asks it to end.
    pub(crate) fn signal(&self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(kill.expect("kill starts").success());
    }

    /// Asks it to end, and gives what it wrote to standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.signal();
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("a child") {
                Some(status) => break status,
                None if begun.elapsed() > Duration::from_secs(20) => panic!("it does not end"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let log = self.log.take().map(|log| log.join().expect("a log")).unwrap_or_default();
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
    assert_eq!(
        service.ondine(&["app", "ls"]).ok(),
        "notes\tinteractive\t0\t-\nchores\tbackground\t0\t-\n"
    );
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
    assert_eq!(service.ondine(&["app", "ls"]).ok(), "default\tinteractive\t0\t-\n");
    let (code, log) = service.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("ondine-"), "its token is told: {log}");
}

#[cfg(unix)]
#[test]
fn droplet_answers_conversations_with_calls() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().unwrap()).ok();
    let service = Service::start(home, &[]);
    let post = |path: &str, body: Value| {
        let line = format!("POST {path}");
        let (status, body) = service.send(&line, Some(token.trim()), &body.to_string());
        (status, serde_json::from_str::<Value>(&body).unwrap_or(Value::Null))
    };
    let say =
        |text: &str| json!({ "messages": [{ "role": "user", "content": text }], "model": "" });
    let mut body = say("set an alarm for 7 am tomorrow");
    body.as_object_mut().unwrap().insert("model".into(), "droplet".into());
    let (status, answer) = post("/v1/chat/completions", body.clone());
    assert_eq!(status, 200, "{answer}");
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{answer}");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["name"], "alarm_set", "{answer}");
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 4, "{answer}");
    body["tools"] = json!([{ "type": "function", "function": { "name": "x" } }]);
    let (status, refused) = post("/v1/chat/completions", body);
    assert_eq!((status, &refused["error"]["param"]), (400, &json!("tools")), "{refused}");
}

#[cfg(unix)]
#[test]
fn what_is_named_is_there_at_once_and_alone_where_it_is_to_be() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().unwrap()).ok();
    let model = tiny_model(&home);
    let service = Service::start(home, &["-m", &model, "--only", "--keep-alive", "0"]);
    let get = |path: &str| {
        let (status, body) = service.send(&format!("GET {path}"), Some(token.trim()), "");
        assert_eq!(status, 200, "{body}");
        body
    };
    let models: Value = serde_json::from_str(&get("/v1/models")).unwrap();
    let names: Vec<&Value> =
        models["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(names, ["tiny"]);
    let page = get("/metrics");
    assert!(page.contains("ondine_model_loaded{model=\"tiny\"} 1"), "at once: {page}");
    // Whatever the usual is, what was named stays.
    let body = json!({ "prompt": "x", "max_tokens": 4, "model": "tiny" }).to_string();
    assert_eq!(service.send("POST /v1/completions", Some(token.trim()), &body).0, 200);
    std::thread::sleep(Duration::from_millis(300));
    assert!(get("/metrics").contains("ondine_model_loaded{model=\"tiny\"} 1"));
    let body = json!({ "prompt": "x", "model": "droplet" }).to_string();
    assert_eq!(service.send("POST /v1/completions", Some(token.trim()), &body).0, 404);
    // Until it is told to go, and then it comes again for whoever asks.
    let body = json!({ "model": "tiny" }).to_string();
    assert_eq!(service.send("POST /v1/models/unload", Some(token.trim()), &body).0, 200);
    let since = Instant::now();
    while get("/metrics").contains("ondine_model_loaded{model=\"tiny\"} 1") {
        assert!(since.elapsed() < Duration::from_secs(10), "it does not go");
    }
    let body = json!({ "prompt": "x", "max_tokens": 4, "model": "tiny" }).to_string();
    assert_eq!(service.send("POST /v1/completions", Some(token.trim()), &body).0, 200);
}

#[cfg(unix)]
#[test]
fn the_store_is_served_and_a_new_content_takes_over() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().unwrap()).ok();
    let (first, second) = (tiny_model(&home), plain_model(&home));
    finish(with_home(&home, &["pull", &first, "--name", "little"]).output().unwrap()).ok();
    let service = Service::start(home, &["--keep-alive", "1m"]);
    let ask = |path: &str, body: Value| {
        let (status, body) = service.send(path, Some(token.trim()), &body.to_string());
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<Value>(&body).unwrap_or(Value::Null)
    };
    let status = || ask("GET /v1/status", json!({}));
    let little = |status: &Value| {
        let models = status["models"].as_array().expect("models").clone();
        models.into_iter().find(|model| model["name"] == "little").expect("little")
    };
    assert_eq!(little(&status())["loaded"], false);
    // The store's model is the default, before droplet.
    let completion = json!({ "prompt": "x", "max_tokens": 4, "seed": 1, "model": "little" });
    let begun = ask("POST /v1/completions", completion.clone());
    let before = little(&status());
    assert_eq!(before["loaded"], true, "{before}");
    assert!(before["leaves_in_s"].as_u64().is_some_and(|s| s <= 60), "{before}");

    // The same source has another content now.
    std::fs::copy(&second, &first).expect("a copy");
    service.ondine(&["pull", &first, "--name", "little"]).ok();
    let since = Instant::now();
    while little(&status())["sha256"] == before["sha256"] {
        assert!(since.elapsed() < Duration::from_secs(20), "the new one does not take over");
        ask("POST /v1/completions", completion.clone());
    }
    let other = ask("POST /v1/completions", completion);
    assert_eq!(other["choices"], begun["choices"], "the weights are the same");
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("\"what\":\"loaded\"").count(), 2, "{log}");
}

/// Apps, clients of each, and different prompts of each client's app.
const APPS: usize = 4;
const PROMPTS: usize = 8;

/// Clients of four apps ask all at once. Every answer must be the one that its prompt and seed get
/// alone, with its own app's word in it, and no app may be served much more than another.
fn crowded(clients: usize, requests: usize) {
    let home = Folder::new();
    let tokens: Vec<String> = (0..APPS)
        .map(|app| {
            let name = format!("app-{app}");
            finish(with_home(&home, &["app", "add", &name]).output().unwrap()).ok()
        })
        .collect();
    let service = Service::start(home, &[]);
    let ask = |app: usize, prompt: usize| {
        // The word is the canary: of an answer that is another's, it is not the same text.
        let body = json!({ "model": "droplet", "prompt": format!("fn canary_{app}_{prompt}(x: u8) -> u8 {{"),
            "seed": prompt, "max_tokens": 8, "temperature": 1.0, "logit_bias": { "0": -100, "1": -100 } });
        let token = tokens[app].trim();
        let (status, body) = service.send("POST /v1/completions", Some(token), &body.to_string());
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["choices"][0]["text"].as_str().expect("text").to_owned()
    };
    let alone: Vec<Vec<String>> =
        (0..APPS).map(|app| (0..PROMPTS).map(|prompt| ask(app, prompt)).collect()).collect();
    let texts: std::collections::BTreeSet<&String> = alone.iter().flatten().collect();
    assert!(texts.len() > APPS * PROMPTS / 2, "answers tell prompts apart");

    let done: [AtomicUsize; APPS] = Default::default();
    let each = requests / APPS;
    // What every app had when the first of them had all.
    let at_the_first_end = Mutex::new(None);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..clients {
            let (ask, alone, done, at_the_first_end) = (&ask, &alone, &done, &at_the_first_end);
            let app = client % APPS;
            scope.spawn(move || {
                let share = each / (clients / APPS);
                for i in 0..share {
                    let prompt = (i + client) % PROMPTS;
                    assert_eq!(ask(app, prompt), alone[app][prompt], "app {app}, prompt {prompt}");
                    if done[app].fetch_add(1, Ordering::SeqCst) + 1 == share * (clients / APPS) {
                        let mut first = at_the_first_end.lock().unwrap();
                        first.get_or_insert_with(|| {
                            done.each_ref().map(|done| done.load(Ordering::SeqCst))
                        });
                    }
                }
            });
        }
    });
    let total: usize = done.iter().map(|done| done.load(Ordering::SeqCst)).sum();
    let shares = at_the_first_end.into_inner().unwrap().expect("somebody ended");
    eprintln!(
        "{clients} clients of {APPS} apps, {total} requests in {:.1} s, none lost, none mixed; when the first \
         app had all, they had {shares:?}",
        begun.elapsed().as_secs_f64()
    );
    assert_eq!(total, requests / clients * clients);
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    // Where requests are few, one or two clients that begin late are a tenth.
    if requests >= 1000 {
        assert!(least * 10 >= most * 9, "equal apps: {shares:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_log_that_nobody_reads_keeps_nobody() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().unwrap()).ok();
    let service = Service::unread(home, &[]);
    // More lines than a pipe and the service have room for.
    for _ in 0..1600 {
        assert_eq!(service.send("GET /v1/models", Some(token.trim()), "").0, 200);
    }
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn a_crowd_is_answered_and_nobody_gets_anothers_answer() {
    crowded(16, 160);
}

#[test]
#[ignore = "minutes: cargo test -p ondine-cli --test cli -- --ignored --nocapture ten_thousand"]
fn ten_thousand_requests_of_sixty_four_clients() {
    crowded(64, 10_048);
}

#[test]
fn what_cannot_be_served_is_refused_at_once() {
    let home = Folder::new();
    let rows: &[(&[&str], i32, &str)] = &[
        (&["serve", "--listen", "0.0.0.0:0"], 1, "other machines"),
        (&["serve", "--listen", "nowhere"], 2, "127.0.0.1:11435"),
        (&["serve", "--listen", "127.0.0.1:0", "-m", "absent.gguf"], 1, "absent.gguf"),
        (&["serve", "--listen", "127.0.0.1:0", "--memory", "1000"], 1, "--memory"),
        (&["serve", "--listen", "127.0.0.1:0", "--only"], 2, "--model"),
        (&["serve", "--listen", "127.0.0.1:0", "--keep-alive", "soon"], 2, "5m"),
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
