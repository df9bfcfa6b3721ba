//! HTML: headings, paragraphs, lists, tables and preformatted text, with the lines of the file they
//! stand on. Scripts, styles and what a page keeps for programs are left out. It is a reader for
//! searching: it takes what there is, and refuses nothing.

use super::{Block, Shape};

/// Elements whose content is not read, up to the end tag of the same name.
const UNREAD: &[&str] = &["script", "style", "noscript", "template", "svg", "iframe", "object"];
/// Elements that end a line of text and a block.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "center",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hr",
    "main",
    "nav",
    "p",
    "section",
    "summary",
    "title",
    "option",
    "button",
];
/// Elements whose parts are kept together.
const TOGETHER: &[&str] = &["ul", "ol", "table", "pre"];
/// Names of characters that texts are full of; others stay as they are written.
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("hellip", '…'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bull", '•'),
    ("middot", '·'),
    ("times", '×'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("euro", '€'),
    ("pound", '£'),
    ("deg", '°'),
    ("trade", '™'),
    ("rarr", '→'),
    ("larr", '←'),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("zwj", '\u{200d}'),
];

pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut page = Page { line: 1, ..Page::default() };
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find('<') else {
            page.text(rest);
            break;
        };
        page.text(&rest[..at]);
        rest = page.markup(&rest[at..]);
    }
    page.close();
    page.blocks
}

#[derive(Default)]
struct Page {
    blocks: Vec<Block>,
    text: String,
    /// The line of the file that is being read.
    line: usize,
    /// Lines of the file on which the gathered text begins and ends.
    start: usize,
    end: usize,
    /// How deep we are in what is kept together, and in preformatted text.
    together: usize,
    preformatted: usize,
    heading: Option<u8>,
}

impl Page {
    /// Reads a tag, a comment or a lone `<`; gives what follows.
    fn markup<'a>(&mut self, text: &'a str) -> &'a str {
        if text.starts_with("<!--") {
            return self.skip(text, text.find("-->").map_or(text.len(), |at| at + 3));
        }
        if text.starts_with("<!") || text.starts_with("<?") {
            return self.skip(text, text.find('>').map_or(text.len(), |at| at + 1));
        }
        let closing = text[1..].starts_with('/');
        let from = 1 + usize::from(closing);
        let name_end =
            text[from..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len() - from);
        if name_end == 0 {
            self.text("<");
            return &text[1..];
        }
        let name = text[from..from + name_end].to_ascii_lowercase();
        let end = tag_end(text);
        let after = self.skip(text, end);
        self.tag(&name, closing);
        if !closing && UNREAD.contains(&name.as_str()) && !text[..end].ends_with("/>") {
            return self.skip(after, end_tag(after, &name));
        }
        after
    }

    fn tag(&mut self, name: &str, closing: bool) {
        let level = name
            .strip_prefix('h')
            .and_then(|n| n.parse::<u8>().ok())
            .filter(|n| (1..=6).contains(n));
        if let Some(level) = level {
            self.close();
            self.heading = (!closing).then_some(level);
        } else if TOGETHER.contains(&name) {
            if self.together == 0 || (closing && self.together == 1) {
                self.close();
            }
            let deeper = |depth: usize| if closing { depth.saturating_sub(1) } else { depth + 1 };
            self.together = deeper(self.together);
            if name == "pre" {
                self.preformatted = deeper(self.preformatted);
            }
        } else if BLOCKS.contains(&name) {
            // Inside a list or a table, a paragraph ends a line and nothing more.
            if self.together == 0 { self.close() } else { self.break_line() }
        } else {
            match (name, closing) {
                ("br", _) | ("tr", _) => self.break_line(),
                ("li", false) => {
                    self.break_line();
                    self.push("- ");
                }
                ("li", true) => self.break_line(),
                ("td" | "th", true) => self.push(" | "),
                _ => {}
            }
        }
    }

    /// Text between tags.
    fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            let mut letter = c;
            if c == '&'
                && let Some((named, taken)) = entity(rest)
            {
                (letter, length) = (named, taken);
            }
            if c == '\n' {
                self.line += 1;
            }
            if self.preformatted > 0 {
                if letter == '\n' { self.break_line() } else { self.push_char(letter) }
            } else if letter.is_whitespace() {
                if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
                    self.text.push(' ');
                }
            } else {
                self.push_char(letter);
            }
            rest = &rest[length..];
        }
    }

    fn push_char(&mut self, c: char) {
        if self.text.trim().is_empty() && !c.is_whitespace() {
            self.start = self.line;
        }
        if !c.is_whitespace() {
            self.end = self.line;
        }
        self.text.push(c);
    }

    fn push(&mut self, text: &str) {
        text.chars().for_each(|c| self.push_char(c));
    }

    fn break_line(&mut self) {
        if self.preformatted == 0 {
            while self.text.ends_with(' ') {
                self.text.pop();
            }
        }
        if !self.text.is_empty() && (self.preformatted > 0 || !self.text.ends_with('\n')) {
            self.text.push('\n');
        }
    }

    fn skip<'a>(&mut self, text: &'a str, end: usize) -> &'a str {
        self.line += text[..end].matches('\n').count();
        &text[end..]
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.text);
        let heading = self.heading.take();
        let text = text.trim_end().trim_start_matches('\n');
        if text.trim().is_empty() {
            return;
        }
        let shape = match heading {
            Some(level) => Shape::Heading(level, text.replace('\n', " ")),
            None if self.together > 0 => Shape::Lines,
            None => Shape::Paragraph,
        };
        let (line_start, line_end) = (self.start, self.end.max(self.start));
        self.blocks.push(Block { shape, text: text.to_string(), line_start, line_end, page: None });
    }
}

