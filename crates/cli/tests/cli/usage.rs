//! Wrong usage ends with 2 and says what would be right; help is an answer.

#[cfg(target_os = "linux")]
use crate::support::command;
use crate::support::{Folder, ondine, ondine_with, tiny_model};

#[test]
fn wrong_usage_ends_with_two() {
    let rows: &[&[&str]] = &[
        &[],
        &["dance"],
        &["run", "--temp", "hot", "x"],
        &["run", "--top-p", "2", "x"],
        &["run", "--threads", "0", "x"],
        &["run", "--isa", "sparkle", "x"],
        &["run", "--no-such-flag", "x"],
        &["run", "one", "two"],
        &["run", "--batch", "f"],
        &["run", "--batch", "f", "--json", "x"],
        &["run", "   "],
        &["run", "--schema", "a", "--grammar", "b", "x"],
        &["run", "--system", "s", "x"],
        &["inspect"],
        &["tokenize"],
        &["template", "--template", "f"],
        &["logits", "-m", "f"],
        &["logits", "-m", "f", "--tokens", "1,,2"],
        &["perplexity", "--file", "f"],
        &["bench"],
        &["complete"],
        &["completions", "cmd"],
    ];
    for arguments in rows {
        let complaint = ondine(arguments).fails(2);
        assert!(!complaint.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn an_empty_pipe_is_no_prompt() {
    let complaint = ondine(&["run"]).fails(2);
    assert!(complaint.contains("the prompt is empty"));
    assert!(complaint.contains("hint: `ondine run \"wake me at 7\"`, or pipe text in"));
    assert!(ondine_with("\n", &["run"]).fails(2).contains("the prompt is empty"));
}

#[test]
fn help_and_version_are_answers() {
    assert!(ondine(&["--help"]).ok().contains("perplexity"));
    assert!(ondine(&["run", "--help"]).ok().contains("--repeat-penalty"));
    assert!(ondine(&["--version"]).ok().starts_with("ondine "));
}

#[test]
fn a_mistyped_flag_gets_a_suggestion() {
    assert!(ondine(&["run", "--sedd", "1", "x"]).fails(2).contains("--seed"));
}

#[test]
fn a_failure_ends_with_one_and_a_hint() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let grammar = folder.file("bad.lark", "start: (");
    let schema = folder.file("bad.json", "{\"type\": \"nonsense\"}");
    let text = folder.file("short.txt", "hi");
    let rows: &[&[&str]] = &[
        &["run", "-m", "/no/such/file", "x"],
        &["inspect", "/no/such/file"],
        &["run", "-m", &model, "--schema", "/no/such/file", "x"],
        &["run", "-m", &model, "--grammar", &grammar, "x"],
        &["run", "-m", &model, "--schema", &schema, "x"],
        &["perplexity", "-m", &model, "--file", &text],
        &["logits", "-m", &model, "--tokens", "1,999999"],
        &["tokenize", "-m", &text, "--file", &text],
    ];
    for arguments in rows {
        let complaint = ondine(arguments).fails(1);
        assert!(complaint.starts_with("error: "), "{arguments:?}: {complaint}");
        assert!(complaint.contains("\nhint: "), "{arguments:?}: {complaint}");
    }
    for (row, file) in [(&rows[3], "bad.lark: "), (&rows[4], "bad.json: ")] {
        let complaint = ondine(row).fails(1);
        assert!(complaint.contains(file), "{complaint}");
    }
    let complaint = ondine(rows[0]).fails(1);
    assert!(complaint.contains("/no/such/file") && complaint.contains("hint: "), "{complaint}");
}

#[test]
fn completions_are_scripts() {
    for (shell, sign) in
        [("bash", "complete -F"), ("zsh", "#compdef ondine"), ("fish", "complete -c ondine")]
    {
        let script = ondine(&["completions", shell]).ok();
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("repeat-penalty"), "{shell}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(&["completions", "bash"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.starts_with("error: standard output: "), "{complaint}");
}
