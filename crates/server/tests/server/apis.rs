//! The three APIs over a real socket: what a client sends and what it reads.

use std::sync::Arc;

use crate::common::*;
use ondine_chat::{ChatError, FinishReason, Format, Message, Overflow, Prompt, ToolChoice};
use ondine_server::Limits;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "get_time", "description": "tells the time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    }}])
}

fn hello() -> Value {
    json!([{"role": "user", "content": "hello you"}])
}

#[test]
fn openai_chat_in_one_piece() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let reply = server.post(CHAT, &json!({
        "model": "script",
        "messages": [
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "get_time", "arguments": "{\"zone\":\"x\"}"}},
                {"id": "2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "1", "content": "noon"},
            {"role": "tool", "tool_call_id": "2", "content": "night"},
        ],
        "tools": tools(), "tool_choice": {"type": "function", "function": {"name": "get_time"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "seed": 7, "n": 2, "stop": "END", "max_tokens": 50, "max_completion_tokens": 60,
        "logprobs": true, "top_logprobs": 3, "temperature": 0.5, "user": "ignored",
    }));
    assert_eq!(reply.status, 200, "{reply:?}");
    let body = reply.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"].as_array().unwrap().len(), 2);
    for index in 0..2 {
        let choice = &body["choices"][index];
        assert_eq!(choice["index"], index);
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], "Good morning.");
        let call = &choice["message"]["tool_calls"][1];
        assert_eq!(call["id"], "call_2");
        assert_eq!(call["function"]["arguments"], "{\"zone\":\"CET\"}");
    }
    assert_eq!(body["usage"]["completion_tokens"], 8);
    let asked = model.asked();
    let request = &asked[0];
    let Prompt::Messages(messages) = &request.prompt else { panic!("no conversation") };
    assert_eq!(messages[0], Message::system("be brief"));
    assert_eq!(messages[1], Message::user("a\nb"));
    assert_eq!(messages[2].calls.len(), 2);
    assert_eq!(messages[4], Message::tool("2", "night"));
    assert_eq!(request.tool_choice, ToolChoice::Named("get_time".into()));
    assert_eq!(request.format, Format::Schema(json!({"type": "object"})));
    assert_eq!((request.max_tokens, request.logprobs), (Some(60), Some(3)));
    assert_eq!((&request.app[..], request.background), ("notes", false));
    let seeds: Vec<_> = asked.iter().map(|request| request.sampling.seed).collect();
    assert_eq!(seeds, [Some(7), Some(8)]);
}

