//! Every unsafe block says which fact it relies on; every unsafe function lists what it asks.

use super::Finding;
use crate::repo::Repo;
use crate::source::Source;

/// How far above an unsafe block its comment may begin: a long statement and a long reason.
const LINES_ABOVE_MAX: usize = 12;

/// Looks for `unsafe` without a note.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repo.rust_files() {
        findings.extend(unexplained(&file.source).into_iter().map(|line| {
            Finding::at(&file.path, line, "unsafe without a SAFETY note that names its ground")
        }));
    }
    findings
}

/// The lines whose `unsafe` no note explains.
fn unexplained(source: &Source) -> Vec<usize> {
    let unsafe_lines = source.code.iter().enumerate().filter(|(_, code)| {
        // An attribute or a lint name mentions the word and does nothing.
        Source::words(code).any(|(_, word)| word == "unsafe") && !code.contains("#[")
    });
    unsafe_lines
        .map(|(line, _)| line)
        .filter(|&line| {
            let first = line.saturating_sub(LINES_ABOVE_MAX);
            !source.lines[first..=line].iter().any(|text| {
                text.contains("SAFETY:") || text.contains("# Safety") || text.contains("Safety:")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_must_stand_near() {
        let rows = [
            ("// SAFETY: checked above\nunsafe { f() }", 0),
            ("unsafe { f() }", 1),
            ("/// # Safety\n/// - x\nunsafe fn f() {}", 0),
            ("// says unsafe\nlet x = \"unsafe\";", 0),
        ];
        for (text, expected) in rows {
            assert_eq!(unexplained(&Source::new(text)).len(), expected, "{text}");
        }
        let far = format!("// SAFETY: old\n{}unsafe {{ f() }}", "\n".repeat(LINES_ABOVE_MAX));
        assert_eq!(
            unexplained(&Source::new(&far)).len(),
            1,
            "a note too far above explains nothing"
        );
    }
}
