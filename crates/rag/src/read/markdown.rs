//! Markdown: headings, fences kept whole, lists, tables, paragraphs. What is inside a line stays as it
//! is written: an answer cites lines of the file.

use super::{Block, Shape};

/// What the lines that are being gathered are.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    Nothing,
    Paragraph,
    List,
    Table,
    /// A fence, with its letter and how many of it.
    Fence(char, usize),
}

pub(super) fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.split('\n').collect();
    let mut reader =
        Reader { blocks: Vec::new(), open: Open::Nothing, start: 0, lines: Vec::new() };
    let body = front_matter(&lines);
    if body > 0 {
        reader.start = 1;
        reader.lines.extend(&lines[..body]);
        reader.close(Shape::Lines);
    }
    for (at, line) in lines.iter().enumerate().skip(body) {
        reader.line(at + 1, line);
    }
    reader.end();
    reader.blocks
}

/// Lines of the fields before the text, which stand between two lines `---`.
fn front_matter(lines: &[&str]) -> usize {
    if lines.first().map(|line| line.trim_end()) != Some("---") {
        return 0;
    }
    let end = lines.iter().skip(1).take(200).position(|line| line.trim_end() == "---");
    end.map_or(0, |end| end + 2)
}

struct Reader<'a> {
    blocks: Vec<Block>,
    open: Open,
    start: usize,
    lines: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, number: usize, line: &'a str) {
        let bare = line.trim_start();
        if let Open::Fence(mark, count) = self.open {
            self.lines.push(line);
            let closes = bare.chars().take_while(|c| *c == mark).count() >= count
                && bare.trim_end().chars().all(|c| c == mark);
            if closes {
                self.end();
            }
            return;
        }
        let indent = line.len() - bare.len();
        if let Some((mark, count)) = fence(bare) {
            // The line before a fence says what it shows, and a fence in a list is part of that.
            if !(self.open == Open::List && indent > 0) {
                self.end();
                self.begin(Open::Fence(mark, count), number, line);
                return;
            }
        }
        if bare.is_empty() {
            match self.open {
                // An empty line does not end a list: what is indented behind it belongs to it.
                Open::List => self.lines.push(line),
                _ => self.end(),
            }
            return;
        }
        if let Some((level, title)) = heading(bare).filter(|_| indent < 4) {
            self.end();
            self.begin(Open::Nothing, number, line);
            self.close(Shape::Heading(level, title));
            return;
        }
        if self.open == Open::Paragraph
            && self.lines.len() == 1
            && indent < 4
            && let Some(level) = underline(bare)
        {
            let title = self.lines[0].trim().to_string();
            self.lines.push(line);
            self.close(Shape::Heading(level, title));
            return;
        }
        let kind = if is_item(bare) {
            Open::List
        } else if bare.starts_with('|') {
            Open::Table
        } else {
            Open::Paragraph
        };
        let goes_on = match self.open {
            Open::List => {
                let after_gap = self.lines.last().is_some_and(|last| last.trim().is_empty());
                kind == Open::List || indent > 0 || !after_gap
            }
            Open::Table => kind == Open::Table,
            Open::Paragraph => kind == Open::Paragraph,
            _ => false,
        };
        if goes_on {
            self.lines.push(line);
        } else {
            self.end();
            self.begin(kind, number, line);
        }
    }

    fn begin(&mut self, open: Open, number: usize, line: &'a str) {
        self.open = open;
        self.start = number;
        self.lines.push(line);
    }

    fn end(&mut self) {
        let shape = match self.open {
            Open::Nothing => return,
            Open::Paragraph => Shape::Paragraph,
            Open::List | Open::Table | Open::Fence(..) => Shape::Lines,
        };
        self.close(shape);
    }

    fn close(&mut self, shape: Shape) {
        while self.lines.last().is_some_and(|line| line.trim().is_empty()) {
            self.lines.pop();
        }
        if !self.lines.is_empty() {
            self.blocks.push(Block::new(shape, self.lines.join("\n"), self.start));
        }
        self.lines.clear();
        self.open = Open::Nothing;
    }
}

fn fence(bare: &str) -> Option<(char, usize)> {
    let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let count = bare.chars().take_while(|c| *c == mark).count();
    // A line such as ```code``` is a paragraph.
    let one_line = mark == '`' && bare[count..].contains('`');
    (count >= 3 && !one_line).then_some((mark, count))
}

fn heading(bare: &str) -> Option<(u8, String)> {
    let level = bare.bytes().take_while(|b| *b == b'#').count();
    let rest = &bare[level..];
    let is = (1..=6).contains(&level) && (rest.is_empty() || rest.starts_with([' ', '\t']));
    is.then(|| (level as u8, rest.trim().trim_end_matches('#').trim_end().to_string()))
}

fn underline(bare: &str) -> Option<u8> {
    let mark = bare.trim_end();
    if mark.bytes().all(|b| b == b'=') {
        return Some(1);
    }
    (mark.len() > 1 && mark.bytes().all(|b| b == b'-')).then_some(2)
}

fn is_item(bare: &str) -> bool {
    if bare.starts_with("- ") || bare.starts_with("* ") || bare.starts_with("+ ") {
        return true;
    }
    let digits = bare.bytes().take_while(u8::is_ascii_digit).count();
    (1..=9).contains(&digits)
        && (bare[digits..].starts_with(". ") || bare[digits..].starts_with(") "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_seen_and_knows_its_lines() {
        let text = "---\ntitle: x\n---\n# One #\ntext\nmore\n\nTwo\n---\n- a\n  b\n\n  c\n- d\n\nend\n\
                    ```rust\n# no heading\n\n```\n| a |\n|---|\n~~~\nopen";
        let found = blocks(text);
        let shown: Vec<String> = found
            .iter()
            .map(|b| {
                let shape = match &b.shape {
                    Shape::Heading(level, title) => format!("h{level} {title}"),
                    Shape::Paragraph => "p".into(),
                    _ => "l".into(),
                };
                format!("{shape} {}-{}", b.line_start, b.line_end)
            })
            .collect();
        let expected = [
            "l 1-3",
            "h1 One 4-4",
            "p 5-6",
            "h2 Two 8-9",
            "l 10-14",
            "p 16-16",
            "l 17-20",
            "l 21-22",
            "l 23-24",
        ];
        assert_eq!(shown, expected);
        for block in &found {
            let lines: Vec<&str> = text.split('\n').collect();
            assert_eq!(block.text, lines[block.line_start - 1..block.line_end].join("\n"));
        }
    }

    #[test]
    fn what_looks_like_marks_is_text() {
        let rows =
            ["#hash", "####### seven", "```one line```", "-no item", "1.no", "    # indented"];
        for row in rows {
            let found = blocks(row);
            assert_eq!(found.len(), 1, "{row}");
            assert!(matches!(found[0].shape, Shape::Paragraph), "{row}: {:?}", found[0].shape);
        }
        assert!(blocks("\n\n").is_empty());
    }
}
