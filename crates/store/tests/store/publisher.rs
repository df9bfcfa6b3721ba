//! Somebody who signs releases with a key of the test's own, as minisign does.

use std::time::{SystemTime, UNIX_EPOCH};

use minisign::KeyPair;
use serde_json::{Value, json};

use crate::server::{Page, Server};

/// A publisher and a key that was made for the test.
pub(crate) struct Publisher {
    keys: KeyPair,
}

impl Publisher {
    pub(crate) fn new() -> Publisher {
        Publisher { keys: KeyPair::generate_unencrypted_keypair().expect("a key") }
    }

    /// The public key in one line.
    pub(crate) fn key(&self) -> String {
        self.keys.pk.to_base64()
    }

    /// A detached signature.
    pub(crate) fn sign(&self, text: &str) -> String {
        let signed = minisign::sign(
            Some(&self.keys.pk),
            &self.keys.sk,
            text.as_bytes(),
            Some("a trusted comment"),
            None,
        );
        signed.expect("a signature").into_string()
    }

    /// Puts a release and its signature on a server.
    pub(crate) fn put(&self, server: &Server, path: &str, text: &str) {
        put(server, path, text, &self.sign(text));
    }

    /// Publishes a version of the model `m`: its file, the release and the signature.
    pub(crate) fn publish(&self, server: &Server, version: u64, sha256: &str, page: Page) {
        let file = format!("files/{version}.gguf");
        let release = release(version, &file, sha256, page.body.len());
        server.put(&format!("/{file}"), page);
        self.put(server, "/m.json", &release.to_string());
    }
}

/// Puts a release and some signature on a server.
pub(crate) fn put(server: &Server, path: &str, text: &str, signature: &str) {
    let page = |text: &str| Page { ranges: false, ..Page::new(text) };
    server.put(path, page(text));
    server.put(&format!("{path}.minisig"), page(signature));
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A release of the model `m` as it should be.
pub(crate) fn release(version: u64, file: &str, sha256: &str, bytes: usize) -> Value {
    json!({
        "format": 1,
        "model": "m",
        "version": version,
        "released_s": now_s() - 60,
        "expires_s": now_s() + 3600,
        "sha256": sha256,
        "bytes": bytes,
        "file": file,
        "notes": "better words",
    })
}
