//! One version after another: what is taken, what stays for the way back, and what an attacker who
//! can replay everything that was ever signed gets by it.

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use ondine_store::{Digest, ModelName, Pull, Step, Store, StoreError, Terms, Updated};

use crate::publisher::Publisher;
use crate::server::{Page, Server};
use crate::support::*;

/// A store that follows the model `m` of a publisher.
struct Scene {
    store: Store,
    server: Server,
    publisher: Publisher,
    name: ModelName,
    folder: Folder,
}

/// What a version holds.
fn content(version: u64) -> Vec<u8> {
    noise(2 * CHUNK + version as usize, version)
}

impl Scene {
    /// With version 7 here.
    fn new() -> Scene {
        let (folder, server, publisher) = (Folder::new(), Server::new(), Publisher::new());
        let store = store(&folder, &server);
        let name = "m".parse().unwrap();
        let scene = Scene { store, server, publisher, name, folder };
        scene.publish(7);
        scene.pull().unwrap();
        scene
    }

    fn publish(&self, version: u64) {
        self.publish_as(version, content(version));
    }

    fn publish_as(&self, version: u64, content: Vec<u8>) {
        let digest = Digest::of(&content).to_string();
        self.publisher.publish(&self.server, version, &digest, Page::new(content));
    }

    fn pull(&self) -> Result<ondine_store::Pulled, StoreError> {
        self.pull_with(&self.publisher)
    }

    fn pull_with(&self, publisher: &Publisher) -> Result<ondine_store::Pulled, StoreError> {
        let source = format!("signed:{}", self.server.url("/m.json"));
        let key = Some(publisher.key().parse().unwrap());
        pull(&self.store, &Pull { key, ..from(&source) })
    }

    fn update(&self) -> Result<Updated, StoreError> {
        self.update_with(Terms::default())
    }

    fn update_with(&self, terms: Terms) -> Result<Updated, StoreError> {
        self.store.update(&self.name, terms, &anything, &mut on)
    }

    /// The version that is here, whole, and the one that a rollback would go to, whole too.
    #[track_caller]
    fn is(&self, version: u64, back: Option<u64>) {
        let held = self.store.open(&self.name).unwrap();
        assert!(fs::read(held.path()).unwrap() == content(version), "not version {version}");
        let channel = held.manifest().channel.clone().unwrap();
        assert_eq!(channel.version, version);
        assert_eq!(channel.rollback().map(|spare| spare.version), back);
        let spare = channel.spare.map(|spare| format!("sha256-{}", spare.blob));
        let mut blobs = vec![format!("sha256-{}", held.manifest().blob)];
        blobs.extend(spare);
        blobs.sort();
        blobs.dedup();
        assert_eq!(listed(&self.store, "blobs"), blobs);
    }
}

#[test]
fn an_update_keeps_the_version_before() {
    let scene = Scene::new();
    let updated = scene.update().unwrap();
    assert_eq!((updated.from, updated.version, updated.offered), (7, 7, 7));
    scene.publish(8);
    let updated = scene.update().unwrap();
    assert_eq!((updated.from, updated.version, updated.offered), (7, 8, 8));
    assert_eq!(updated.notes.as_deref(), Some("better words"));
    scene.is(8, Some(7));
    // One version before is kept, not all of them.
    scene.publish(10);
    scene.update().unwrap();
    scene.is(10, Some(8));
}

#[test]
fn what_has_the_old_version_open_keeps_it() {
    let scene = Scene::new();
    let held = scene.store.open(&scene.name).unwrap();
    for version in [8, 9, 10] {
        scene.publish(version);
        scene.update().unwrap();
    }
    assert!(fs::read(held.path()).unwrap() == content(7), "it was taken away while open");
    drop(held);
    assert_eq!(scene.store.sweep().unwrap().blobs, 1);
    scene.is(10, Some(9));
}

#[test]
fn a_rollback_is_not_undone_by_itself() {
    let scene = Scene::new();
    scene.publish(8);
    scene.update().unwrap();
    let sent = scene.server.sent.load(Ordering::SeqCst);
    scene.store.rollback(&scene.name).unwrap();
    assert_eq!(scene.server.sent.load(Ordering::SeqCst), sent, "somebody was asked");
    scene.is(7, None);
    // Nor by a second one: there is nothing before 7.
    assert!(matches!(scene.store.rollback(&scene.name), Err(StoreError::NoRollback { .. })));
    let updated = scene.update().unwrap();
    assert_eq!((updated.version, updated.offered), (7, 8));
    scene.is(7, None);
    // Asked for by name it is back, and nothing is fetched for it.
    let asked = scene.server.count("/files/8.gguf");
    scene.update_with(Terms { declined: true, ..Terms::default() }).unwrap();
    assert_eq!(scene.server.count("/files/8.gguf"), asked);
    scene.is(8, Some(7));
    // And what is newer than it is taken without asking.
    scene.store.rollback(&scene.name).unwrap();
    scene.publish(9);
    scene.update().unwrap();
    scene.is(9, Some(7));
}

