//! Word documents: a zip with XML in it. Paragraphs are lines of the text that is cited; headings come
//! from the paragraphs' styles, tables are rows of cells.
//!
//! What unpacks to more than it may is refused while it unpacks, not afterwards.

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::{Block, Shape, TEXT_MAX, decode};
use crate::error::Unread;

/// The part with the text.
const BODY: &str = "word/document.xml";
/// More XML than this is not unpacked.
const XML_MAX: u64 = 4 * TEXT_MAX as u64;

/// Whether a zip is a document of Word.
pub(super) fn is_docx(bytes: &[u8]) -> bool {
    ZipArchive::new(Cursor::new(bytes)).is_ok_and(|zip| zip.index_for_name(BODY).is_some())
}

pub(super) fn blocks(bytes: &[u8]) -> Result<Vec<Block>, Unread> {
    let damaged = |error: &dyn std::fmt::Display| Unread::Damaged(error.to_string());
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let part = zip.by_name(BODY).map_err(|error| damaged(&error))?;
    let mut xml = Vec::new();
    part.take(XML_MAX + 1).read_to_end(&mut xml).map_err(|error| damaged(&error))?;
    if xml.len() as u64 > XML_MAX {
        return Err(Unread::Large { bytes: xml.len() as u64, max: XML_MAX });
    }
    let xml = decode::decode(&xml)?;
    Body::default().read(&xml)
}

#[derive(Default)]
struct Body {
    blocks: Vec<Block>,
    line: usize,
    paragraph: String,
    heading: Option<u8>,
    in_text: bool,
    /// How deep we are in tables, and the row that is being read.
    tables: usize,
    rows: Vec<String>,
    cells: Vec<String>,
    /// Depth of what was deleted by a tracked change.
    deleted: usize,
    taken: usize,
}

impl Body {
    fn read(mut self, xml: &str) -> Result<Vec<Block>, Unread> {
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = false;
        loop {
            let damaged = |error: quick_xml::Error| Unread::Damaged(error.to_string());
            match reader.read_event().map_err(damaged)? {
                Event::Start(tag) => self.start(&tag),
                Event::Empty(tag) => {
                    self.start(&tag);
                    self.end(tag.local_name().as_ref());
                }
                Event::End(tag) => self.end(tag.local_name().as_ref()),
                Event::Text(text) if self.in_text && self.deleted == 0 => {
                    self.push(text.as_ref())?;
                }
                Event::GeneralRef(name) if self.in_text && self.deleted == 0 => {
                    self.reference(&name)?;
                }
                Event::Eof => break,
                _ => {}
            }
        }
        Ok(self.blocks)
    }

    fn reference(&mut self, name: &quick_xml::events::BytesRef<'_>) -> Result<(), Unread> {
        let text = match name.as_ref() {
            "amp" => "&".to_string(),
            "lt" => "<".to_string(),
            "gt" => ">".to_string(),
            "quot" => "\"".to_string(),
            "apos" => "'".to_string(),
            _ => name.resolve_char_ref().ok().flatten().map_or(String::new(), String::from),
        };
        self.push(&text)
    }

