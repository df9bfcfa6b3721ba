//! What is told of models in memory, and what is asked of whoever holds them.

use std::sync::{Arc, Mutex};

use ondine_chat::{ChatError, Evicted, Eviction, Keep, Keeper, ModelStatus, Plan, Status, Wanted};
use ondine_server::{Limits, Reach};
use serde_json::{Value, json};

use crate::common::{Running, script};

/// Has one model, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<String>>);

impl Memory {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

fn known(model: &str) -> Result<(), ChatError> {
    match model {
        "script" | "" => Ok(()),
        _ => Err(ChatError::NoModel { name: model.into(), known: vec!["script".into()] }),
    }
}

impl Keeper for Memory {
    fn plan(&self, wanted: &Wanted) -> Result<Plan, ChatError> {
        known(&wanted.model)?;
        let answer = wanted.answer_tokens.map_or("-".into(), |tokens| tokens.to_string());
        self.note(format!("plan {} {answer}", wanted.prompt_tokens));
        let evicted = vec![Evicted { what: Eviction::Model, model: "old".into(), bytes: 7 }];
        Ok(Plan { fits: true, kv: 5, budget: 100, evicted, ..Plan::default() })
    }

    fn status(&self) -> Status {
        let model = ModelStatus {
            loaded: true,
            bytes: 40,
            sha256: Some("ab".into()),
            running: [("notes".to_owned(), 2)].into(),
            waiting: [("other".to_owned(), 3)].into(),
            kept_bytes: 6,
            tokens: 9,
            cached_tokens: 4,
            leaves_in_s: Some(60),
            problem: None,
        };
        let models = [("script".to_owned(), model), ("a\"b".to_owned(), ModelStatus::default())];
        Status { models: models.into(), memory_used: 46, memory: 100 }
    }

    fn load(&self, model: &str, keep: Keep) -> Result<(), ChatError> {
        known(model)?;
        self.note(format!("load {model} {keep:?}"));
        Ok(())
    }

