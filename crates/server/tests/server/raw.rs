//! Bytes that few clients send, and some do on purpose: what HTTP allows and nobody expects, and what it
//! does not allow. The numbers are those of the catalogue of HTTP cases.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ondine_chat::Prompt;
use ondine_server::Limits;
use serde_json::{Value, json};

use crate::common::*;

const CHAT: &str = "/v1/chat/completions";

fn body() -> Value {
    json!({"model": "script", "messages": [{"role": "user", "content": "hello"}]})
}

#[test]
fn ht_01_names_have_ports_and_brackets_and_targets_have_names() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let hosts = [
        ("localhost:11435", 200),
        ("LocalHost:1", 200),
        ("[::1]", 200),
        ("[::1]:8080", 200),
        ("127.0.0.1:65535", 200),
        ("[::1", 403),
        ("::1", 403),
        ("[::1]x", 403),
        ("[0:0:0:0:0:0:0:1]", 403),
        ("localhost:", 403),
        ("localhost:80:80", 403),
        ("localhost, evil.com", 403),
        ("127.0.0.2", 403),
        ("0177.0.0.1", 403),
        ("", 403),
    ];
    for (host, status) in hosts {
        let reply = server.ask("GET", "/v1/models", &[("Host", host)], "");
        assert!(
            reply.status == status || (status == 403 && reply.status == 400),
            "{host}: {reply:?}"
        );
    }
    let evil = ("Host", "evil.com");
    type Target<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let targets: [Target<'_>; 6] = [
        ("http://localhost/v1/models", &[], 200),
        ("http://[::1]:80/v1/models", &[], 200),
        ("http://localhost/v1/models", &[evil], 403),
        ("http://evil.com/v1/models", &[], 403),
        ("https://evil@localhost/v1/models", &[], 403),
        ("//evil.com/v1/models", &[], 404),
    ];
    for (target, more, status) in targets {
        assert_eq!(server.ask("GET", target, more, "").status, status, "{target} {more:?}");
    }
    for line in ["CONNECT evil.com:80 HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /v1/models HTTP/1.0"] {
        let status = server.raw(format!("{line}\r\nConnection: close\r\n\r\n").as_bytes()).status;
        assert!((400..500).contains(&status), "{line} without a Host: {status}");
    }
    assert!(model.asked().is_empty());
}

#[test]
fn ht_05_a_token_is_one_and_is_not_written_down() {
    let server = Running::new(script(), Limits::default());
    let good = format!("Bearer {TOKEN}");
    let twice = |name: &'static str, a: &str, b: &str| {
        let mut headers = vec![(name, a), (name, b)];
        if name != "Authorization" {
            headers.push(("Authorization", "-"));
        }
        server.ask("GET", "/v1/models", &headers, "").status
    };
    assert_eq!(twice("Authorization", &good, "Bearer wrong"), 401, "two readers, two tokens");
    assert_eq!(twice("Authorization", &good, &good), 401);
    assert_eq!(twice("x-api-key", TOKEN, "wrong"), 401);
    let types = [("Content-Type", "application/json"), ("Content-Type", "text/plain")];
    assert_eq!(server.ask("POST", CHAT, &types, &body().to_string()).status, 415);
    // Bytes that are no text are nobody's token.
    let text = request("GET", "/v1/models", &[], "").replace(TOKEN, "\u{e9}");
    assert_eq!(server.raw(text.as_bytes()).status, 401);
    for path in [format!("/v1/models?token={TOKEN}"), format!("/v1/models?api_key={TOKEN}")] {
        assert_eq!(server.ask("GET", &path, &[("Authorization", "-")], "").status, 401);
    }
    let log = server.log.0.lock().unwrap();
    assert!(log.len() > 5 && !log.iter().any(|line| line.contains(TOKEN)));
}

