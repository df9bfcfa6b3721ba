//! Servers that are no daemon, or a bad one: each says what a test has it say, and the client's answer
//! is a typed error within its patience. What a real daemon says is tested where there is one, in
//! the tests of the crate `ondine`.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use ondine_chat::{Answer, Chat, ChatError, Embed, Message, NewSession, Request, Sessions};
use ondine_client::{Client, ClientError, Patience};

/// Answers every connection with the same bytes, `pause` before each of them, and tells what was asked.
fn server(pieces: Vec<Vec<u8>>, pause: Duration) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (pieces, asked) = (pieces.clone(), asked.clone());
            std::thread::spawn(move || {
                let mut head = vec![0; 64 << 10];
                let length = stream.read(&mut head).unwrap_or(0);
                let _ = asked.send(String::from_utf8_lossy(&head[..length]).into_owned());
                for piece in pieces {
                    std::thread::sleep(pause);
                    if stream.write_all(&piece).is_err() {
                        return;
                    }
                }
                // Closed with something unread, a connection is reset, and what was said is lost.
                let _ = stream.shutdown(Shutdown::Write);
                let _ = stream.read_to_end(&mut head);
            });
        }
    });
    (address, heard)
}

fn saying(bytes: impl Into<Vec<u8>>) -> SocketAddr {
    server(vec![bytes.into()], Duration::ZERO).0
}

fn client(address: SocketAddr) -> Client {
    let patience = Patience {
        connect: Duration::from_secs(5),
        silence: Duration::from_millis(300),
        whole: Duration::from_millis(600),
    };
    Client::patient(&format!("http://{address}"), "secret", patience).unwrap()
}

