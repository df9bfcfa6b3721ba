//! The program as a process of its own.

use std::process::Command;

fn said(arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_call-a-tool")).args(arguments).output();
    let ran = ran.expect("the program starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
}

#[test]
fn the_tool_answers() {
    assert_eq!(said(&[]), r#"{"result":"42","exact":true}"#);
    assert_eq!(said(&["5 km in m"]), r#"{"result":"5000 m","exact":true}"#);
}

#[test]
fn what_is_no_expression_ends_in_words() {
    assert!(said(&["3 +* 4"]).starts_with("error: "));
}
