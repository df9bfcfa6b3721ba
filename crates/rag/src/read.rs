//! Documents: bytes of a stranger become blocks of text that know their lines.
//!
//! | file | what it reads |
//! |---|---|
//! | `read/decode.rs` | bytes to letters: UTF-8, UTF-16, GB18030, Windows-1252 |
//! | `read/text.rs` | plain text: paragraphs |
//! | `read/markdown.rs` | headings, fences, lists, tables |
//! | `read/html.rs` | the same of a page, without its programs |
//! | `read/code.rs` | source code: what stands at the margin, with what is below it |
//! | `read/pdf.rs` | PDF: lines of its pages |
//! | `read/docx.rs` | Word: paragraphs, headings, tables |
//!
//! What a file is, its first bytes say where they can, and its name elsewhere. Everything has a limit,
//! and nothing that stands in a document ends the process. It knows no folder and no index.

pub(crate) mod code;
mod decode;
mod docx;
mod html;
mod markdown;
mod pdf;
mod text;

use crate::error::Unread;

/// Larger files are not read.
pub(crate) const BYTES_MAX: u64 = 64 << 20;
/// More text than this is not taken from one document.
pub(crate) const TEXT_MAX: usize = 32 << 20;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
    /// A page of the web.
    Html,
    /// Source code, and what is written like it.
    Code,
    /// PDF.
    Pdf,
    /// A document of Word.
    Docx,
}

impl Kind {
    /// All of them with their names. Files name them by their order above, which stays as it is.
    const ALL: [(Kind, &'static str); 6] = [
        (Kind::Text, "text"),
        (Kind::Markdown, "markdown"),
        (Kind::Html, "html"),
        (Kind::Code, "code"),
        (Kind::Pdf, "pdf"),
        (Kind::Docx, "docx"),
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|row| row.0 == self).map_or("text", |row| row.1)
    }

    /// The kind that a file names by its number.
    pub(crate) fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.iter().find(|row| row.0 as u8 == number).map(|row| row.0)
    }
}

/// A document that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What it is.
    pub kind: Kind,
    /// What stands in it, in order.
    pub blocks: Vec<Block>,
}

/// A part of a document that belongs together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub shape: Shape,
    /// Its text: its lines, with `\n` between them.
    pub text: String,
    /// Its first line, counted from 1; of a PDF or DOCX, of the text that was taken from it.
    pub line_start: usize,
    /// Its last line, which belongs to it.
    pub line_end: usize,
    /// Its page, counted from 1, where there are pages.
    pub page: Option<u32>,
}

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A heading: its level, 1 the highest, and what it says without marks.
    Heading(u8, String),
    /// Sentences.
    Paragraph,
    /// Lines that are kept together: a fence, a table, a list.
    Lines,
    /// Source code at the margin, with everything below it.
    Unit,
}

impl Block {
    pub(crate) fn new(shape: Shape, text: String, line_start: usize) -> Block {
        let line_end = line_start + text.matches('\n').count();
        Block { shape, text, line_start, line_end, page: None }
    }
}

/// Endings of names, and what such files are.
const ENDINGS: &[(Kind, &[&str])] = &[
    (Kind::Markdown, &["md", "markdown", "mdx", "mkd"]),
    (Kind::Html, &["html", "htm", "xhtml"]),
    (Kind::Pdf, &["pdf"]),
    (Kind::Docx, &["docx"]),
    (
        Kind::Code,
        &[
            "rs", "py", "pyi", "js", "mjs", "cjs", "ts", "mts", "tsx", "jsx", "ets", "java", "kt",
            "kts", "scala", "c", "h", "cc", "cpp", "cxx", "hh", "hpp", "cs", "m", "mm", "go", "rb",
            "php", "swift", "dart", "zig", "lua", "pl", "pm", "r", "jl", "ex", "exs", "erl", "hs",
            "ml", "clj", "sh", "bash", "zsh", "fish", "ps1", "sql", "proto", "thrift", "graphql",
            "cj", "vue", "svelte", "css", "scss", "less", "toml", "yaml", "yml", "json", "json5",
            "ini", "cfg", "cmake", "mk", "gradle", "nix", "tf", "xml",
        ],
    ),
];