/// Bytes of a tag: up to the `>` that is in no attribute's value.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None, b'>') => return at + 1,
            _ => {}
        }
    }
    // A quote that never ends: the tag does all the same.
    text.find('>').map_or(text.len(), |at| at + 1)
}

/// Bytes before the end tag of an element that is not read.
fn end_tag(text: &str, name: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        let at = from + at;
        let here = text.as_bytes()[at + 2..].get(..name.len());
        if here.is_some_and(|here| here.eq_ignore_ascii_case(name.as_bytes())) {
            return at;
        }
        from = at + 2;
    }
    text.len()
}

/// A character written as `&name;` or by its number, and the bytes that takes.
fn entity(text: &str) -> Option<(char, usize)> {
    let end = text.bytes().take(12).position(|b| b == b';')?;
    let name = &text[1..end];
    let letter = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        char::from_u32(code).filter(|c| *c != '\0')?
    } else {
        ENTITIES.iter().find(|row| row.0 == name)?.1
    };
    Some((letter, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_blocks_with_its_lines() {
        let text = "<!DOCTYPE html>\n<html><head><title>T &amp; U</title>\n<style>\np{}\n</style></head>\n<body>\n\
                    <h2 class=\"a>b\">Über\nuns</h2>\n<p>One <b>bold</b>\nline&nbsp;&#x4e2d;.</p>\n\
                    <ul><li>a<li>b</ul>\n<script>if (a < b) '</p>'</script>\n\
                    <pre>x = 1\n  y\n</pre><table><tr><td>1</td><td>2</td></tr></table>\nend <  &bogus;";
        let found = blocks(text);
        let shown: Vec<_> = found.iter().map(|b| (&b.text[..], b.line_start, b.line_end)).collect();
        let expected = [
            ("T & U", 2, 2),
            ("Über uns", 7, 8),
            ("One bold line 中.", 9, 10),
            ("- a\n- b", 11, 11),
            ("x = 1\n  y", 13, 14),
            ("1 | 2 |", 15, 15),
            ("end < &bogus;", 16, 16),
        ];
        assert_eq!(shown, expected);
        assert_eq!(found[1].shape, Shape::Heading(2, "Über uns".into()));
    }

    #[test]
    fn hostile_markup_ends() {
        let deep = "<div>".repeat(100_000);
        let rows = [
            "<",
            "<a",
            "<!--",
            "<p x='",
            "</",
            "<script>",
            "&#xffffffff;",
            "&#0;",
            "&",
            deep.as_str(),
        ];
        for row in rows {
            let _ = blocks(row);
        }
        // Quotes that never end must not make it quadratic.
        let quotes = "<a x='".repeat(20_000);
        let begun = std::time::Instant::now();
        let _ = blocks(&quotes);
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
}
