//! Servers that cut, lie, redirect, pack, stall and overflow. Nothing of that gets a name.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ondine_store::{Digest, Disk, Options, Pull, Store, StoreError};

use crate::server::{Page, Server};
use crate::support::*;

/// What a page does, what is asked of it, and which error names it.
fn check(rows: &[(&str, Page, &str)]) {
    for (what, page, expected) in rows {
        let (folder, server) = (Folder::new(), Server::new());
        server.put("/m.gguf", page.clone());
        let store = store(&folder, &server);
        let error = pull(&store, &from(&server.url("/m.gguf"))).expect_err(what);
        let shown = format!("{error:?}");
        assert!(shown.starts_with(expected), "{what}: expected {expected}, got {shown}");
        is_empty(&store);
    }
}

#[test]
fn a_server_that_misbehaves_is_named_and_leaves_nothing() {
    let content = noise(3 * CHUNK + 17, 1);
    let page = || Page::new(content.clone());
    let whole = || Page { ranges: false, ..page() };
    let headers = |line: &str| vec![line.to_string()];
    let etag = |etag: &str| Some(etag.to_string());
    check(&[
        ("no such file", Page { status: Some(404), ..page() }, "Status"),
        ("forbidden", Page { status: Some(401), ..page() }, "Status"),
        ("broken for ever", Page { status: Some(503), ..page() }, "Status"),
        ("whole, cut", Page { cut_after: Some(1000), ..whole() }, "Transport"),
        ("whole, shorter than announced", Page { announce: 9, ..whole() }, "Transport"),
        ("no length", Page { unmeasured: true, ..whole() }, "NoLength"),
        ("parts that begin elsewhere", Page { shift: 1, ..page() }, "Range"),
        ("parts of another length", Page { announce: -1, ..page() }, "Range"),
        ("packed", Page { headers: headers("Content-Encoding: gzip"), ..page() }, "Encoded"),
        ("packed, whole", Page { headers: headers("Content-Encoding: br"), ..whole() }, "Encoded"),
        ("empty", Page { ranges: false, ..Page::new("") }, "Size"),
        ("silent", Page { hang: true, ..page() }, "Transport"),
        ("silent, whole", Page { hang: true, ..whole() }, "Transport"),
        (
            "always cut before a chunk is whole",
            Page { cut_after: Some(1000), ..page() },
            "Transport",
        ),
        ("parts, then the whole", Page { only_a_byte: true, ..page() }, "Changed"),
        (
            "a header that never ends",
            Page { etag: etag(&"x".repeat(1 << 20)), ..page() },
            "Transport",
        ),
    ]);
}

#[test]
fn a_file_that_is_too_large_is_not_begun() {
    let (folder, server) = (Folder::new(), Server::new());
    let page = Page { ranges: false, announce: 1 << 42, ..Page::new(noise(10, 1)) };
    server.put("/m.gguf", page);
    let store = store(&folder, &server);
    let error = pull(&store, &from(&server.url("/m.gguf"))).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    is_empty(&store);
    assert_eq!(listed(&store, "parts").iter().filter(|name| !name.ends_with(".lock")).count(), 0);
}

#[test]
fn more_than_was_announced_is_not_read() {
    let (folder, server) = (Folder::new(), Server::new());
    let content = noise(CHUNK + 50, 1);
    server.put("/m.gguf", Page { ranges: false, announce: -40, ..Page::new(content.clone()) });
    let store = store(&folder, &server);
    // What was announced is the file: without a digest nothing says otherwise.
    let pulled = pull(&store, &from(&server.url("/m.gguf"))).unwrap();
    holds(&store, &pulled, &content[..CHUNK + 10]);
    // With one, it is found out.
    let wanted = Pull { digest: Some(Digest::of(&content)), ..named(&server.url("/m.gguf"), "b") };
    assert!(matches!(pull(&store, &wanted), Err(StoreError::Mismatch { .. })));
}

#[test]
fn redirects_are_followed_within_limits() {
    let content = noise(CHUNK, 2);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page::new(content.clone()));
    for (from, to) in [("/1", "/2"), ("/2", "3"), ("/3", "/4"), ("/4", "/5"), ("/5", "/m.gguf")] {
        server.put(from, Page::redirect(to));
    }
    server.put("/loop", Page::redirect("/loop"));
    server.put("/0", Page::redirect("/1"));
    server.put("/file", Page::redirect("file:///etc/passwd"));
    server.put("/user", Page::redirect("http://user@127.0.0.1/x"));
    server.put("/none", Page { status: Some(302), ..Page::new("") });
    let store = store(&folder, &server);
    let pulled = pull(&store, &named(&server.url("/1"), "five")).unwrap();
    holds(&store, &pulled, &content);
    for path in ["/0", "/loop", "/file", "/user"] {
        let error = pull(&store, &named(&server.url(path), "x")).expect_err(path);
        assert!(matches!(error, StoreError::Redirect { .. }), "{path}: {error}");
    }
    assert_eq!(server.count("/loop"), ondine_store::REDIRECTS_MAX + 1);
    assert!(pull(&store, &named(&server.url("/none"), "x")).is_err());
}

