//! The doors of the service: who may reach it, how much an app may have, and how it ends. The real
//! binary, with certificates made for the test.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::service::{Service, with_home};
use crate::support::{Folder, finish};

/// A certificate for this machine and its key, in files.
fn identity(folder: &Folder) -> (String, String) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let key = rcgen::KeyPair::generate().expect("a key");
    let own = rcgen::CertificateParams::new(names).expect("names").self_signed(&key);
    let own = folder.file("own.pem", own.expect("a certificate").pem());
    let key = folder.file("key.pem", key.serialize_pem());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a mode");
    (own, key)
}

#[test]
fn ht_06_other_machines_take_a_token_and_tls_and_a_name() {
    let home = Folder::new();
    let (own, key) = identity(&home);
    let other = Folder::new();
    let (_, other_key) = identity(&other);
    let open_key = home.file("open.pem", fs::read(&key).expect("a key"));
    fs::set_permissions(&open_key, fs::Permissions::from_mode(0o644)).expect("a mode");
    let folder = home.path("");
    let tls = ["--tls-cert", &own, "--tls-key", &key];
    let check = |listen: &str, more: &[&str], code: i32, words: &str| {
        let arguments = [&["serve", "--listen", listen], more].concat();
        let ran = finish(with_home(&home, &arguments).output().expect("the binary starts"));
        let message = ran.fails(code);
        assert!(message.contains(words), "{arguments:?}: {message}");
    };
    for listen in ["0.0.0.0:0", "[::]:0", "192.168.1.1:0", "[::ffff:127.0.0.1]:0"] {
        check(listen, &[], 1, "--tls-cert FILE");
    }
    check("0.0.0.0:0", &tls, 1, "ondine app add NAME");
    finish(with_home(&home, &["app", "add", "notes"]).output().expect("starts")).ok();
    check("0.0.0.0:0", &[], 1, "--tls-cert FILE");
    check("0.0.0.0:0", &tls, 2, "--host NAME");
    check("0.0.0.0:0", &[&tls[..], &["--host", "https://box"]].concat(), 2, "without a port");
    let local = |more: &[&str], code: i32, words: &str| check("127.0.0.1:0", more, code, words);
    local(&["--tls-cert", &own], 2, "go together");
    local(&["--tls-cert", "absent.pem", "--tls-key", &key], 1, "absent.pem");
    local(&["--tls-cert", &folder, "--tls-key", &key], 1, "no regular file");
    local(&["--tls-cert", &key, "--tls-key", &key], 1, "no certificate");
    let no_key = home.file("no-key.pem", fs::read(&own).expect("a certificate"));
    fs::set_permissions(&no_key, fs::Permissions::from_mode(0o600)).expect("a mode");
    local(&["--tls-cert", &own, "--tls-key", &no_key], 1, "is no private key in it");
    local(&["--tls-cert", &own, "--tls-key", &other_key], 1, "the certificate was made for");
    local(&["--tls-cert", &own, "--tls-key", &open_key], 1, "chmod 600");
}

