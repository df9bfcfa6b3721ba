//! A Rust file begins with what it is for.

use super::Finding;
use crate::repo::Repo;

/// A head shorter than this says nothing.
const HEAD_CHARS_MIN: usize = 20;

/// Looks for files whose first line is no `//!` sentence.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let files = repo.rust_files();
    files
        .iter()
        .filter(|file| !has_head(file.source.lines.first().map_or("", String::as_str)))
        .map(|file| {
            Finding::new(&file.path, "does not begin with a `//!` line that says what it is for")
        })
        .collect()
}

fn has_head(first: &str) -> bool {
    first.strip_prefix("//!").is_some_and(|head| head.trim().chars().count() >= HEAD_CHARS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_sentence() {
        assert!(has_head("//! Pages of keys and values."));
        assert!(!has_head("//! Pages."));
        assert!(!has_head("use std::fs;"));
        assert!(!has_head(""));
    }
}