#[test]
fn ht_08_two_lengths_are_no_length_and_a_long_line_is_too_long() {
    let server = Running::new(script(), Limits::default());
    let (text, smuggled) =
        (body().to_string(), "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let both = [("Transfer-Encoding", "chunked"), ("Connection", "keep-alive")];
    // By its length the body goes on; by its chunks it is over, and a second request begins.
    let reply = server.ask("POST", CHAT, &both, &format!("0\r\n\r\n{smuggled}"));
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(!reply.body.contains("HTTP/1.1"), "one answer, or none: {reply:?}");
    for coding in ["gzip, chunked", "chunked, chunked", "xchunked", "identity"] {
        let reply = server.ask("POST", CHAT, &[("Transfer-Encoding", coding)], &text);
        assert_ne!(reply.status, 200, "{coding}");
    }
    for length in [8 << 10, 100 << 10] {
        let status = server.get(&format!("/v1/models/{}", "x".repeat(length))).status;
        assert!(matches!(status, 404 | 414 | 431), "{length}: {status}");
    }
    assert!(matches!(server.get(&"/x".repeat(100 << 10)).status, 414 | 431));
    let folded = request("GET", "/health", &[], "").replacen("\r\n", "\r\nX: a\r\n b\r\n", 1);
    assert_eq!(server.raw(folded.as_bytes()).status, 400, "a folded header");
    let spaced = request("GET", "/health", &[], "").replacen("Host:", "Host :", 1);
    assert_eq!(server.raw(spaced.as_bytes()).status, 400);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn ht_08_a_crowd_of_crawlers_keeps_nobody_waiting() {
    let limits = Limits { header_time: Duration::from_secs(2), ..Limits::default() };
    let server = Running::new(script(), limits);
    let crawlers: Vec<_> = (0..200)
        .map(|index| {
            let mut stream = server.connect();
            let text = request("POST", CHAT, &[], &body().to_string());
            stream.write_all(&text.as_bytes()[..10 + index % 60]).unwrap();
            stream
        })
        .collect();
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let since = Instant::now();
            assert_eq!(server.post(CHAT, &body()).status, 200);
            since.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[98] < Duration::from_millis(500), "p99 {:?}", times[98]);
    drop(crawlers);
}

#[test]
fn bodies_come_in_chunks_and_requests_in_rows() {
    let server = Running::new(script(), Limits::default());
    let text = body().to_string();
    let head = request("POST", CHAT, &[("Transfer-Encoding", "chunked")], "")
        .replace("Content-Length: 0\r\n", "");
    let (a, b) = text.split_at(10);
    let chunked = |trailers: &str| {
        format!(
            "{head}{:x};extension=1\r\n{a}\r\n{:X}\r\n{b}\r\n0\r\n{trailers}\r\n",
            a.len(),
            b.len()
        )
    };
    assert_eq!(server.raw(chunked("").as_bytes()).status, 200);
    let trailed = chunked("Authorization: Bearer wrong\r\nHost: evil.com\r\n");
    assert_eq!(server.raw(trailed.as_bytes()).status, 200, "what trails says nothing");
    let many: String = (0..10_000).map(|n| format!("X-{n}: y\r\n")).collect();
    assert!(matches!(server.raw(chunked(&many).as_bytes()).status, 400 | 431));

    let keep = [("Connection", "keep-alive")];
    let row = request("GET", "/v1/models/script", &keep, "")
        + &request("POST", CHAT, &keep, &text)
        + &request("GET", "/health", &[], "");
    let mut stream = server.connect();
    stream.write_all(row.as_bytes()).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let places: Vec<_> = ["\"id\":\"script\"", "Good morning.", "\r\n\r\nok\n"]
        .map(|word| all.find(word).unwrap_or_else(|| panic!("{word}: {all}")))
        .into();
    assert!(places.is_sorted(), "each after the one before: {all}");
    assert_eq!(all.matches("HTTP/1.1 200").count(), 3);
}

#[test]
fn other_methods_do_nothing() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let reply = server.ask("HEAD", "/health", &[], "");
    assert_eq!((reply.status, &*reply.body), (200, ""), "what GET says, without its body");
    let rows = [
        ("HEAD", CHAT, 405),
        ("OPTIONS", CHAT, 405),
        ("PUT", CHAT, 405),
        ("TRACE", "/v1/models", 405),
        ("PATCH", "/v1/models", 405),
        ("BREW", "/api/tags", 405),
        ("DELETE", "/v1/models/script", 405),
    ];
    for (method, path, status) in rows {
        let reply = server.ask(method, path, &[], &body().to_string());
        assert_eq!(reply.status, status, "{method} {path}");
    }
    assert!(model.asked().is_empty());
}

