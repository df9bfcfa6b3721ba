//! How a server ends: what runs may end, who comes is told, and what takes too long is told too.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ondine_server::Limits;
use serde_json::{Value, json};

use crate::common::*;

const CHAT: &str = "/v1/chat/completions";

fn body(stream: bool) -> String {
    let turn = json!({"role": "user", "content": "hello"});
    json!({"model": "slow", "max_tokens": 9, "stream": stream, "messages": [turn]}).to_string()
}

/// A request that is being answered.
fn running(server: &Running, path: &str, stream: bool) -> TcpStream {
    let mut client = server.connect();
    client.write_all(request("POST", path, &[], &body(stream)).as_bytes()).unwrap();
    let begun = Instant::now();
    while !server.get("/metrics").body.contains("ondine_running 1") {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not begin");
    }
    client
}

fn rest(mut client: TcpStream) -> Reply {
    let mut all = Vec::new();
    let _ = client.read_to_end(&mut all);
    Reply::parse(&all)
}

#[test]
fn what_runs_ends_and_who_comes_is_told() {
    let slow = Slow { pause: Duration::from_millis(50), words: 60, ..Slow::default() };
    let server = Running::new(Arc::new(slow), Limits::default());
    let mut idle = server.connect();
    idle.write_all(request("GET", "/health", &[("Connection", "keep-alive")], "").as_bytes())
        .unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let client = running(&server, CHAT, true);
    server.stop.now();
    // The server has heard of it a moment later.
    let since = Instant::now();
    while server.get("/health").status != 503 {
        assert!(since.elapsed() < Duration::from_secs(2), "it does not say that it ends");
    }
    idle.read_to_end(&mut Vec::new()).expect("an idle connection is closed");
    for (method, path) in
        [("GET", "/health"), ("POST", CHAT), ("POST", "/v1/messages"), ("GET", "/api/tags")]
    {
        let reply = server.ask(method, path, &[("Connection", "keep-alive")], &body(false));
        assert_eq!((reply.status, reply.header("connection")), (503, Some("close")), "{path}");
        assert!(reply.body.contains("shutting down"), "{path}: {}", reply.body);
    }
    let answer = rest(client);
    assert_eq!(answer.events().last().unwrap().1, "[DONE]");
    let words: String =
        answer.data().iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(words, "word ".repeat(60), "nothing of it is lost");
    assert_eq!(server.end().cut_off, 0);
}

#[test]
fn what_takes_longer_than_the_grace_is_told_in_its_own_words() {
    let rows: [(&str, bool, &str); 5] = [
        (CHAT, true, "shutting_down"),
        (CHAT, false, "shutting_down"),
        ("/v1/messages", true, "event: error"),
        ("/v1/messages", false, "api_error"),
        ("/api/chat", true, "{\"error\":\"the service is shutting down\"}"),
    ];
    for (path, stream, word) in rows {
        let slow = Slow { pause: Duration::from_millis(50), words: 10_000, ..Slow::default() };
        let limits = Limits { grace: Duration::from_millis(200), ..Limits::default() };
        let server = Running::new(Arc::new(slow), limits);
        let client = running(&server, path, stream);
        let since = Instant::now();
        let drained = server.end();
        assert!(since.elapsed() < Duration::from_secs(5), "{path}: {:?}", since.elapsed());
        assert_eq!(drained.cut_off, 1, "{path}");
        let reply = rest(client);
        assert_eq!(reply.status, if stream { 200 } else { 503 }, "{path}: {reply:?}");
        assert!(reply.body.contains(word), "{path} {stream}: {}", reply.body);
        assert!(!reply.body.contains("[DONE]") && !reply.body.contains("message_stop"), "{path}");
    }
}

#[test]
fn health_says_whether_anybody_can_be_answered() {
    let server = Running::new(script(), Limits::default());
    let reply = server.ask("GET", "/health", &[("Authorization", "-")], "");
    assert_eq!((reply.status, &*reply.body), (200, "ok\n"));
    let none = Running::new(Arc::new(Tape(Vec::new())), Limits::default());
    let reply = none.get("/health");
    assert_eq!((reply.status, &*reply.body), (503, "there is no model\n"));
}

#[test]
fn the_log_and_the_numbers_say_what_an_answer_took() {
    let server = Running::new(script(), Limits::default());
    server.ask("POST", CHAT, &[], &body(false));
    let page = server.get("/metrics").body;
    for name in ["queue", "prefill", "decode", "first_token"] {
        assert!(page.contains(&format!("ondine_{name}_seconds_count 1\n")), "{name}\n{page}");
    }
    let lines = server.log.0.lock().unwrap();
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
    let (request, answer) = (of("request"), of("answer"));
    assert_eq!(request["id"], answer["id"], "lines of one request are joined by its number");
    assert_eq!((&request["route"], &request["status"]), (&json!(CHAT), &json!(200)));
    let seconds = ["queue_s", "prefill_s", "decode_s", "first_token_s", "took_s"];
    let tokens = ["prompt_tokens", "cached_tokens", "completion_tokens", "dropped_tokens"];
    for name in seconds.iter().chain(&tokens) {
        assert!(answer[*name].is_number(), "{name}: {answer}");
    }
    assert_eq!((&answer["app"], &answer["end"]), (&json!("notes"), &json!("stop")));
    assert_eq!((&answer["prompt_tokens"], &answer["completion_tokens"]), (&json!(1), &json!(2)));
}

#[test]
fn a_request_that_is_on_its_way_at_the_end_is_told() {
    let slow = Slow { pause: Duration::from_millis(50), words: 40, ..Slow::default() };
    let server = Running::new(Arc::new(slow), Limits::default());
    let _client = running(&server, CHAT, true);
    // Connections that nothing has been said on yet.
    let late: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(50));
    server.stop.now();
    std::thread::sleep(Duration::from_millis(50));
    for mut stream in late {
        stream.write_all(request("GET", "/v1/models", &[], "").as_bytes()).unwrap();
        assert_eq!(rest(stream).status, 503);
    }
}
