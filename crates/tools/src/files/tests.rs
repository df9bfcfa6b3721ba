//! A folder and whoever would like to leave it.

use std::fs;

use super::*;
use crate::testing::{Folder, called, hostile};

struct Set {
    folder: Folder,
    list: Arc<dyn Tool>,
    read: Arc<dyn Tool>,
    search: Arc<dyn Tool>,
    write: Arc<dyn Tool>,
}

/// A folder `in` with tools, and a secret beside it.
fn set(limits: FileLimits) -> Set {
    let folder = Folder::new("files");
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("secret"), "the secret").unwrap();
    let tools = Files::open(folder.path().join("in")).unwrap().limits(limits).tools();
    let [list, read, search, write] = <[_; 4]>::try_from(tools).ok().unwrap();
    Set { folder, list, read, search, write }
}

#[test]
fn files_are_written_read_listed_and_found() {
    let set = set(FileLimits::default());
    let write = |path: &str, text: &str, mode: &str| {
        called(&set.write, json!({"path": path, "text": text, "mode": mode}))
    };
    write("a/b/one.txt", "first\nSecond line\n", "create").unwrap();
    assert!(write("a/b/one.txt", "x", "create").is_err(), "nothing is written over unasked");
    write("a/b/one.txt", "third 第三行\n", "append").unwrap();
    let read = called(&set.read, json!({"path": "a/b/one.txt", "from_line": 2, "lines": 1}));
    let read = read.unwrap();
    assert_eq!((&read["text"], &read["of_lines"]), (&json!("Second line"), &json!(3)));
    let found = called(&set.search, json!({"text": "SECOND"})).unwrap();
    assert_eq!(found["found"], json!([{"path": "a/b/one.txt", "line": 2, "text": "Second line"}]));
    assert_eq!(called(&set.search, json!({"text": "第三"})).unwrap()["found"][0]["line"], 3);
    write("a/b/one.txt", "new", "replace").unwrap();
    let list = called(&set.list, json!({"path": "a/b"})).unwrap();
    assert_eq!(list["entries"], json!([{"name": "one.txt", "bytes": 3}]));
    assert!(called(&set.list, json!({"path": "a/b/one.txt"})).is_err());
    assert!(called(&set.read, json!({"path": "a"})).is_err());
    assert!(write("a", "x", "replace").is_err());
    for tool in [&set.list, &set.read, &set.search, &set.write] {
        hostile(tool);
    }
    assert_eq!(Files::open(set.folder.path()).unwrap().read_only().tools().len(), 3);
}

