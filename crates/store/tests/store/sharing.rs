//! Several callers at once: one download, and nothing taken away that somebody needs.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ondine_store::{Step, StoreError};

use crate::server::{Page, Server};
use crate::support::*;

#[test]
fn callers_share_one_download() {
    let content = noise(8 * CHUNK, 21);
    for digest in [None, Some(ondine_store::Digest::of(&content))] {
        let (folder, server) = (Folder::new(), Server::new());
        server.put("/m.gguf", Page { rate: Some(4 << 20), ..Page::new(content.clone()) });
        let address = server.url("/m.gguf");
        let waited = AtomicBool::new(false);
        thread::scope(|scope| {
            for name in ["a", "b", "c"] {
                let (folder, server, address, waited) = (&folder, &server, &address, &waited);
                let content = &content;
                scope.spawn(move || {
                    let store = store(folder, server);
                    let wanted = ondine_store::Pull { digest, ..named(address, name) };
                    let mut watch = |step: Step| {
                        if step.waiting && step.done > 0 && step.done < step.total {
                            waited.store(true, Ordering::SeqCst);
                        }
                        ControlFlow::Continue(())
                    };
                    let pulled = store.pull(&wanted, &anything, &mut watch).unwrap();
                    holds(&store, &pulled, content);
                });
            }
        });
        // Whoever came first asked for a byte before, and whoever came late for one more.
        let sent = server.sent.load(Ordering::SeqCst);
        assert!(sent <= content.len() as u64 + 3, "{digest:?}: {sent}");
        assert!(waited.load(Ordering::SeqCst), "nobody saw the other's progress");
        let store = store(&folder, &server);
        assert_eq!(listed(&store, "blobs").len(), 1);
        assert_eq!(store.list().unwrap().len(), 3);
    }
}

#[test]
fn who_waits_takes_over_from_who_gives_up() {
    let content = noise(8 * CHUNK, 22);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page { rate: Some(4 << 20), ..Page::new(content.clone()) });
    let wanted = from(&server.url("/m.gguf"));
    let (first, second) = (store(&folder, &server), store(&folder, &server));
    let waits = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut until_somebody_waits = |step: Step| {
                let stop = waits.load(Ordering::SeqCst) && step.done > 5 * CHUNK as u64;
                if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let error = first.pull(&wanted, &anything, &mut until_somebody_waits).unwrap_err();
            assert!(matches!(error, StoreError::Cancelled), "{error}");
        });
        thread::sleep(Duration::from_millis(100));
        let mut watch = |step: Step| {
            waits.fetch_or(step.waiting, Ordering::SeqCst);
            ControlFlow::Continue(())
        };
        let pulled = second.pull(&wanted, &anything, &mut watch).unwrap();
        holds(&second, &pulled, &content);
    });
    assert!(waits.load(Ordering::SeqCst));
    let sent = server.sent.load(Ordering::SeqCst);
    assert!(sent < 2 * content.len() as u64, "it did not go on from the first: {sent}");
}

/// It got what another name had from the same address, whatever its digest.
#[test]
fn who_waits_gets_the_content_that_was_wanted() {
    let (old, new) = (noise(CHUNK, 25), noise(8 * CHUNK, 26));
    let (folder, server) = (Folder::new(), Server::new());
    let address = server.url("/m.gguf");
    server.put("/m.gguf", Page::new(old));
    let (first, second) = (store(&folder, &server), store(&folder, &server));
    pull(&first, &named(&address, "old")).unwrap();
    server.put("/m.gguf", Page { rate: Some(4 << 20), ..Page::new(new.clone()) });
    let digest = Some(ondine_store::Digest::of(&new));
    let wanted = |name| ondine_store::Pull { digest, ..named(&address, name) };
    let waits = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut until_somebody_waits = |_| match waits.load(Ordering::SeqCst) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            let given_up = first.pull(&wanted("a"), &anything, &mut until_somebody_waits);
            assert!(matches!(given_up, Err(StoreError::Cancelled)), "{given_up:?}");
        });
        thread::sleep(Duration::from_millis(100));
        let mut watch = |step: Step| {
            waits.fetch_or(step.waiting, Ordering::SeqCst);
            ControlFlow::Continue(())
        };
        let pulled = second.pull(&wanted("b"), &anything, &mut watch).unwrap();
        holds(&second, &pulled, &new);
    });
    assert!(waits.load(Ordering::SeqCst));
}

#[test]
fn an_open_model_stays_when_its_name_goes() {
    let content = noise(CHUNK, 23);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page::new(content.clone()));
    let store = store(&folder, &server);
    let pulled = pull(&store, &from(&server.url("/m.gguf"))).unwrap();
    let held = store.open(&pulled.name).unwrap();
    let swept = store.remove(&pulled.name).unwrap();
    assert_eq!((swept.blobs, swept.held), (0, 1));
    assert!(std::fs::read(held.path()).unwrap() == content);
    drop(held);
    let swept = store.sweep().unwrap();
    assert_eq!((swept.blobs, swept.bytes), (1, content.len() as u64));
    is_empty(&store);
}

#[test]
fn nothing_goes_while_something_comes() {
    let content = noise(8 * CHUNK, 24);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/a.gguf", Page::new(noise(CHUNK, 25)));
    server.put("/m.gguf", Page { rate: Some(4 << 20), ..Page::new(content.clone()) });
    let store = store(&folder, &server);
    let other = pull(&store, &from(&server.url("/a.gguf"))).unwrap();
    let mut removed = false;
    let mut watch = |step: Step| {
        if step.done > CHUNK as u64 && !removed {
            removed = true;
            assert!(store.remove(&other.name).unwrap().busy);
        }
        ControlFlow::Continue(())
    };
    let pulled = store.pull(&from(&server.url("/m.gguf")), &anything, &mut watch).unwrap();
    holds(&store, &pulled, &content);
    assert!(removed);
    assert_eq!(listed(&store, "blobs").len(), 1, "the end of the pull sweeps");
}

#[test]
fn names_of_one_content_share_it() {
    let content = noise(CHUNK, 26);
    let (folder, server) = (Folder::new(), Server::new());
    let file = folder.file("m.gguf", &content);
    let store = store(&folder, &server);
    let file = file.to_str().unwrap();
    let first = pull(&store, &named(file, "a")).unwrap();
    let second = pull(&store, &named(file, "b")).unwrap();
    assert_eq!(first.manifest.blob, second.manifest.blob);
    assert_eq!(store.remove(&first.name).unwrap().blobs, 0);
    holds(&store, &second, &content);
    assert_eq!(store.remove(&second.name).unwrap().blobs, 1);
    assert!(matches!(store.open(&second.name), Err(StoreError::Unknown { .. })));
}
