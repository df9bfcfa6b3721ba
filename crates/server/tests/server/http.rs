//! What must not pass the door, and what must pass it in time. The numbers are those of the
//! catalogue of HTTP cases that peers have failed.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ondine_server::Limits;
use serde_json::{Value, json};

use crate::common::*;

const CHAT: &str = "/v1/chat/completions";

fn body() -> Value {
    json!({"model": "script", "messages": [{"role": "user", "content": "hello"}]})
}

/// Every endpoint: a name, a page or a token that is wrong is refused by each.
const PATHS: [(&str, &str); 8] = [
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("POST", CHAT),
    ("POST", "/v1/messages"),
    ("POST", "/api/chat"),
    ("GET", "/api/tags"),
    ("GET", "/nowhere"),
];

#[test]
fn ht_01_only_our_names_are_answered_to() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    for (method, path) in PATHS {
        for host in ["evil.com", "127.0.0.1.evil.com", "localhost@evil", "[::ffff:127.0.0.1]", "-"]
        {
            let reply = server.ask(method, path, &[("Host", host)], &body().to_string());
            assert_eq!(reply.status, 403, "{method} {path} {host}");
        }
        let two = [("Host", "localhost"), ("Host", "evil.com")];
        assert_eq!(server.ask(method, path, &two, "").status, 403, "{path}");
        let absolute = format!("http://evil.com{path}");
        assert_eq!(server.ask(method, &absolute, &[], "").status, 403, "{path}");
    }
    assert!(model.asked().is_empty());
    assert_eq!(server.ask("GET", "http://localhost/health", &[], "").status, 200);
}

#[test]
fn ht_02_and_03_only_our_pages_may_ask() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    for origin in ["http://evil.com", "null", "http://localhost.evil", "https://127.0.0.1.evil"] {
        for (method, path) in PATHS {
            let reply = server.ask(method, path, &[("Origin", origin)], &body().to_string());
            assert_eq!(reply.status, 403, "{path} {origin}");
            assert!(reply.header("access-control-allow-origin").is_none(), "{path} {origin}");
        }
        let asks = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        let reply = server.ask("OPTIONS", CHAT, &asks, "");
        assert_eq!(reply.status, 403, "{origin}");
    }
    let own = ("Origin", "http://localhost:3000");
    let asks = [
        own,
        ("Authorization", "-"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type"),
    ];
    let reply = server.ask("OPTIONS", CHAT, &asks, "");
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("authorization,content-type"));
    let reply = server.ask("POST", CHAT, &[own], &body().to_string());
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(server.ask("OPTIONS", CHAT, &[("Authorization", "-")], "").status, 401);

    let asked = model.asked().len();
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "-"] {
        let reply = server.ask("POST", CHAT, &[("Content-Type", media)], &body().to_string());
        assert_eq!(reply.status, 415, "{media}");
    }
    for path in [CHAT, "/v1/messages", "/api/chat", "/api/generate", "/v1/responses"] {
        assert_eq!(server.get(path).status, 405, "{path}");
    }
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("X", "close")];
    let text = request("GET", CHAT, &upgrade, "");
    let mut stream = server.connect();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 405");
    assert_eq!(model.asked().len(), asked, "none of these reached the model");
}