    fn push(&mut self, text: &str) -> Result<(), Unread> {
        self.taken += text.len();
        if self.taken > TEXT_MAX {
            return Err(Unread::Large { bytes: self.taken as u64, max: TEXT_MAX as u64 });
        }
        self.paragraph.extend(text.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }));
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            "t" => self.in_text = true,
            "tab" => self.paragraph.push('\t'),
            "br" | "cr" => self.paragraph.push(' '),
            "del" => self.deleted += 1,
            "pStyle" => self.heading = style(tag).or(self.heading),
            "outlineLvl" => {
                let level = value(tag).and_then(|level| level.parse::<u8>().ok());
                self.heading =
                    level.filter(|level| *level < 9).map(|level| level + 1).or(self.heading);
            }
            "tbl" => self.tables += 1,
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "del" => self.deleted = self.deleted.saturating_sub(1),
            "p" => self.paragraph(),
            "tc" if self.tables == 1 => {
                let cell = std::mem::take(&mut self.paragraph);
                self.cells.push(cell.trim().to_string());
            }
            "tr" if self.tables == 1 => {
                let row = std::mem::take(&mut self.cells).join(" | ");
                if !row.trim_matches([' ', '|']).is_empty() {
                    self.rows.push(row);
                }
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 && !self.rows.is_empty() {
                    let rows = std::mem::take(&mut self.rows).join("\n");
                    self.block(Shape::Lines, rows);
                }
            }
            _ => {}
        }
    }

    fn paragraph(&mut self) {
        let heading = self.heading.take();
        if self.tables > 0 {
            // Paragraphs of a cell stand in one line.
            self.paragraph.push(' ');
            return;
        }
        let text = std::mem::take(&mut self.paragraph).trim().to_string();
        if !text.is_empty() {
            let shape =
                heading.map_or(Shape::Paragraph, |level| Shape::Heading(level, text.clone()));
            self.block(shape, text);
        }
    }

    fn block(&mut self, shape: Shape, text: String) {
        let block = Block::new(shape, text, self.line + 1);
        self.line = block.line_end;
        self.blocks.push(block);
    }
}

fn value(tag: &BytesStart<'_>) -> Option<String> {
    let found = tag.attributes().flatten().find(|a| a.key.local_name().as_ref() == "val")?;
    Some(found.value.into_owned())
}

/// The level of a heading's style: `Heading1` in most languages' Word, `1` in Chinese, `Title`.
fn style(tag: &BytesStart<'_>) -> Option<u8> {
    let name = value(tag)?.to_lowercase();
    if name == "title" {
        return Some(1);
    }
    let digits = name.strip_prefix("heading").unwrap_or(&name).trim();
    digits.parse::<u8>().ok().filter(|level| (1..=9).contains(level))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    /// A document of Word with this body.
    pub(crate) fn docx(body: &str) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(BODY, SimpleFileOptions::default()).unwrap();
        let open = "<?xml version=\"1.0\"?><w:document xmlns:w=\"x\"><w:body>";
        write!(zip, "{open}{body}</w:body></w:document>").unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn paragraphs_headings_and_tables_are_read() {
        let p = |style: &str, text: &str| {
            format!(
                "<w:p><w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"
            )
        };
        let cell = |text: &str| format!("<w:tc>{}</w:tc>", p("x", text));
        let body = [
            p("Heading1", "Brew &amp; water"),
            p("Normal", "Take &#20013; ml"),
            "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:t>gone</w:t></w:r></w:del></w:p><w:p/>"
                .into(),
            format!(
                "<w:tbl><w:tr>{}{}</w:tr><w:tr>{}</w:tr></w:tbl>",
                cell("a"),
                cell("b"),
                cell("c")
            ),
            p("2", "第二节"),
        ]
        .concat();
        let found = super::super::read("x.docx", &docx(&body)).unwrap();
        let shown: Vec<_> =
            found.blocks.iter().map(|b| (&b.text[..], b.line_start, b.line_end)).collect();
        let expected = [
            ("Brew & water", 1, 1),
            ("Take 中 ml", 2, 2),
            ("kept", 3, 3),
            ("a | b\nc", 4, 5),
            ("第二节", 6, 6),
        ];
        assert_eq!(shown, expected);
        assert_eq!(found.blocks[4].shape, Shape::Heading(2, "第二节".into()));
    }

    #[test]
    fn a_bomb_and_a_torn_file_are_refused() {
        let bomb = docx(&format!("<w:p><w:t>{}</w:t></w:p>", "a".repeat(TEXT_MAX + 1)));
        assert!(bomb.len() < 1 << 20, "a bomb is small: {}", bomb.len());
        assert!(matches!(blocks(&bomb), Err(Unread::Large { .. })));
        let whole = docx("<w:p><w:t>text</w:t></w:p>");
        for end in 0..whole.len() {
            let _ = super::super::read("x.docx", &whole[..end]);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            let _ = super::super::read("x.docx", &bytes);
        }
    }
}
