//! What is wrong with a program: the compiler's word, the rules of the language, or a failed test. It
//! knows nothing of repairs.
//!
//! Rust programs are compiled by `rustc` with their tests and run. ArkTS-like programs are held to nine
//! rules of ArkTS first; then their types are left out and Node runs them with their test. Where there
//! is no Node, [`Judge::new`] says so, and such programs are not judged.

mod arkts;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::data::{Language, Program};

/// Most bytes of what a compiler or a test said that are looked at.
const SAID_MAX: usize = 4000;

/// How long a test may run: a patched loop may have no end.
const RUN_MAX: Duration = Duration::from_secs(10);

/// Whether a program holds.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It compiles, breaks no rule, and its test passes.
    Holds,
    /// It does not.
    Fault(Fault),
}

/// What is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What was said.
    pub said: String,
    /// Lines that were named, counted from 1.
    pub lines: Vec<usize>,
}

impl Fault {
    /// What is looked up: what was said, and the code it was said of.
    pub fn question(&self, program: &Program) -> String {
        let named = |at: &usize| program.source.lines().nth(at - 1);
        let code: Vec<&str> = match self.lines.is_empty() {
            true => program.source.lines().collect(),
            false => self.lines.iter().filter_map(named).collect(),
        };
        format!("{}\n{}", self.said, code.join("\n"))
    }
}

/// Whoever compiles and runs.
#[derive(Debug)]
pub struct Judge {
    folder: PathBuf,
    node: bool,
    serial: AtomicU64,
}

impl Judge {
    /// A judge that writes into a folder of its own, and removes it in the end.
    ///
    /// # Errors
    /// There is no `rustc`, or no folder can be made.
    pub fn new() -> Result<Judge, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let runs = |program: &str| {
            Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
        };
        if !runs("rustc") {
            return Err("there is no rustc".into());
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("repair-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(Judge { folder, node: runs("node"), serial: AtomicU64::new(0) })
    }

    /// Whether programs of a language can be judged here.
    pub fn knows(&self, language: Language) -> bool {
        language == Language::Rust || self.node
    }

    /// Whether a program holds when its source is this.
    pub fn verdict(&self, program: &Program, source: &str) -> Verdict {
        match program.language {
            Language::Rust => self.rust(source, &program.test),
            Language::ArkTs => arkts::verdict(source, &program.test),
        }
    }

    fn rust(&self, source: &str, test: &str) -> Verdict {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let file = self.folder.join(format!("p{serial}.rs"));
        let binary = self.folder.join(format!("p{serial}"));
        if let Err(e) = std::fs::write(&file, format!("#![allow(dead_code)]\n{source}{test}")) {
            return fault(e.to_string());
        }
        let compiler = |more: &[&str]| {
            let mut command = Command::new("rustc");
            command.args(["--edition", "2024", "--test", "--error-format=json"]);
            command.args(["--crate-name", "program", "-Cdebuginfo=0"]).args(more);
            command.arg("-o").arg(&binary).arg(&file).output()
        };
        // What does not compile is told in half the time without a binary.
        for more in [&["--emit=metadata"][..], &[]] {
            match compiler(more) {
                Ok(out) if out.status.success() => {}
                Ok(out) => return compiler_said(&String::from_utf8_lossy(&out.stderr)),
                Err(e) => return fault(e.to_string()),
            }
        }
        // A backtrace is of the machine, and what is said is looked up.
        let mut run = Command::new(&binary);
        run.args(["--test-threads", "1"]).env("RUST_BACKTRACE", "0");
        let verdict = match bounded(&mut run) {
            Ok(out) if out.status.success() => Verdict::Holds,
            Ok(out) => fault(test_said(&String::from_utf8_lossy(&out.stdout), test)),
            Err(e) => fault(e.to_string()),
        };
        let _ = std::fs::remove_file(&binary);
        verdict
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a program to its end, or ends it. What it says must fit a pipe; a test's few lines do.
fn bounded(command: &mut Command) -> std::io::Result<Output> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, started) = (piped.spawn()?, Instant::now());
    while child.try_wait()?.is_none() {
        if started.elapsed() > RUN_MAX {
            child.kill()?;
            child.wait()?;
            return Err(std::io::Error::other("Error: it does not end"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output()
}

fn fault(said: String) -> Verdict {
    Verdict::Fault(Fault { said: said.chars().take(SAID_MAX).collect(), lines: Vec::new() })
}

/// The first error of rustc: its message, number, labels and lines.
fn compiler_said(stderr: &str) -> Verdict {
    for line in stderr.lines() {
        let Ok(said) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        if said["level"] != "error" {
            continue;
        }
        let spans = said["spans"].as_array().into_iter().flatten();
        let (mut text, mut lines) = (said["message"].to_string(), Vec::new());
        text += &format!(" ({}) ", said["code"]["code"].as_str().unwrap_or_default());
        for span in spans {
            text += span["label"].as_str().unwrap_or_default();
            text += "; ";
            // One line stands before the program.
            lines.extend(span["line_start"].as_u64().and_then(|n| (n as usize).checked_sub(1)));
        }
        lines.retain(|n| *n > 0);
        lines.sort_unstable();
        lines.dedup();
        return Verdict::Fault(Fault { said: text.chars().take(SAID_MAX).collect(), lines });
    }
    fault("the compiler failed without an error".into())
}

/// The name of the test that failed, in words, and its panic.
fn test_said(stdout: &str, test: &str) -> String {
    let name = test.split("fn ").nth(1).and_then(|t| t.split('(').next()).unwrap_or_default();
    let panic = stdout.split("panicked at").nth(1).unwrap_or(stdout);
    let panic = panic.split("note: run with").next().unwrap_or(panic);
    let panic = panic.split_once('\n').map_or(panic, |(_, said)| said);
    format!("{}: {}", name.replace('_', " "), panic.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Program;

    #[test]
    fn a_program_without_end_is_ended_and_one_without_fault_holds() {
        let judge = match Judge::new() {
            Ok(judge) => judge,
            Err(why) => return eprintln!("skipped: {why}"),
        };
        let test = "#[test]\nfn it_ends() { f() }";
        let program = |source: &str| Program {
            name: "rust-x".into(),
            language: Language::Rust,
            pattern: String::new(),
            source: source.into(),
            test: test.into(),
        };
        let said = |source: &str| match judge.verdict(&program(source), source) {
            Verdict::Holds => "holds".to_owned(),
            Verdict::Fault(fault) => format!("{} {:?}", fault.said, fault.lines),
        };
        assert_eq!(said("pub fn f() {}\n"), "holds");
        assert!(said("pub fn f() { loop {} }\n").contains("does not end"));
        let unknown = said("\npub fn f() { g() }\n");
        assert!(unknown.contains("E0425") && unknown.ends_with("[2]"), "{unknown}");
    }
}