#[test]
fn ht_05_nobody_asks_without_a_token() {
    let server = Running::new(script(), Limits::default());
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let rows: &[Row<'_>] = &[
        ("/v1/models", &[("Authorization", "-")], 401),
        ("/v1/models", &[("Authorization", "Bearer wrong")], 401),
        ("/v1/models", &[("Authorization", "Basic dG9rZW4=")], 401),
        ("/v1/models", &[("Authorization", "-"), ("x-api-key", TOKEN)], 200),
        ("/v1/models", &[("Authorization", "-"), ("x-api-key", "wrong")], 401),
        ("/v1/models?api_key=token-of-notes", &[("Authorization", "-")], 401),
        ("/v1/messages", &[("Authorization", "-")], 401),
        ("/api/tags", &[("Authorization", "-")], 401),
        ("/metrics", &[("Authorization", "-")], 401),
        ("/nowhere", &[("Authorization", "-")], 401),
        ("/health", &[("Authorization", "-")], 200),
    ];
    for (path, headers, status) in rows {
        let reply = server.ask("GET", path, headers, "");
        assert_eq!(reply.status, *status, "{path} {headers:?}");
    }
    assert_eq!(server.ask("GET", "/health", &[("Authorization", "-")], "").body, "ok\n");
    let shapes =
        [("/v1/models", "/error/code"), ("/v1/messages", "/error/type"), ("/api/tags", "/error")];
    for (path, place) in shapes {
        let reply = server.ask("GET", path, &[("Authorization", "-")], "");
        assert!(reply.json().pointer(place).is_some(), "{reply:?}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
}

#[test]
fn ht_07_numbers_have_bounds_and_names() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let biases: serde_json::Map<String, Value> =
        (0..1025).map(|token| (token.to_string(), 1.into())).collect();
    let rows = [
        ("n", json!(1_000_000_000)),
        ("n", json!(9)),
        ("n", json!(0)),
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(9_223_372_036_854_775_808_u64)),
        ("top_logprobs", json!(1_000_000_000)),
        ("temperature", json!(-1)),
        ("temperature", json!(1e38)),
        ("seed", json!(18_446_744_073_709_551_616.0)),
        ("logit_bias", biases.into()),
        ("stop", json!(vec!["x"; 17])),
        ("stop", json!("x".repeat(257))),
        ("functions", json!([])),
        ("modalities", json!(["audio"])),
        ("messages", json!(vec![json!({"role": "user", "content": ""}); 4097])),
    ];
    for (name, value) in rows {
        let mut body = body();
        body[name] = value;
        let reply = server.post(CHAT, &body);
        assert_eq!(reply.status, 400, "{name}");
        assert_eq!(reply.json()["error"]["param"], name);
    }
    let huge = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1e400}"#;
    assert_eq!(server.ask("POST", CHAT, &[], huge).status, 400);
    assert!(model.asked().is_empty());
    let mut unknown = body();
    unknown["best_of"] = 1_000_000_000.into();
    unknown["n_discard"] = (-1).into();
    assert_eq!(server.post(CHAT, &unknown).status, 200, "what is not known is passed over");
}

