//! The program as processes: what many lines told one, another knows.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What it says to these lines, and what it says of itself.
fn remember(memory: &Path, lines: &[String]) -> (Vec<String>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_remember"))
        .arg(memory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = program.stdin.take().unwrap();
    stdin.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let ended = program.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{err}");
    (String::from_utf8_lossy(&ended.stdout).lines().map(str::to_owned).collect(), err)
}

#[test]
fn what_one_process_was_told_another_knows() {
    let folder = std::env::temp_dir().join(format!("ondine-remember-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let memory = folder.join("memory");
    // Many times what the window holds.
    let rooms = ["kitchen", "attic", "garden", "cellar", "hall"];
    let things: Vec<String> = (0..60)
        .map(|n| (n, char::from(b'A' + (n * 7 % 13) as u8)))
        .map(|(n, shelf)| format!("Box {n} stands in the {} on shelf {shelf}.", rooms[n % 5]))
        .collect();
    let mut told = things.clone();
    told.push("钥匙在红色的花盆下面。".into());
    let (said, about) = remember(&memory, &told);
    assert_eq!(said, vec!["Noted."; 61]);
    assert!(about.contains("61 passages are stored"), "{about}");
    let shown: usize =
        about.split(", ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(shown < 60, "{about}");

    let asked = ["Where does box 3 stand?", "Where does box 41 stand?", "钥匙在哪里?", "xyzzy?"];
    let (said, _) = remember(&memory, &asked.map(str::to_owned));
    assert_eq!(said, [&things[3], &things[41], &told[60], "I don't know."]);
    std::fs::remove_dir_all(&folder).unwrap();
}
