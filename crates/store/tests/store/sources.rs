//! Repositories and registries, as the test lays them out and as an attacker would.

use std::sync::atomic::Ordering;

use ondine_store::{Digest, Options, Store, StoreError};

use crate::server::{Page, Server};
use crate::support::*;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn json(value: &str) -> Page {
    Page { ranges: false, ..Page::new(value) }
}

/// A repository with files and their contents.
fn hub(server: &Server, files: &[(&str, &[u8])]) {
    server.put("/api/models/o/r/revision/main", json(&format!(r#"{{"sha":"{COMMIT}"}}"#)));
    let mut entries = vec![r#"{"type":"directory","path":"sub"}"#.to_string()];
    entries.push(r#"{"type":"file","path":"README.md","size":5}"#.to_string());
    for (path, content) in files {
        let (digest, bytes) = (Digest::of(content), content.len());
        entries.push(format!(
            r#"{{"type":"file","path":"{path}","size":130,"lfs":{{"oid":"{digest}","size":{bytes}}}}}"#
        ));
        let address = format!("/o/r/resolve/{COMMIT}/{path}");
        server.put(&address, Page::redirect(&format!("/cdn/{path}")));
        server.put(&format!("/cdn/{path}"), Page::new(*content));
    }
    let tree = format!("/api/models/o/r/tree/{COMMIT}?recursive=true");
    server.put(&tree, json(&format!("[{}]", entries.join(","))));
}

#[test]
fn a_repository_with_one_model_needs_no_file_name() {
    let content = noise(2 * CHUNK + 1, 31);
    let (folder, server) = (Folder::new(), Server::new());
    hub(&server, &[("sub/Model-Q4_0.gguf", &content)]);
    let store = store(&folder, &server);
    let pulled = pull(&store, &from("hf:o/r")).unwrap();
    holds(&store, &pulled, &content);
    assert_eq!(pulled.name.as_str(), "model-q4_0");
    assert_eq!(pulled.manifest.source, "hf:o/r/sub/Model-Q4_0.gguf");
    assert_eq!(pulled.manifest.revision.as_deref(), Some(COMMIT));
    // Again: the listing says that nothing changed.
    let sent = server.count("/cdn/sub/Model-Q4_0.gguf");
    let again = pull(&store, &from("hf:o/r")).unwrap();
    assert!(again.was_here && again.manifest == pulled.manifest);
    assert_eq!(server.count("/cdn/sub/Model-Q4_0.gguf"), sent);
}

#[test]
fn a_repository_with_several_models_lists_them() {
    let (folder, server) = (Folder::new(), Server::new());
    hub(&server, &[("a-Q4_0.gguf", b"aaa"), ("a-Q8_0.gguf", b"bbb")]);
    let store = store(&folder, &server);
    let text = pull(&store, &from("hf:o/r")).unwrap_err().to_string();
    assert!(text.contains("a-Q4_0.gguf") && text.contains("a-Q8_0.gguf"), "{text}");
    let text = pull(&store, &from("hf:o/r/c.gguf")).unwrap_err().to_string();
    assert!(text.contains("c.gguf") && text.contains("a-Q8_0.gguf"), "{text}");
    let pulled = pull(&store, &from("hf:o/r/a-Q8_0.gguf")).unwrap();
    holds(&store, &pulled, b"bbb");
    // Its end is enough, in letters of either case, and no part of it.
    let pulled = pull(&store, &from("hf:o/r:q4_0")).unwrap();
    holds(&store, &pulled, b"aaa");
    assert_eq!(pulled.manifest.source, "hf:o/r/a-Q4_0.gguf");
    for end in ["hf:o/r:_0", "hf:o/r:Q5_0", "hf:o/r:gguf"] {
        let error = pull(&store, &from(end)).unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{end}: {error}");
    }
    hub(&server, &[]);
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Missing { .. })));
}

#[test]
fn a_listing_has_pages() {
    let (folder, server) = (Folder::new(), Server::new());
    hub(&server, &[("m.gguf", b"content")]);
    let tree = format!("/api/models/o/r/tree/{COMMIT}");
    let first = format!("{tree}?recursive=true");
    let second = format!("{tree}?cursor=2");
    let last = {
        let link = format!("Link: <{}>; rel=\"next\"", server.url(&second));
        let page = json(r#"[{"type":"file","path":"x","size":1}]"#);
        let first_page = Page { headers: vec![link], ..page };
        let digest = Digest::of(b"content");
        server.put(&first, first_page);
        json(&format!(
            r#"[{{"type":"file","path":"m.gguf","size":7,"lfs":{{"oid":"{digest}","size":7}}}}]"#
        ))
    };
    server.put(&second, last.clone());
    let store = store(&folder, &server);
    holds(&store, &pull(&store, &from("hf:o/r")).unwrap(), b"content");
    // A listing that never ends, and one that leads elsewhere.
    let endless = format!("Link: <{}>; rel=\"next\"", server.url(&second));
    server.put(&second, Page { headers: vec![endless], ..last.clone() });
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Listing { .. })));
    let elsewhere = "Link: <http://127.0.0.1:9/x>; rel=\"next\"".to_string();
    server.put(&second, Page { headers: vec![elsewhere], ..last });
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Listing { .. })));
}