#[test]
fn openai_chat_in_pieces() {
    let server = Running::new(script(), Limits::default());
    let reply = server.post(
        CHAT,
        &json!({
            "model": "script", "messages": hello(), "tools": tools(), "n": 2, "stream": true,
            "stream_options": {"include_usage": true},
        }),
    );
    assert_eq!(reply.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(reply.events().last().unwrap().1, "[DONE]");
    let chunks = reply.data();
    for index in 0..2 {
        let of: Vec<&Value> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"].get(0))
            .filter(|choice| choice["index"] == index)
            .collect();
        assert_eq!(of[0]["delta"]["role"], "assistant");
        let words: String = of.iter().filter_map(|c| c["delta"]["content"].as_str()).collect();
        assert_eq!(words, "Good morning.");
        let calls: Vec<i64> =
            of.iter().filter_map(|c| c["delta"]["tool_calls"][0]["index"].as_i64()).collect();
        assert_eq!(calls, [0, 1]);
        assert_eq!(of.last().unwrap()["finish_reason"], "tool_calls");
    }
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["prompt_tokens"]), (&json!([]), &json!(2)));
    assert!(chunks[0]["usage"].is_null());

    let one = server.post(
        CHAT,
        &json!({
            "model": "script", "messages": hello(), "tools": tools(), "parallel_tool_calls": false,
        }),
    );
    assert_eq!(one.json()["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(), 1);
}

#[test]
fn openai_logprobs_stand_with_their_text() {
    let tape = vec![started(), token("a"), token("b"), finished(FinishReason::Length)];
    let server = Running::new(Arc::new(Tape(tape)), Limits::default());
    let body = json!({"model": "m", "messages": hello(), "logprobs": true, "top_logprobs": 1});
    let choice = server.post(CHAT, &body).json()["choices"][0].clone();
    assert_eq!(choice["finish_reason"], "length");
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    assert_eq!((&tokens[1]["token"], &tokens[1]["bytes"]), (&json!("b"), &json!([98])));
    assert_eq!(tokens[1]["top_logprobs"][0]["logprob"], -1.0);
    let body = json!({"model": "m", "prompt": "x", "logprobs": 1});
    let choice = server.post("/v1/completions", &body).json()["choices"][0].clone();
    assert_eq!(choice["logprobs"]["text_offset"], json!([0, 1]));
}

#[test]
fn openai_completions_embeddings_and_models() {
    let server = Running::new(script(), Limits::default());
    let body = json!({"model": "script", "prompt": ["a b", "c"], "n": 2, "max_tokens": 1});
    let reply = server.post("/v1/completions", &body).json();
    let texts: Vec<_> = (0..4).map(|index| reply["choices"][index]["text"].clone()).collect();
    assert_eq!(texts, ["Good ", "Good ", "Good ", "Good "]);
    assert_eq!(reply["usage"]["prompt_tokens"], 3, "each prompt once");
    let body = json!({"model": "script", "prompt": "a", "stream": true});
    let streamed = server.post("/v1/completions", &body);
    let words: String =
        streamed.data().iter().filter_map(|c| c["choices"][0]["text"].as_str()).collect();
    assert_eq!(words, "Good morning.");

    let body = json!({"model": "script", "input": ["a b", "c"]});
    let reply = server.post("/v1/embeddings", &body).json();
    assert_eq!(reply["data"][1]["embedding"], json!([1.0]));
    assert_eq!(reply["usage"]["prompt_tokens"], 3);
    let body = json!({"model": "script", "input": "a", "encoding_format": "base64"});
    let reply = server.post("/v1/embeddings", &body).json();
    assert_eq!(reply["data"][0]["embedding"], "AACAPw==", "1.0 as a little-endian f32");
    let body = json!({"model": "script", "input": [1, 2]});
    assert_eq!(server.post("/v1/embeddings", &body).status, 400);

    assert_eq!(server.get("/v1/models").json()["data"][0]["id"], "script");
    assert_eq!(server.get("/v1/models/script").json()["context_length"], 4096);
    let version = [("anthropic-version", "2023-06-01")];
    let reply = server.ask("GET", "/v1/models", &version, "").json();
    assert_eq!((&reply["has_more"], &reply["data"][0]["type"]), (&json!(false), &json!("model")));
    let reply = server.ask("GET", "/v1/models/none", &version, "").json();
    assert_eq!(reply["error"]["type"], "not_found_error");
}

#[test]
fn openai_responses_remember_and_forget() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let first = server
        .post("/v1/responses", &json!({"model": "script", "input": "one", "instructions": "x"}))
        .json();
    assert_eq!(first["status"], "completed", "{first}");
    assert_eq!(first["output"][0]["content"][0]["text"], "Good morning.");
    let id = first["id"].as_str().unwrap();
    let second =
        json!({"model": "script", "input": "two", "previous_response_id": id, "stream": true});
    let reply = server.post("/v1/responses", &second);
    let names: Vec<String> = reply.events().into_iter().filter_map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        .iter()
        .flat_map(|name| {
            let times = if *name == "response.output_text.delta" {
                names.iter().filter(|own| own == name).count()
            } else {
                1
            };
            std::iter::repeat_n((*name).to_owned(), times)
        })
        .collect::<Vec<_>>()
    );
    let numbers: Vec<_> =
        reply.data().iter().map(|d| d["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    let Prompt::Messages(messages) = &model.asked()[1].prompt else { panic!("no conversation") };
    assert_eq!(
        messages[..],
        [Message::user("one"), Message::assistant("Good morning."), Message::user("two"),]
    );
    let streamed = reply.data().last().unwrap()["response"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/responses/{streamed}");
    assert_eq!(server.get(&path).json()["previous_response_id"], id);
    let other = [("Authorization", &*format!("Bearer {OTHER}"))];
    assert_eq!(server.ask("GET", &path, &other, "").status, 404, "another app's");
    assert_eq!(server.ask("DELETE", &path, &[], "").json()["deleted"], true);
    assert_eq!(server.get(&path).status, 404);
    let body = json!({"model": "script", "input": "x", "previous_response_id": streamed});
    assert_eq!(server.post("/v1/responses", &body).status, 404);
    let body = json!({"model": "script", "input": "x", "store": false});
    let id = server.post("/v1/responses", &body).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/v1/responses/{id}")).status, 404, "was not to be kept");
}

#[test]
fn anthropic_messages() {
    let server = Running::new(script(), Limits::default());
    let key = [("Authorization", "-"), ("x-api-key", TOKEN), ("anthropic-version", "2023-06-01")];
    let tools = json!([{"name": "get_time", "input_schema": {"type": "object"}}]);
    let mut body = json!({
        "model": "script", "max_tokens": 100, "messages": hello(), "tools": tools,
        "system": [{"type": "text", "text": "be brief"}],
    });
    let reply = server.ask("POST", "/v1/messages", &key, &body.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    let message = reply.json();
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["content"][0], json!({"type": "text", "text": "Good morning."}));
    assert_eq!(message["content"][2]["input"], json!({"zone": "CET"}));
    assert_eq!(message["usage"]["input_tokens"], 4);
    body["stream"] = true.into();
    let reply = server.ask("POST", "/v1/messages", &key, &body.to_string());
    let names: Vec<String> = reply.events().into_iter().filter_map(|(name, _)| name).collect();
    assert_eq!(names[..2], ["message_start", "content_block_start"]);
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    let counted = server.ask("POST", "/v1/messages/count_tokens", &key, &body.to_string());
    assert_eq!(counted.json(), json!({"input_tokens": 4}));
}

#[test]
fn anthropic_tells_the_stop_text() {
    let tape = vec![started(), text("a"), finished(FinishReason::StopText)];
    let server = Running::new(Arc::new(Tape(tape)), Limits::default());
    let body =
        json!({"model": "m", "max_tokens": 9, "messages": hello(), "stop_sequences": ["END"]});
    let message = server.post("/v1/messages", &body).json();
    assert_eq!(message["stop_reason"], "stop_sequence");
    assert_eq!(message["stop_sequence"], "END");
    assert_eq!(message["usage"]["cache_read_input_tokens"], 0);
}

#[test]
fn ollama_chat_generate_and_the_rest() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let body = json!({"model": "script:latest", "messages": hello(), "tools": tools()});
    let reply = server.post("/api/chat", &body);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> =
        reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let words: String =
        lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!(words, "Good morning.");
    let calls: Vec<&Value> =
        lines.iter().filter_map(|line| line["message"]["tool_calls"].get(0)).collect();
    assert_eq!(calls[1]["function"]["arguments"], json!({"zone": "CET"}));
    let last = lines.last().unwrap();
    assert_eq!((&last["done"], &last["eval_count"]), (&json!(true), &json!(4)));
    assert_eq!(model.asked()[0].model, "script", "the usual tag is nobody's");

    let body = json!({"model": "script", "prompt": "x y", "stream": false, "format": "json"});
    let reply = server.post("/api/generate", &body).json();
    assert_eq!(
        (&reply["response"], &reply["done_reason"]),
        (&json!("Good morning."), &json!("stop"))
    );
    assert_eq!(model.asked()[1].format, Format::Json);

    let reply = server.post("/api/embed", &json!({"model": "script", "input": ["a", "b"]})).json();
    assert_eq!(reply["embeddings"], json!([[1.0], [1.0]]));
    assert_eq!(server.get("/api/tags").json()["models"][0]["name"], "script");
    let shown = server.post("/api/show", &json!({"model": "script"})).json();
    assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
    assert_eq!(server.post("/api/show", &json!({"model": "none"})).status, 404);
    assert!(server.get("/api/version").json()["version"].is_string());
}

#[test]
fn errors_before_an_answer_have_their_status_and_shape() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let busy = || ChatError::Busy { limit: "queue of notes".into(), value: 32, retry_after_s: 7 };
    let rows: [(&str, Value, &str); 3] = [
        (CHAT, json!({"model": "m", "messages": hello()}), "/error/message"),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "messages": hello()}),
            "/error/message",
        ),
        ("/api/chat", json!({"model": "m", "messages": hello()}), "/error"),
    ];
    for (path, mut body, place) in rows {
        for stream in [false, true] {
            body["stream"] = stream.into();
            model.refuse_next(busy());
            let reply = server.post(path, &body);
            assert_eq!((reply.status, reply.header("retry-after")), (429, Some("7")), "{path}");
            let said = reply.json().pointer(place).unwrap().to_string();
            assert!(said.contains("queue of notes"), "{said}");
        }
        model.refuse_next(ChatError::NoModel { name: "m".into(), known: vec!["script".into()] });
        assert_eq!(server.post(path, &body).status, 404, "{path}");
        model.refuse_next(ChatError::Internal("x".into()));
        assert_eq!(server.post(path, &body).status, 500, "{path}");
        model.refuse_next(ChatError::ShuttingDown);
        assert_eq!(server.post(path, &body).status, 503, "{path}");
        assert_eq!(server.post(path, &json!({"model": 5})).status, 400, "{path}");
    }
}

