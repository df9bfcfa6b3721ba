//! Plain text: paragraphs, with empty lines between them.

use super::{Block, Shape};

pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (at, line) in text.split('\n').enumerate() {
        if line.trim().is_empty() {
            close(&mut blocks, &mut open);
        } else {
            open.get_or_insert_with(|| (at + 1, Vec::new())).1.push(line);
        }
    }
    close(&mut blocks, &mut open);
    blocks
}

fn close(blocks: &mut Vec<Block>, open: &mut Option<(usize, Vec<&str>)>) {
    if let Some((start, lines)) = open.take() {
        blocks.push(Block::new(Shape::Paragraph, lines.join("\n"), start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_know_their_lines() {
        let found = blocks("one\ntwo\n\n \nthree\n");
        let shown: Vec<_> = found.iter().map(|b| (&b.text[..], b.line_start, b.line_end)).collect();
        assert_eq!(shown, [("one\ntwo", 1, 2), ("three", 5, 5)]);
        assert!(blocks("").is_empty());
    }
}
