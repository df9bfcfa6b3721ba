//! Servers behind an address that mean harm, or are merely broken: they hang, flood, send elsewhere, speak
//! another protocol, or go away in the middle of a call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ondine_app::chat::ToolCall;
use ondine_app::{Bounds, Context, Outcome, perform};
use ondine_mcp::{Client, Endpoint, Limits, McpError, Trust};
use serde_json::json;

use crate::common::{TOKEN, offer};

/// Reads a request, and does the rest as a test says. Counts those who came.
fn serve(work: impl Fn(TcpStream) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let counted = Arc::new(AtomicUsize::new(0));
    let (work, count) = (Arc::new(work), counted.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let work = work.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut length = 0;
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let _ = reader.take(length).read_to_end(&mut Vec::new());
                work(stream);
            });
        }
    });
    (address, counted)
}

fn reach(address: SocketAddr) -> Result<Client, McpError> {
    let limits = Limits {
        greeting_time: Duration::from_secs(2),
        message_bytes: 64 << 10,
        ..Limits::default()
    };
    let endpoint = Endpoint::new(format!("http://{address}/mcp")).token(TOKEN);
    Client::endpoint("o", endpoint, Trust::Stranger, limits)
}

#[test]
fn an_address_that_is_no_server_is_given_up() {
    type Work = fn(TcpStream);
    let rows: &[(&str, Work)] = &[
        ("hangs", |_| std::thread::sleep(Duration::from_secs(60))),
        ("closes", drop),
        ("another protocol", |mut stream| {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
        }),
        ("floods", |mut stream| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[b' '; 4096]).is_ok() {}
        }),
        ("floods events", |mut stream| {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ";
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }),
        ("a page", |mut stream| {
            let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
            let _ = stream.write_all(page.as_bytes());
        }),
    ];
    for (name, work) in rows {
        let since = Instant::now();
        let error = reach(serve(work).0).err().expect(name);
        assert!(matches!(error, McpError::Greeting { .. }), "{name}: {error}");
        assert!(error.to_string().len() < 1000, "{name}");
        assert!(since.elapsed() < Duration::from_secs(5), "{name}: {:?}", since.elapsed());
    }
}

#[test]
fn nobody_is_followed_elsewhere_and_the_token_stays() {
    for status in [301, 302, 303, 307, 308] {
        let (elsewhere, came) = serve(drop);
        let (here, asked) = serve(move |mut stream| {
            let moved = format!(
                "HTTP/1.1 {status} Moved\r\nlocation: http://{elsewhere}/mcp\r\n\
                 content-length: 0\r\nconnection: close\r\n\r\n"
            );
            let _ = stream.write_all(moved.as_bytes());
        });
        assert!(matches!(reach(here).err(), Some(McpError::Greeting { .. })), "{status}");
        assert!(asked.load(Ordering::SeqCst) > 0);
        assert_eq!(came.load(Ordering::SeqCst), 0, "{status}");
    }
}

#[test]
fn a_server_that_goes_away_in_a_call_leaves_doubt() {
    let listener = offer().listen("127.0.0.1:0".parse().unwrap(), TOKEN).unwrap();
    let client = reach(listener.address()).unwrap();
    let tools = client.tools().unwrap();
    let hang = tools.iter().find(|tool| tool.spec().name == "o_hang").unwrap().clone();
    let calling = std::thread::spawn(move || {
        let call = ToolCall { id: "1".into(), name: "o_hang".into(), arguments: json!({}) };
        perform(&hang, &call, &Context::default(), Bounds::default())
    });
    std::thread::sleep(Duration::from_millis(150));
    drop(listener);
    let seen = calling.join().unwrap();
    let Outcome::Error(error) = &seen.outcome else { panic!("{seen:?}") };
    assert!(error.leaves_doubt(), "{error:?}");
}
