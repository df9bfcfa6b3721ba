//! `/v1/sessions` over a real socket and the real disk, with a scripted model behind it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::served::*;
use crate::support::Folder;
use ondine_chat::{ChatError, Message, Overflow, Prompt, Sessions};
use ondine_server::{Limits, Reach, Server};
use ondine_sessions::Archive;
use serde_json::{Value, json};

const SESSIONS: &str = "/v1/sessions";

fn serve<T>(model: Arc<T>, folder: &Folder) -> Running
where
    T: ondine_chat::Chat + ondine_chat::Embed + 'static,
{
    let home = folder.path("sessions");
    let archive =
        Archive::open(Path::new(&home), model.clone(), ondine_sessions::Limits::default());
    let sessions: Arc<dyn Sessions> = Arc::new(archive.unwrap());
    let keeping = |server: &mut Server| server.sessions = Some(sessions);
    Running::with(model, Limits::default(), Reach::ThisMachine, keeping)
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn time_tool() -> Value {
    json!([{"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}])
}

#[test]
fn a_conversation_from_its_beginning_to_its_end() {
    let (model, folder) = (script(), Folder::new());
    let server = serve(model.clone(), &folder);
    let new = json!({
        "name": "diary", "model": "script", "overflow": "anchored",
        "messages": [{"role": "system", "content": "be brief"}],
    });
    let made = server.post(SESSIONS, &new);
    assert_eq!(made.status, 201, "{made:?}");
    let info = made.json();
    assert_eq!(
        (&info["object"], &info["name"], &info["messages"]),
        (&json!("session"), &json!("diary"), &json!(1))
    );
    assert_eq!((&info["model"], &info["overflow"]), (&json!("script"), &json!("anchored")));
    let again = server.post(SESSIONS, &json!({"name": "diary"}));
    assert_eq!((again.status, again.json()), (200, info.clone()), "the one of that name");
    let id = info["id"].as_str().unwrap();
    let path = |more: &str| format!("{SESSIONS}/{id}{more}");

    let asked = json!({
        "messages": [user("what time is it")], "tools": time_tool(), "max_tokens": 20,
        "temperature": 0.5, "seed": 7, "stop": ["END"],
    });
    let answer = server.post(&path("/answers"), &asked);
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["message"]["role"], "assistant");
    assert_eq!(answer["message"]["content"], "Good morning.");
    let call = &answer["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "get_time", "arguments": "{\"zone\":\"UTC\"}"}));
    assert_eq!(
        (&answer["finish_reason"], &answer["session"]["messages"]),
        (&json!("tool_calls"), &json!(3))
    );
    for name in [
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "dropped_tokens",
        "queue_s",
        "prefill_s",
        "decode_s",
    ] {
        assert!(answer["usage"][name].is_number(), "{name}: {answer}");
    }
    assert_eq!(answer["usage"]["prompt_tokens"], 6, "be brief, what time is it");

    let results = json!({"messages": [
        {"role": "tool", "tool_call_id": "call_1", "content": "noon"},
        {"role": "tool", "tool_call_id": "call_2", "content": "one"},
    ], "expected": 3});
    let appended = server.post(&path("/messages"), &results);
    assert_eq!((appended.status, &appended.json()["messages"]), (200, &json!(5)));
    let twice = server.post(&path("/messages"), &results);
    assert_eq!((twice.status, twice.json()["error"]["code"].as_str()), (409, Some("conflict")));

    let streamed = server.post(&path("/answers"), &json!({"stream": true, "tools": time_tool()}));
    let events = streamed.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_deref().unwrap()).collect();
    // Pieces that nobody has read yet grow together.
    assert_eq!(names.iter().filter(|name| **name != "text").count(), 3, "{streamed:?}");
    let data = streamed.data();
    let text: String = data.iter().filter_map(|data| data["text"].as_str()).collect();
    assert_eq!(text, "Good morning.");
    let [.., first, _, end] = &data[..] else { panic!("{streamed:?}") };
    let call = json!({"id": "call_1", "name": "get_time", "arguments": {"zone": "UTC"}});
    assert_eq!((names[names.len() - 3], first), ("call", &call));
    assert_eq!((names[names.len() - 1], &end["finish_reason"]), ("finished", &json!("tool_calls")));
    assert_eq!((&end["session"]["id"], &end["session"]["messages"]), (&json!(id), &json!(6)));

    let said = server.get(&path("/messages")).json();
    let roles: Vec<&Value> = said["data"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "tool", "assistant"]);
    assert_eq!(
        said["data"][3],
        json!({"role": "tool", "content": "noon", "tool_call_id": "call_1"})
    );
    let counted = server.post(&path("/count_tokens"), &json!({"messages": [user("a b c")]})).json();
    assert_eq!(counted, json!({"tokens": 2 + 4 + 2 + 1 + 1 + 2 + 3}));

    let fork = server.post(&path("/fork"), &json!({"messages": 2}));
    assert_eq!((fork.status, &fork.json()["forked_from"]), (201, &json!([id, 2])));
    let listed = server.get(SESSIONS).json();
    assert_eq!(
        (listed["object"].as_str(), listed["data"].as_array().unwrap().len()),
        (Some("list"), 2)
    );
    assert_eq!(server.get(&path("")).json()["messages"], 6);

    let request = &model.asked()[0];
    assert_eq!((request.session.as_deref(), &request.app[..]), (Some(id), "notes"));
    assert_eq!((request.max_tokens, request.overflow), (Some(20), Overflow::Anchored));
    let Prompt::Messages(turns) = &request.prompt else { panic!("no conversation") };
    assert_eq!(turns[..], [Message::system("be brief"), Message::user("what time is it")]);

    server.end();
    let server = serve(model, &folder);
    assert_eq!(server.get(&path("/messages")).json(), said, "after the process");
    let gone = server.ask("DELETE", &path(""), &[], "");
    assert_eq!((gone.status, &gone.body[..]), (204, ""));
    assert_eq!(server.get(&path("")).status, 404);
    assert_eq!(server.get(SESSIONS).json()["data"].as_array().unwrap().len(), 1);
}

