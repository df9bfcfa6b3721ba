//! A crate touches only what its row of the floor table allows. Tests are free.

use super::{Finding, floors};
use crate::repo::{Repo, RustFile};
use crate::source::Source;

/// One power: its name in the table, and what uses it.
struct Power {
    name: &'static str,
    /// Modules of `std`.
    modules: &'static [&'static str],
    /// Macros.
    macros: &'static [&'static str],
    /// Words, wherever they stand.
    words: &'static [&'static str],
}

/// A power that nothing uses: each row below says what it adds.
const fn power(name: &'static str) -> Power {
    Power { name, modules: &[], macros: &[], words: &[] }
}

const POWERS: &[Power] = &[
    Power { words: &["unsafe"], ..power("unsafe") },
    Power { modules: &["thread"], words: &["rayon"], ..power("threads") },
    Power { modules: &["fs"], words: &["memmap2", "OpenOptions"], ..power("files") },
    Power {
        modules: &["net"],
        words: &[
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
            "UnixListener",
            "tokio",
            "hyper",
            "axum",
            "ureq",
            "reqwest",
            "rmcp",
        ],
        ..power("network")
    },
    Power { words: &["Instant", "SystemTime"], ..power("clock") },
    Power {
        macros: &["print", "println", "eprint", "eprintln", "dbg"],
        words: &["stdin", "stdout", "stderr"],
        ..power("terminal")
    },
    Power { modules: &["process", "env"], ..power("process") },
];

/// Looks for powers that a crate's row does not list.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let floors = floors::floors(repo);
    let mut findings = Vec::new();
    for floor in &floors {
        for power in &floor.powers {
            if !POWERS.iter().any(|known| known.name == power) {
                let message = format!("{} has the unknown power {power}", floor.name);
                findings.push(Finding::new("ARCHITECTURE.md", message));
            }
        }
    }
    for file in repo.rust_files() {
        let Some(floor) = floors.iter().find(|floor| floor.name == file.package) else { continue };
        if !file.only_tests {
            findings.extend(used_without(&file, &floor.powers));
        }
    }
    findings
}

fn used_without(file: &RustFile, powers: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_use_of_std = false;
    for (line, code) in file.source.code.iter().enumerate() {
        let words: Vec<(usize, &str)> = Source::words(code).collect();
        for (at, (start, word)) in words.iter().enumerate() {
            let previous = at.checked_sub(1).map(|before| words[before].1);
            if *word == "std" && previous == Some("use") {
                in_use_of_std = true;
            }
            let from_std =
                in_use_of_std || (previous == Some("std") && code[..*start].ends_with("::"));
            // `env!` and the like read the build, not the process.
            let is_macro = code[start + word.len()..].starts_with('!');
            for power in POWERS.iter().filter(|power| !powers.iter().any(|own| own == power.name)) {
                let used = power.words.contains(word)
                    || (is_macro && power.macros.contains(word))
                    || (from_std && !is_macro && power.modules.contains(word));
                if used && !file.source.test[line] {
                    let message = format!("`{word}` needs the power {}", power.name);
                    findings.push(Finding::at(&file.path, line, message));
                }
            }
        }
        if code.contains(';') {
            in_use_of_std = false;
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_seen_where_they_are_used() {
        let rows: &[(&str, &[&str], usize)] = &[
            ("use std::fs;", &[], 1),
            ("use std::fs;", &["files"], 0),
            ("tokio::spawn(f)", &["threads"], 1),
            ("tokio::spawn(f)", &["network"], 0),
            ("use std::{\n    io,\n    fs,\n};\nlet env = 1;", &[], 1),
            ("let x = std::fs::read(p);", &[], 1),
            ("let fs = 1; // std::fs", &[], 0),
            ("let t = Instant::now();", &["files"], 1),
            ("unsafe { f() }", &[], 1),
            ("println!(\"std::net\");", &[], 1),
            ("print(value)", &[], 0),
            ("concat!(env!(\"X\"))", &[], 0),
            ("#[cfg(test)]\nmod tests {\n    use std::fs;\n}", &[], 0),
            ("std::thread::spawn(f)", &["threads"], 0),
        ];
        for (text, powers, expected) in rows {
            let file = RustFile {
                path: "x.rs".into(),
                package: "x".into(),
                only_tests: false,
                source: Source::new(text),
            };
            let powers: Vec<String> = powers.iter().map(|power| power.to_string()).collect();
            let findings = used_without(&file, &powers);
            assert_eq!(findings.len(), *expected, "{text}: {findings:?}");
        }
    }
}
