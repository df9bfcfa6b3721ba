//! A link in a page leads to a file that is there.

use std::path::Path;

use super::Finding;
use crate::repo::Repo;

/// Looks for relative links of Markdown pages that lead nowhere.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for text in repo.texts.iter().filter(|text| text.path.ends_with(".md")) {
        let folder = Path::new(&text.path).parent().unwrap_or(Path::new(""));
        for (line, content) in text.content.lines().enumerate() {
            for target in targets(content) {
                if !repo.root.join(folder).join(target).exists() {
                    let message = format!("links to {target}, which is not there");
                    findings.push(Finding::at(&text.path, line, message));
                }
            }
        }
    }
    findings
}

/// The files a line links to: `[x](file#part)`, without addresses of the web.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("](") {
        rest = &rest[at + 2..];
        let Some(end) = rest.find(')') else { break };
        let target = rest[..end].split(['#', ' ']).next().unwrap_or_default();
        if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
            found.push(target);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_a_line() {
        let line =
            "see [a](docs/a.md#x), [b](https://b.example) and [c](#here) or [d](LICENSE-MIT)";
        assert_eq!(targets(line), ["docs/a.md", "LICENSE-MIT"]);
    }
}