#[test]
fn with_both_it_is_reached_by_its_names_over_https() {
    let home = Folder::new();
    let (own, key) = identity(&home);
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().expect("starts")).ok();
    let more =
        ["--listen", "0.0.0.0:0", "--host", "box.lan", "--tls-cert", &own, "--tls-key", &key];
    let mut child = with_home(&home, &[&["serve"], &more[..]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("JSON");
    let port = ready["listen"].as_str().and_then(|at| at.rsplit(':').next()).expect("a port");
    let ask = |host: &str| {
        Command::new("curl")
            .args(["--silent", "--noproxy", "*", "--max-time", "20", "--cacert", &own])
            .args(["--header", &format!("Authorization: Bearer {}", token.trim())])
            .args(["--header", &format!("Host: {host}")])
            .args(["--write-out", "%{http_code}", "--output", "/dev/null"])
            .arg(format!("https://localhost:{port}/v1/models"))
            .output()
    };
    let asked: Vec<_> = ["box.lan", "localhost", "evil.com"].map(ask).into_iter().collect();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(ready["tls"], true);
    let Ok(asked) = asked.into_iter().collect::<Result<Vec<_>, _>>() else {
        let _ = std::io::stderr().write_all(b"skipped: there is no curl here\n");
        return;
    };
    let codes: Vec<_> = asked.iter().map(|ran| String::from_utf8_lossy(&ran.stdout)).collect();
    assert_eq!(codes, ["200", "200", "403"]);
}

fn completion(prompt: &str, max_tokens: usize) -> String {
    json!({"model": "droplet", "prompt": prompt, "seed": 1, "max_tokens": max_tokens}).to_string()
}

#[test]
fn a_quota_is_kept_to_the_token_and_outlives_the_service() {
    let home = Folder::new();
    let add = ["app", "add", "notes", "--priority", "background", "--tokens-per-day", "40"];
    let token = finish(with_home(&home, &add).output().expect("starts")).ok();
    let token = token.trim().to_owned();
    let service = Service::start(home, &[]);
    let path = "POST /v1/completions";
    let mut used = 0;
    let refused = loop {
        let (status, body) =
            service.send(path, Some(&token), &completion(&format!("fn f{used}("), 8));
        let body: Value = serde_json::from_str(&body).expect("JSON");
        if status != 200 {
            assert_eq!(status, 429, "{body}");
            break body;
        }
        assert!(used < 40, "more than its quota");
        let usage = &body["usage"];
        let number = |place: &str| usage.pointer(place).and_then(Value::as_u64).expect(place);
        let known = number("/prompt_tokens_details/cached_tokens");
        used += number("/prompt_tokens") - known + number("/completion_tokens");
    };
    let message = refused["error"]["message"].as_str().expect("a message");
    assert!(message.contains("40 tokens a day") && message.contains("00:00 UTC"), "{message}");
    assert!(message.contains(&format!("({used} used)")), "{message}");
    assert_eq!(service.send("GET /v1/models", Some(&token), "").0, 200, "what costs nothing");
    let other = service.ondine(&["app", "add", "other"]).ok();
    assert_eq!(service.send(path, Some(other.trim()), &completion("x", 2)).0, 200);
    service.signal();
    let (home, code) = service.ended();
    assert_eq!(code, Some(0));

    let service = Service::start(home, &[]);
    let listed = service.ondine(&["app", "ls"]).ok();
    assert!(listed.starts_with(&format!("notes\tbackground\t{used}\t40\nother\t")), "{listed}");
    assert_eq!(service.send(path, Some(&token), &completion("x", 2)).0, 429, "as before");
}

#[test]
fn co_08_what_runs_when_it_is_told_to_end_is_answered_and_nobody_hangs() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().expect("starts")).ok();
    let token = token.trim().to_owned();
    let service = Service::start(home, &[]);
    let begun = |n: usize| {
        let mut stream = TcpStream::connect(&service.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a patience");
        let body = json!({"model": "droplet", "prompt": format!("fn f{n}("), "seed": n,
            "max_tokens": 300, "stream": true, "logit_bias": {"0": -100, "1": -100}});
        let body = body.to_string();
        write!(
            stream,
            "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..12).map(begun).collect();
    // Each has begun: its headers are there.
    for stream in &mut streams {
        stream.read_exact(&mut [0; 12]).expect("a status");
    }
    service.signal();
    for (n, stream) in streams.iter_mut().enumerate() {
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("an end");
        assert!(rest.contains("data: [DONE]"), "stream {n} was cut: {}", rest.len());
    }
    let (_, code) = service.ended();
    assert_eq!(code, Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let home = Folder::new();
    let token = finish(with_home(&home, &["app", "add", "notes"]).output().expect("starts")).ok();
    let mut service = Service::start(home, &[]);
    // A body that does not come is waited for.
    let mut waiting = TcpStream::connect(&service.address).expect("a connection");
    write!(
        waiting,
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        token.trim()
    )
    .expect("sent");
    std::thread::sleep(Duration::from_millis(300));
    service.signal();
    let since = Instant::now();
    while service.send("GET /health", None, "").0 != 503 {
        assert!(since.elapsed() < Duration::from_secs(10), "it does not say that it ends");
    }
    assert!(service.child.try_wait().expect("a child").is_none(), "it waits for what runs");
    let since = Instant::now();
    service.signal();
    let status = service.child.wait().expect("a child");
    assert_eq!(status.code(), Some(130));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}
