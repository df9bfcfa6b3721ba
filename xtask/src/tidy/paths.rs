//! No file names a place on somebody's own machine.

use std::path::Path;

use super::Finding;
use crate::repo::Repo;

/// Where home folders lie. Split so that this file does not name them itself.
const HOMES: &[&str] = &[concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];

/// Looks for home folders, and for the folder this checkout stands in.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut prefixes: Vec<String> = HOMES.iter().map(|home| home.to_string()).collect();
    prefixes.extend(own_folder(&repo.root));
    let mut findings = Vec::new();
    for text in &repo.texts {
        for (line, content) in text.content.lines().enumerate() {
            if prefixes.iter().any(|prefix| names(content, prefix)) {
                findings.push(Finding::at(&text.path, line, "names a path of one machine"));
            }
        }
    }
    findings
}

/// The folder above the checkout, where its name is particular enough to look for.
fn own_folder(root: &Path) -> Option<String> {
    let above = root.parent()?.to_str()?;
    let common = ["/", "/tmp", "/src", "/build", "/usr", "/opt"];
    (!common.contains(&above)).then(|| format!("{above}/"))
}

/// Whether a line holds `prefix` as the beginning of an absolute path.
fn names(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| {
            c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '~' | '}' | '>')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_count() {
        let rows = [
            ("cd /machine/x", true),
            ("open(\"/machine/x\")", true),
            ("recipes/machine/x", false),
            ("$HOME/machine/x", false),
            ("../machine/x", false),
        ];
        for (line, expected) in rows {
            assert_eq!(names(line, "/machine/"), expected, "{line}");
        }
    }
}
