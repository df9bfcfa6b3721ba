//! The OpenAPI document against the server that tells it: each operation is there, has an example here,
//! and answers as the document says, to the last field.

use std::collections::BTreeSet;
use std::sync::Arc;

use ondine_chat::FinishReason;
use ondine_server::{Limits, Reach};
use serde_json::{Value, json};

use crate::common::*;

/// An operation, and a body that is answered well. A `{id}` of a response is that of one that was kept.
fn examples() -> Vec<(&'static str, &'static str, Value)> {
    let turns = json!([{"role": "user", "content": "hello you"}]);
    let function = json!({"name": "get_time", "parameters": {"type": "object"}});
    let tools = json!([{"type": "function", "function": function}]);
    let messages = json!([{"name": "get_time", "input_schema": {"type": "object"}}]);
    let responses = json!([{"type": "function", "name": "get_time"}]);
    let none = Value::Null;
    vec![
        ("get", "/health", none.clone()),
        ("get", "/metrics", none.clone()),
        ("get", "/openapi.json", none.clone()),
        ("post", "/v1/chat/completions", json!({"model": "m", "messages": turns})),
        (
            "post",
            "/v1/chat/completions",
            json!({"model": "m", "messages": turns, "tools": tools, "n": 2}),
        ),
        ("post", "/v1/completions", json!({"model": "m", "prompt": "x"})),
        ("post", "/v1/embeddings", json!({"model": "m", "input": "x"})),
        (
            "post",
            "/v1/embeddings",
            json!({"model": "m", "input": ["x"], "encoding_format": "base64"}),
        ),
        ("post", "/v1/responses", json!({"model": "m", "input": "x", "tools": responses})),
        ("get", "/v1/responses/{id}", none.clone()),
        ("delete", "/v1/responses/{id}", none.clone()),
        ("get", "/v1/models", none.clone()),
        ("get", "/v1/models/{id}", none.clone()),
        (
            "post",
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "messages": turns, "tools": messages}),
        ),
        ("post", "/v1/messages/count_tokens", json!({"model": "m", "messages": turns})),
        ("post", "/api/chat", json!({"model": "m", "messages": turns, "tools": tools})),
        ("post", "/api/generate", json!({"model": "m", "prompt": "x"})),
        ("post", "/api/embed", json!({"model": "m", "input": "x"})),
        ("get", "/api/tags", none.clone()),
        ("post", "/api/show", json!({"model": "script"})),
        ("get", "/api/version", none.clone()),
        ("get", "/api/ps", none.clone()),
        ("post", "/api/pull", json!({"model": "qwen3:0.6b"})),
        ("delete", "/api/delete", json!({"model": "qwen3:0.6b"})),
        ("get", "/v1/status", none.clone()),
        ("post", "/v1/plan", json!({"model": "script", "messages": turns, "max_tokens": 9})),
        ("post", "/v1/models/load", json!({"model": "script", "keep_alive": "5m"})),
        ("post", "/v1/models/unload", json!({"model": "script"})),
        ("get", "/v1/sessions", none.clone()),
        ("post", "/v1/sessions", json!({"name": "a", "overflow": "stop", "messages": turns})),
        ("post", "/v1/sessions", json!({"name": "a"})),
        ("get", "/v1/sessions/{id}", none.clone()),
        ("get", "/v1/sessions/{id}/messages", none.clone()),
        ("post", "/v1/sessions/{id}/messages", json!({"messages": turns, "expected": 0})),
        ("post", "/v1/sessions/{id}/answers", json!({"messages": turns})),
        ("post", "/v1/sessions/{id}/answers", json!({"messages": turns, "tools": tools})),
        ("post", "/v1/sessions/{id}/fork", json!({"messages": 1})),
        ("post", "/v1/sessions/{id}/count_tokens", json!({"messages": turns})),
        ("delete", "/v1/sessions/{id}", none.clone()),
        ("get", "/", none.clone()),
        ("get", "/assets/page.js", none.clone()),
        ("get", "/assets/page.css", none.clone()),
        ("get", "/assets/icon.svg", none),
    ]
}

