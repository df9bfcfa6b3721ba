//! A guest behind the door: what reaches it, whose it is, what it costs, and when it hears that nobody waits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ondine_chat::{Message, Request};
use ondine_server::http::{Response, header};
use ondine_server::{App, Doors, Guest, Limits, OverQuota, Reach, Refusal, Tokens, Visit};
use serde_json::json;

use crate::common::*;

/// Does what the body says.
#[derive(Default)]
struct Odd {
    left: AtomicBool,
}

impl Guest for Odd {
    fn answer(&self, visit: Visit) -> Response<Vec<u8>> {
        let body = String::from_utf8(visit.request.body().clone()).unwrap();
        let said = match body.as_str() {
            "\"wait\"" => {
                while !visit.gone.is_set() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.left.store(true, Ordering::SeqCst);
                String::new()
            }
            "\"panic\"" => panic!("a guest that breaks"),
            "\"ask\"" => match visit.chat.ask(Request::new("", [Message::user("one two")])) {
                Ok(answer) => answer.text,
                Err(error) => format!("error: {error}"),
            },
            "\"embed\"" => match visit.embed.embed("", &["one two three".into()]) {
                Ok(embedded) => embedded.tokens.to_string(),
                Err(error) => format!("error: {error}"),
            },
            _ => format!("{} {} {}", visit.app.name, visit.request.uri(), body),
        };
        let answer = Response::builder().status(202).header(header::CONTENT_TYPE, "text/odd");
        answer.body(said.into_bytes()).unwrap()
    }
}

/// The usual apps; each may have so many tokens.
struct Purse {
    tokens: Tokens,
    spent: Mutex<u64>,
}

impl Doors for Purse {
    fn who(&self, token: Option<&str>) -> Result<App, Refusal> {
        self.tokens.who(token)
    }

    fn admit(&self, _: &App) -> Result<(), OverQuota> {
        let used = *self.spent.lock().unwrap();
        if used < 8 { Ok(()) } else { Err(OverQuota { quota: 8, used, free_in_s: 60 }) }
    }

    fn spent(&self, app: &App, tokens: u64) {
        assert_eq!(app.name, "notes");
        *self.spent.lock().unwrap() += tokens;
    }
}

fn serving() -> (Arc<Odd>, Arc<Purse>, Running) {
    let (odd, purse) =
        (Arc::new(Odd::default()), Arc::new(Purse { tokens: tokens(), spent: Mutex::default() }));
    let (guest, doors) = (odd.clone(), purse.clone());
    let limits = Limits { body_bytes: 1000, ..Limits::default() };
    let server = Running::with(script(), limits, Reach::ThisMachine, |server| {
        server.guest = Some(guest);
        server.doors = doors;
    });
    (odd, purse, server)
}

#[test]
fn the_door_stands_before_a_guest_too() {
    let (_, _, server) = serving();
    let json = ("content-type", "application/json");
    let bearer = format!("Bearer {TOKEN}");
    let token = ("authorization", bearer.as_str());
    let long = format!("\"{}\"", "x".repeat(2000));
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16);
    let rows: &[Row<'_>] = &[
        ("POST", &[json], "{}", 401),
        ("POST", &[json, ("authorization", "Bearer wrong")], "{}", 401),
        ("POST", &[json, token, ("origin", "http://evil.example")], "{}", 403),
        ("POST", &[("content-type", "text/plain"), token], "{}", 415),
        ("POST", &[json, token], &long, 413),
        ("GET", &[token], "", 405),
        ("DELETE", &[token], "", 405),
        ("POST", &[json, token], "\"panic\"", 500),
        ("POST", &[json, token], "{}", 202),
    ];
    for (method, path_headers, body, status) in rows {
        let mut head =
            format!("{method} /mcp HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", server.address);
        for (name, value) in *path_headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(
            server.raw(head.as_bytes()).status,
            *status,
            "{method} {path_headers:?} {body:.20}"
        );
    }
    let stranger = format!(
        "POST /mcp HTTP/1.1\r\nhost: evil.example\r\ncontent-type: application/json\r\n\
         authorization: {bearer}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    assert_eq!(server.raw(stranger.as_bytes()).status, 403);
    let good = server.post("/mcp", &json!({"a": 1}));
    assert_eq!((good.status, good.body.as_str()), (202, "notes /mcp {\"a\":1}"));
    assert_eq!(good.header("content-type"), Some("text/odd"));
}

#[test]
fn what_a_guest_has_computed_is_the_app_s() {
    let (_, purse, server) = serving();
    assert_eq!(server.post("/mcp", &json!("ask")).body, "Good morning.");
    assert_eq!(*purse.spent.lock().unwrap(), 4);
    let text = server.post("/mcp", &json!("embed")).body;
    assert!(text.parse::<u64>().is_ok(), "{text}");
    *purse.spent.lock().unwrap() = 8;
    for ask in ["ask", "embed"] {
        let text = server.post("/mcp", &json!(ask)).body;
        assert!(text.contains("the quota of 8 tokens a day is reached"), "{text}");
    }
    assert_eq!(server.post("/mcp", &json!({})).status, 202, "what computes nothing costs nothing");
    let asked = server.ask("GET", "/metrics", &[("authorization", &format!("Bearer {TOKEN}"))], "");
    assert!(asked.body.contains("app=\"notes\""), "{}", asked.body);
}

#[test]
fn a_guest_hears_of_a_client_that_leaves() {
    let (odd, _, server) = serving();
    let mut stream = server.connect();
    let body = "\"wait\"";
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: {}\r\n\r\n{body}",
        server.address,
        body.len()
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(!odd.left.load(Ordering::SeqCst));
    drop(stream);
    let heard = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        odd.left.load(Ordering::SeqCst)
    });
    assert!(heard);
}