    fn unload(&self, model: &str) -> Result<(), ChatError> {
        known(model)?;
        self.note(format!("unload {model}"));
        Ok(())
    }
}

fn server() -> (Running, Arc<Memory>) {
    let memory = Arc::new(Memory::default());
    let keeper = memory.clone();
    let more = |server: &mut ondine_server::Server| server.keeper = Some(keeper);
    (Running::with(script(), Limits::default(), Reach::ThisMachine, more), memory)
}

#[test]
fn the_status_tells_what_is_in_memory_and_how_long_things_take() {
    let (server, _) = server();
    let quiet = server.get("/v1/status").json();
    assert_eq!(quiet["latency"]["first_token_s"], json!({ "p50": null, "p99": null }), "{quiet}");
    let say = json!({"model": "script", "messages": [{"role": "user", "content": "one two"}]});
    for _ in 0..3 {
        assert_eq!(server.post("/v1/chat/completions", &say).status, 200);
    }
    let status = server.get("/v1/status").json();
    assert_eq!(status["memory"], json!({ "budget": 100, "used": 46 }));
    let model = &status["models"][1];
    assert_eq!(
        *model,
        json!({
            "name": "script", "loaded": true, "bytes": 40, "sha256": "ab", "running": {"notes": 2},
            "waiting": {"other": 3}, "kept_bytes": 6, "tokens": 9, "cached_tokens": 4,
            "leaves_in_s": 60,
        })
    );
    let requests = &status["requests"];
    assert_eq!((&requests["finished"], &requests["failed"]), (&json!(3), &json!(0)), "{status}");
    // Two pieces an answer: two tokens, and one time between them.
    assert!(status["tokens_per_s"].as_f64().is_some_and(|pace| pace > 0.0), "{status}");
    for what in ["queue_s", "first_token_s", "between_tokens_s"] {
        for share in ["p50", "p99"] {
            let seconds = status["latency"][what][share].as_f64();
            assert!(seconds.is_some_and(|s| s > 0.0 && s < 5.0), "{what} {share}: {status}");
        }
    }
    assert!(status["version"].is_string() && status["uptime_s"].is_u64(), "{status}");

    let page = server.get("/metrics").body;
    for line in [
        "ondine_memory_used_bytes 46",
        "ondine_memory_budget_bytes 100",
        "ondine_model_loaded{model=\"a\\\"b\"} 0",
        "ondine_model_loaded{model=\"script\"} 1",
        "ondine_model_running{model=\"script\"} 2",
        "ondine_model_waiting{model=\"script\"} 3",
        "ondine_model_kept_bytes{model=\"script\"} 6",
        "ondine_model_tokens_total{model=\"script\"} 9",
        "ondine_model_cached_tokens_total{model=\"script\"} 4",
    ] {
        assert!(page.lines().any(|own| own == line), "{line}\n{page}");
    }
}

#[test]
fn a_plan_is_made_for_a_length_or_for_messages() {
    let (server, memory) = server();
    let turns = json!([{"role": "user", "content": "one two three"}]);
    type Row = (Value, u16, &'static str);
    let rows: [Row; 6] = [
        (json!({"model": "script", "prompt_tokens": 30, "max_tokens": 8}), 200, "plan 30 8"),
        (json!({"messages": turns}), 200, "plan 3 -"),
        (json!({"messages": turns, "prompt_tokens": 3}), 400, "messages"),
        (json!({"prompt_tokens": -1}), 400, "prompt_tokens"),
        (json!({"max_tokens": 1u64 << 40}), 400, "max_tokens"),
        (json!({"model": "gone"}), 404, "model"),
    ];
    for (body, status, word) in rows {
        let reply = server.post("/v1/plan", &body);
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        if status == 200 {
            assert_eq!(memory.0.lock().unwrap().pop().as_deref(), Some(word), "{body}");
            let plan = reply.json();
            let gone = json!([{"what": "model", "model": "old", "bytes": 7}]);
            assert_eq!((&plan["fits"], &plan["kv"]), (&json!(true), &json!(5)), "{plan}");
            assert_eq!(plan["evicted"], gone, "{plan}");
        } else {
            assert_eq!(reply.json()["error"]["param"], word, "{body}");
        }
    }
}

#[test]
fn models_are_brought_and_let_go_in_our_words_and_in_ollama_s() {
    let (server, memory) = server();
    let rows = [
        ("/v1/models/load", json!({"model": "script"}), "load script Usual"),
        (
            "/v1/models/load",
            json!({"model": "script", "keep_alive": "5m"}),
            "load script Seconds(300)",
        ),
        ("/v1/models/unload", json!({"model": "script"}), "unload script"),
        ("/api/generate", json!({"model": "script:latest"}), "load script Usual"),
        (
            "/api/generate",
            json!({"model": "script", "prompt": "", "keep_alive": -1}),
            "load script Always",
        ),
        ("/api/generate", json!({"model": "script", "keep_alive": 0}), "unload script"),
        ("/api/chat", json!({"model": "script", "messages": []}), "load script Usual"),
    ];
    for (path, body, asked) in rows {
        let reply = server.post(path, &body);
        assert_eq!(reply.status, 200, "{path} {body}: {reply:?}");
        assert_eq!(memory.0.lock().unwrap().pop().as_deref(), Some(asked), "{path} {body}");
        if path.starts_with("/api") {
            let (reply, verb) = (reply.json(), asked.split(' ').next());
            assert_eq!(
                (reply["done"].as_bool(), reply["done_reason"].as_str()),
                (Some(true), verb)
            );
        }
    }
    for (path, body, status) in [
        ("/v1/models/load", json!({"model": "gone"}), 404),
        ("/v1/models/unload", json!({"model": "gone"}), 404),
        ("/v1/models/load", json!({"model": "script", "keep_alive": "soon"}), 400),
        ("/api/generate", json!({"model": "script", "prompt": "x", "keep_alive": true}), 400),
    ] {
        assert_eq!(server.post(path, &body).status, status, "{path} {body}");
    }
    let shown = server.get("/api/ps").json();
    let model = &shown["models"][0];
    assert_eq!(
        (&model["name"], &model["size"], &model["digest"]),
        (&json!("script"), &json!(40), &json!("ab"))
    );
    assert!(model["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
}

#[test]
fn where_nobody_holds_models_that_is_said() {
    let server = Running::new(script(), Limits::default());
    assert_eq!(server.get("/v1/status").status, 501);
    assert_eq!(server.post("/v1/plan", &json!({})).status, 501);
    assert_eq!(server.get("/metrics").status, 200);
    assert_eq!(server.post("/api/generate", &json!({"model": "script"})).status, 400);
}