/// Whether a value is of a schema, as far as the document's own words go. A field that an object's
/// schema does not list is wrong: readers of the document would not know of it.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return fits(document, target.expect(reference), value, place);
    }
    if let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        // A tagged choice lists its tag beside the choices.
        let tries: Vec<_> = choices.iter().map(|one| fits(document, one, value, place)).collect();
        return match tries.iter().any(Result::is_ok) {
            true => Ok(()),
            false => Err(format!("{place}: none of {tries:?}")),
        };
    }
    if schema.get("const").is_some_and(|expected| expected != value) {
        return Err(format!("{place}: {value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Err(format!("{place}: {value} is not among {}", schema["enum"]));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the document has a type {other}"),
    };
    if !kinds.is_empty() && !kinds.iter().any(is) {
        return Err(format!("{place}: {value} is no {kinds:?}"));
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (index, one) in list.iter().enumerate() {
            fits(document, items, one, &format!("{place}[{index}]"))?;
        }
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(name.as_str().expect("a name")) {
            return Err(format!("{place}: {name} is missing"));
        }
    }
    for (name, one) in object {
        let place = format!("{place}.{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(own), _) | (None, Some(own)) => fits(document, own, one, &place)?,
            (None, None) if schema.get("properties").is_none() => {}
            (None, None) => return Err(format!("{place} is not in the document")),
        }
    }
    Ok(())
}

#[test]
fn the_judge_refuses_what_does_not_fit() {
    let document = json!({"x": {"type": "object", "required": ["a"], "properties": {
        "a": {"type": ["string", "null"]}, "b": {"type": "array", "items": {"type": "integer"}},
        "c": {"const": 1}, "d": {"anyOf": [{"type": "string"}, {"enum": [2]}]},
    }}});
    let schema = json!({"$ref": "#/x"});
    let rows = [
        (json!({"a": "x", "b": [1, 2], "c": 1, "d": 2}), true),
        (json!({"a": null, "d": "y"}), true),
        (json!({}), false),
        (json!([]), false),
        (json!({"a": 1}), false),
        (json!({"a": "x", "b": [1, "2"]}), false),
        (json!({"a": "x", "c": 2}), false),
        (json!({"a": "x", "d": 3}), false),
        (json!({"a": "x", "more": 1}), false),
    ];
    for (value, expected) in rows {
        let judged = fits(&document, &schema, &value, "");
        assert_eq!(judged.is_ok(), expected, "{value}: {judged:?}");
    }
}

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
        })
        .collect()
}

/// A server that has somebody for everything.
fn whole() -> Running {
    let model = script();
    let sessions = Arc::new(ondine_chat::Memory::new(model.clone(), || 1_790_000_000));
    Running::with(model, Limits::default(), Reach::ThisMachine, |server| {
        server.sessions = Some(sessions);
        server.keeper = Some(Arc::new(crate::memory::Memory::default()));
    })
}