/// UP-09: an older version, and metadata from before a rollback.
#[test]
fn up_09_no_older_version_comes_unless_it_is_allowed() {
    let scene = Scene::new();
    scene.publish(9);
    scene.update().unwrap();
    let downgrade = |scene: &Scene| {
        matches!(scene.update(), Err(StoreError::Downgrade { highest: 9, .. }))
            && matches!(scene.pull(), Err(StoreError::Downgrade { .. }))
    };
    scene.publish(8);
    assert!(downgrade(&scene));
    scene.is(9, Some(7));
    // A rollback to 7 does not open the door to 8.
    scene.store.rollback(&scene.name).unwrap();
    assert!(downgrade(&scene));
    scene.is(7, None);
    // Somebody who says so gets it; and what was once seen stays the mark.
    scene.update_with(Terms { downgrade: true, declined: true }).unwrap();
    scene.is(8, Some(7));
    scene.publish(6);
    assert!(downgrade(&scene));
}

/// UP-09: a version that was seen counts, also where it never arrived.
#[test]
fn up_09_what_was_on_offer_is_remembered() {
    let scene = Scene::new();
    scene.publish(9);
    scene.server.put("/files/9.gguf", Page { status: Some(404), ..Page::new("") });
    assert!(matches!(scene.update(), Err(StoreError::Status { status: 404, .. })));
    scene.publish(8);
    assert!(matches!(scene.update(), Err(StoreError::Downgrade { offered: 8, highest: 9, .. })));
    scene.is(7, None);
}

#[test]
fn up_09_a_version_has_one_content() {
    let scene = Scene::new();
    scene.publish_as(7, content(70));
    assert!(matches!(scene.update(), Err(StoreError::Rewritten { version: 7, .. })));
    scene.publish(8);
    scene.update().unwrap();
    for version in [7, 8] {
        scene.publish_as(version, content(70));
        let all = Terms { downgrade: true, declined: true };
        let error = scene.update_with(all).unwrap_err();
        assert!(matches!(error, StoreError::Rewritten { .. }), "{error}");
    }
    scene.is(8, Some(7));
}

#[test]
fn the_same_content_may_be_a_new_version() {
    let scene = Scene::new();
    scene.publish_as(8, content(7));
    let updated = scene.update().unwrap();
    assert_eq!((updated.from, updated.version), (7, 8));
    assert_eq!(listed(&scene.store, "blobs").len(), 1);
    scene.store.rollback(&scene.name).unwrap();
    scene.is(7, None);
}

/// UP-13: a version that fails its check never becomes active, and is not fetched again and again.
#[test]
fn up_13_what_fails_its_check_is_put_aside() {
    let scene = Scene::new();
    scene.publish(8);
    let broken =
        |_: &Path| Err::<_, Box<dyn Error + Send + Sync>>("its words make no sense".into());
    let update = |terms| scene.store.update(&scene.name, terms, &broken, &mut on);
    assert!(matches!(update(Terms::default()), Err(StoreError::Refused { .. })));
    scene.is(7, None);
    let asked = scene.server.count("/files/8.gguf");
    assert_eq!(scene.update().unwrap().version, 7);
    assert_eq!(scene.server.count("/files/8.gguf"), asked);
    // It could be the check's fault: asked for by name it is tried again.
    scene.update_with(Terms { declined: true, ..Terms::default() }).unwrap();
    scene.is(8, Some(7));
}

#[test]
fn an_unsigned_model_has_no_updates() {
    let scene = Scene::new();
    let file = scene.folder.file("u.gguf", b"content");
    let name = pull(&scene.store, &from(file.to_str().unwrap())).unwrap().name;
    let error = scene.store.update(&name, Terms::default(), &anything, &mut on).unwrap_err();
    assert!(matches!(error, StoreError::Unsigned { .. }), "{error}");
    assert!(matches!(scene.store.rollback(&name), Err(StoreError::Unsigned { .. })));
    let nobody = "nobody".parse().unwrap();
    assert!(matches!(scene.store.rollback(&nobody), Err(StoreError::Unknown { .. })));
}