#[test]
fn a_wrong_digest_deletes_nothing_good() {
    let (folder, server) = (Folder::new(), Server::new());
    let (good, bad) = (noise(2 * CHUNK, 3), noise(2 * CHUNK, 4));
    let address = server.url("/m.gguf");
    server.put("/m.gguf", Page::new(good.clone()));
    let store = store(&folder, &server);
    let first = pull(&store, &from(&address)).unwrap();

    let wanted = Pull { digest: Some(Digest::of(b"else")), ..from(&address) };
    server.put("/m.gguf", Page { etag: Some("v2".into()), ..Page::new(bad.clone()) });
    let error = pull(&store, &wanted).unwrap_err();
    let StoreError::Mismatch { expected, found, .. } = &error else { panic!("{error}") };
    assert_eq!((*expected, *found), (Digest::of(b"else"), Digest::of(&bad)));
    let text = error.to_string();
    assert!(text.contains(&expected.to_string()) && text.contains(&found.to_string()), "{text}");
    holds(&store, &first, &good);
    assert_eq!(listed(&store, "parts"), [""; 0], "wrong content is not resumed from");
}

#[test]
fn what_the_check_refuses_gets_no_name() {
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page::new(noise(CHUNK, 5)));
    let store = store(&folder, &server);
    let refuse = |path: &Path| {
        assert_eq!(std::fs::metadata(path).unwrap().len(), CHUNK as u64);
        Err("it begins with the wrong bytes".into())
    };
    let error = store.pull(&from(&server.url("/m.gguf")), &refuse, &mut on).unwrap_err();
    assert!(error.to_string().contains("the wrong bytes"), "{error}");
    is_empty(&store);
    assert_eq!(listed(&store, "parts"), [""; 0]);
}

/// A disk with so much room, of which so much can really be written.
struct SmallDisk {
    free: u64,
    left: AtomicU64,
}

impl Disk for SmallDisk {
    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free)
    }

    fn spend(&self, bytes: u64) -> io::Result<()> {
        let spent = |left: u64| left.checked_sub(bytes);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spent);
        left.map(|_| ()).map_err(|_| io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_full_disk_ends_cleanly_and_resumes_with_space() {
    let content = noise(8 * CHUNK, 6);
    let bytes = content.len() as u64;
    for share in [0, 50, 99, 100] {
        let (folder, server) = (Folder::new(), Server::new());
        server.put("/m.gguf", Page::new(content.clone()));
        let with = |free, left| {
            let disk = Arc::new(SmallDisk { free, left: AtomicU64::new(left) });
            let options = Options { disk, connections: 2, ..options(&server) };
            Store::create(&folder.0.join("store"), options).unwrap()
        };
        // Told beforehand.
        let store = with(bytes, bytes);
        let error = pull(&store, &from(&server.url("/m.gguf"))).unwrap_err();
        assert!(matches!(error, StoreError::Space { .. }), "{error}");
        assert!(server.sent.load(Ordering::SeqCst) < CHUNK as u64, "it began all the same");
        // Filled up by somebody else on the way.
        let store = with(u64::MAX, bytes * share / 100);
        let result = pull(&store, &from(&server.url("/m.gguf")));
        if share < 100 {
            let error = result.unwrap_err();
            assert!(error.is_full(), "{share}: {error}");
            is_empty(&store);
        }
        let pulled = pull(&with(u64::MAX, u64::MAX), &from(&server.url("/m.gguf"))).unwrap();
        holds(&store, &pulled, &content);
        let sent = server.sent.load(Ordering::SeqCst);
        assert!(sent < bytes + 5 * CHUNK as u64, "{share}: {sent} bytes were sent");
    }
    // A local file asks for room as well.
    let (folder, server) = (Folder::new(), Server::new());
    let disk = Arc::new(SmallDisk { free: 10, left: AtomicU64::new(10) });
    let options = Options { disk, ..options(&server) };
    let store = Store::create(&folder.0.join("store"), options).unwrap();
    let file = folder.file("m.gguf", &content);
    let error = pull(&store, &from(file.to_str().unwrap())).unwrap_err();
    assert!(error.is_full(), "{error}");
}

#[test]
fn a_name_from_a_header_is_not_looked_at() {
    let (folder, server) = (Folder::new(), Server::new());
    let line = "Content-Disposition: attachment; filename=\"../../evil.gguf\"".to_string();
    server.put("/m.gguf?x=../../e", Page { headers: vec![line], ..Page::new(noise(9, 7)) });
    let store = store(&folder, &server);
    let pulled = pull(&store, &from(&server.url("/m.gguf?x=../../e"))).unwrap();
    assert_eq!(pulled.name.as_str(), "m");
}

#[test]
fn https_is_never_spoken_in_the_clear() {
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page::new(noise(9, 8)));
    let store = store(&folder, &server);
    let address = server.url("/m.gguf").replace("http:", "https:");
    let error = pull(&store, &from(&address)).unwrap_err();
    let named = matches!(error, StoreError::Untrusted { .. } | StoreError::Transport { .. });
    assert!(named, "{error}");
    is_empty(&store);
    assert_eq!(server.count("/m.gguf"), 0, "it was asked without protection");
}
