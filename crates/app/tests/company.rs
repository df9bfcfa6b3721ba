//! Artifacts keep every version and refuse hostile paths; the bus tells each what is new.

use ondine_app::company::{ArtifactError, Artifacts, Bus, code_block};

#[test]
fn every_version_stays_with_its_author_and_its_reason() {
    let folder = std::env::temp_dir().join(format!("ondine-artifacts-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let mut artifacts = Artifacts::in_folder(&folder).unwrap();
    assert_eq!(artifacts.put("src/a.rs", "one", "Ada", "begun").unwrap(), 1);
    assert_eq!(artifacts.put("src/a.rs", "two", "Bea", "mended").unwrap(), 2);
    assert_eq!(artifacts.put("文档/说明.md", "三", "Ada", "docs").unwrap(), 1);
    assert_eq!(std::fs::read_to_string(folder.join("src/a.rs")).unwrap(), "two");
    // A folder cannot be where a file is.
    assert!(artifacts.put("src/a.rs/b", "x", "Ada", "").is_err());
    assert!(artifacts.put("src", "x", "Ada", "").is_err());
    drop(artifacts);
    std::fs::write(folder.join("src/a.rs"), "changed").unwrap();
    std::fs::remove_file(folder.join("文档/说明.md")).unwrap();
    let artifacts = Artifacts::in_folder(&folder).unwrap();
    let authors: Vec<&str> =
        artifacts.history("src/a.rs").iter().map(|version| version.author.as_str()).collect();
    assert_eq!(authors, ["Ada", "Bea", "outside"]);
    assert_eq!(artifacts.get("src/a.rs"), Some("changed"));
    assert_eq!(std::fs::read_to_string(folder.join("文档/说明.md")).unwrap(), "三");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn no_path_leaves_the_folder() {
    let folder = std::env::temp_dir().join(format!("ondine-hostile-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let mut artifacts = Artifacts::in_folder(folder.join("home")).unwrap();
    let long = "a".repeat(300);
    let deep = ["a"; 20].join("/");
    let mut rows = vec![
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "./x",
        "a/.",
        ".history",
        ".git/config",
        "a\\b",
        "C:\\x",
        "c:x",
        "a\0b",
        "a\nb",
        "x\u{202e}y",
        "con",
        "a/NUL.txt",
        "com1.rs",
        "x.",
        "x ",
        "x.part",
        "~/x?",
        "a*b",
    ];
    rows.extend([long.as_str(), deep.as_str()]);
    for path in rows {
        let error = artifacts.put(path, "x", "m", "");
        assert!(matches!(error, Err(ArtifactError::Path { .. })), "{path:?} is taken");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&folder, folder.join("home/out")).unwrap();
        let error = artifacts.put("out/x", "x", "m", "").unwrap_err().to_string();
        assert!(error.contains("a link is on the way"), "{error}");
    }
    assert!(artifacts.put("big", &"x".repeat(5 << 20), "m", "").is_err());
    assert!(artifacts.paths().is_empty());
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn each_hears_what_is_for_it_once() {
    let mut bus = Bus::default();
    bus.tell("a", "b", "one");
    bus.tell("a", "", "two");
    bus.tell("b", "c", "three");
    let texts = |notes: Vec<ondine_app::company::Note>| {
        notes.into_iter().map(|note| note.text).collect::<Vec<_>>()
    };
    assert_eq!(texts(bus.inbox("b")), ["one", "two"]);
    assert!(bus.inbox("b").is_empty());
    assert_eq!(texts(bus.inbox("c")), ["two", "three"]);
    assert!(texts(bus.inbox("a")).is_empty(), "nobody hears themselves");
    assert_eq!(bus.notes().len(), 3);
}

#[test]
fn the_code_of_an_answer_is_its_longest_block() {
    let rows = [
        ("fn a() {}\n", "fn a() {}\n"),
        ("Sure:\n```rust\nfn a() {}\n```\nand\n```\nx\n```\n", "fn a() {}\n"),
        ("```rust\nfn a() {\n}", "fn a() {\n}\n"),
        ("", ""),
        ("```\n```", ""),
    ];
    for (text, expected) in rows {
        assert_eq!(code_block(text), expected, "{text}");
    }
}
