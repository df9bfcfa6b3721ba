//! Models that come and go over HTTP: what an app may name, how it is told, and who is stopped when
//! a client goes away.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use ondine_server::Limits;
use serde_json::{Value, json};

use crate::common::*;

fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_pull_is_told_line_by_line() {
    let server = Running::new(script(), Limits::default());
    let reply = server.post("/api/pull", &json!({"model": "Tiny:1b"}));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let told = lines(&reply.body);
    assert_eq!(told.last(), Some(&json!({"status": "success"})));
    assert_eq!((&told[0]["status"], &told[0]["total"]), (&json!("pulling"), &json!(20)));
    // Older clients say `name`, and some want one answer.
    let reply = server.post("/api/pull", &json!({"name": "hf.co/o/r", "stream": false}));
    assert_eq!((reply.status, reply.json()), (200, json!({"status": "success"})));
    let asked = [("ollama:Tiny:1b", "tiny-1b"), ("hf:o/r", "hf.co-o-r")];
    let asked = asked.map(|(source, name)| (source.to_string(), name.to_string()));
    assert_eq!(*server.shelf.asked.lock().unwrap(), asked);

    // Who pulled it so asks for it so.
    for (model, status) in [("Script:latest", 200), ("SCRIPT", 200), ("script:1b", 404)] {
        let show = server.post("/api/show", &json!({"model": model}));
        assert_eq!(show.status, status, "{model}");
    }

    let reply = server.post("/api/pull", &json!({"model": "missing"}));
    assert_eq!(reply.status, 200, "it had begun");
    let error = lines(&reply.body).pop().unwrap();
    assert_eq!(error, json!({"error": "the registry has no such model"}));
    let reply = server.post("/api/pull", &json!({"model": "missing", "stream": false}));
    assert_eq!(reply.status, 400);
}

/// UP-07, UP-08, and the SSRF of CVE-2026-5530: the place is never the caller's choice.
#[test]
fn up_08_an_app_chooses_no_host() {
    let server = Running::new(script(), Limits::default());
    for model in [
        "169.254.169.254/library/x",
        "127.0.0.1:11434/library/x",
        "localhost:22/x",
        "user@host/x",
        "http://169.254.169.254/latest/meta-data",
        "signed:https://host/m.json",
        "/etc/passwd",
        "../../x",
        "..\\..\\x",
        "",
    ] {
        let reply = server.post("/api/pull", &json!({"model": model}));
        assert_eq!(reply.status, 400, "{model}");
        assert!(!reply.body.contains("169.254"), "it is told back: {}", reply.body);
        let body = json!({"model": model}).to_string();
        assert_eq!(server.ask("DELETE", "/api/delete", &[], &body).status, 400, "{model}");
    }
    let reply = server.post("/api/pull", &json!({"model": "x", "insecure": true}));
    assert_eq!(reply.status, 400);
    assert_eq!(server.post("/api/pull", &json!({})).status, 400);
    assert!(server.shelf.asked.lock().unwrap().is_empty());
}

#[test]
fn a_model_is_deleted_by_its_name() {
    let server = Running::new(script(), Limits::default());
    let delete = |model: &str| {
        server.ask("DELETE", "/api/delete", &[], &json!({"model": model}).to_string())
    };
    assert_eq!(delete("Tiny:1b").status, 200);
    assert_eq!(delete("missing").status, 404);
    let removed = ("removed".to_string(), "tiny-1b".to_string());
    assert_eq!(*server.shelf.asked.lock().unwrap(), [removed]);
    let nobody = [("Authorization", "-")];
    assert_eq!(server.ask("DELETE", "/api/delete", &nobody, "{\"model\":\"x\"}").status, 401);
}

#[test]
fn a_client_that_goes_away_stops_its_own_pull() {
    let server = Running::new(script(), Limits::default());
    for stream in [true, false] {
        let body = json!({"model": "endless", "stream": stream}).to_string();
        let mut staying = server.connect();
        let mut leaving = server.connect();
        for client in [&mut staying, &mut leaving] {
            client.write_all(request("POST", "/api/pull", &[], &body).as_bytes()).unwrap();
        }
        if stream {
            let mut begun = [0; 64];
            staying.read_exact(&mut begun).unwrap();
            leaving.read_exact(&mut begun).unwrap();
        } else {
            std::thread::sleep(Duration::from_millis(200));
        }
        let before = *server.shelf.stopped.lock().unwrap();
        drop(leaving);
        let since = Instant::now();
        while *server.shelf.stopped.lock().unwrap() == before {
            assert!(since.elapsed() < Duration::from_secs(5), "it goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(*server.shelf.stopped.lock().unwrap(), before + 1, "the other one ended too");
        drop(staying);
        while *server.shelf.stopped.lock().unwrap() < before + 2 {
            assert!(since.elapsed() < Duration::from_secs(5), "it goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
