//! Endpoints of OpenAI's API that are no daemon: small servers of the tests that say what such servers
//! say, good and bad.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use ondine_chat::{
    Answer, Chat, ChatError, Embed, Event, FinishReason, Format, Message, Request, Tool, ToolCall,
};
use ondine_client::{Endpoint, Patience};
use serde_json::{Value, json};

/// Answers one connection after the other with what is given for it, and tells what was asked.
fn server(answers: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            let mut piece = [0; 4096];
            // A head, and as long a body as it says.
            loop {
                let length = stream.read(&mut piece).unwrap();
                bytes.extend_from_slice(&piece[..length]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let wanted = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
                });
                if body.len() >= wanted.unwrap_or(0usize) || length == 0 {
                    break;
                }
            }
            let _ = sender.send(String::from_utf8(bytes).unwrap());
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut piece);
        }
    });
    (url, asked)
}

fn stream(chunks: &[Value]) -> String {
    let mut text =
        String::from("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n");
    for chunk in chunks {
        text += &format!("data: {chunk}\n\n");
    }
    text + "data: [DONE]\n\n"
}

fn whole(status: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

fn delta(delta: Value, reason: Option<&str>) -> Value {
    json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "large",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": null}]})
}

fn endpoint(url: &str, key: &str) -> Endpoint {
    let patience = Patience {
        connect: Duration::from_secs(5),
        silence: Duration::from_secs(5),
        whole: Duration::from_secs(5),
    };
    Endpoint::patient(url, key, patience).unwrap()
}

fn ask(endpoint: &Endpoint) -> Result<Answer, ChatError> {
    endpoint.ask(Request::new("large", [Message::user("hi")]))
}

/// The JSON that was asked with, and the head before it.
fn body(asked: &str) -> (String, Value) {
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), serde_json::from_str(body).unwrap())
}

#[test]
fn an_answer_comes_in_pieces_and_its_cost_at_the_end() {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3,
        "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4}}});
    let (url, asked) = server(vec![stream(&[
        delta(json!({"role": "assistant", "content": "", "refusal": null}), None),
        delta(json!({"content": "Good "}), None),
        delta(json!({"content": "day."}), None),
        delta(json!({}), Some("stop")),
        usage,
    ])]);
    let there = endpoint(&url, "its-key");
    let (sender, events) = mpsc::channel();
    let sink = Box::new(move |event| sender.send(event).is_ok());
    there.start(Request::new("large", [Message::user("hi")]), sink).unwrap();
    let events: Vec<Event> = events.iter().collect();
    let text = |text: &str| Event::Text { text: text.into(), logprobs: Vec::new() };
    assert_eq!(events[0], Event::Started { prompt_tokens: 0, cached_tokens: 0 });
    assert_eq!(events[1..3], [text("Good "), text("day.")]);
    let Event::Finished { reason, usage } = &events[3] else { panic!("{events:?}") };
    assert_eq!(*reason, FinishReason::Stop);
    assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens), (9, 3, 4));
    let (head, body) = body(&asked.recv().unwrap());
    assert!(head.starts_with("post /api/v1/chat/completions "), "{head}");
    assert!(head.contains("authorization: bearer its-key"), "{head}");
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
    assert!(body.get("ondine").is_none(), "{body}");
}

#[test]
fn calls_that_come_in_pieces_are_put_together() {
    let piece = |index: usize, id: Value, name: Value, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        delta(
            json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}),
            None,
        )
    };
    let (url, _asked) = server(vec![stream(&[
        piece(0, json!("call_a"), json!("weather"), ""),
        piece(0, Value::Null, Value::Null, "{\"city\""),
        piece(0, Value::Null, Value::Null, ": \"Oslo\"}"),
        piece(1, json!("call_b"), json!("clock"), ""),
        piece(2, json!("call_c"), json!("note"), "{oops"),
        delta(json!({}), Some("tool_calls")),
    ])]);
    let request = Request {
        tools: vec![Tool {
            name: "weather".into(),
            description: "d".into(),
            parameters: json!({"type": "object"}),
        }],
        ..Request::new("large", [Message::user("hi")])
    };
    let answer = endpoint(&url, "").ask(request).unwrap();
    let call = |id: &str, name: &str, arguments: Value| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments,
    };
    assert_eq!(answer.reason, FinishReason::Calls);
    assert_eq!(
        answer.calls,
        [
            call("call_a", "weather", json!({"city": "Oslo"})),
            call("call_b", "clock", json!({})),
            // Not JSON: the tool will say so.
            call("call_c", "note", json!("{oops")),
        ]
    );
}

#[test]
fn a_model_that_is_not_named_is_the_first_and_no_key_is_no_header() {
    let models = json!({"object": "list", "data": [
        {"id": "small", "object": "model", "max_model_len": 4096}, {"id": "large"}]});
    let answer = stream(&[delta(json!({"content": "x"}), Some("length"))]);
    let (url, asked) =
        server(vec![whole("200 OK", &models), answer.clone(), answer, whole("200 OK", &models)]);
    let there = endpoint(&url, "");
    let asking = || there.ask(Request::new("", [Message::user("hi")])).unwrap();
    assert_eq!((asking().reason, asking().text.as_str()), (FinishReason::Length, "x"));
    let asked: Vec<String> = asked.iter().take(3).collect();
    assert!(asked[0].starts_with("GET /api/v1/models "), "{}", asked[0]);
    for asked in &asked[1..] {
        let (head, body) = body(asked);
        assert_eq!(body["model"], "small");
        assert!(!head.contains("authorization"), "{head}");
    }
    let models = there.known_models().unwrap();
    assert_eq!((models[0].context, models[1].name.as_str()), (4096, "large"));
}

