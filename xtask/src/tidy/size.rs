//! How long the files are: a watched number, and a limit on what is read in one sitting.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Finding;
use crate::repo::Repo;

/// A longer file of code has a seam somewhere.
const LINES_MAX: usize = 900;

/// A Rust file longer than this is named in the report.
const LINES_COMFORTABLE: usize = 600;

/// Looks for files that are too long.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let rust = repo.rust_files();
    let rust = rust.iter().map(|file| (file.path.as_str(), file.source.lines.len()));
    let page = repo.page_files().map(|text| (text.path.as_str(), text.content.lines().count()));
    rust.chain(page)
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| {
            Finding::new(path, format!("has {lines} lines; look for the seam before {LINES_MAX}"))
        })
        .collect()
}

/// Lines of each crate: code, comments, tests.
#[derive(Default)]
struct Size {
    files: usize,
    code: usize,
    comments: usize,
    tests: usize,
}

/// A table of lines by crate, and the longest files.
pub(super) fn report(repo: &Repo) -> String {
    let mut sizes: BTreeMap<String, Size> = BTreeMap::new();
    let mut long = Vec::new();
    for file in repo.rust_files() {
        let size = sizes.entry(file.package.clone()).or_default();
        size.files += 1;
        let source = &file.source;
        if source.lines.len() > LINES_COMFORTABLE {
            long.push((source.lines.len(), file.path.clone()));
        }
        for (line, code) in source.code.iter().enumerate() {
            let has_code = !code.trim().is_empty();
            let counter = if has_code && (file.only_tests || source.test[line]) {
                &mut size.tests
            } else if has_code {
                &mut size.code
            } else if !source.lines[line].trim().is_empty() {
                &mut size.comments
            } else {
                continue;
            };
            *counter += 1;
        }
    }
    let mut table =
        format!("{:<10}{:>7}{:>8}{:>10}{:>8}\n", "crate", "files", "code", "comments", "tests");
    let mut row = |name: &str, size: &Size| {
        let Size { files, code, comments, tests } = size;
        // Writing to a string does not fail.
        let _ = writeln!(table, "{name:<10}{files:>7}{code:>8}{comments:>10}{tests:>8}");
    };
    let mut total = Size::default();
    for (name, size) in &sizes {
        row(name, size);
        total.files += size.files;
        total.code += size.code;
        total.comments += size.comments;
        total.tests += size.tests;
    }
    row("all", &total);
    long.sort_by(|a, b| b.cmp(a));
    for (lines, path) in long {
        let _ = writeln!(table, "{lines:>6} lines  {path}");
    }
    table
}
