//! Documents to passages, by their structure.
//!
//! ```text
//! for each block:
//!     heading             ends the passage, unless that is hardly begun; joins the path of headings
//!     fits the passage    is added
//!     does not fit        ends the passage and begins the next
//!     is too long         is taken apart: sentences, lines, or the units inside a unit of code
//! ```
//!
//! A passage says on which lines it stands and under which headings. It knows no index.

use crate::read::{Block, Document, Shape, code};
use crate::words::is_letterwise;

/// What a passage should hold. A letter of Chinese says as much as two of English, and counts twice.
const TARGET: usize = 800;
/// A shorter passage takes what comes next, also from under another heading.
const LEAST: usize = 160;
/// Sentences of a paragraph are not kept together beyond this.
const PARAGRAPH_MAX: usize = 1200;
/// Nor are lines of a fence, a table, a list or a function.
const WHOLE_MAX: usize = 2400;
/// How deep a unit of code is taken apart.
const DEPTH_MAX: usize = 6;
/// What is kept of a heading or a signature.
const HEADING_CHARS_MAX: usize = 120;

/// A passage of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its text, as it stands in the document.
    pub text: String,
    /// The headings it stands under, the highest first, with ` > ` between them; of code, the signatures.
    pub heading: String,
    /// Its first line, counted from 1.
    pub line_start: usize,
    /// Its last line, which belongs to it.
    pub line_end: usize,
    /// The page it begins on, where there are pages.
    pub page: Option<u32>,
}

/// The passages of a document, in order.
pub fn chunks(document: &Document) -> Vec<Chunk> {
    let mut maker = Maker::default();
    for block in &document.blocks {
        match &block.shape {
            Shape::Heading(level, title) => maker.heading(*level, title, block),
            _ => maker.add(block, 0),
        }
    }
    maker.flush();
    maker.chunks
}

#[derive(Default)]
struct Maker {
    chunks: Vec<Chunk>,
    /// Headings above what is being read, with their levels.
    path: Vec<(u8, String)>,
    /// Signatures above the part of a unit that is being read.
    inside: Vec<String>,
    open: Option<Chunk>,
    /// Its size, and whether it holds more than headings.
    size: usize,
    has_body: bool,
}

impl Maker {
    fn heading(&mut self, level: u8, title: &str, block: &Block) {
        if self.has_body && self.size >= LEAST {
            self.flush();
        }
        self.path.retain(|(above, _)| *above < level);
        self.path.push((level, shortened(title)));
        for part in parts(block, Shape::Paragraph) {
            if self.size + width(&part.text) > WHOLE_MAX {
                self.flush();
            }
            self.push(&part);
        }
        self.has_body = false;
    }

    /// Adds a block, or what it is made of.
    fn add(&mut self, block: &Block, depth: usize) {
        let size = width(&block.text);
        let max = if block.shape == Shape::Paragraph { PARAGRAPH_MAX } else { WHOLE_MAX };
        if size > max {
            if block.shape == Shape::Unit && depth < DEPTH_MAX && self.take_apart(block, depth) {
                return;
            }
            for part in parts(block, block.shape.clone()) {
                self.add_whole(&part);
            }
        } else {
            self.add_whole(block);
        }
    }

    fn add_whole(&mut self, block: &Block) {
        let size = width(&block.text);
        let full = self.size + size > TARGET && self.size >= LEAST;
        if self.has_body && (full || self.size + size > WHOLE_MAX) {
            self.flush();
        }
        self.push(block);
        self.has_body = true;
    }

    /// The units inside a unit; `false` where there is nothing to take apart.
    fn take_apart(&mut self, block: &Block, depth: usize) -> bool {
        let lines: Vec<&str> = block.text.split('\n').collect();
        let margin = code::indent(lines[0]);
        let deeper = |line: &&str| !line.trim().is_empty() && code::indent(line) > margin;
        let (Some(first), Some(last)) =
            (lines.iter().position(deeper), lines.iter().rposition(deeper))
        else {
            return false;
        };
        let units = code::units(&lines[first..=last]);
        if units.len() < 2 {
            return false;
        }
        let part = |start: usize, end: usize| {
            let text = lines[start..end].join("\n");
            Block { page: block.page, ..Block::new(Shape::Unit, text, block.line_start + start) }
        };
        if first > 0 {
            self.add(&part(0, first), DEPTH_MAX);
        }
        self.inside.push(shortened(signature(&lines[..first])));
        for (start, end) in units {
            self.add(&part(first + start, first + end), depth + 1);
        }
        if last + 1 < lines.len() {
            self.add(&part(last + 1, lines.len()), DEPTH_MAX);
        }
        self.inside.pop();
        true
    }

