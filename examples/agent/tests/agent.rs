//! The program as a process of its own: left open, answered, and run again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ondine-agent-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

fn agent(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agent"))
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn lines(path: PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.split('\t').next_back().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_message_is_sent_when_it_is_allowed_and_once() {
    let folder = folder("allow");
    let open = agent(&folder, &[]);
    let said = String::from_utf8_lossy(&open.stdout).into_owned();
    assert_eq!(open.status.code(), Some(3), "{said}{}", String::from_utf8_lossy(&open.stderr));
    assert!(said.contains(r#"open: send {"text":"Ann: milk is on the list"}"#), "{said}");
    assert_eq!(lines(folder.join("note")), ["Buy milk"]);
    assert!(lines(folder.join("send")).is_empty());
    for _ in 0..2 {
        let done = agent(&folder, &["allow"]);
        assert_eq!(String::from_utf8_lossy(&done.stdout), "Noted, and Ann knows.\n");
        assert_eq!(lines(folder.join("send")), ["Ann: milk is on the list"]);
        assert_eq!(lines(folder.join("note")), ["Buy milk"]);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_message_that_is_denied_is_not_sent() {
    let folder = folder("deny");
    let done = agent(&folder, &["deny"]);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "Noted; Ann does not know.\n");
    assert!(lines(folder.join("send")).is_empty());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_smallest_model_keeps_to_the_form() {
    let folder = folder("droplet");
    let ran = agent(&folder, &["deny", "droplet"]);
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    // It knows nothing of errands; but whatever it says is a step, unless it is cut.
    assert!(matches!(ran.status.code(), Some(0 | 1)), "{out}{err}");
    let unreadable = err.lines().filter(|line| line.starts_with("Unreadable"));
    assert!(unreadable.clone().all(|line| line.contains("it was cut")), "{out}{err}");
    // Where it was cut each time, that is what it ended with, and it was told so.
    let cut = out.contains("without an answer") && unreadable.count() > 0;
    let acted = err.contains("calls") || err.contains("NotDone");
    assert!(cut || acted || ran.status.success(), "{out}{err}");
    assert!(lines(folder.join("send")).is_empty());
    fs::remove_dir_all(folder).unwrap();
}