#[test]
fn a_listing_that_lies_is_found_out() {
    let (folder, server) = (Folder::new(), Server::new());
    hub(&server, &[("m.gguf", b"content")]);
    let store = store(&folder, &server);
    server.put("/cdn/m.gguf", Page::new(&b"contenT"[..]));
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Mismatch { .. })));
    server.put("/cdn/m.gguf", Page::new(&b"longer content"[..]));
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Size { .. })));
    let tree = format!("/api/models/o/r/tree/{COMMIT}?recursive=true");
    for oid in ["../../etc/x", "AB", "", "0"] {
        let entry =
            format!(r#"[{{"type":"file","path":"m.gguf","lfs":{{"oid":"{oid}","size":7}}}}]"#);
        server.put(&tree, json(&entry));
        assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Digest { .. })), "{oid}");
    }
    for text in ["{}", "[", "[{\"type\":\"file\"}]", "[{\"type\":\"file\",\"path\":\"m.gguf\"}]"] {
        server.put(&tree, json(text));
        assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Listing { .. })), "{text}");
    }
    server.put(&tree, json(&"[".repeat(100_000)));
    assert!(pull(&store, &from("hf:o/r")).is_err());
    server.put(&tree, json(&" ".repeat(ondine_store::LISTING_BYTES_MAX as usize + 2)));
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::TooLarge { .. })));
    server.put("/api/models/o/r/revision/main", json(r#"{"sha":"../../x"}"#));
    assert!(matches!(pull(&store, &from("hf:o/r")), Err(StoreError::Listing { .. })));
    is_empty(&store);
}

#[test]
fn the_secret_is_for_the_hub_alone() {
    let content = noise(CHUNK, 32);
    let (folder, server, other) = (Folder::new(), Server::new(), Server::new());
    hub(&server, &[("m.gguf", &content)]);
    other.put("/cdn", Page::new(content.clone()));
    let address = format!("/o/r/resolve/{COMMIT}/m.gguf");
    server.put(&address, Page::redirect(&other.url("/cdn")));
    let options = Options { hub_token: Some("hush".into()), ..options(&server) };
    let store = Store::create(&folder.0.join("store"), options).unwrap();
    holds(&store, &pull(&store, &from("hf:o/r")).unwrap(), &content);
    let told = |server: &Server| {
        let asked = server.asked.lock().unwrap();
        (
            asked.iter().filter(|asked| asked.headers.contains_key("authorization")).count(),
            asked.len(),
        )
    };
    let (with, all) = told(&server);
    assert!(with == all && all > 0);
    let (with, all) = told(&other);
    assert!(with == 0 && all > 0);
}

fn registry(server: &Server, layers: &str) {
    server.put(
        "/v2/library/tiny/manifests/1b",
        json(&format!(r#"{{"schemaVersion":2,"layers":[{layers}]}}"#)),
    );
}

fn layer(kind: &str, digest: &str, bytes: usize) -> String {
    format!(
        r#"{{"mediaType":"application/vnd.ollama.image.{kind}","digest":"{digest}","size":{bytes}}}"#
    )
}

#[test]
fn a_registry_gives_the_layer_that_is_the_model() {
    let content = noise(CHUNK + 5, 33);
    let (folder, server) = (Folder::new(), Server::new());
    let digest = format!("sha256:{}", Digest::of(&content));
    let text = format!("sha256:{}", Digest::of(b"text"));
    let layers = [layer("template", &text, 4), layer("model", &digest, content.len())].join(",");
    registry(&server, &layers);
    server.put(&format!("/v2/library/tiny/blobs/{digest}"), Page::redirect("/store/1"));
    server.put("/store/1", Page::new(content.clone()));
    let store = store(&folder, &server);
    let pulled = pull(&store, &from("ollama:tiny:1b")).unwrap();
    holds(&store, &pulled, &content);
    assert_eq!(pulled.name.as_str(), "tiny-1b");
    assert!(pull(&store, &from("ollama:tiny:1b")).unwrap().was_here);
}

#[test]
fn a_digest_of_a_registry_leads_nowhere() {
    let (folder, server) = (Folder::new(), Server::new());
    let store = store(&folder, &server);
    let hex = "a".repeat(64);
    let good = format!("sha256:{hex}");
    for digest in [
        "sha256:../../x".to_string(),
        format!("sha256:../{}", "a".repeat(61)),
        good[..70].to_string(),
        format!("{good}a"),
        good.to_uppercase(),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:aa\\\\bb{}", "a".repeat(59)),
        format!("md5:{}", "a".repeat(32)),
        format!("sha256:{}", "٣".repeat(64)),
        String::new(),
    ] {
        // Refused wherever it stands, also in a layer that nobody wants.
        for kind in ["model", "template"] {
            let layers = [layer(kind, &digest, 4), layer("model", &good, 4)].join(",");
            registry(&server, &layers);
            let error = pull(&store, &from("ollama:tiny:1b")).unwrap_err();
            assert!(matches!(error, StoreError::Digest { .. }), "{digest}: {error}");
        }
    }
    for layers in [
        "".to_string(),
        layer("template", &good, 4),
        [layer("model", &good, 4), layer("model", &good, 4)].join(","),
    ] {
        registry(&server, &layers);
        assert!(matches!(pull(&store, &from("ollama:tiny:1b")), Err(StoreError::Listing { .. })));
    }
    registry(&server, &vec![layer("x", &good, 1); 65].join(","));
    assert!(matches!(pull(&store, &from("ollama:tiny:1b")), Err(StoreError::Listing { .. })));
    registry(&server, &layer("model", &good, 1 << 43));
    assert!(matches!(pull(&store, &from("ollama:tiny:1b")), Err(StoreError::TooLarge { .. })));
    is_empty(&store);
    assert_eq!(listed(&store, "parts"), [""; 0]);
    assert!(server.asked.lock().unwrap().iter().all(|asked| !asked.path.contains("blobs")));
    assert!(server.sent.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_realm_is_not_followed() {
    let (folder, server, evil) = (Folder::new(), Server::new(), Server::new());
    let line = format!("WWW-Authenticate: Bearer realm=\"{}\"", evil.url("/token"));
    let page = Page { status: Some(401), headers: vec![line], ..Page::new("") };
    server.put("/v2/library/tiny/manifests/1b", page);
    let store = store(&folder, &server);
    let error = pull(&store, &from("ollama:tiny:1b")).unwrap_err();
    assert!(matches!(error, StoreError::Status { status: 401, .. }), "{error}");
    assert!(evil.asked.lock().unwrap().is_empty());
}
