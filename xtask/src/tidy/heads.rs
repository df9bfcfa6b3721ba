//! A file of code begins with what it is for, in Rust and on the page.

use super::Finding;
use crate::repo::Repo;

/// A head shorter than this says nothing.
const HEAD_CHARS_MIN: usize = 20;

/// Looks for files whose first line is no sentence: after `//!` in Rust, after `//` in TypeScript.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let rust = repo.rust_files();
    let rust = rust.iter().map(|file| {
        let first = file.source.lines.first().map_or("", String::as_str);
        (file.path.as_str(), first, "//!")
    });
    let page = repo.page_files().map(|text| {
        let first = text.content.lines().next().unwrap_or_default();
        (text.path.as_str(), first, "//")
    });
    rust.chain(page)
        .filter(|(_, first, mark)| !has_head(first, mark))
        .map(|(path, _, mark)| {
            let message = format!("does not begin with a `{mark}` line that says what it is for");
            Finding::new(path, message)
        })
        .collect()
}

fn has_head(first: &str, mark: &str) -> bool {
    first.strip_prefix(mark).is_some_and(|head| head.trim().chars().count() >= HEAD_CHARS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_sentence() {
        assert!(has_head("//! Pages of keys and values.", "//!"));
        assert!(!has_head("//! Pages.", "//!"));
        assert!(!has_head("// Pages of keys and values.", "//!"));
        assert!(!has_head("use std::fs;", "//!"));
        assert!(!has_head("", "//!"));
        assert!(has_head("// The page begins: a token or the door.", "//"));
        assert!(!has_head("import { h } from \"./dom.ts\";", "//"));
    }
}
