//! Pre-tokenizers: how a text is cut into pieces before byte pairs are merged, one row a name.
//! Knows names and scanners, not tokens.

use crate::pretokenize_scan as scan;

/// Says how many bytes the first piece of a text that is not empty has.
type Scanner = fn(&str) -> usize;

/// One kind of pre-tokenizer.
#[derive(Debug)]
pub(crate) struct PreTokenizer {
    /// What `tokenizer.ggml.pre` may say.
    names: &'static [&'static str],
    /// Applied in turn, each to every piece that the one before it left.
    scanners: &'static [Scanner],
    /// A piece that is itself a token is that token, whatever the merges would make of it.
    pub(crate) whole_pieces: bool,
    /// Whether a beginning-of-text token is added where the file does not say.
    pub(crate) add_bos: bool,
    /// Tokens are text with `▁` for a space and `<0xXX>` for a lone byte, rather than bytes
    /// written as letters.
    pub(crate) raw: bool,
}

const PLAIN: PreTokenizer =
    PreTokenizer { names: &[], scanners: &[], whole_pieces: false, add_bos: false, raw: false };

/// Where a file names no pre-tokenizer.
const DEFAULT: &str = "default";

static PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer {
        names: &["gpt-2", "gpt-neox", "mpt", "olmo", "phi-2", "jais", "trillion", "exaone4"],
        scanners: &[scan::gpt2],
        ..PLAIN
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2"],
        scanners: &[scan::llama3],
        whole_pieces: true,
        add_bos: true,
        ..PLAIN
    },
    PreTokenizer { names: &["dbrx", "smaug-bpe"], scanners: &[scan::llama3], ..PLAIN },
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen", "megrez", "stablelm2", "hunyuan"],
        scanners: &[scan::qwen2],
        ..PLAIN
    },
    PreTokenizer { names: &["qwen35"], scanners: &[scan::qwen35], ..PLAIN },
    PreTokenizer {
        names: &["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone"],
        scanners: &[scan::each_number, scan::gpt2],
        ..PLAIN
    },
    PreTokenizer {
        names: &["falcon"],
        scanners: &[scan::falcon_signs, scan::gpt2, scan::digit_triples],
        ..PLAIN
    },
    PreTokenizer {
        names: &["deepseek-llm"],
        scanners: &[
            scan::each_line_end,
            scan::spaced_listed_letters,
            scan::spaced_listed_signs,
            scan::trailing_spaces,
            scan::eastern,
            scan::numbers,
        ],
        ..PLAIN
    },
    PreTokenizer {
        names: &["deepseek-coder"],
        scanners: &[
            scan::each_line_end,
            scan::spaced_letters,
            scan::spaced_punctuation,
            scan::eastern,
            scan::each_number,
        ],
        ..PLAIN
    },
    PreTokenizer {
        names: &[DEFAULT],
        scanners: &[scan::plain_signs, scan::gpt2, scan::numbers, scan::digit_triples],
        ..PLAIN
    },
    PreTokenizer {
        names: &["gemma4"],
        scanners: &[scan::lines],
        add_bos: true,
        raw: true,
        ..PLAIN
    },
];

/// The row that `name` stands for.
pub(crate) fn find(name: Option<&str>) -> Option<&'static PreTokenizer> {
    let name = name.filter(|n| !n.is_empty()).unwrap_or(DEFAULT);
    PRE_TOKENIZERS.iter().find(|row| row.names.contains(&name))
}

impl PreTokenizer {
    /// Hands over the pieces of `text` in order. Together they are the text.
    pub(crate) fn split<'t>(&self, text: &'t str, piece: &mut impl FnMut(&'t str)) {
        cut(self.scanners, text, piece);
    }
}

fn cut<'t>(scanners: &[Scanner], mut text: &'t str, piece: &mut impl FnMut(&'t str)) {
    let Some((scanner, finer)) = scanners.split_first() else {
        return piece(text);
    };
    while !text.is_empty() {
        let (head, rest) = text.split_at(scanner(text));
        cut(finer, head, piece);
        text = rest;
    }
}
