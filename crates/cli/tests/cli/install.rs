//! `ondine service`: the file that it writes, whom it leaves alone, and what systemd says of it.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Folder, Ran, command, finish};

const UNIT: &str = "config/systemd/user/ondine.service";

/// Runs it for somebody whose folders all are in one.
fn service(folder: &Folder, arguments: &[&str]) -> Ran {
    let mut command = command(&[&["service"], arguments].concat());
    command
        .env("HOME", folder.path("person"))
        .env("XDG_CONFIG_HOME", folder.path("config"))
        .env("ONDINE_HOME", folder.path("a home"))
        .current_dir(folder.path(""));
    finish(command.output().expect("the binary starts"))
}

#[test]
fn a_unit_is_installed_shown_and_taken_away() {
    let folder = Folder::new();
    let absent = service(&folder, &["status"]).fails(1);
    assert!(absent.contains("service install"), "{absent}");
    let model = folder.file("m.gguf", "");
    let flags = ["--", "-m", "m.gguf", "--model=m.gguf", "-m", "droplet", "--memory", "900000000"];
    let shown = service(&folder, &[&["install", "--print"][..], &flags].concat()).ok();
    assert!(!Path::new(&folder.path(UNIT)).exists(), "--print writes nothing");

    let ran = service(&folder, &[&["install"][..], &flags].concat());
    assert!(ran.err.contains("systemctl --user enable --now ondine"), "{}", ran.err);
    assert_eq!(ran.ok().trim(), folder.path(UNIT));
    let unit = fs::read_to_string(folder.path(UNIT)).unwrap();
    assert_eq!(unit, shown);
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_ondine")).unwrap();
    let command = format!(
        "ExecStart={} serve -m {model} --model={model} -m droplet --memory 900000000",
        program.display()
    );
    assert!(unit.lines().any(|line| line == command), "{command}\n{unit}");
    let home = folder.path("a home");
    assert!(unit.contains(&format!("Environment=\"ONDINE_HOME={home}\"")), "{unit}");
    assert!(Path::new(&home).is_dir(), "it may write to a folder that is there");

    assert_eq!(service(&folder, &["status"]).ok().trim(), folder.path(UNIT));
    service(&folder, &["install"]).ok();
    assert_ne!(fs::read_to_string(folder.path(UNIT)).unwrap(), unit, "its own file is replaced");
    let ran = service(&folder, &["uninstall"]);
    assert!(ran.err.contains("disable --now ondine"), "{}", ran.err);
    ran.ok();
    assert!(!Path::new(&folder.path(UNIT)).exists());
    service(&folder, &["uninstall"]).fails(1);
}

#[test]
fn the_file_of_somebody_else_is_left_alone() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("config/systemd/user")).unwrap();
    folder.file(UNIT, "[Service]\nExecStart=/bin/true\n");
    for action in ["install", "uninstall", "status"] {
        let message = service(&folder, &[action]).fails(1);
        assert!(message.contains("not written by"), "{message}");
    }
    service(&folder, &["install", "--force"]).ok();
    service(&folder, &["status"]).ok();
}

#[test]
fn flags_that_the_service_would_stumble_over_are_refused_now() {
    let folder = Folder::new();
    let rows: &[(&[&str], &str)] = &[
        (&["install", "--", "--listne", "x"], "--listne"),
        (&["install", "--", "--memory", "much"], "--memory"),
        (&["start"], "install, uninstall or status"),
        (&[], "install|uninstall|status"),
    ];
    for (arguments, words) in rows {
        let message = service(&folder, arguments).fails(2);
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
    assert!(!Path::new(&folder.path(UNIT)).exists());
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let folder = Folder::new();
    folder.file("50% of \"it\".gguf", "");
    service(&folder, &["install", "--", "-m", "50% of \"it\".gguf", "--listen", "127.0.0.1:1"])
        .ok();
    // Without a manager of the user's own, the system's reads it just as well.
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no", &folder.path(UNIT)])
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .output();
    match verified {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !said.contains("ondine.service"), "{said}");
        }
        Err(error) => eprintln!("skipped: there is no systemd-analyze: {error}"),
    }
}
