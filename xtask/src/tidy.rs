//! `cargo xtask tidy`: the rules of the house that a compiler does not check.
//!
//! Each check is one file and one function from the repository to findings. The same checks run
//! as a test, so that a rule is broken loudly.

mod floors;
mod heads;
mod licences;
mod links;
mod paths;
mod powers;
mod safety;
mod size;

use std::process::ExitCode;

use crate::repo::Repo;

/// Something that breaks a rule: where, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// File and perhaps line.
    place: String,
    /// What is wrong and what was wanted.
    message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { place: place.into(), message: message.into() }
    }

    /// A finding in a line of a file, counted from 0.
    fn at(path: &str, line: usize, message: impl Into<String>) -> Finding {
        Finding::new(format!("{path}:{}", line + 1), message)
    }
}

type Check = fn(&Repo) -> Vec<Finding>;

/// The checks, in the order they are reported.
const CHECKS: &[(&str, Check)] = &[
    ("floors", floors::check),
    ("powers", powers::check),
    ("safety notes", safety::check),
    ("module heads", heads::check),
    ("sizes", size::check),
    ("licences", licences::check),
    ("machine paths", paths::check),
    ("links", links::check),
];

/// Runs every check, prints the findings and the size report.
pub(crate) fn run() -> ExitCode {
    let repo = match Repo::read() {
        Ok(repo) => repo,
        Err(error) => {
            eprintln!("tidy: the repository cannot be read: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", size::report(&repo));
    let mut failed = 0;
    for (name, check) in CHECKS {
        let findings = check(&repo);
        failed += findings.len();
        println!("{name}: {}", if findings.is_empty() { "ok" } else { "NOT ok" });
        for finding in findings {
            println!("    {}: {}", finding.place, finding.message);
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let repo = Repo::read().expect("the repository is readable");
        let mut report = String::new();
        for (name, check) in CHECKS {
            for finding in check(&repo) {
                report += &format!("{name}: {}: {}\n", finding.place, finding.message);
            }
        }
        assert!(report.is_empty(), "\n{report}");
    }
}