    fn push(&mut self, block: &Block) {
        if let Some(open) = &mut self.open {
            let gap = if block.line_start > open.line_end + 1 { "\n\n" } else { "\n" };
            // Two pieces of one line follow each other as they did.
            open.text.push_str(if block.line_start == open.line_end { " " } else { gap });
            open.text.push_str(&block.text);
            open.line_end = open.line_end.max(block.line_end);
        } else {
            let titles = self.path.iter().map(|(_, title)| title).chain(&self.inside);
            let titles: Vec<&str> =
                titles.map(String::as_str).filter(|title| !title.is_empty()).collect();
            self.open = Some(Chunk {
                text: block.text.clone(),
                heading: titles.join(" > "),
                line_start: block.line_start,
                line_end: block.line_end,
                page: block.page,
            });
        }
        self.size += width(&block.text);
    }

    fn flush(&mut self) {
        (self.size, self.has_body) = (0, false);
        self.chunks.extend(self.open.take().filter(|chunk| !chunk.text.trim().is_empty()));
    }
}

/// How much a text says: its letters, those of Chinese twice.
fn width(text: &str) -> usize {
    text.chars().map(|c| if is_letterwise(c) { 2 } else { 1 }).sum()
}

/// The line of code that says what a unit is.
fn signature<'a>(lines: &[&'a str]) -> &'a str {
    let about = |line: &&&str| {
        !line.trim().is_empty() && !line.trim_start().starts_with(['/', '#', '*', '@', '"'])
    };
    lines.iter().find(about).or(lines.first()).map_or("", |line| line.trim())
}

fn shortened(title: &str) -> String {
    title.chars().take(HEADING_CHARS_MAX).collect()
}

/// A block that is too long, in parts of the target's size: whole lines, else whole sentences, else
/// whatever fits.
fn parts(block: &Block, shape: Shape) -> Vec<Block> {
    let mut parts: Vec<Block> = Vec::new();
    // The part that is being filled, its size, and which line of the block it holds last.
    let mut open: Option<(Block, usize, usize)> = None;
    for (at, line) in block.text.split('\n').enumerate() {
        let number = (block.line_start + at).min(block.line_end);
        for piece in pieces(line) {
            let size = width(piece);
            if let Some((part, held, last)) = open.as_mut().filter(|open| open.1 + size <= TARGET) {
                part.text.push_str(if *last == at { "" } else { "\n" });
                part.text.push_str(piece);
                part.line_end = number;
                (*held, *last) = (*held + size, at);
                continue;
            }
            parts.extend(open.take().map(|open| open.0));
            let mut part = Block::new(shape.clone(), piece.to_string(), number);
            part.page = block.page;
            open = Some((part, size, at));
        }
    }
    parts.extend(open.map(|open| open.0));
    parts
}