#[test]
fn a_bound_is_said_in_the_words_that_are_understood() {
    let refused = |message: &str| {
        let error = json!({"message": message, "type": "invalid_request_error",
            "param": "max_tokens", "code": "unsupported_parameter"});
        whole("400 Bad Request", &json!({"error": error}))
    };
    let answer = stream(&[delta(json!({"content": "x"}), Some("stop"))]);
    let newer = refused("Unsupported parameter. Use 'max_completion_tokens' instead.");
    let large = refused("max_tokens is too large: 9000. This model supports at most 4096.");
    let other = refused("no");
    let (url, asked) = server(vec![newer, answer.clone(), large, answer, other]);
    let there = endpoint(&url, "");
    let request =
        Request { max_tokens: Some(9000), ..Request::new("large", [Message::user("hi")]) };
    assert_eq!(there.ask(request.clone()).unwrap().text, "x");
    assert_eq!(there.ask(request.clone()).unwrap().text, "x");
    let error = there.ask(request).unwrap_err();
    assert_eq!(error, ChatError::invalid("max_tokens", "no"));
    let bodies: Vec<Value> = asked.iter().take(5).map(|asked| body(&asked).1).collect();
    assert_eq!(
        (&bodies[0]["max_tokens"], &bodies[1]["max_completion_tokens"]),
        (&json!(9000), &json!(9000))
    );
    assert_eq!((bodies[1].get("max_tokens"), bodies[3].get("max_tokens")), (None, None));
}

#[test]
fn what_is_wrong_is_said_without_talk_of_daemons() {
    let error = |status: &str, message: &str, code: Value| {
        whole(
            status,
            &json!({"error": {"message": message, "type": "t", "param": null, "code": code}}),
        )
    };
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
        data: {\"choices\":[{\"delta\":{\"content\":\"Go\"}}]}\n\n";
    let inside = stream(&[json!({"error": {"message": "out of luck", "code": "x"}})]);
    let far = stream(&[delta(
        json!({"tool_calls": [{"index": 4_000_000_000u64, "function": {"name": "f"}}]}),
        None,
    )]);
    let rows = [
        (
            error("401 Unauthorized", "Incorrect API key", json!("invalid_api_key")),
            "does not take the key",
        ),
        (
            error("404 Not Found", "The model does not exist", json!("model_not_found")),
            "no model \"large\"",
        ),
        (error("429 Too Many Requests", "slow down", json!("rate_limit_exceeded")), "slow down"),
        (error("503 Service Unavailable", "Loading model", json!(503)), "not ready"),
        (
            error(
                "400 Bad Request",
                "maximum context length is 4096 tokens, you asked for 9000 (8000, 1000)",
                json!("context_length_exceeded"),
            ),
            "4096",
        ),
        // Three numbers in an order of their own are not read as ours.
        (
            error(
                "400 Bad Request",
                "context 4096 of 8000 over 9000000",
                json!("context_length_exceeded"),
            ),
            "of 8000",
        ),
        (whole("404 Not Found", &json!("<html>")), "status 404"),
        (whole("200 OK", &json!({})), "does not speak OpenAI's API"),
        (cut.to_owned(), "has no end"),
        (stream(&[]), "has no end"),
        (inside, "out of luck"),
        (far, "does not speak OpenAI's API"),
        ("gibberish".to_owned(), "no HTTP"),
    ];
    for (answer, words) in rows {
        let (url, _asked) = server(vec![answer]);
        let said = ask(&endpoint(&url, "k")).unwrap_err().to_string();
        assert!(said.contains(words), "{words:?}: {said}");
        assert!(!said.contains("ondine ") && !said.contains("daemon"), "{said}");
    }
    let closed = endpoint("http://127.0.0.1:1/v1", "");
    let said = ask(&closed).unwrap_err().to_string();
    assert!(said.contains("nobody answers") && !said.contains("ondine"), "{said}");
}

#[test]
fn vectors_have_length_one_and_their_order() {
    let rows = json!({"object": "list", "data": [
        {"index": 1, "embedding": [0.0, 0.5]}, {"index": 0, "embedding": [3.0, 4.0]}]});
    let short = json!({"data": [{"index": 0, "embedding": [1.0]}]});
    let (url, asked) = server(vec![whole("200 OK", &rows), whole("200 OK", &short)]);
    let there = endpoint(&url, "");
    let texts = ["a".to_owned(), "b".into()];
    let got = there.embed("m", &texts).unwrap();
    assert_eq!(got.vectors, [[0.6, 0.8], [0.0, 1.0]]);
    assert!(asked.recv().unwrap().starts_with("POST /api/v1/embeddings "));
    let error = there.embed("m", &texts).unwrap_err();
    assert!(error.to_string().contains("vectors that are not those"), "{error}");
}

#[test]
fn what_the_api_has_not_is_refused_before_anything_is_sent() {
    let there = endpoint("http://127.0.0.1:1/v1", "");
    let lark = Request {
        format: Format::Lark("start: \"a\"".into()),
        ..Request::new("m", [Message::user("x")])
    };
    assert!(matches!(there.ask(lark), Err(ChatError::Unsupported(_))));
    let counted = there.count_tokens(&Request::text("m", "x"));
    assert!(matches!(counted, Err(ChatError::Unsupported(_))));
    assert!(Endpoint::new("http://example.org/v1", "k").is_err(), "a key would travel readable");
}