/// Whole names of files that are written like source code.
const CODE_NAMES: &[&str] = &["makefile", "dockerfile", "cmakelists.txt", "justfile", "rakefile"];

/// Reads a document. `name` is its path or file name.
///
/// # Errors
/// Why it is not read.
pub fn read(name: &str, bytes: &[u8]) -> Result<Document, Unread> {
    let bytes_max = BYTES_MAX;
    if bytes.len() as u64 > bytes_max {
        return Err(Unread::Large { bytes: bytes.len() as u64, max: bytes_max });
    }
    if bytes.is_empty() {
        return Err(Unread::Empty);
    }
    let kind = sniff(bytes)?.unwrap_or_else(|| named(name));
    let blocks = match kind {
        Kind::Pdf => pdf::blocks(bytes)?,
        Kind::Docx => docx::blocks(bytes)?,
        Kind::Text => text::blocks(&decode::decode(bytes)?),
        Kind::Markdown => markdown::blocks(&decode::decode(bytes)?),
        Kind::Html => html::blocks(&decode::decode(bytes)?),
        Kind::Code => code::blocks(&decode::decode(bytes)?),
    };
    if blocks.iter().all(|block| block.text.trim().is_empty()) {
        return Err(Unread::Empty);
    }
    Ok(Document { kind, blocks })
}

/// What the first bytes say, where they say something.
fn sniff(bytes: &[u8]) -> Result<Option<Kind>, Unread> {
    let head = &bytes[..bytes.len().min(1024)];
    if head.windows(5).any(|window| window == b"%PDF-") {
        return Ok(Some(Kind::Pdf));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return match docx::is_docx(bytes) {
            true => Ok(Some(Kind::Docx)),
            false => Err(Unread::NotDocument("an archive")),
        };
    }
    const OTHERS: &[(&[u8], &str)] = &[
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"\x7fELF", "a program"),
        (b"MZ\x90", "a program"),
        (b"\x1f\x8b", "an archive"),
        (b"7z\xbc\xaf", "an archive"),
        (b"GGUF", "a model"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office format"),
    ];
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(Unread::NotDocument(what));
    }
    Ok(None)
}

/// What a name says.
fn named(name: &str) -> Kind {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_lowercase();
    if CODE_NAMES.contains(&name.as_str()) {
        return Kind::Code;
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let row = ENDINGS.iter().find(|(_, endings)| endings.contains(&ending));
    // A file that only claims to be of a format with marks of its own is read as the text it is.
    row.map(|row| row.0)
        .filter(|kind| !matches!(kind, Kind::Pdf | Kind::Docx))
        .unwrap_or(Kind::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_is_its_bytes_say_before_its_name() {
        let rows = [
            ("a.md", &b"# x"[..], Ok(Kind::Markdown)),
            ("dir.md/Makefile", b"all: x", Ok(Kind::Code)),
            ("a.unknown", b"words", Ok(Kind::Text)),
            ("README", b"words", Ok(Kind::Text)),
            ("a.pdf", b"only words", Ok(Kind::Text)),
            ("a.rs", b"fn main() {}", Ok(Kind::Code)),
            ("a.txt", b"\x89PNG\r\n", Err(Unread::NotDocument("a picture"))),
            ("a.txt", b"PK\x03\x04 nothing", Err(Unread::NotDocument("an archive"))),
            ("a.txt", b"ab\0cd", Err(Unread::NotDocument("bytes that are no text"))),
            ("a.txt", b"", Err(Unread::Empty)),
            ("a.txt", b" \n\t\n", Err(Unread::Empty)),
        ];
        for (name, bytes, expected) in rows {
            assert_eq!(read(name, bytes).map(|document| document.kind), expected, "{name}");
        }
        assert!(matches!(read("a.txt", b"%PDF-1.4\n%%EOF"), Err(Unread::Damaged(_))));
    }

    #[test]
    fn the_numbers_of_kinds_stay() {
        let all: Vec<_> = (0..=6).map(|n| Kind::from_number(n).map(Kind::name)).collect();
        let expected = ["text", "markdown", "html", "code", "pdf", "docx"].map(Some);
        assert_eq!((&all[..6], all[6]), (&expected[..], None));
    }
}
