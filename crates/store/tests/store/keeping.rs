//! What the folder holds: local files, names, what goes and what stays.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use ondine_store::{Digest, PART_KEPT, Pull, StoreError};

use crate::server::{Page, Server};
use crate::support::*;

#[test]
fn a_local_file_is_copied() {
    let content = noise(3 * CHUNK + 7, 41);
    let (folder, server) = (Folder::new(), Server::new());
    let file = folder.file("My Model.gguf", &content);
    let store = store(&folder, &server);
    let pulled = pull(&store, &from(file.to_str().unwrap())).unwrap();
    assert_eq!(pulled.name.as_str(), "my-model");
    holds(&store, &pulled, &content);
    // What its owner does to it later changes nothing here.
    fs::write(&file, b"other").unwrap();
    holds(&store, &pulled, &content);
    // Pulled again it is another content of the same name, and the first one goes.
    let next = pull(&store, &from(file.to_str().unwrap())).unwrap();
    holds(&store, &next, b"other");
    assert_eq!(listed(&store, "blobs").len(), 1);
    assert_eq!(listed(&store, "parts"), [""; 0]);
}

#[test]
fn what_is_no_file_is_no_source() {
    let (folder, server) = (Folder::new(), Server::new());
    let store = store(&folder, &server);
    folder.file("empty.gguf", b"");
    for name in ["missing.gguf", "", "empty.gguf"] {
        let path = folder.0.join(name);
        let wanted = named(path.to_str().unwrap(), "x");
        assert!(pull(&store, &wanted).is_err(), "{name}");
    }
    let file = folder.file("m.gguf", b"content");
    let wanted = Pull { digest: Some(Digest::of(b"x")), ..from(file.to_str().unwrap()) };
    assert!(matches!(pull(&store, &wanted), Err(StoreError::Mismatch { .. })));
    is_empty(&store);
}

#[test]
fn a_name_belongs_to_its_source() {
    let (folder, server) = (Folder::new(), Server::new());
    let store = store(&folder, &server);
    let (a, b) = (folder.file("a.gguf", b"a"), folder.file("b.gguf", b"b"));
    let first = pull(&store, &named(a.to_str().unwrap(), "x")).unwrap();
    let error = pull(&store, &named(b.to_str().unwrap(), "x")).unwrap_err();
    assert!(matches!(error, StoreError::Taken { .. }), "{error}");
    holds(&store, &first, b"a");
}

#[test]
fn what_the_server_still_has_is_not_fetched_again() {
    let content = noise(2 * CHUNK, 42);
    let (folder, server) = (Folder::new(), Server::new());
    server.put("/m.gguf", Page::new(content.clone()));
    let (store, wanted) = (store(&folder, &server), from(&server.url("/m.gguf")));
    let first = pull(&store, &wanted).unwrap();
    let asked = server.count("/m.gguf");
    let again = pull(&store, &wanted).unwrap();
    assert!(again.was_here && again.manifest == first.manifest);
    assert_eq!(server.count("/m.gguf"), asked + 1);
    // Under another name it is not fetched again either.
    let twin = pull(&store, &named(&server.url("/m.gguf"), "twin")).unwrap();
    holds(&store, &twin, &content);
    assert_eq!(server.count("/m.gguf"), asked + 2);
    store.remove(&twin.name).unwrap();
    // Unless another content is wanted: that the server calls it the same proves nothing.
    let wanted = Pull { digest: Some(Digest::of(b"else")), ..from(&server.url("/m.gguf")) };
    assert!(matches!(pull(&store, &wanted), Err(StoreError::Mismatch { .. })));
    holds(&store, &first, &content);
    // With a digest that is here, nobody is asked.
    let wanted = Pull { digest: Some(first.manifest.blob), ..named(&server.url("/n.gguf"), "n") };
    let other = pull(&store, &wanted).unwrap();
    assert!(other.was_here);
    holds(&store, &other, &content);
    assert_eq!(server.count("/n.gguf"), 0);
    // And a name whose content somebody deleted by hand is fetched anew.
    for blob in listed(&store, "blobs") {
        fs::remove_file(store.root().join("blobs").join(blob)).unwrap();
    }
    holds(&store, &pull(&store, &from(&server.url("/m.gguf"))).unwrap(), &content);
}

#[test]
fn old_parts_go_and_young_ones_stay() {
    let (folder, server) = (Folder::new(), Server::new());
    let store = store(&folder, &server);
    let parts = store.root().join("parts");
    let part = |seed: u8, age: Duration| {
        let stem = format!("sha256-{}", Digest::of(&[seed]));
        for end in ["part", "chunks", "lock"] {
            let file = File::create(parts.join(format!("{stem}.{end}"))).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        stem
    };
    part(1, PART_KEPT + Duration::from_secs(60));
    let young = part(2, PART_KEPT - Duration::from_secs(60));
    fs::write(parts.join("somebody's notes"), "x").unwrap();
    fs::write(store.root().join("blobs/README"), "x").unwrap();
    let swept = store.sweep().unwrap();
    assert_eq!((swept.parts, swept.blobs), (1, 0));
    let mut expected: Vec<String> =
        ["chunks", "lock", "part"].map(|end| format!("{young}.{end}")).into();
    expected.push("somebody's notes".to_string());
    assert_eq!(listed(&store, "parts"), expected);
    assert_eq!(listed(&store, "blobs"), ["README"]);
}

#[test]
fn nothing_goes_while_a_name_cannot_be_read() {
    let (folder, server) = (Folder::new(), Server::new());
    let store = store(&folder, &server);
    let file = folder.file("a.gguf", b"a");
    let pulled = pull(&store, &from(file.to_str().unwrap())).unwrap();
    let manifest = store.root().join("names/a.json");
    let text = fs::read(&manifest).unwrap();
    fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    assert!(matches!(store.sweep(), Err(StoreError::Damaged { .. })));
    assert!(matches!(&store.list().unwrap()[..], [(_, Err(_))]));
    assert!(store.open(&pulled.name).is_err());
    fs::write(&manifest, &text).unwrap();
    holds(&store, &pulled, b"a");
    // A name that cannot be read can be removed.
    fs::write(&manifest, "{").unwrap();
    assert_eq!(store.remove(&pulled.name).unwrap().blobs, 1);
}

#[cfg(unix)]
#[test]
fn the_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, server) = (Folder::new(), Server::new());
    let store = store(&folder, &server);
    let file = folder.file("a.gguf", b"a");
    let pulled = pull(&store, &from(file.to_str().unwrap())).unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for folder in ["", "blobs", "names", "parts"] {
        assert_eq!(mode(&store.root().join(folder)), 0o700, "{folder}");
    }
    assert_eq!(mode(store.open(&pulled.name).unwrap().path()), 0o600);
    assert_eq!(mode(&store.root().join("names/a.json")), 0o600);
}
