//! Quotas as a client meets them: what is refused, in whose words, and what is counted.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ondine_chat::{Chat, Embed};
use ondine_server::{App, Doors, Limits, OverQuota, Reach, Refusal, Tokens};
use serde_json::{Value, json};

use crate::common::*;

const CHAT: &str = "/v1/chat/completions";

/// The two apps, with so many tokens each.
struct Purses {
    tokens: Tokens,
    quota: u64,
    used: Mutex<BTreeMap<String, u64>>,
}

impl Purses {
    fn used(&self, app: &str) -> u64 {
        self.used.lock().unwrap().get(app).copied().unwrap_or(0)
    }
}

impl Doors for Purses {
    fn who(&self, token: Option<&str>) -> Result<App, Refusal> {
        self.tokens.who(token)
    }

    fn admit(&self, app: &App) -> Result<(), OverQuota> {
        let used = self.used(&app.name);
        if used < self.quota {
            return Ok(());
        }
        Err(OverQuota { quota: self.quota, used, free_in_s: 3600 })
    }

    fn spent(&self, app: &App, tokens: u64) {
        *self.used.lock().unwrap().entry(app.name.clone()).or_default() += tokens;
    }
}

fn serving<T: Chat + Embed + 'static>(model: Arc<T>, quota: u64) -> (Arc<Purses>, Running) {
    let purses = Arc::new(Purses { tokens: tokens(), quota, used: Mutex::default() });
    let doors = purses.clone();
    let server = Running::with(model, Limits::default(), Reach::ThisMachine, |server| {
        server.doors = doors;
    });
    (purses, server)
}

fn body(words: &str) -> Value {
    json!({"model": "script", "max_tokens": 9, "messages": [{"role": "user", "content": words}]})
}

#[test]
fn over_its_quota_an_app_is_told_in_its_own_words_and_others_are_not() {
    let (purses, server) = serving(script(), 4);
    let said = |body: &Value| body["usage"]["total_tokens"].as_u64().unwrap();
    let first = server.post(CHAT, &body("one two")).json();
    assert_eq!((said(&first), purses.used("notes")), (4, 4));
    let rows = [
        (CHAT, body("x"), "/error/code", "insufficient_quota"),
        (
            "/v1/completions",
            json!({"model": "m", "prompt": "x"}),
            "/error/type",
            "insufficient_quota",
        ),
        (
            "/v1/embeddings",
            json!({"model": "m", "input": "x"}),
            "/error/code",
            "insufficient_quota",
        ),
        ("/v1/responses", json!({"model": "m", "input": "x"}), "/error/code", "insufficient_quota"),
        ("/v1/messages", body("x"), "/error/type", "rate_limit_error"),
        ("/api/chat", body("x"), "/error", "the quota of 4 tokens a day"),
        ("/api/embed", json!({"model": "m", "input": "x"}), "/error", "(4 used)"),
    ];
    for (path, body, place, word) in &rows {
        let reply = server.post(path, body);
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("3600")), "{path}");
        assert_eq!(reply.header("x-should-retry"), Some("false"));
        let told = reply.json().pointer(place).unwrap().to_string();
        assert!(told.contains(word), "{path}: {told}");
        assert!(reply.body.contains("00:00 UTC"), "{path}: {}", reply.body);
    }
    // What costs nothing is not refused, nor is anybody else.
    assert_eq!(server.get("/v1/models").status, 200);
    assert_eq!(server.post("/v1/messages/count_tokens", &body("x")).status, 200);
    let other = [("Authorization", &*format!("Bearer {OTHER}"))];
    assert_eq!(server.ask("POST", CHAT, &other, &body("x").to_string()).status, 200);
    let page = server.get("/metrics").body;
    let refused = format!("ondine_refused_total{{app=\"notes\",error=\"quota\"}} {}", rows.len());
    assert!(page.contains(&refused), "{page}");
}

#[test]
fn many_at_once_are_counted_to_the_token() {
    let (purses, server) = serving(script(), u64::MAX);
    let total = Mutex::new(0_u64);
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (server, total) = (&server, &total);
            scope.spawn(move || {
                for turn in 0..20 {
                    let mut body = body(&"word ".repeat(1 + (client + turn) % 5));
                    body["n"] = (1 + turn % 2).into();
                    let usage = server.post(CHAT, &body).json()["usage"].clone();
                    // Each of several answers reads the prompt, which the client is told of once.
                    let prompt = usage["prompt_tokens"].as_u64().unwrap() * (1 + turn as u64 % 2);
                    let answer = usage["completion_tokens"].as_u64().unwrap();
                    *total.lock().unwrap() += prompt + answer;
                }
            });
        }
    });
    assert_eq!(purses.used("notes"), *total.lock().unwrap());
    assert_eq!(
        server.post("/v1/embeddings", &json!({"model": "script", "input": "a b c"})).status,
        200
    );
    assert_eq!(purses.used("notes"), *total.lock().unwrap() + 3);
}

#[test]
fn who_goes_away_has_had_what_was_computed() {
    let silenced = Arc::new(Mutex::new(None));
    let slow = Slow { pause: Duration::from_millis(20), words: 1000, silenced: silenced.clone() };
    let (purses, server) = serving(Arc::new(slow), u64::MAX);
    let mut streaming = body("x");
    streaming["stream"] = true.into();
    let mut client = server.connect();
    client.write_all(request("POST", CHAT, &[], &streaming.to_string()).as_bytes()).unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    assert_eq!(purses.used("notes"), 0, "it still runs");
    drop(client);
    let since = Instant::now();
    while purses.used("notes") == 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "nothing was counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    let used = purses.used("notes");
    assert!((2..500).contains(&used), "the prompt and the words until then: {used}");
    let page = server.get("/metrics").body;
    let told = format!("ondine_tokens_total{{app=\"notes\",direction=\"out\"}} {}", used - 1);
    assert!(page.contains(&told), "{page}");
    let lines = server.log.0.lock().unwrap();
    let answer = lines.iter().find(|line| line.contains("\"answer\"")).unwrap();
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(answer["end"], "reader_left");
    // The reader's end of it may be one word earlier.
    let words = answer["completion_tokens"].as_u64().unwrap();
    assert!((used - 3..used).contains(&words), "{answer} {used}");
}
