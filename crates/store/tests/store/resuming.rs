//! Broken connections, changed files, interrupts: what has arrived is used again, and never mixed.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ondine_store::{Digest, Options, Pull, Store, StoreError};

use crate::server::{Page, Server};
use crate::support::*;

#[test]
fn cut_connections_cost_at_most_a_chunk_each() {
    let content = noise(40 * CHUNK + 321, 11);
    let (folder, server) = (Folder::new(), Server::new());
    const CUTS: usize = 100;
    let cuts = Arc::new(AtomicUsize::new(CUTS));
    server.put("/m.gguf", Page { cuts: cuts.clone(), ..Page::new(content.clone()) });
    let mut pulled = None;
    // A request that is cut before its first chunk is whole counts as a failure in a row.
    for _ in 0..CUTS {
        match pull(&store(&folder, &server), &from(&server.url("/m.gguf"))) {
            Ok(done) => {
                pulled = Some(done);
                break;
            }
            Err(error) => assert!(matches!(error, StoreError::Transport { .. }), "{error}"),
        }
    }
    let store = store(&folder, &server);
    holds(&store, &pulled.expect("it ends"), &content);
    let made = CUTS - cuts.load(Ordering::SeqCst);
    let again = server.sent.load(Ordering::SeqCst).saturating_sub(content.len() as u64);
    assert!(made > 20, "only {made} cuts");
    // A pull that gives up also drops what its other connections had begun.
    assert!(again <= (made * 4 * CHUNK) as u64, "{again} bytes again for {made} cuts");
}

#[test]
fn one_connection_loses_at_most_one_chunk_a_cut() {
    let content = noise(12 * CHUNK, 12);
    let (folder, server) = (Folder::new(), Server::new());
    let page = Page { cut_after: Some(CHUNK as u64 + 99_999), ..Page::new(content.clone()) };
    server.put("/m.gguf", page);
    let options = Options { connections: 1, ..options(&server) };
    let store = Store::create(&folder.0.join("store"), options).unwrap();
    let pulled = pull(&store, &from(&server.url("/m.gguf"))).unwrap();
    holds(&store, &pulled, &content);
    let again = server.sent.load(Ordering::SeqCst) - content.len() as u64;
    assert!(again <= 12 * 100_000 + 12, "{again}");
}

