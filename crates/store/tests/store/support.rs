//! What the tests share: folders of their own, content, stores with little patience.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ondine_store::{Digest, Options, Patience, Pull, Pulled, Source, Step, Store, StoreError};

use crate::server::Server;

/// One chunk of a download.
pub(crate) const CHUNK: usize = 1 << 20;

/// A folder that is removed with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("ondine-store-{}-{next}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file for the test");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that repeat nowhere, always the same.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        // Knuth's generator for 64 bits: any will do.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend((state ^ (state >> 29)).to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// Options for a server of the test.
pub(crate) fn options(server: &Server) -> Options {
    Options {
        hub: server.base().parse().unwrap(),
        registry: server.base().parse().unwrap(),
        patience: Patience { connect: Duration::from_secs(5), read: Duration::from_millis(700) },
        pause: Duration::from_millis(5),
        ..Options::default()
    }
}

pub(crate) fn store(folder: &Folder, server: &Server) -> Store {
    Store::create(&folder.0.join("store"), options(server)).unwrap()
}

/// What is wanted, by its source alone.
pub(crate) fn from(source: &str) -> Pull {
    Pull { source: Source::parse(source).unwrap(), name: None, digest: None, key: None }
}

/// The same under a name.
pub(crate) fn named(source: &str, name: &str) -> Pull {
    Pull { name: Some(name.parse().unwrap()), ..from(source) }
}

/// A check that everything passes.
pub(crate) fn anything(_: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>> {
    Ok(BTreeMap::from([("architecture".to_string(), "noise".to_string())]))
}

pub(crate) fn on(_: Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn pull(store: &Store, pull: &Pull) -> Result<Pulled, StoreError> {
    store.pull(pull, &anything, &mut on)
}

/// Makes sure that a pulled model is what it should be.
#[track_caller]
pub(crate) fn holds(store: &Store, pulled: &Pulled, content: &[u8]) {
    assert_eq!(pulled.manifest.blob, Digest::of(content));
    let held = store.open(&pulled.name).unwrap();
    assert!(fs::read(held.path()).unwrap() == content, "the content differs");
    assert_eq!(pulled.manifest.bytes, content.len() as u64);
}

/// The names of what a subfolder of the store holds.
pub(crate) fn listed(store: &Store, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(store.root().join(folder)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Makes sure that nothing became visible.
#[track_caller]
pub(crate) fn is_empty(store: &Store) {
    assert_eq!(listed(store, "blobs"), [""; 0]);
    assert_eq!(listed(store, "names"), [""; 0]);
}