/// A line, or its sentences where it is longer than a passage.
fn pieces(line: &str) -> Vec<&str> {
    if width(line) <= TARGET {
        return vec![line];
    }
    let mut pieces = Vec::new();
    let (mut start, mut size, mut sentence) = (0, 0, None);
    let mut chars = line.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let end = at + c.len_utf8();
        size += if is_letterwise(c) { 2 } else { 1 };
        let space_follows = chars.peek().is_none_or(|(_, next)| next.is_whitespace());
        if matches!(c, '。' | '！' | '？' | '；')
            || (matches!(c, '.' | '!' | '?' | ';') && space_follows)
        {
            sentence = Some(end);
        } else if c.is_whitespace() && sentence.is_none() && size > TARGET / 2 {
            // A line without sentences is cut between words.
            sentence = Some(end);
        }
        if size >= TARGET {
            let cut = sentence.filter(|cut| *cut > start).unwrap_or(end);
            pieces.push(&line[start..cut]);
            (start, sentence) = (cut, None);
            size = width(&line[start..end]);
        }
    }
    if start < line.len() {
        pieces.push(&line[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::read;

    fn of(name: &str, text: &str) -> Vec<Chunk> {
        chunks(&read(name, text.as_bytes()).unwrap())
    }

    /// What must hold of every passage of every text.
    fn check(name: &str, text: &str) -> Vec<Chunk> {
        let found = of(name, text);
        let lines: Vec<&str> = text.split('\n').collect();
        let mut before = 0;
        for chunk in &found {
            assert!(width(&chunk.text) <= WHOLE_MAX + TARGET, "{}: {}", name, width(&chunk.text));
            assert!(chunk.line_start <= chunk.line_end && chunk.line_end <= lines.len());
            assert!(chunk.line_start >= before, "{name}: passages overlap");
            before = chunk.line_end;
            let source = lines[chunk.line_start - 1..chunk.line_end].join("\n");
            let squeezed =
                |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert!(squeezed(&source).contains(&squeezed(&chunk.text)), "{name}: {chunk:?}");
        }
        // Nothing is lost.
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
        assert_eq!(found.iter().map(|c| letters(&c.text)).sum::<usize>(), letters(text), "{name}");
        found
    }

    #[test]
    fn headings_are_kept_as_context_and_small_sections_join() {
        let long = "A sentence of this section. ".repeat(12);
        let text = format!(
            "# Top\n\n## One\n\n{long}\n\n## Two\n\nshort\n\n### Deep\n\n{long}\n\n# Other\n\n{long}"
        );
        let found = check("a.md", &text);
        let shown: Vec<_> =
            found.iter().map(|c| (&c.heading[..], c.line_start, c.line_end)).collect();
        assert_eq!(shown, [("Top", 1, 5), ("Top > Two", 7, 13), ("Other", 15, 17)]);
    }

    #[test]
    fn functions_are_whole_and_long_types_are_taken_apart_into_methods() {
        let body = "        let x = call(a, b);\n".repeat(20);
        let method =
            |n: usize| format!("    /// Says {n}.\n    fn m{n}(&self) {{\n{body}    }}\n\n");
        let text = format!(
            "use a;\n\nimpl Thing {{\n{}}}\n\nfn last() {{\n{body}}}\n",
            (0..8).map(method).collect::<String>()
        );
        let found = check("a.rs", &text);
        let with =
            |needle: &str| found.iter().filter(|c| c.text.contains(needle)).collect::<Vec<_>>();
        for n in 0..8 {
            let chunk = with(&format!("fn m{n}("));
            assert_eq!(chunk.len(), 1);
            assert_eq!(chunk[0].text.matches("let x").count() % 20, 0, "m{n} is torn");
            assert!(chunk[0].text.contains(&format!("/// Says {n}.")));
        }
        assert_eq!(with("fn m3(")[0].heading, "impl Thing {");
        assert_eq!(with("fn last()")[0].heading, "");
    }

    #[test]
    fn fences_and_tables_stay_whole_up_to_a_limit() {
        let fence = |n: usize| format!("```\n{}```", "let line = of_code();\n".repeat(n));
        let text = format!("words before\n\n{}\n\nwords\n\n{}\n", fence(60), fence(400));
        let found = check("a.md", &text);
        assert!(found.iter().any(|c| c.text.matches("of_code").count() == 60), "{:?}", found.len());
        assert!(found.len() > 5);
    }

    #[test]
    fn a_line_without_end_is_cut_at_sentences_and_a_word_without_end_anywhere() {
        let chinese = "这是一个很长的段落，没有换行。".repeat(300);
        let found = check("a.txt", &chinese);
        assert!(found.len() > 5 && found.iter().all(|c| c.text.ends_with('。')));
        let english = "No line ends here, sentences do. ".repeat(300);
        assert!(check("a.txt", &english).iter().all(|c| c.text.trim_end().ends_with('.')));
        check("a.txt", &"x".repeat(100_000));
        check("a.rs", &"x".repeat(100_000));
        check("a.md", &format!("# {}", "title ".repeat(2000)));
        check(
            "a.rs",
            &(0..2000).map(|i| format!("{}x{i}\n", " ".repeat(i % 97))).collect::<String>(),
        );
    }
}