#[test]
fn errors_within_a_stream_are_told_there() {
    let tape = vec![started(), text("a"), Event::Failed(ChatError::Internal("broke".into()))];
    use ondine_chat::Event;
    let server = Running::new(Arc::new(Tape(tape)), Limits::default());
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": hello(), "stream": true});
    let reply = server.post(CHAT, &body);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.data().last().unwrap()["error"]["type"], "server_error");
    assert!(!reply.body.contains("[DONE]"), "no end is claimed");
    let reply = server.post("/v1/messages", &body);
    let (name, data) = reply.events().pop().unwrap();
    assert_eq!(name.as_deref(), Some("error"));
    assert!(data.contains("api_error"));
    let reply = server.post("/api/chat", &body);
    let last: Value = serde_json::from_str(reply.body.lines().last().unwrap()).unwrap();
    assert!(last["error"].is_string());
    let responses = json!({"model": "m", "input": "x", "stream": true});
    let reply = server.post("/v1/responses", &responses);
    assert_eq!(reply.events().pop().unwrap().0.as_deref(), Some("response.failed"));
    body["stream"] = false.into();
    assert_eq!(server.post(CHAT, &body).status, 500);
}

#[test]
fn other_apis_take_the_word_for_overflow_too() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    for (word, overflow) in [
        ("error", Overflow::Error),
        ("anchored", Overflow::Anchored),
        ("summarize", Overflow::Summarize),
        ("stop", Overflow::Stop),
    ] {
        let chat = json!({"model": "m", "messages": hello(), "overflow": word});
        let reply = server.post("/v1/chat/completions", &chat).json();
        assert_eq!(reply["usage"]["dropped_tokens"], 0);
        server.post("/v1/responses", &json!({"model": "m", "input": "x", "overflow": word}));
        let asked = model.asked();
        let last: Vec<Overflow> = asked.iter().rev().take(2).map(|asked| asked.overflow).collect();
        assert_eq!(last, [overflow, overflow], "{word}");
    }
}