/// UP-09: a key is changed by whoever gave the first one, and by nobody else.
#[test]
fn up_09_a_new_key_is_the_user_s_word() {
    let scene = Scene::new();
    let (old, new) = (&scene.publisher, Publisher::new());
    let digest = Digest::of(&content(8)).to_string();
    new.publish(&scene.server, 8, &digest, Page::new(content(8)));
    assert!(matches!(scene.update(), Err(StoreError::Signature { .. })));
    scene.is(7, None);
    scene.pull_with(&new).unwrap();
    scene.is(8, Some(7));
    old.publish(&scene.server, 9, &digest, Page::new(content(8)));
    assert!(matches!(scene.update(), Err(StoreError::Signature { .. })));
    // What was remembered under the old key counts under the new one.
    new.publish(&scene.server, 6, &digest, Page::new(content(8)));
    assert!(matches!(scene.update(), Err(StoreError::Downgrade { .. })));
}

/// UP-05: an update that was cut goes on where it stopped.
#[test]
fn up_05_an_update_is_resumed() {
    let scene = Scene::new();
    let long = noise(12 * CHUNK, 99);
    let digest = Digest::of(&long).to_string();
    let slow = Page { rate: Some(8 << 20), ..Page::new(long.clone()) };
    scene.publisher.publish(&scene.server, 8, &digest, slow);
    let mut enough = |step: Step| match step.done > 5 * CHUNK as u64 {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let cut = scene.store.update(&scene.name, Terms::default(), &anything, &mut enough);
    assert!(matches!(cut, Err(StoreError::Cancelled)), "{cut:?}");
    scene.is(7, None);
    scene.server.at_rest();
    scene.publisher.publish(&scene.server, 8, &digest, Page::new(long.clone()));
    let before = scene.server.sent.load(Ordering::SeqCst);
    let updated = scene.update().unwrap();
    assert_eq!(updated.manifest.blob, Digest::of(&long));
    let sent = scene.server.sent.load(Ordering::SeqCst) - before;
    assert!(sent < long.len() as u64, "nothing was resumed: {sent} bytes");
}

/// UP-14: several at once share one download, and one of them switches.
#[test]
fn up_14_updates_at_once_share_one_download() {
    let scene = Scene::new();
    let slow = Page { rate: Some(4 << 20), ..Page::new(content(8)) };
    let digest = Digest::of(&slow.body).to_string();
    scene.publisher.publish(&scene.server, 8, &digest, slow);
    let before = scene.server.sent.load(Ordering::SeqCst);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| scene.update().unwrap());
        }
    });
    scene.is(8, Some(7));
    let sent = scene.server.sent.load(Ordering::SeqCst) - before;
    assert!(sent < content(8).len() as u64 * 3 / 2, "{sent} bytes");
}

/// UP-14: a name that is removed while its update is on the way does not come back.
#[test]
fn up_14_a_removed_name_stays_removed() {
    let scene = Scene::new();
    let slow = Page { rate: Some(1 << 20), ..Page::new(content(8)) };
    let digest = Digest::of(&slow.body).to_string();
    scene.publisher.publish(&scene.server, 8, &digest, slow);
    thread::scope(|scope| {
        let updating = scope.spawn(|| scene.update());
        while scene.server.count("/files/8.gguf") < 2 {
            thread::sleep(Duration::from_millis(5));
        }
        scene.store.remove(&scene.name).unwrap();
        let updated = updating.join().unwrap();
        assert!(matches!(updated, Err(StoreError::Unknown { .. })), "{updated:?}");
    });
    assert!(scene.store.list().unwrap().is_empty());
}

/// UP-15: too little room is noticed before, and changes nothing.
#[test]
fn up_15_a_full_disk_leaves_the_old_version() {
    struct Full;
    impl ondine_store::Disk for Full {
        fn free(&self, _: &Path) -> std::io::Result<u64> {
            Ok(1 << 20)
        }
    }
    let scene = Scene::new();
    scene.publish(8);
    let mut options = options(&scene.server);
    options.disk = std::sync::Arc::new(Full);
    let full = Store::create(scene.store.root(), options).unwrap();
    let error = full.update(&scene.name, Terms::default(), &anything, &mut on).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(scene.server.count("/files/8.gguf"), 1, "the file was asked for");
    scene.is(7, None);
    scene.update().unwrap();
    scene.is(8, Some(7));
}