#[test]
fn each_thing_that_cannot_be_done_is_told_in_openai_s_words() {
    let (model, folder) = (script(), Folder::new());
    let server = serve(model.clone(), &folder);
    let made = server.post(SESSIONS, &json!({"overflow": "stop"})).json();
    let id = made["id"].as_str().unwrap();
    let path = |more: &str| format!("{SESSIONS}/{id}{more}");
    let one = json!([user("x")]);
    let rows = [
        (SESSIONS.to_owned(), json!({"overflow": "forget"}), 400, Some("overflow")),
        (SESSIONS.to_owned(), json!({"name": ""}), 400, Some("name")),
        (SESSIONS.to_owned(), json!({"messages": [{"role": "x"}]}), 400, Some("messages[0].role")),
        (path("/messages"), json!({}), 400, Some("messages")),
        (
            path("/messages"),
            json!({"messages": [{"role": "user"}]}),
            400,
            Some("messages[0].content"),
        ),
        (path("/answers"), json!({}), 400, Some("messages")),
        (path("/answers"), json!({"messages": one, "model": "script"}), 400, Some("model")),
        (path("/answers"), json!({"messages": one, "n": 2}), 400, Some("n")),
        (path("/answers"), json!({"messages": one, "logprobs": true}), 400, Some("logprobs")),
        (path("/answers"), json!({"messages": one, "overflow": "error"}), 400, Some("overflow")),
        (path("/answers"), json!({"messages": one, "temperature": 9}), 400, Some("temperature")),
        (
            path("/answers"),
            json!({"messages": one, "tool_choice": "required"}),
            400,
            Some("tool_choice"),
        ),
        (path("/fork"), json!({"messages": 1}), 400, Some("messages")),
        (path("/fork"), json!({"messages": -1}), 400, Some("messages")),
        (format!("{SESSIONS}/nobody/answers"), json!({"messages": one}), 404, None),
        (format!("{SESSIONS}/%2e%2e/fork"), json!({}), 404, None),
        (format!("{SESSIONS}/%ff/messages"), json!({"messages": []}), 404, None),
    ];
    for (path, body, status, param) in rows {
        let reply = server.post(&path, &body);
        assert_eq!(reply.status, status, "{path} {body} {reply:?}");
        assert_eq!(reply.json()["error"]["param"].as_str(), param, "{path} {body}");
    }
    assert_eq!(server.get(&path("")).json()["messages"], 0, "nothing was added");
    for (method, at) in [("GET", path("/messages")), ("DELETE", path("")), ("GET", path(""))] {
        let bearer = format!("Bearer {OTHER}");
        let reply = server.ask(method, &at, &[("Authorization", &bearer)], "");
        assert_eq!(reply.status, 404, "another app's {method} {at}");
    }

    model.refuse_next(ChatError::Context { prompt_tokens: 9, wanted: 1, context: 8 });
    let long = server.post(&path("/answers"), &json!({"messages": one}));
    assert_eq!(long.json()["error"]["code"], "context_length_exceeded");
    assert_eq!(server.get(&path("")).json()["messages"], 0, "what is refused was not said");
    let none = Running::new(script(), Limits::default());
    assert_eq!(none.get(SESSIONS).status, 501);
}

#[test]
fn a_session_is_answered_once_at_a_time_and_who_goes_away_leaves_what_was_said() {
    let folder = Folder::new();
    let pause = Duration::from_millis(20);
    let slow = Arc::new(Slow { pause, words: 200, ..Slow::default() });
    let server = serve(slow.clone(), &folder);
    let made = server.post(SESSIONS, &json!({})).json();
    let path = format!("{SESSIONS}/{}", made["id"].as_str().unwrap());
    let body = json!({"messages": [user("go on")], "stream": true}).to_string();
    let mut stream = server.connect();
    let answers = format!("{path}/answers");
    std::io::Write::write_all(&mut stream, request("POST", &answers, &[], &body).as_bytes())
        .unwrap();
    let mut first = [0; 16];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    let second = server.post(&answers, &json!({"messages": [user("me too")]}));
    assert_eq!((second.status, second.json()["error"]["code"].as_str()), (409, Some("conflict")));
    assert_eq!(server.ask("DELETE", &path, &[], "").status, 409);
    drop(stream);
    let begun = std::time::Instant::now();
    let free = json!({"messages": [user("still there")], "expected": 1});
    while server.post(&format!("{path}/messages"), &free).status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is not free");
    }
    let said = server.get(&format!("{path}/messages")).json();
    assert_eq!(said["data"], json!([user("go on"), user("still there")]));
}