#[test]
fn each_limit_holds_at_its_value_and_not_one_above() {
    let limits = Limits {
        messages: 2,
        tools: 2,
        choices: 2,
        texts: 2,
        stops: 2,
        stop_bytes: 2,
        tokens: 2,
        top_logprobs: 2,
        logit_bias: 2,
        schema_bytes: 20,
        json_depth: 5,
        json_values: 4096,
        ..Limits::default()
    };
    let server = Running::new(script(), limits);
    let turns = |n: usize| json!(vec![json!({"role": "user", "content": "x"}); n]);
    let tools = |n: usize| -> Value {
        let tool = |n| json!({"type": "function", "function": {"name": format!("f{n}")}});
        (0..n).map(tool).collect()
    };
    let biases = |n: usize| -> Value {
        let bias: serde_json::Map<String, Value> =
            (0..n).map(|token| (token.to_string(), 1.into())).collect();
        bias.into()
    };
    // A schema of so many bytes: {"title":"xxx"}
    let format = |bytes: usize| {
        let schema = json!({"title": "x".repeat(bytes - 12)});
        json!({"type": "json_schema", "json_schema": {"schema": schema}})
    };
    let deep = |n: usize| -> Value {
        // The body around it is one.
        let text = format!("{}{}", "[".repeat(n - 1), "]".repeat(n - 1));
        serde_json::from_str(&text).unwrap()
    };
    type Of<'a> = &'a dyn Fn(usize) -> Value;
    let rows: [(&str, &str, usize, Of<'_>); 12] = [
        (CHAT, "messages", 2, &turns),
        (CHAT, "tools", 2, &tools),
        (CHAT, "n", 2, &|n| n.into()),
        (CHAT, "stop", 2, &|n| json!(vec!["x"; n])),
        (CHAT, "stop", 2, &|n| "x".repeat(n).into()),
        (CHAT, "max_tokens", 2, &|n| n.into()),
        (CHAT, "top_logprobs", 2, &|n| n.into()),
        (CHAT, "logit_bias", 2, &biases),
        (CHAT, "response_format", 20, &format),
        (CHAT, "unknown", 5, &deep),
        // The list itself, its other values, and the six of the body around it.
        (CHAT, "unknown", 4096 - 8, &|n| json!(vec![0; n])),
        ("/v1/embeddings", "input", 2, &|n| json!(vec!["x"; n])),
    ];
    for (path, name, limit, of) in rows {
        for (value, status) in [(limit, 200), (limit + 1, 400)] {
            let mut body = body();
            body["logprobs"] = true.into();
            body[name] = of(value);
            let reply = server.post(path, &body);
            assert_eq!(reply.status, status, "{name} {value}: {reply:?}");
        }
    }
}

#[test]
fn ht_08_who_is_slow_or_endless_is_let_go() {
    let limits = Limits {
        header_time: Duration::from_millis(300),
        body_time: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Running::new(script(), limits);
    let since = Instant::now();
    let mut crawlers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for crawler in &mut crawlers {
        crawler.write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: loc").unwrap();
    }
    assert_eq!(server.get("/health").status, 200, "others are served meanwhile");
    for crawler in &mut crawlers {
        // Let go with or without a word.
        let _ = crawler.read_to_end(&mut Vec::new());
    }
    let text = request("POST", CHAT, &[], "").replace("Content-Length: 0", "Content-Length: 99");
    assert_eq!(server.raw(text.as_bytes()).status, 408, "a body that does not come");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());

    let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
    let text = request("GET", "/health", &[], "").replacen("\r\n", &format!("\r\n{many}"), 1);
    assert_eq!(server.raw(text.as_bytes()).status, 431);
    let long = "y".repeat(100 << 10);
    assert_eq!(server.ask("GET", "/health", &[("X", &long)], "").status, 431);
    for broken in [
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/json\r\nAuthorization: Bearer token-of-notes\r\n\r\n\
         10000000000000000\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let reply = server.raw(broken.as_bytes());
        assert!(matches!(reply.status, 400 | 0), "{broken:?} {reply:?}");
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn ht_09_bodies_have_a_size_a_depth_and_one_meaning() {
    let limits = Limits { body_bytes: 1000, ..Limits::default() };
    let server = Running::new(script(), limits);
    let rows: [(String, u16); 6] = [
        (format!("{{\"model\":\"{}\"}}", "x".repeat(988)), 400),
        (format!("{{\"model\":\"{}\"}}", "x".repeat(989)), 413),
        ("[".repeat(1000), 400),
        (r#"{"model":"a","model":"b","messages":[]}"#.into(), 400),
        ("{".into(), 400),
        (String::new(), 400),
    ];
    for (text, status) in rows {
        let reply = server.ask("POST", CHAT, &[], &text);
        assert_eq!(reply.status, status, "{} bytes: {reply:?}", text.len());
    }
    let gzip = [("Content-Encoding", "gzip")];
    assert_eq!(server.ask("POST", CHAT, &gzip, &body().to_string()).status, 415);
    let mut endless = server.connect();
    let head = request("POST", CHAT, &[("Transfer-Encoding", "chunked")], "");
    let head = head.replace("Content-Length: 0\r\n", "");
    endless.write_all(head.as_bytes()).unwrap();
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    for _ in 0..10_000 {
        if endless.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut said = Vec::new();
    let _ = endless.read_to_end(&mut said);
    let status = Reply::parse(&said).status;
    assert!(matches!(status, 413 | 0), "{status}");
}

#[test]
fn ht_11_a_reader_that_goes_away_silences_the_model() {
    for (path, stream) in [(CHAT, true), (CHAT, false), ("/api/chat", true), ("/v1/messages", true)]
    {
        let silenced = Arc::new(Mutex::new(None));
        let slow =
            Slow { pause: Duration::from_millis(50), words: 200, silenced: silenced.clone() };
        let server = Running::new(Arc::new(slow), Limits::default());
        let mut body = body();
        body["stream"] = stream.into();
        body["max_tokens"] = 1000.into();
        let mut client = server.connect();
        client.write_all(request("POST", path, &[], &body.to_string()).as_bytes()).unwrap();
        if stream {
            client.read_exact(&mut [0; 200]).unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
        let left = Instant::now();
        drop(client);
        while silenced.lock().unwrap().is_none() {
            assert!(left.elapsed() < Duration::from_secs(5), "{path} {stream}: never silenced");
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = silenced.lock().unwrap().unwrap().duration_since(left);
        assert!(took < Duration::from_millis(300), "{path} {stream}: {took:?}");
        let metrics = server.get("/metrics").body;
        assert!(metrics.contains("ondine_left_total 1"), "{metrics}");
        assert!(metrics.contains("ondine_running 0"), "{metrics}");
    }
}

#[test]
fn ht_11_a_reader_that_stops_reading_is_let_go() {
    let silenced = Arc::new(Mutex::new(None));
    let slow =
        Slow { pause: Duration::from_micros(1), words: 10_000_000, silenced: silenced.clone() };
    let limits = Limits {
        write_time: Duration::from_millis(300),
        unread_bytes: 64 << 10,
        ..Limits::default()
    };
    let server = Running::new(Arc::new(slow), limits);
    let mut body = body();
    body["stream"] = true.into();
    let mut client = server.connect();
    client.write_all(request("POST", CHAT, &[], &body.to_string()).as_bytes()).unwrap();
    let since = Instant::now();
    while silenced.lock().unwrap().is_none() {
        assert!(since.elapsed() < Duration::from_secs(60), "still talking to nobody");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(client);
}

#[test]
fn ht_12_images_are_refused_wherever_they_lie() {
    let server = Running::new(script(), Limits::default());
    for url in ["http://169.254.169.254/", "file:///etc/passwd", "data:image/png;base64,AA", "x"] {
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]});
        let reply = server.post(CHAT, &body);
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json()["error"]["param"], "messages[0].content[0]");
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("images"));
    }
}

#[test]
fn ht_14_names_open_nothing() {
    let server = Running::new(script(), Limits::default());
    let model = server.get("/v1/models/none").body;
    for name in ["..%2f..%2fetc", "%00", "..%5c", "%ff", "a/b/c", "..%2f..%2fetc%2fpasswd"] {
        let reply = server.get(&format!("/v1/models/{name}"));
        assert_eq!((reply.status, &reply.body), (404, &model), "{name}");
        assert_eq!(server.get(&format!("/v1/responses/{name}")).status, 404, "{name}");
    }
}

#[test]
fn ht_15_what_is_said_stands_in_no_log_no_error_and_no_number() {
    const CANARY: &str = "canary-5f3a";
    let server = Running::new(script(), Limits::default());
    let said = json!([{"role": "user", "content": CANARY}]);
    let good = json!({"model": CANARY, "messages": said, "max_tokens": 9, "stop": [CANARY]});
    let bad = |name: &str| {
        let mut bad = good.clone();
        bad[name] = CANARY.into();
        bad
    };
    let paths =
        [CHAT, "/v1/messages", "/api/chat", "/v1/completions", "/v1/responses", "/api/show"];
    for path in paths {
        server.post(path, &good);
        for name in
            ["messages", "temperature", "stream", "tools", "tool_choice", "input", "options"]
        {
            let reply = server.post(path, &bad(name));
            assert!(
                reply.status == 200 || !reply.body.contains(CANARY),
                "{path} {name}: {}",
                reply.body
            );
        }
        let broken = format!("{{\"{CANARY}\":{CANARY}");
        assert!(!server.ask("POST", path, &[], &broken).body.contains(CANARY), "{path}");
        let twice = format!("{{\"{CANARY}\":1,\"{CANARY}\":1}}");
        assert!(!server.ask("POST", path, &[], &twice).body.contains(CANARY), "{path}");
    }
    for path in [format!("/{CANARY}"), format!("/v1/models/{CANARY}?key={CANARY}")] {
        let wrong = [("Authorization", &*format!("Bearer {CANARY}"))];
        assert!(!server.ask("GET", &path, &wrong, "").body.contains(CANARY));
        assert!(!server.get(&path).body.contains(CANARY), "{path}");
    }
    assert!(!server.get("/metrics").body.contains(CANARY));
    let lines = server.log.0.lock().unwrap();
    assert!(lines.len() > 50, "{}", lines.len());
    for line in lines.iter() {
        assert!(!line.contains(CANARY) && !line.contains(TOKEN), "{line}");
        assert!(serde_json::from_str::<Value>(line).unwrap()["time_s"].is_number());
    }
}

#[test]
fn limits_of_places_and_connections_are_told() {
    let slow = Slow { pause: Duration::from_millis(100), words: 20, ..Slow::default() };
    let limits = Limits { requests: 1, connections: 3, ..Limits::default() };
    let server = Running::new(Arc::new(slow), limits);
    let mut streaming = body();
    streaming["stream"] = true.into();
    let mut first = server.connect();
    first.write_all(request("POST", CHAT, &[], &streaming.to_string()).as_bytes()).unwrap();
    first.read_exact(&mut [0; 100]).unwrap();
    let reply = server.post(CHAT, &body());
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    assert!(reply.body.contains("requests at one time"), "{}", reply.body);
    // The server's side of that connection ends a moment after the client's.
    std::thread::sleep(Duration::from_millis(100));
    let _second = server.connect();
    let _third = server.connect();
    std::thread::sleep(Duration::from_millis(100));
    let reply = server.get("/health");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert!(reply.body.contains("connections at one time"), "{}", reply.body);
}

#[test]
fn bodies_share_a_room() {
    let server = Running::new(script(), Limits { bodies_bytes: 1000, ..Limits::default() });
    for _ in 0..20 {
        assert_eq!(server.post(CHAT, &body()).status, 200, "room is free again after each");
    }
    let mut large = body();
    large["user"] = "x".repeat(1000).into();
    let reply = server.post(CHAT, &large);
    assert_eq!((reply.status, reply.header("retry-after")), (429, Some("1")));
    assert!(reply.body.contains("bytes of bodies at one time"), "{}", reply.body);
    assert_eq!(server.post(CHAT, &body()).status, 200);
}

#[test]
fn a_silent_stream_shows_signs_of_life() {
    let slow = Slow { pause: Duration::from_millis(400), words: 1, ..Slow::default() };
    let limits = Limits { keep_alive: Duration::from_millis(100), ..Limits::default() };
    let server = Running::new(Arc::new(slow), limits);
    let mut body = body();
    body["stream"] = true.into();
    body["max_tokens"] = 9.into();
    assert!(server.post(CHAT, &body).body.contains(": still here\n\n"));
    let messages = server.post("/v1/messages", &body);
    assert!(messages.body.contains("event: ping\n"), "{messages:?}");
}

#[test]
fn an_ending_server_lets_answers_end_within_its_grace() {
    for (words, grace_s, cut_off) in [(4, 10, 0), (200, 0, 1)] {
        let slow = Slow { pause: Duration::from_millis(50), words, ..Slow::default() };
        let limits = Limits { grace: Duration::from_secs(grace_s), ..Limits::default() };
        let server = Running::new(Arc::new(slow), limits);
        let mut body = body();
        body["stream"] = true.into();
        let mut client = server.connect();
        client.write_all(request("POST", CHAT, &[], &body.to_string()).as_bytes()).unwrap();
        client.read_exact(&mut [0; 100]).unwrap();
        let address = server.address;
        let drained = server.end();
        assert_eq!(drained.cut_off, cut_off, "{words} words");
        let mut rest = String::new();
        let _ = client.read_to_string(&mut rest);
        assert_eq!(rest.contains("[DONE]"), cut_off == 0);
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody new is let in");
    }
}

#[test]
fn numbers_are_told_to_those_with_a_token() {
    let server = Running::new(script(), Limits::default());
    server.post(CHAT, &body());
    server.post("/api/chat", &json!({"model": 5}));
    let page = server.get("/metrics").body;
    for line in [
        "ondine_requests_total{api=\"openai\",status=\"200\"} 1",
        "ondine_requests_total{api=\"ollama\",status=\"400\"} 1",
        "ondine_tokens_total{app=\"notes\",direction=\"in\"} 1",
        "ondine_tokens_total{app=\"notes\",direction=\"out\"} 2",
        "ondine_first_token_seconds_count 1",
        "ondine_running 0",
        "ondine_queued 0",
    ] {
        assert!(page.lines().any(|own| own == line), "{line}\n{page}");
    }
}
