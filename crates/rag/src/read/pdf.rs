//! PDF: the text of its pages, in the order in which it is drawn. What is drawn lower than before is a
//! new line; a gap within a line is a space. Scanned pages hold no text, and there is no reading of
//! pictures here.
//!
//! The parser is another's and the files are strangers': it runs on a thread of its own with a large
//! stack, a bound on what unpacks, and a patience. A panic there is an unreadable document.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use lopdf::content::Content;
use lopdf::{Document, Encoding, LoadOptions, Object, ObjectId};

use super::{Block, Shape, TEXT_MAX};
use crate::error::Unread;

/// How long one document may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Threads that were given up and may still be running: beyond these, no PDF is begun.
const STUCK_MAX: usize = 2;
/// The stack of the thread that parses.
const STACK_BYTES: usize = 64 << 20;
/// Bytes that one stream may unpack to.
const STREAM_MAX: usize = 64 << 20;
/// Pages that are read.
const PAGES_MAX: usize = 20_000;

static STUCK: AtomicUsize = AtomicUsize::new(0);

pub(super) fn blocks(bytes: &[u8]) -> Result<Vec<Block>, Unread> {
    if STUCK.load(Ordering::Relaxed) >= STUCK_MAX {
        return Err(Unread::Slow(PATIENCE.as_secs()));
    }
    let (sender, receiver) = mpsc::channel();
    let bytes = bytes.to_vec();
    let work = move || {
        let read = panic::catch_unwind(AssertUnwindSafe(|| pages(&bytes)));
        let read = read.unwrap_or_else(|_| Err(Unread::Damaged("its parser gave up".into())));
        if sender.send(read).is_err() {
            // Nobody waited so long, but it did come to an end.
            STUCK.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let thread = thread::Builder::new().name("pdf".into()).stack_size(STACK_BYTES);
    thread.spawn(work).map_err(|error| Unread::Io(error.to_string()))?;
    match receiver.recv_timeout(PATIENCE) {
        Ok(pages) => Ok(blocks_of(&pages?)),
        Err(RecvTimeoutError::Timeout) => {
            STUCK.fetch_add(1, Ordering::Relaxed);
            Err(Unread::Slow(PATIENCE.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Unread::Damaged("its parser ended".into())),
    }
}

/// Lines of pages to blocks: a line that is indented less or ends early is no reason for a new one, an
/// empty line is.
fn blocks_of(pages: &[String]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut line = 0;
    for (at, page) in pages.iter().enumerate() {
        for mut block in super::text::blocks(page) {
            block.line_start += line;
            block.line_end += line;
            block.page = u32::try_from(at + 1).ok();
            block.shape = Shape::Paragraph;
            blocks.push(block);
        }
        line += page.matches('\n').count() + 1;
    }
    blocks
}

fn pages(bytes: &[u8]) -> Result<Vec<String>, Unread> {
    let damaged = |error: lopdf::Error| Unread::Damaged(error.to_string());
    let options = LoadOptions { max_decompressed_size: Some(STREAM_MAX), ..LoadOptions::default() };
    let mut document = match Document::load_mem_with_options(bytes, options) {
        Ok(document) => document,
        Err(lopdf::Error::InvalidPassword) => return Err(Unread::Encrypted),
        Err(error) => return Err(damaged(error)),
    };
    // Many files are encrypted with no password, to forbid printing: those anybody may read.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(Unread::Encrypted);
    }
    let mut texts = Vec::new();
    let mut taken = 0;
    let mut failed = None;
    for (_, page) in document.get_pages().into_iter().take(PAGES_MAX) {
        // A page that cannot be read leaves the others readable.
        let text = page_text(&document, page).unwrap_or_else(|error| {
            failed = Some(error);
            String::new()
        });
        taken += text.len();
        if taken > TEXT_MAX {
            return Err(Unread::Large { bytes: taken as u64, max: TEXT_MAX as u64 });
        }
        texts.push(text);
    }
    match failed {
        Some(error) if taken == 0 => Err(damaged(error)),
        _ => Ok(texts),
    }
}

fn page_text(document: &Document, page: ObjectId) -> Result<String, lopdf::Error> {
    let content = document.get_page_content_with_limit(page, STREAM_MAX)?;
    let fonts = document.get_page_fonts(page)?;
    let encodings: HashMap<Vec<u8>, Encoding<'_>> = fonts
        .into_iter()
        .filter_map(|(name, font)| {
            Some((name, font.get_font_encoding_with_limit(document, STREAM_MAX).ok()?))
        })
        .collect();
    let operations = Content::decode(&content)?.operations;
    let mut pen = Pen::default();
    let mut encoding = None;
    for operation in &operations {
        let of = &operation.operands[..];
        match operation.operator.as_str() {
            "BT" => (pen.x, pen.y) = (0.0, 0.0),
            "Tf" => {
                encoding =
                    of.first().and_then(|name| name.as_name().ok()).and_then(|n| encodings.get(n));
                pen.size = number(of, 1).abs();
            }
            "TL" => pen.leading = number(of, 0),
            "Td" => pen.go(number(of, 0), number(of, 1)),
            "TD" => {
                pen.leading = -number(of, 1);
                pen.go(number(of, 0), number(of, 1));
            }
            "T*" => pen.go(0.0, -pen.leading),
            "Tm" => {
                // (a b c d x y): the size of letters is in it as well.
                pen.scale = number(of, 3).abs().max(1e-3);
                pen.to(number(of, 4), number(of, 5));
            }
            "Tj" => pen.show(of.first(), encoding),
            "'" => {
                pen.go(0.0, -pen.leading);
                pen.show(of.first(), encoding);
            }
            "\"" => {
                pen.go(0.0, -pen.leading);
                pen.show(of.get(2), encoding);
            }
            "TJ" => {
                for part in of.first().and_then(|list| list.as_array().ok()).into_iter().flatten() {
                    match part {
                        Object::String(..) => pen.show(Some(part), encoding),
                        // Thousandths of the letters' size: a wide step back is a space.
                        _ if -number(std::slice::from_ref(part), 0) > 180.0 => pen.space(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if pen.text.len() > TEXT_MAX {
            break;
        }
    }
    Ok(pen.text)
}

fn number(operands: &[Object], at: usize) -> f32 {
    match operands.get(at) {
        Some(Object::Integer(number)) => *number as f32,
        Some(Object::Real(number)) => *number,
        _ => 0.0,
    }
}

/// Where text is drawn, and what has been.
#[derive(Default)]
struct Pen {
    text: String,
    /// Where the line began that is being written, in the units of the page.
    x: f32,
    y: f32,
    /// Where the last text was shown.
    shown_y: Option<f32>,
    leading: f32,
    size: f32,
    scale: f32,
    moved: bool,
}

impl Pen {
    fn go(&mut self, dx: f32, dy: f32) {
        let scale = if self.scale > 0.0 { self.scale } else { 1.0 };
        self.to(self.x + dx * scale, self.y + dy * scale);
    }

    fn to(&mut self, x: f32, y: f32) {
        (self.x, self.y) = (x, y);
        self.moved = true;
    }

    fn space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
            self.text.push(' ');
        }
    }

    fn show(&mut self, string: Option<&Object>, encoding: Option<&Encoding<'_>>) {
        let Some(Object::String(bytes, _)) = string else { return };
        let text = match encoding {
            Some(encoding) => Document::decode_text(encoding, bytes).unwrap_or_default(),
            None => bytes.iter().filter(|b| b.is_ascii()).map(|b| char::from(*b)).collect(),
        };
        let letters = (self.size * if self.scale > 0.0 { self.scale } else { 1.0 }).max(4.0);
        if let Some(before) = self.shown_y.filter(|_| self.moved) {
            let step = (before - self.y).abs();
            if step > letters * 0.5 {
                while self.text.ends_with(' ') {
                    self.text.pop();
                }
                // More than a line and a half apart is another paragraph.
                self.text.push_str(if step > letters * 1.9 { "\n\n" } else { "\n" });
            } else if !starts_letterwise(&text) {
                self.space();
            }
        }
        self.moved = false;
        self.shown_y = Some(self.y);
        // Letters that move a cursor have no place in a passage.
        self.text.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
}

/// Chinese is written without spaces, also where a line is drawn in pieces.
fn starts_letterwise(text: &str) -> bool {
    text.chars().next().is_some_and(crate::words::is_letterwise)
}

#[cfg(test)]
pub(crate) mod tests {
    use lopdf::{Stream, dictionary};

    use super::*;

    /// A PDF with a page for each content.
    pub(crate) fn pdf(pages: &[&str]) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let tree = document.new_object_id();
        let font = document.add_object(dictionary! {
            "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica",
            "Encoding" => "WinAnsiEncoding",
        });
        let resources = document.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
        let kids: Vec<Object> = pages
            .iter()
            .map(|content| {
                let stream = Stream::new(dictionary! {}, content.as_bytes().to_vec());
                let content = document.add_object(stream);
                let page =
                    dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content };
                document.add_object(page).into()
            })
            .collect();
        let count = kids.len() as i64;
        document.objects.insert(
            tree,
            dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()] }
            .into(),
        );
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
        document.trailer.set("Root", catalog);
        document.compress();
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    const PAGE: &str = "BT /F1 12 Tf 50 700 Td (The kettle) Tj [(bo) 20 (ils) -300 (at)] TJ 0 -14 Td \
                        (one hundred.) Tj 0 -40 Td (Far below.) Tj ET";

    #[test]
    fn lines_and_paragraphs_and_pages_are_seen() {
        let bytes = pdf(&[PAGE, "BT /F1 12 Tf 50 700 Td (Second page) Tj T* (on) Tj ET"]);
        let found = super::super::read("x.pdf", &bytes).unwrap();
        let shown: Vec<_> =
            found.blocks.iter().map(|b| (&b.text[..], b.line_start, b.line_end, b.page)).collect();
        let expected = [
            ("The kettleboils at\none hundred.", 1, 2, Some(1)),
            ("Far below.", 4, 4, Some(1)),
            ("Second page on", 5, 5, Some(2)),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_page_without_text_and_a_torn_file_are_told_apart() {
        assert_eq!(super::super::read("x.pdf", &pdf(&["0 0 100 100 re f"])), Err(Unread::Empty));
        let whole = pdf(&[PAGE]);
        assert!(matches!(blocks(&whole[..40]), Err(Unread::Damaged(_))));
        for step in 0..60 {
            let mut bytes = whole.clone();
            let at = step * whole.len() / 60;
            bytes[at] ^= 0x2a;
            let _ = blocks(&bytes);
            let _ = blocks(&whole[..at]);
        }
    }

    #[test]
    fn deep_nesting_and_a_page_that_is_its_own_parent_end() {
        let deep = format!("BT /F1 12 Tf {} ET", "[".repeat(200_000));
        let _ = blocks(&pdf(&[&deep]));
        let text = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
            2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2/Parent 2 0 R>>endobj\n\
            trailer<</Root 1 0 R>>\n%%EOF";
        assert!(blocks(text).is_err() || blocks(text).is_ok_and(|b| b.is_empty()));
    }
}
