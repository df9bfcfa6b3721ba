//! Models that an app brings and takes away through the running service, from a registry of the
//! test's own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use ondine_store::Digest;
use serde_json::{Value, json};

use crate::server::{Page, Server};
use crate::store::Home;
use crate::support::tiny_model;

/// The running service, ended with the test.
struct Service {
    child: Child,
    address: String,
    token: String,
}

impl Service {
    fn new(home: &Home, registry: &Server) -> Service {
        let token = home.ondine(&["app", "add", "notes"]).ok().trim().to_string();
        let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("ONDINE_REGISTRY", registry.base()).env("HF_ENDPOINT", registry.base());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let address = ready["listen"].as_str().expect("an address").to_string();
        Service { child, address, token }
    }

    /// The lines that answer a request.
    fn ask(&self, line: &str, body: &Value) -> Vec<Value> {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let (address, token, body) = (&self.address, &self.token, body.to_string());
        let length = body.len();
        // The version without chunks: what follows the head is the answer.
        let request = format!(
            "{line} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let read = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{answer}"));
        body.lines().map(read).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_app_brings_a_model_and_takes_it_away() {
    let (home, registry) = (Home::new(), Server::new());
    let content = fs::read(tiny_model(&home.folder)).unwrap();
    let (blob, bytes) = (format!("sha256:{}", Digest::of(&content)), content.len());
    let kind = "application/vnd.ollama.image.model";
    let layer = json!({"mediaType": kind, "digest": blob, "size": bytes});
    let manifest = json!({"layers": [layer]}).to_string();
    registry.put("/v2/library/tiny/manifests/1b", Page { ranges: false, ..Page::new(manifest) });
    registry.put(&format!("/v2/library/tiny/blobs/{blob}"), Page::new(content));
    let service = Service::new(&home, &registry);

    let told = service.ask("POST /api/pull", &json!({"model": "tiny:1b"}));
    assert_eq!(told.last(), Some(&json!({"status": "success"})), "{told:?}");
    let known = told.iter().filter(|line| line["total"] == bytes);
    assert!(
        known.clone().count() > 0 && known.clone().all(|line| line["digest"] == blob),
        "{told:?}"
    );
    assert_eq!(home.names(), ["tiny-1b"]);

    // What is not there, what is no model's name, and what another one has.
    let told = service.ask("POST /api/pull", &json!({"model": "tiny:2b"}));
    assert!(told.last().unwrap()["error"].as_str().unwrap().contains("no such model"), "{told:?}");
    let asked = registry.asked.lock().unwrap().len();
    for model in ["127.0.0.1:9/library/tiny", "http://127.0.0.1:9/x.gguf", "/etc/passwd"] {
        let told = service.ask("POST /api/pull", &json!({"model": model}));
        assert!(told[0]["error"].as_str().unwrap().contains("hosts"), "{told:?}");
    }
    assert_eq!(registry.asked.lock().unwrap().len(), asked);

    assert_eq!(service.ask("DELETE /api/delete", &json!({"model": "tiny:1b"})), [json!({})]);
    assert_eq!(home.names(), [""; 0]);
    assert_eq!(home.listed("blobs"), [""; 0]);
    let told = service.ask("DELETE /api/delete", &json!({"model": "tiny:1b"}));
    assert!(told[0]["error"].as_str().unwrap().contains("no such model"), "{told:?}");
}
