//! What a release must be before a byte of its file is asked for: every way in which an attacker
//! between the publisher and the store can change, delay or mix what was signed.

use ondine_store::{Digest, Pull, RELEASE_BYTES_MAX, Store, StoreError};
use serde_json::{Value, json};

use crate::publisher::{Publisher, now_s, put, release};
use crate::server::{Page, Server};
use crate::support::*;

const CONTENT: &[u8] = b"content";

/// A store, a server with a good release of version 7, and its publisher.
struct Scene {
    store: Store,
    server: Server,
    publisher: Publisher,
    _folder: Folder,
}

impl Scene {
    fn new() -> Scene {
        let (folder, server, publisher) = (Folder::new(), Server::new(), Publisher::new());
        let store = store(&folder, &server);
        let scene = Scene { store, server, publisher, _folder: folder };
        scene.server.put("/m.gguf", Page::new(CONTENT));
        scene.publisher.put(&scene.server, "/m.json", &scene.good().to_string());
        scene
    }

    fn good(&self) -> Value {
        release(7, "m.gguf", &Digest::of(CONTENT).to_string(), CONTENT.len())
    }

    fn pull(&self) -> Result<ondine_store::Pulled, StoreError> {
        let source = format!("signed:{}", self.server.url("/m.json"));
        let key = Some(self.publisher.key().parse().unwrap());
        pull(&self.store, &Pull { key, ..from(&source) })
    }

    /// Publishes a signed text, and says why it is not taken.
    #[track_caller]
    fn refused(&self, text: &str) -> StoreError {
        self.publisher.put(&self.server, "/m.json", text);
        let error = self.pull().expect_err(text);
        is_empty(&self.store);
        error
    }

    fn with(&self, changes: &[(&str, Value)]) -> String {
        let mut release = self.good();
        for (key, value) in changes {
            release[*key] = value.clone();
        }
        release.to_string()
    }
}

#[test]
fn a_signed_model_is_pulled() {
    let scene = Scene::new();
    let pulled = scene.pull().unwrap();
    holds(&scene.store, &pulled, CONTENT);
    assert_eq!(pulled.name.as_str(), "m");
    assert!(pulled.manifest.source.starts_with("signed:http://127.0.0.1"));
    let channel = pulled.manifest.channel.clone().unwrap();
    assert_eq!((channel.version, channel.highest, channel.declined), (7, 7, None));
    assert_eq!(channel.key.to_string(), scene.publisher.key());
    assert!(channel.spare.is_none() && channel.rollback().is_none());
    // Again: the release alone is asked for.
    let asked = scene.server.count("/m.gguf");
    assert!(scene.pull().unwrap().was_here);
    assert_eq!(scene.server.count("/m.gguf"), asked);
}

#[test]
fn a_key_and_a_signed_source_belong_together() {
    let scene = Scene::new();
    let signed = format!("signed:{}", scene.server.url("/m.json"));
    let key = scene.publisher.key().parse().ok();
    let address = scene.server.url("/m.gguf");
    for wanted in [from(&signed), Pull { key, ..from(&address) }] {
        assert!(matches!(pull(&scene.store, &wanted), Err(StoreError::NeedsKey { .. })));
    }
    assert!(scene.server.asked.lock().unwrap().is_empty(), "nothing is asked before");
    let long = "RW".repeat(1000);
    for text in ["", "RWQ", "not a key", &long, &scene.publisher.key()[1..]] {
        assert!(matches!(text.parse::<ondine_store::Key>(), Err(StoreError::Key { .. })), "{text}");
    }
}