/// Stops a pull when so many bytes are there.
fn stopped_at(server: &Server, store: &Store, wanted: &Pull, bytes: u64) {
    let mut stop = |step: ondine_store::Step| {
        if step.done >= bytes { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let error = store.pull(wanted, &anything, &mut stop).unwrap_err();
    assert!(matches!(error, StoreError::Cancelled), "{error}");
    is_empty(store);
    // What the server has sent into a connection that nobody reads is not for the next pull.
    server.at_rest();
}

fn slow(content: &[u8]) -> Page {
    Page { rate: Some(4 << 20), ..Page::new(content) }
}

#[test]
fn an_interrupt_leaves_the_part_for_the_next_time() {
    let content = noise(12 * CHUNK, 13);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", slow(&content));
    let (store, wanted) = (store(&folder, &server), from(&server.url("/m.gguf")));
    stopped_at(&server, &store, &wanted, 5 * CHUNK as u64);
    server.put("/m.gguf", Page::new(content.clone()));
    let before = server.sent.load(Ordering::SeqCst);
    holds(&store, &pull(&store, &wanted).unwrap(), &content);
    let sent = server.sent.load(Ordering::SeqCst) - before;
    assert!(sent < 12 * CHUNK as u64, "nothing was resumed: {sent}");
    assert_eq!(listed(&store, "parts"), [""; 0]);
}

#[test]
fn versions_are_never_mixed() {
    let (old, new) = (noise(12 * CHUNK, 14), noise(12 * CHUNK, 15));
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", slow(&old));
    let (store, wanted) = (store(&folder, &server), from(&server.url("/m.gguf")));
    stopped_at(&server, &store, &wanted, 5 * CHUNK as u64);
    // Between two attempts.
    let next = Page { etag: Some("v2".into()), ..Page::new(new.clone()) };
    server.put("/m.gguf", next.clone());
    holds(&store, &pull(&store, &wanted).unwrap(), &new);
    // In the middle of one.
    for answers in 1..6 {
        let then = Some((answers, Box::new(next.clone())));
        server.put("/n.gguf", Page { then, ..Page::new(old.clone()) });
        let pulled = pull(&store, &from(&server.url("/n.gguf"))).unwrap();
        let digest = pulled.manifest.blob;
        assert!(digest == Digest::of(&new) || digest == Digest::of(&old), "a mixture");
        store.remove(&pulled.name).unwrap();
    }
}

#[test]
fn without_a_version_the_file_comes_in_one_piece() {
    let content = noise(3 * CHUNK, 16);
    for page in [
        Page { etag: None, ..Page::new(content.clone()) },
        Page { ranges: false, ..Page::new(content.clone()) },
    ] {
        let (folder, server) = (Folder::new(), Server::new());
        server.put("/m.gguf", page);
        let store = store(&folder, &server);
        holds(&store, &pull(&store, &from(&server.url("/m.gguf"))).unwrap(), &content);
        let asked = server.asked.lock().unwrap();
        let parts = asked.iter().filter(|asked| asked.headers.contains_key("range")).count();
        assert_eq!(parts, 1, "the first question alone");
        assert!(asked.iter().all(|asked| asked.headers["accept-encoding"] == "identity"));
    }
    // A digest joins parts as well as a version does.
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page { etag: None, ..Page::new(content.clone()) });
    let store = store(&folder, &server);
    let wanted = Pull { digest: Some(Digest::of(&content)), ..from(&server.url("/m.gguf")) };
    holds(&store, &pull(&store, &wanted).unwrap(), &content);
    assert!(server.count("/m.gguf") > 2);
}

#[test]
fn a_chunk_that_went_bad_is_fetched_again_alone() {
    let content = noise(12 * CHUNK, 17);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page { rate: Some(8 << 20), ..Page::new(content.clone()) });
    let (store, wanted) = (store(&folder, &server), from(&server.url("/m.gguf")));
    stopped_at(&server, &store, &wanted, 9 * CHUNK as u64);
    let parts = store.root().join("parts");
    let find = |end: &str| {
        let name = listed(&store, "parts").into_iter().find(|name| name.ends_with(end)).unwrap();
        parts.join(name)
    };
    let list = fs::read_to_string(find(".chunks")).unwrap();
    let chunks: Vec<u64> =
        list.lines().skip(1).map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(!chunks.is_empty(), "{list}");
    // One bit of a chunk that was there, as a power cut or a bad disk leaves it.
    let bad = chunks[0] as usize * CHUNK + 4321;
    let mut file = File::options().write(true).open(find(".part")).unwrap();
    file.seek(SeekFrom::Start(bad as u64)).unwrap();
    file.write_all(&[content[bad] ^ 1]).unwrap();
    // And a line that was cut.
    let mut lines = File::options().append(true).open(find(".chunks")).unwrap();
    lines.write_all(b"11 00ff").unwrap();
    drop((file, lines));

    server.put("/m.gguf", Page::new(content.clone()));
    let before = server.sent.load(Ordering::SeqCst);
    holds(&store, &pull(&store, &wanted).unwrap(), &content);
    let sent = server.sent.load(Ordering::SeqCst) - before;
    let missing = (12 - chunks.len() + 1) * CHUNK + 1;
    assert_eq!(sent, missing as u64, "of {} chunks one was bad", chunks.len());
}

#[test]
fn a_part_that_is_whole_needs_no_server() {
    let content = noise(3 * CHUNK, 18);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page::new(content.clone()));
    let (store, wanted) = (store(&folder, &server), from(&server.url("/m.gguf")));
    // Stopped after the last byte: the last word about progress.
    stopped_at(&server, &store, &wanted, content.len() as u64);
    server.put("/m.gguf", Page { status: Some(500), ..Page::new("") });
    let asked = server.count("/m.gguf");
    match pull(&store, &wanted) {
        Ok(pulled) => holds(&store, &pulled, &content),
        // The last chunks may not have been noted when it was stopped.
        Err(error) => assert!(server.count("/m.gguf") > asked, "{error}"),
    }
}