fn good(media: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn events(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{body}")
}

fn ask(client: &Client) -> Result<Answer, ChatError> {
    client.ask(Request::new("m", [Message::user("x")]))
}

#[track_caller]
fn unreachable(answer: Result<Answer, ChatError>, words: &str) {
    match answer {
        Err(ChatError::Unreachable(what)) => assert!(what.contains(words), "{what}"),
        other => panic!("{words}: {other:?}"),
    }
}

#[test]
fn an_answer_that_is_none_says_so() {
    let rows = [
        ("nothing at all".to_owned(), "no HTTP"),
        (String::new(), "broke off"),
        (good("text/html", "<html>"), "something else than events"),
        (events(""), "has no end"),
        (events("data: [DONE]\n\n"), "has no end"),
        (events("data: {\"choices\""), "has no end"),
        (events("data: [1]\n\n"), "means nothing"),
        (events("data: not JSON\n\n"), "means nothing"),
        (events("data: {\"choices\":[{\"delta\":{\"content\":5}}]}\n\n"), "means nothing"),
        (
            events(
                "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"1\",\"function\":\
                 {\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n",
            ),
            "means nothing",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>".into(), "status 404"),
    ];
    for (bytes, words) in rows {
        unreachable(ask(&client(saying(bytes))), words);
    }
}

#[test]
fn what_came_before_an_answer_broke_off_was_told() {
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Good \"}}]}\n\n";
    let daemon = client(saying(events(body)));
    let (sender, heard) = mpsc::channel();
    let sink = Box::new(move |event| sender.send(event).is_ok());
    daemon.start(Request::new("m", [Message::user("x")]), sink).unwrap();
    let heard: Vec<_> = heard.iter().collect();
    assert!(
        matches!(&heard[..], [ondine_chat::Event::Text { text, .. }, ondine_chat::Event::Failed(
            ChatError::Unreachable(_))] if text == "Good "),
        "{heard:?}"
    );
}

#[test]
fn silence_has_an_end() {
    let begun = Instant::now();
    let never = Duration::from_secs(60);
    let silent = client(server(vec![b"x".to_vec()], never).0);
    unreachable(ask(&silent), "silent");
    let error = silent.known_models().unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }), "{error}");
    // A stream that begins and then says no more.
    let stalled = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(events(": still here\n\n").as_bytes());
            std::thread::sleep(never);
        });
        client(address)
    };
    unreachable(ask(&stalled), "silent");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_answer_in_one_piece_that_drips_has_an_end() {
    let mut pieces = vec![b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_vec()];
    pieces.extend(vec![b" ".to_vec(); 1000]);
    let (address, _heard) = server(pieces, Duration::from_millis(50));
    let begun = Instant::now();
    let error = client(address).known_models().unwrap_err();
    assert!(matches!(error, ClientError::Silent { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn lines_bodies_and_heads_without_an_end_are_not_kept() {
    let line = events(&format!("data: {}", "x".repeat(9 << 20)));
    unreachable(ask(&client(saying(line))), "more than 8388608 bytes");
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(client(saying(head)).known_models().is_err());
    let said = "x".repeat(2 << 20);
    let long = format!("HTTP/1.1 500 X\r\ncontent-length: {}\r\n\r\n{said}", said.len());
    let error = client(saying(long)).known_models().unwrap_err();
    assert!(matches!(error, ClientError::TooLong { .. }), "{error}");
}

#[test]
fn a_redirect_is_not_followed_and_the_token_goes_nowhere_else() {
    let (elsewhere, heard) = server(vec![good("application/json", "{}").into()], Duration::ZERO);
    for status in [301, 302, 303, 307, 308] {
        let redirect = format!(
            "HTTP/1.1 {status} X\r\nlocation: http://{elsewhere}/v1/models\r\ncontent-length: 0\r\n\r\n"
        );
        let daemon = client(saying(redirect));
        let error = daemon.known_models().unwrap_err();
        assert!(matches!(error, ClientError::Refused { status: s, .. } if s == status), "{error}");
        unreachable(ask(&daemon), &status.to_string());
    }
    assert!(heard.recv_timeout(Duration::from_millis(200)).is_err(), "nobody asked there");
}

#[test]
fn the_token_travels_in_its_header_and_is_never_shown() {
    let models = "{\"data\":[{\"id\":\"a\"}]}";
    let (address, heard) = server(vec![good("application/json", models).into()], Duration::ZERO);
    let daemon = client(address);
    assert_eq!(daemon.known_models().unwrap()[0].name, "a");
    let asked = heard.recv().unwrap().to_ascii_lowercase();
    assert!(asked.contains("\r\nauthorization: bearer secret\r\n"), "{asked}");
    assert!(!format!("{daemon:?}").contains("secret"), "{daemon:?}");
    let split = Client::new("http://127.0.0.1:1", "a\r\nx: y");
    assert!(matches!(split, Err(ClientError::Token { .. })), "{split:?}");
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = client(free).known_models().unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("`ondine serve`"), "{error}");
}

#[test]
fn vectors_and_sessions_that_are_not_those_asked_for_are_refused() {
    let row =
        |index: usize, numbers: &str| format!("{{\"index\":{index},\"embedding\":{numbers}}}");
    let of = |rows: &str| format!("{{\"data\":[{rows}],\"usage\":{{\"prompt_tokens\":1}}}}");
    let rows = [
        of(&row(0, "[1]")),
        of(&format!("{},{}", row(1, "[1]"), row(0, "[1]"))),
        of(&format!("{},{}", row(0, "[1]"), row(1, "[1,2]"))),
        "{}".into(),
    ];
    for body in rows {
        let daemon = client(saying(good("application/json", &body)));
        let vectors = daemon.embed("m", &["a".into(), "b".into()]);
        assert!(matches!(vectors, Err(ChatError::Unreachable(_))), "{body}: {vectors:?}");
    }
    let daemon = client(saying(good("application/json", "{\"id\":5}")));
    assert!(daemon.create("", NewSession::default()).is_err());
    assert!(daemon.list("").is_err());
    assert!(daemon.read("", "x").is_err());
    let none = ChatError::NoSession { id: String::new() };
    assert_eq!(daemon.delete("", ""), Err(none), "not the path of all sessions");
}