/// UP-09: unsigned, the wrong key, one bit.
#[test]
fn up_09_what_was_not_signed_is_not_read() {
    let scene = Scene::new();
    let good = scene.good().to_string();
    let signature = scene.publisher.sign(&good);
    let stranger = Publisher::new();
    let one_bit = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= 1;
        String::from_utf8(bytes).unwrap()
    };
    let raised = good.replace("\"version\":7", "\"version\":8");
    let lines: Vec<&str> = signature.lines().collect();
    let recommented = signature.replace("a trusted comment", "a trusted Comment");
    let no_comment = lines[..2].join("\n");
    let long = signature.replace("a trusted comment", &"x".repeat(5000));
    // The same text, signed rightly, by the same key, elsewhere.
    let other = scene.publisher.sign(&raised);
    let rows: &[(&str, &str, &str)] = &[
        ("one bit of the release", &one_bit(&good, good.len() / 2), &signature),
        ("a changed version", &raised, &signature),
        ("a cut release", &good[..good.len() - 1], &signature),
        ("a release with a space more", &format!("{good} "), &signature),
        ("no release", "", &signature),
        ("another's key", &good, &stranger.sign(&good)),
        ("another release's signature", &good, &other),
        ("one bit of the signature", &good, &one_bit(&signature, signature.len() - 10)),
        ("one bit of the signature's first part", &good, &one_bit(&signature, 100)),
        ("a changed comment", &good, &recommented),
        ("a cut signature", &good, &no_comment),
        ("no signature", &good, ""),
        ("a signature that is none", &good, "\u{0}\u{0}"),
    ];
    for (what, text, signature) in rows {
        put(&scene.server, "/m.json", text, signature);
        let error = scene.pull().expect_err(what);
        assert!(matches!(error, StoreError::Signature { .. }), "{what}: {error}");
    }
    put(&scene.server, "/m.json", &good, &long);
    assert!(matches!(scene.pull(), Err(StoreError::TooLarge { .. })));
    let missing = Page { status: Some(404), ..Page::new("") };
    scene.server.put("/m.json.minisig", missing);
    let error = scene.pull().unwrap_err();
    assert!(matches!(error, StoreError::Signature { .. }), "{error}");
    is_empty(&scene.store);
    assert_eq!(scene.server.count("/m.gguf"), 0, "the file of an unsigned release was asked for");
}

/// UP-09: expired, frozen, mixed; and everything that a release may not say, though it is signed.
#[test]
fn up_09_a_signature_alone_is_not_enough() {
    let scene = Scene::new();
    let now = now_s();
    let hex = Digest::of(CONTENT).to_string();
    let rows = [
        ("format", json!(2)),
        ("format", json!("1")),
        ("model", json!("other")),
        ("model", json!("M")),
        ("version", json!(0)),
        ("version", json!(-1)),
        ("version", json!(1.5)),
        ("version", json!((1u64 << 53) + 1)),
        ("expires_s", json!(now - 120)),
        ("released_s", json!(now + 200_000)),
        ("bytes", json!(0)),
        ("notes", json!("x".repeat(4097))),
        ("program", json!("x")),
        ("program", json!("1.2")),
        ("program", json!("1.2.3.4")),
        ("extra", json!(1)),
    ];
    for (key, value) in rows {
        let error = scene.refused(&scene.with(&[(key, value.clone())]));
        assert!(matches!(error, StoreError::Release { .. }), "{key} {value}: {error}");
    }
    let error = scene.refused(&scene.with(&[("program", json!("999.0.0"))]));
    assert!(matches!(error, StoreError::OldProgram { .. }), "{error}");
    let days = 3 * 86_400 + 60;
    let times = [("released_s", json!(now - 2 * days)), ("expires_s", json!(now - days))];
    let error = scene.refused(&scene.with(&times));
    assert!(matches!(error, StoreError::Expired { .. }), "{error}");
    assert!(error.to_string().contains("3 days ago"), "{error}");
    for digest in ["sha256:".to_string() + &hex, hex.to_uppercase(), "../x".into(), "".into()] {
        let error = scene.refused(&scene.with(&[("sha256", json!(digest))]));
        assert!(matches!(error, StoreError::Digest { .. }), "{digest}: {error}");
    }
    let error = scene.refused(&scene.with(&[("bytes", json!(1u64 << 43))]));
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    for file in ["file:///etc/passwd", "ftp://h/x", "https://user@h/x", "a b"] {
        let error = scene.refused(&scene.with(&[("file", json!(file))]));
        assert!(matches!(error, StoreError::Redirect { .. }), "{file}: {error}");
    }
    for text in ["", "[]", "{}", "null", &"[".repeat(10_000)] {
        let error = scene.refused(text);
        assert!(matches!(error, StoreError::Release { .. }), "{text:.20}: {error}");
    }
    let good = scene.good().to_string();
    let twice = good.replacen('{', "{\"version\":9,", 1);
    assert!(matches!(scene.refused(&twice), StoreError::Release { .. }));
    let long = format!("{good}{}", " ".repeat(RELEASE_BYTES_MAX as usize));
    assert!(matches!(scene.refused(&long), StoreError::TooLarge { .. }));
    assert_eq!(scene.server.count("/m.gguf"), 0);
}