#[test]
fn ht_09_and_tt_05_json_means_one_thing() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let of = |content: &[u8]| {
        [&br#"{"model":"m","messages":[{"role":"user","content":""#[..], content, br#""}]}"#]
            .concat()
    };
    let with = |field: &str| {
        let text = body().to_string();
        format!("{},{field}}}", &text[..text.len() - 1]).into_bytes()
    };
    let send = |body: &[u8]| {
        let head = request("POST", CHAT, &[], "");
        let head = head.replace("Content-Length: 0", &format!("Content-Length: {}", body.len()));
        server.raw(&[head.as_bytes(), body].concat()).status
    };
    let deep = format!("\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("a byte order mark", [b"\xef\xbb\xbf", &of(b"x")[..]].concat(), 400),
        ("invalid UTF-8", of(b"\xff"), 400),
        ("overlong UTF-8", of(b"\xc0\xaf"), 400),
        ("a surrogate in UTF-8", of(b"\xed\xa0\x80"), 400),
        ("half a character", of(b"\xf0\x9f\x98"), 400),
        ("a lone surrogate", of(br"\ud800"), 400),
        ("surrogates the wrong way round", of(br"\udc00\ud800"), 400),
        ("a bare control character", of(b"\x00"), 400),
        ("something after its end", [&of(b"x")[..], b"{}"].concat(), 400),
        ("UTF-16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect(), 400),
        ("1e999", with("\"temperature\":1e999"), 400),
        ("-1e999", with("\"temperature\":-1e999"), 400),
        ("NaN", with("\"temperature\":NaN"), 400),
        ("an infinity", with("\"temperature\":Infinity"), 400),
        ("a number of 10,000 digits", with(&format!("\"seed\":{}", "9".repeat(10_000))), 400),
        ("a hundred thousand lists", with(&deep), 400),
        ("a key twice", with("\"model\":\"other\""), 400),
        ("a key twice, escaped", with(r#""m\u006fdel":"other""#), 400),
        ("a comment", with("/**/\"x\":1"), 400),
        ("a pair of surrogates", of(br"\ud83d\ude00"), 200),
        ("NUL", of(br"a\u0000b"), 200),
    ];
    for (name, body, status) in rows {
        assert_eq!(send(&body), status, "{name}");
    }
    let asked = model.asked();
    let said = |at: usize| match &asked[at].prompt {
        Prompt::Messages(messages) => messages[0].text.clone(),
        Prompt::Text(_) => panic!("no conversation"),
    };
    assert_eq!((asked.len(), &*said(0), &*said(1)), (2, "😀", "a\0b"));
}

#[test]
fn ht_09_what_is_announced_too_large_is_not_read() {
    let server = Running::new(script(), Limits::default());
    let text = request("POST", CHAT, &[], "");
    let text = text.replace("Content-Length: 0", "Content-Length: 67108864");
    let since = Instant::now();
    let reply = server.raw(text.as_bytes());
    assert_eq!(reply.status, 413);
    assert!(reply.body.contains("8388608 bytes"), "{}", reply.body);
    assert!(since.elapsed() < Duration::from_secs(2), "it waits for what it will not take");
}

#[test]
fn ht_10_there_is_no_second_http() {
    let server = Running::new(script(), Limits::default());
    let reply = server.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(matches!(reply.status, 0 | 400 | 403 | 505), "{reply:?}");
    let upgrade = [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")];
    let reply = server.ask("GET", "/health", &upgrade, "");
    assert_eq!(reply.status, 200, "it goes on in the first: {reply:?}");
}

#[test]
fn ht_11_who_closes_half_or_resets_is_gone() {
    for reset in [false, true] {
        let silenced = Arc::new(Mutex::new(None));
        let slow =
            Slow { pause: Duration::from_millis(20), words: 2000, silenced: silenced.clone() };
        let server = Running::new(Arc::new(slow), Limits::default());
        let mut body = body();
        body["stream"] = true.into();
        let mut client = server.connect();
        client.write_all(request("POST", CHAT, &[], &body.to_string()).as_bytes()).unwrap();
        client.read_exact(&mut [0; 200]).unwrap();
        // What has come and was not read makes the system reset the connection when it is closed.
        let left = Instant::now();
        let kept = if reset {
            std::thread::sleep(Duration::from_millis(100));
            drop(client);
            None
        } else {
            client.shutdown(Shutdown::Write).unwrap();
            Some(client)
        };
        while silenced.lock().unwrap().is_none() {
            assert!(left.elapsed() < Duration::from_secs(1), "still talking, reset: {reset}");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(kept);
    }
}

#[test]
fn tt_04_and_tt_11_prompts_are_words_and_templates_are_the_models_own() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    for ids in
        [json!([-1]), json!([1, 2]), json!([4_294_967_296_u64]), json!([[1]]), json!(["a", 1])]
    {
        let reply = server.post("/v1/completions", &json!({"model": "m", "prompt": ids}));
        assert_eq!(reply.status, 400, "{ids}");
        assert_eq!(reply.json()["error"]["param"], "prompt");
    }
    let rows = [
        (CHAT, "chat_template", json!("{{ messages }}")),
        (CHAT, "chat_template_kwargs", json!({"tokenize": true})),
        ("/api/generate", "template", json!("{{ .Prompt }}")),
    ];
    for (path, name, value) in rows {
        let mut body = body();
        body["prompt"] = "x".into();
        body[name] = value;
        let reply = server.post(path, &body);
        assert_eq!(reply.status, 400, "{name}: {reply:?}");
        assert!(reply.body.contains(name), "{reply:?}");
    }
    assert!(model.asked().is_empty());
}
