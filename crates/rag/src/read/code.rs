//! Source code, of whichever language: what stands at the margin begins a unit, and what is indented
//! below it belongs to that. Comments and attributes above belong to what they describe. Where a unit
//! is too long for a passage, `chunk` looks for units inside it, with the same eye.

use super::{Block, Shape};

pub(super) fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.split('\n').collect();
    let make = |(start, end): (usize, usize)| {
        Block::new(Shape::Unit, lines[start..end].join("\n"), start + 1)
    };
    units(&lines).into_iter().map(make).collect()
}

/// Where units begin and end in lines, by the least indentation that there is: half open, in order,
/// without the empty lines between them.
pub(crate) fn units(lines: &[&str]) -> Vec<(usize, usize)> {
    let margin = lines.iter().filter(|l| !l.trim().is_empty()).map(|l| indent(l)).min();
    let Some(margin) = margin else { return Vec::new() };
    let mut units = Vec::new();
    // Where the unit begins that is being read, and whether its first line of code has been seen.
    let mut open: Option<(usize, bool)> = None;
    let mut end = 0;
    for (at, line) in lines.iter().enumerate() {
        let bare = line.trim();
        if bare.is_empty() {
            continue;
        }
        if indent(line) <= margin && !closes(bare) {
            let about = is_about(bare);
            match open {
                // What describes something is followed by it without an empty line.
                Some((_, false)) if end == at => open = open.map(|(start, _)| (start, !about)),
                _ => {
                    units.extend(open.map(|(start, _)| (start, end)));
                    open = Some((at, !about));
                }
            }
        } else if open.is_none() {
            open = Some((at, true));
        }
        end = at + 1;
    }
    units.extend(open.map(|(start, _)| (start, end)));
    units
}

/// Columns before the first letter; a tab is four.
pub(crate) fn indent(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// Whether a line at the margin goes on with what is above it.
fn closes(bare: &str) -> bool {
    const WORDS: &[&str] = &[
        "end", "else", "elif", "elsif", "except", "finally", "catch", "rescue", "ensure", "then",
        "do", "fi", "done", "esac", "where", "begin",
    ];
    let word: &str = bare.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    bare.starts_with(['}', ')', ']', '{']) || bare.starts_with("\"\"\"") || WORDS.contains(&word)
}

/// Whether a line describes what stands below it.
fn is_about(bare: &str) -> bool {
    const MARKS: &[&str] = &["//", "#", "/*", "*", "--", "@", "\"\"\"", "'''", ";;", "<!--"];
    MARKS.iter().any(|mark| bare.starts_with(mark)) && !bare.starts_with("#include")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(usize, usize)> {
        blocks(text).iter().map(|b| (b.line_start, b.line_end)).collect()
    }

    #[test]
    fn functions_are_whole_in_every_language() {
        let rust = "//! File.\n\nuse a;\nuse b;\n\n/// Says.\n#[inline]\nfn one(\n    a: u8,\n) {\n    x();\n\n    y();\n}\nstruct S;\n";
        assert_eq!(shown(rust), [(1, 1), (3, 3), (4, 4), (6, 14), (15, 15)]);
        let python = "import os\n\n@wrap\ndef one():\n    try:\n        pass\n    except E:\n        pass\n\n    return 1\n\ndef two(): pass\n";
        assert_eq!(shown(python), [(1, 1), (3, 10), (12, 12)]);
        let go = "func One() {\n\tx()\n}\n\n// Two.\nfunc Two()\n{\n\ty()\n}\n";
        assert_eq!(shown(go), [(1, 3), (5, 9)]);
        let ruby = "def one\n  1\nend\ndef two\n  2\nend";
        assert_eq!(shown(ruby), [(1, 3), (4, 6)]);
        assert_eq!(shown("\n\n"), []);
        assert_eq!(shown("    indented\n    same"), [(1, 1), (2, 2)]);
        assert_eq!(shown("} stray\nfn x() {}"), [(1, 1), (2, 2)]);
    }
}
