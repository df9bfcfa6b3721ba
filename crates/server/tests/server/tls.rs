//! HTTPS: a real client that believes a certificate made for the test, and those who do not speak it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use ondine_server::{Identity, Limits, Reach};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use serde_json::json;

use crate::common::*;

const CHAT: &str = "/v1/chat/completions";

/// A certificate for this machine, as PEM, and what the server makes of it.
fn identity() -> (String, Identity) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
    let pem = key.serialize_pem();
    let identity = Identity::from_pem(own.as_bytes(), pem.as_bytes(), SystemTime::now()).unwrap();
    (own, identity)
}

type Secured = StreamOwned<ClientConnection, TcpStream>;

/// A connection that believes one certificate.
fn secured(
    server: &Running,
    certificate: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> Secured {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(client, server.connect())
}

fn ask(mut stream: Secured, text: &str) -> Reply {
    stream.write_all(text.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("the end of the answer is told, not cut");
    Reply::parse(&all)
}

fn body(stream: bool) -> String {
    json!({
        "model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello"}],
    })
    .to_string()
}

#[test]
fn whoever_believes_the_certificate_is_answered() {
    let (own, identity) = identity();
    let server = Running::with(script(), Limits::default(), Reach::Encrypted(identity), |_| {});
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let reply = ask(secured(&server, &own, &[version]), &request("GET", "/v1/models", &[], ""));
        assert_eq!(reply.json()["data"][0]["id"], "script", "{version:?}");
    }
    let connect = || secured(&server, &own, rustls::ALL_VERSIONS);
    let reply = ask(connect(), &request("POST", CHAT, &[], &body(true)));
    assert_eq!(reply.events().last().unwrap().1, "[DONE]");
    let evil = [("Host", "evil.com")];
    assert_eq!(ask(connect(), &request("GET", "/health", &evil, "")).status, 403);
    let nobody = [("Authorization", "-")];
    assert_eq!(ask(connect(), &request("GET", "/v1/models", &nobody, "")).status, 401);
    let mut agreed = connect();
    agreed.write_all(request("GET", "/health", &[], "").as_bytes()).unwrap();
    agreed.read_exact(&mut [0]).unwrap();
    assert_eq!(agreed.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn curl_is_answered_over_https() {
    let (own, identity) = identity();
    let server = Running::with(script(), Limits::default(), Reach::Encrypted(identity), |_| {});
    let file = std::env::temp_dir().join(format!("ondine-tls-{}.pem", std::process::id()));
    std::fs::write(&file, &own).unwrap();
    let run = |more: &[&str]| {
        Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"])
            .args(["--header", &format!("Authorization: Bearer {TOKEN}")])
            .args(more)
            .arg(format!("https://localhost:{}/v1/models", server.address.port()))
            .output()
    };
    let believing = run(&["--cacert", &file.to_string_lossy()]);
    let doubting = run(&[]);
    std::fs::remove_file(&file).unwrap();
    let (Ok(believing), Ok(doubting)) = (believing, doubting) else {
        let _ = std::io::stderr().write_all(b"skipped: there is no curl here\n");
        return;
    };
    let said = String::from_utf8_lossy(&believing.stdout);
    assert!(said.contains("\"script\""), "{believing:?}");
    assert!(!doubting.status.success(), "a certificate of nobody that curl knows");
    assert!(doubting.stdout.is_empty());
}

#[test]
fn who_speaks_plainly_to_an_encrypted_door_is_told_so() {
    let (own, identity) = identity();
    let model = script();
    let server =
        Running::with(model.clone(), Limits::default(), Reach::Encrypted(identity), |_| {});
    let reply = server.post(CHAT, &json!({"model": "m", "messages": []}));
    assert_eq!(reply.status, 400);
    let message = reply.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains("https://"), "{message}");
    assert!(model.asked().is_empty());
    assert_eq!(server.raw(b"\x16\x03\x01\x00\x05hello").status, 0, "no TLS");
    assert_eq!(server.raw(b"\0\0\0\0").status, 0, "nothing at all");
    let reply =
        ask(secured(&server, &own, rustls::ALL_VERSIONS), &request("GET", "/health", &[], ""));
    assert_eq!(reply.status, 200, "others are served as before");
}

#[test]
fn who_does_not_finish_the_greeting_is_let_go_and_disturbs_nobody() {
    let (own, identity) = identity();
    let limits = Limits { header_time: Duration::from_millis(400), ..Limits::default() };
    let server = Running::with(script(), limits, Reach::Encrypted(identity), |_| {});
    // The beginning of a real greeting: everything but its last byte.
    let mut hello = Vec::new();
    secured(&server, &own, rustls::ALL_VERSIONS).conn.write_tls(&mut hello).unwrap();
    let mut halves: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    for (index, half) in halves.iter_mut().enumerate() {
        // Some say nothing at all.
        let said = if index % 2 == 0 { &hello[..hello.len() - 1] } else { &[] };
        half.write_all(said).unwrap();
    }
    let since = Instant::now();
    let text = request("GET", "/health", &[], "");
    assert_eq!(ask(secured(&server, &own, rustls::ALL_VERSIONS), &text).status, 200);
    assert!(since.elapsed() < Duration::from_secs(2), "others wait: {:?}", since.elapsed());
    for half in &mut halves {
        let _ = half.read_to_end(&mut Vec::new());
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    // Somebody who does not believe us goes away in the middle.
    let (stranger, _) = self::identity();
    let mut doubting = secured(&server, &stranger, rustls::ALL_VERSIONS);
    assert!(doubting.write_all(text.as_bytes()).is_err());
    assert_eq!(ask(secured(&server, &own, rustls::ALL_VERSIONS), &text).status, 200);
}

#[test]
fn an_encrypted_reader_that_stops_reading_is_let_go() {
    let (own, identity) = identity();
    let silenced = Arc::new(Mutex::new(None));
    let slow =
        Slow { pause: Duration::from_micros(1), words: 10_000_000, silenced: silenced.clone() };
    let limits = Limits {
        write_time: Duration::from_millis(300),
        unread_bytes: 64 << 10,
        ..Limits::default()
    };
    let server = Running::with(Arc::new(slow), limits, Reach::Encrypted(identity), |_| {});
    let mut client = secured(&server, &own, rustls::ALL_VERSIONS);
    client.write_all(request("POST", CHAT, &[], &body(true)).as_bytes()).unwrap();
    client.read_exact(&mut [0; 100]).unwrap();
    let since = Instant::now();
    while silenced.lock().unwrap().is_none() {
        assert!(since.elapsed() < Duration::from_secs(60), "still talking to nobody");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(client);
}

#[test]
fn a_crowd_before_an_encrypted_door_is_bounded_and_an_end_is_an_end() {
    let (own, identity) = identity();
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Running::with(script(), limits, Reach::Encrypted(identity), |_| {});
    let _first = server.connect();
    let _second = server.connect();
    std::thread::sleep(Duration::from_millis(100));
    let text = request("GET", "/health", &[], "");
    let mut third = secured(&server, &own, rustls::ALL_VERSIONS);
    let refused = third.write_all(text.as_bytes()).is_err() || third.read(&mut [0]).is_err();
    assert!(refused, "there are two seats");
    drop((_first, _second));
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(ask(secured(&server, &own, rustls::ALL_VERSIONS), &text).status, 200);
    assert_eq!(server.end().cut_off, 0);
}
