//! Builds and tests what the company wrote, in a folder of its own and for a limited time.
//!
//! What is run was written by a model, natively, on this machine. What it can do is bounded by the
//! language: it is a crate of its own, `no_std`, with `unsafe` forbidden, and words that read files at
//! compile time or bring the standard library back are refused before the compiler sees them. So it can
//! compute and not end (it is stopped), and it can reach no file, no network and no process. That is a
//! fence of one compiler's making, not a prison: with a model whose author is not trusted, use a machine
//! that may be lost.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ondine::app::company::{Artifacts, Bench, BenchError, Tested};

use crate::RULES;

/// How long a compiler may take.
const BUILD: Duration = Duration::from_secs(60);
/// How long the tests may.
const RUN: Duration = Duration::from_secs(6);
/// Bytes of a file that a model wrote.
const CODE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of what a program said that are read.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Words that the code may not have, wherever they stand.
const REFUSED: &[&str] = &[
    "unsafe",
    "extern",
    "include",
    "include_str",
    "include_bytes",
    "env",
    "option_env",
    "asm",
    "global_asm",
    "naked_asm",
    "path",
    "link",
    "no_mangle",
    "export_name",
    "link_section",
    "proc_macro",
    "feature",
    "std",
];

/// Tests the file `code` of the artifacts with `rustc --test`.
pub struct RustBench {
    /// Where the code is among the artifacts.
    pub code: String,
}

/// A folder that is gone when it is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Whoever cleans up temporary folders finds what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names() -> impl Iterator<Item = String> {
    RULES.lines().filter_map(|line| {
        let name = line.strip_prefix("fn ")?.split('(').next()?;
        name.starts_with("rule_").then(|| name.to_owned())
    })
}

fn failed(output: impl Into<String>) -> Tested {
    Tested { passed: Vec::new(), failed: names().collect(), output: output.into() }
}

/// The first word of the code that is refused.
fn refused(code: &str) -> Option<&str> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.into_iter().find(|word| REFUSED.contains(word))
}

impl Bench for RustBench {
    fn test(&self, artifacts: &Artifacts) -> Result<Tested, BenchError> {
        let code = artifacts.get(&self.code).unwrap_or_default();
        if code.len() > CODE_BYTES_MAX {
            return Ok(failed(format!("the file has more than {CODE_BYTES_MAX} bytes")));
        }
        if let Some(word) = refused(code) {
            return Ok(failed(format!("the word `{word}` may not stand in the file")));
        }
        self.build_and_run(code).map_err(|error| BenchError(error.to_string()))
    }
}

impl RustBench {
    fn build_and_run(&self, code: &str) -> io::Result<Tested> {
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("company-2048-{}-{number}", std::process::id());
        let folder = Temporary(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0)?;
        let home = folder.0.as_path();
        fs::write(home.join("generated.rs"), code)?;
        let root = "#![no_std]\n#![forbid(unsafe_code)]\nmod generated;\npub use generated::*;\n";
        fs::write(home.join("game.rs"), root)?;
        fs::write(home.join("rules.rs"), RULES)?;

        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let compile = |arguments: &[&str]| {
            let mut command = Command::new(&rustc);
            command
                .args(["--edition", "2024", "-A", "warnings", "--color", "never"])
                .args(arguments);
            within(&mut command, home, BUILD)
        };
        for arguments in [
            &["--crate-type", "rlib", "--crate-name", "game", "game.rs"][..],
            &["--test", "rules.rs", "--extern", "game=libgame.rlib", "-o", "rules"][..],
        ] {
            let (status, said) = compile(arguments)?;
            if !status.is_some_and(|status| status.success()) {
                return Ok(failed(format!("it does not build:\n{said}")));
            }
        }
        let mut tests = Command::new(home.join("rules"));
        // One after the other, so that what is read of the failures does not hang on which ended first.
        tests.env_clear().args(["--test-threads", "1"]);
        let (status, mut said) = within(&mut tests, home, RUN)?;
        if status.is_none() {
            said = format!("the tests did not end within {RUN:?}\n{said}");
        }
        let ok = |name: &String| said.lines().any(|line| line == format!("test {name} ... ok"));
        let (passed, failed) = names().partition(ok);
        Ok(Tested { passed, failed, output: said })
    }
}

/// Runs a program in a folder and gives how it ended, if it did in time, and what it said.
fn within(
    command: &mut Command,
    home: &Path,
    patience: Duration,
) -> io::Result<(Option<ExitStatus>, String)> {
    let (out, err) = (home.join("out"), home.join("err"));
    let mut child = command
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()?;
    let end = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    for path in [out, err] {
        let mut bytes = Vec::new();
        File::open(path)?.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
        said.push_str(&String::from_utf8_lossy(&bytes));
    }
    Ok((status, said))
}