/// Mixed: two models of one publisher, whose releases are given out in each other's place.
#[test]
fn up_09_a_release_stands_in_its_own_place() {
    let scene = Scene::new();
    scene.publisher.put(&scene.server, "/n.json", &scene.good().to_string());
    let source = format!("signed:{}", scene.server.url("/n.json"));
    let key = Some(scene.publisher.key().parse().unwrap());
    let error = pull(&scene.store, &Pull { key, ..named(&source, "m") }).unwrap_err();
    assert!(matches!(error, StoreError::Release { .. }), "{error}");
    is_empty(&scene.store);
}

/// UP-04, UP-09: the release is right and the file is not.
#[test]
fn up_04_the_file_must_be_what_was_signed() {
    let scene = Scene::new();
    let page = || Page::new(CONTENT);
    type Is = fn(&StoreError) -> bool;
    let mismatch: Is = |error| matches!(error, StoreError::Mismatch { .. });
    let size: Is = |error| matches!(error, StoreError::Size { .. });
    let cut: Is =
        |error| matches!(error, StoreError::Truncated { .. } | StoreError::Transport { .. });
    let whole = |page: Page| Page { ranges: false, ..page };
    let rows: Vec<(&str, Page, Is)> = vec![
        ("another byte", Page::new(&b"contenT"[..]), mismatch),
        ("longer", Page::new(&b"content and more"[..]), size),
        ("shorter", Page::new(&b"conten"[..]), size),
        ("no length", whole(Page { unmeasured: true, ..page() }), |error| {
            matches!(error, StoreError::NoLength { .. })
        }),
        ("an endless one", whole(Page::new(vec![b'x'; 64 << 20])), size),
        ("cut", Page { cut_after: Some(3), ..page() }, cut),
        ("cut, in one piece", whole(Page { cut_after: Some(3), ..page() }), cut),
        ("elsewhere", Page::redirect("ftp://127.0.0.1/m.gguf"), |error| {
            matches!(error, StoreError::Redirect { .. })
        }),
        ("gone", Page { status: Some(404), ..page() }, |error| {
            matches!(error, StoreError::Status { status: 404, .. })
        }),
    ];
    for (what, page, expected) in rows {
        scene.server.put("/m.gguf", page);
        let before = scene.server.sent.load(std::sync::atomic::Ordering::SeqCst);
        let error = scene.pull().expect_err(what);
        assert!(expected(&error), "{what}: {error}");
        is_empty(&scene.store);
        let sent = scene.server.sent.load(std::sync::atomic::Ordering::SeqCst) - before;
        // What the server could send: the system's buffers between the two take some of it, up to ten
        // mebibytes where it lets them grow.
        assert!(sent < 32 << 20, "{what}: {sent} bytes were let in");
    }
    scene.server.put("/m.gguf", page());
    holds(&scene.store, &scene.pull().unwrap(), CONTENT);
}

/// UP-07: the release, its signature and its file follow redirects by the same rules as any.
#[test]
fn up_07_redirects_are_followed_by_the_rules() {
    let scene = Scene::new();
    let good = scene.good().to_string();
    scene.server.put("/r.json", Page { ranges: false, ..Page::new(good.as_str()) });
    scene.server.put("/m.json", Page::redirect("/r.json"));
    holds(&scene.store, &scene.pull().unwrap(), CONTENT);
    scene.server.put("/m.json", Page::redirect("file:///etc/passwd"));
    assert!(matches!(scene.pull(), Err(StoreError::Redirect { .. })));
    scene.server.put("/m.json", Page::redirect("/m.json"));
    assert!(matches!(scene.pull(), Err(StoreError::Redirect { .. })));
}
