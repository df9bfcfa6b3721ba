//! Paths and files that mean harm, or are simply wrong: an error, soon, and never a panic.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Folder, ondine, tiny_model};

/// Every command that opens a model, on one path.
#[track_caller]
fn all_refuse(path: &str) {
    let rows: &[&[&str]] = &[
        &["run", "-m", path, "x"],
        &["inspect", path],
        &["inspect", path, "--json"],
        &["tokenize", "-m", path],
        &["logits", "-m", path, "--tokens", "1"],
    ];
    for arguments in rows {
        let begun = Instant::now();
        let complaint = ondine(arguments).fails(1);
        assert!(complaint.starts_with("error: "), "{complaint}");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{arguments:?} took {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = Folder::new();
    all_refuse(&folder.path("."));
    if cfg!(unix) {
        let fifo = folder.path("fifo");
        if Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()) {
            all_refuse(&fifo);
        }
        all_refuse("/dev/null");
        all_refuse("/dev/zero");
    }
    if cfg!(target_os = "linux") {
        all_refuse("/dev/random");
        all_refuse("/proc/self/mem");
    }
}

#[test]
fn a_file_larger_than_any_machine_is_refused() {
    let folder = Folder::new();
    let path = folder.path("sparse");
    let file = fs::File::create(&path).unwrap();
    // Not every file system has files of that size.
    if file.set_len(1 << 42).is_ok() {
        all_refuse(&path);
    }
}

#[test]
fn what_is_no_model_is_refused_by_content() {
    let folder = Folder::new();
    let whole = fs::read(tiny_model(&folder)).unwrap();
    let mut version = whole.clone();
    version[4] = 77;
    let mut count = whole.clone();
    count[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let rows: &[(&str, Vec<u8>)] = &[
        ("empty.gguf", vec![]),
        ("text.gguf", b"hello, I am a model".to_vec()),
        ("pickle.gguf", b"\x80\x02}q\x00.".to_vec()),
        ("half.gguf", whole[..whole.len() / 2].to_vec()),
        ("version.gguf", version),
        ("count.gguf", count),
    ];
    for (name, content) in rows {
        all_refuse(&folder.file(name, content));
    }
}

#[test]
fn a_hostile_path_does_not_reach_the_terminal() {
    let complaint = ondine(&["inspect", "/no/\u{1b}[2Jsuch"]).fails(1);
    assert!(!complaint.contains('\u{1b}'), "{complaint:?}");
}

#[test]
fn a_folder_must_be_whole_and_keep_to_itself() {
    let folder = Folder::new();
    let home = folder.path("model");
    fs::create_dir(&home).unwrap();
    assert!(ondine(&["inspect", &home]).fails(1).contains("config.json"));
    fs::write(format!("{home}/config.json"), "{\"model_type\": \"llama\"}").unwrap();
    assert!(ondine(&["inspect", &home]).fails(1).contains("model.safetensors"));
    folder.file("outside.safetensors", "x");
    for name in ["../outside.safetensors", "/etc/passwd"] {
        let index = serde_json::json!({ "weight_map": { "w": name } });
        fs::write(format!("{home}/model.safetensors.index.json"), index.to_string()).unwrap();
        assert!(ondine(&["inspect", &home]).fails(1).contains("not a file of the folder"));
    }
}

#[test]
fn long_and_odd_prompts_are_bounded() {
    let folder = Folder::new();
    let model = tiny_model(&folder);
    let long = folder.file("long", "a".repeat(100_000));
    let ran = ondine(&["run", "-m", &model, "--ctx", "512", "--batch", &long, "--json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("512"), "{}", ran.out);
    let odd = "\u{0}\u{1b}[31m\u{202e}𝕏 ";
    let ran = ondine(&["run", "-m", &model, "--max-tokens", "2", odd.trim_start_matches('\0')]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}