#[test]
fn every_operation_answers_as_the_document_says() {
    let server = whole();
    let document = server.ask("GET", "/openapi.json", &[("Authorization", "-")], "").json();
    let shown: BTreeSet<_> = examples()
        .into_iter()
        .map(|(method, path, _)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(shown, operations(&document), "each operation has an example, and no other");
    let kept = server.post("/v1/responses", &json!({"model": "m", "input": "x"})).json();
    let kept = kept["id"].as_str().unwrap();
    let session = server.post("/v1/sessions", &json!({"messages": []})).json();
    let session = session["id"].as_str().unwrap();
    for (method, path, mut body) in examples() {
        let operation = &document["paths"][path][method];
        let asked = match path {
            "/v1/models/{id}" => "/v1/models/script".to_owned(),
            path if path.starts_with("/v1/sessions") => path.replace("{id}", session),
            path => path.replace("{id}", kept),
        };
        let method = method.to_ascii_uppercase();
        for streaming in [false, true] {
            let media = |status: &str| operation["responses"][status]["content"].as_object();
            if body.is_object() && media("200").is_some_and(|media| media.len() > 1) {
                body["stream"] = streaming.into();
            } else if streaming {
                continue;
            }
            if let Some(taken) = operation["requestBody"]["content"].get("application/json") {
                fits(&document, &taken["schema"], &body, path).unwrap();
            }
            let text = if body.is_null() { String::new() } else { body.to_string() };
            let reply = server.ask(&method, &asked, &[], &text);
            let status = reply.status.to_string();
            assert!(
                status.starts_with('2') && operation["responses"].get(&status).is_some(),
                "{method} {path}: {reply:?}"
            );
            let Some(contents) = media(&status) else {
                assert_eq!(reply.body, "", "{method} {path}");
                continue;
            };
            let media = reply.header("content-type").unwrap().split(';').next().unwrap();
            let told = contents.get(media).unwrap_or_else(|| panic!("{path} tells {media}"));
            let Some(schema) = told.get("schema") else { continue };
            let pieces: Vec<Value> = match media {
                "application/json" => vec![reply.json()],
                "application/x-ndjson" => {
                    reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
                }
                _ => reply.data(),
            };
            assert!(!pieces.is_empty());
            for piece in &pieces {
                fits(&document, schema, piece, path).unwrap();
            }
        }
    }
}

#[test]
fn answers_that_are_rare_are_in_the_document_too() {
    let tape = vec![started(), token("a"), token("b"), finished(FinishReason::Length)];
    let server = Running::new(Arc::new(Tape(tape)), Limits::default());
    let document = server.get("/openapi.json").json();
    let turns = json!([{"role": "user", "content": "x"}]);
    let chat = json!({"model": "m", "messages": turns, "logprobs": true, "top_logprobs": 1});
    let text = json!({"model": "m", "prompt": "x", "logprobs": 1});
    for (path, body) in [("/v1/chat/completions", chat), ("/v1/completions", text)] {
        let content = &document["paths"][path]["post"]["responses"]["200"]["content"];
        let reply = server.post(path, &body).json();
        fits(&document, &content["application/json"]["schema"], &reply, path).unwrap();
        assert!(reply.to_string().contains("top_logprobs"), "{reply}");
    }
    // Anthropic's words for the models.
    let server = Running::new(script(), Limits::default());
    for path in ["/v1/models", "/v1/models/script"] {
        let reply = server.ask("GET", path, &[("anthropic-version", "2023-06-01")], "").json();
        let path = path.replace("script", "{id}");
        let content = &document["paths"][&path]["get"]["responses"]["200"]["content"];
        fits(&document, &content["application/json"]["schema"], &reply, &path).unwrap();
    }
}

#[test]
fn errors_are_those_of_the_document() {
    let server = Running::new(script(), Limits::default());
    let document = server.get("/openapi.json").json();
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][&method];
        let asked = path.replace("{id}", "none");
        let method = method.to_ascii_uppercase();
        let reply = server.ask(&method, &asked, &[("Authorization", "Bearer wrong")], "{}");
        if operation["security"] == json!([]) {
            assert_eq!(reply.status, 200, "{path} is open");
            continue;
        }
        assert_eq!(reply.status, 401, "{path}");
        let at = operation["responses"]["4XX"]["$ref"].as_str().unwrap().trim_start_matches('#');
        let told = &document.pointer(at).unwrap()["content"]["application/json"]["schema"];
        fits(&document, told, &reply.json(), &path).unwrap();
    }
}

#[test]
fn the_document_is_written_for_its_readers() {
    let server = Running::new(script(), Limits::default());
    let text = server.get("/openapi.json").body;
    for word in ["[`", "Limits`", "crate::", "Turn2", "Part2", "\"Body"] {
        assert!(!text.contains(word), "{word} is of the code");
    }
    assert_eq!(server.get("/openapi.json").header("content-type"), Some("application/json"));
    let evil = [("Host", "evil.com"), ("Authorization", "-")];
    assert_eq!(server.ask("GET", "/openapi.json", &evil, "").status, 403);
}