#[test]
fn no_path_leads_out() {
    let set = set(FileLimits::default());
    let secret = set.folder.path().join("secret");
    let paths = [
        "../secret",
        "a/../../secret",
        "./../secret",
        secret.to_str().unwrap(),
        "/etc/passwd",
        "~/secret",
        "..\\secret",
        "C:\\secret",
        "C:secret",
        "\\\\host\\share",
        "a/..",
        "NUL",
        "com1.txt",
        "a\u{202e}txt",
        "a\nb",
        "trailing.",
        &"x".repeat(300),
        &"d/".repeat(30),
    ];
    for path in paths {
        for tool in [&set.read, &set.list] {
            assert!(called(tool, json!({"path": path})).is_err(), "{path}");
        }
        assert!(called(&set.search, json!({"text": "secret", "path": path})).is_err(), "{path}");
        let write = json!({"path": path, "text": "x", "mode": "replace"});
        assert!(called(&set.write, write).is_err(), "{path}");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"the secret");
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_and_nothing_special_is_opened() {
    use std::os::unix::fs::symlink;

    let set = set(FileLimits::default());
    let inside = set.folder.path().join("in");
    symlink("../secret", inside.join("link")).unwrap();
    symlink(set.folder.path(), inside.join("up")).unwrap();
    symlink("..", inside.join("dots")).unwrap();
    symlink(".", inside.join("here")).unwrap();
    fs::write(inside.join("own"), "own words").unwrap();
    symlink("own", inside.join("good")).unwrap();
    for path in ["link", "up/secret", "dots/secret", "here/dots/secret"] {
        assert!(called(&set.read, json!({"path": path})).is_err(), "{path}");
        for mode in ["create", "replace", "append"] {
            let write = json!({"path": path, "text": "x", "mode": mode});
            assert!(called(&set.write, write).is_err(), "{path} {mode}");
        }
    }
    for path in ["up", "dots"] {
        assert!(called(&set.list, json!({"path": path})).is_err(), "{path}");
        assert!(called(&set.write, json!({"path": format!("{path}/new"), "text": "x"})).is_err());
    }
    assert!(!set.folder.path().join("new").exists());
    assert_eq!(called(&set.search, json!({"text": "the secret"})).unwrap()["found"], json!([]));
    assert_eq!(called(&set.read, json!({"path": "good"})).unwrap()["text"], "own words");
    assert_eq!(fs::read(set.folder.path().join("secret")).unwrap(), b"the secret");
    // A pipe nobody writes to.
    let made = std::process::Command::new("mkfifo").arg(inside.join("pipe")).status();
    if made.is_ok_and(|status| status.success()) {
        let error = called(&set.read, json!({"path": "pipe"})).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}

/// A folder becomes a link to elsewhere and back while it is read and written through.
#[cfg(unix)]
#[test]
fn a_link_that_appears_meanwhile_leads_nowhere() {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    let set = set(FileLimits::default());
    let (inside, outside) = (set.folder.path().join("in"), set.folder.path().join("out"));
    for folder in [&outside, &inside.join("real")] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(outside.join("file"), "the secret").unwrap();
    fs::write(inside.join("real/file"), "own words").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(inside.join("real"), inside.join("door"));
                let _ = fs::rename(inside.join("door"), inside.join("real"));
                let _ = symlink(&outside, inside.join("door"));
                let _ = fs::remove_file(inside.join("door"));
            }
        });
        // Often enough that the real folder was met, and with it what stood there in between.
        let (mut met, mut tries, mut strange) = (0, 0, None);
        while strange.is_none() && (tries < 300 || (met < 20 && tries < 20_000)) {
            if let Ok(value) = called(&set.read, json!({"path": "door/file"})) {
                strange = (value["text"] != "own words").then_some(value);
                met += 1;
            }
            let write = json!({"path": format!("door/new{tries}"), "text": "x"});
            met += u32::from(called(&set.write, write).is_ok());
            tries += 1;
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(strange, None);
        assert!(met >= 20, "{met} of {tries}");
    });
    let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["file"], "nothing was written outside");
}

#[test]
fn sizes_are_bounded() {
    let limits =
        FileLimits { read_bytes: 100, write_bytes: 50, entries: 3, search_bytes: 1000, lines: 2 };
    let set = set(limits);
    let inside = set.folder.path().join("in");
    fs::write(inside.join("long"), "x".repeat(101)).unwrap();
    fs::write(inside.join("bytes"), [0xff, 0xfe]).unwrap();
    fs::write(inside.join("lines"), "1\n2\n3\n4\n").unwrap();
    assert!(called(&set.read, json!({"path": "long"})).is_err());
    assert!(called(&set.read, json!({"path": "bytes"})).is_err());
    assert_eq!(called(&set.read, json!({"path": "lines"})).unwrap()["text"], "1\n2");
    assert!(called(&set.write, json!({"path": "new", "text": "x".repeat(51)})).is_err());
    called(&set.write, json!({"path": "new", "text": "x".repeat(40)})).unwrap();
    let more = json!({"path": "new", "text": "x".repeat(11), "mode": "append"});
    assert!(called(&set.write, more).is_err());
    let list = called(&set.list, json!({})).unwrap();
    assert_eq!((list["entries"].as_array().unwrap().len(), &list["more"]), (3, &json!(true)));
}
