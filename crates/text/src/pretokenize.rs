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

#[cfg(test)]
mod tests {
    use super::*;
    use fancy_regex::Regex;
    use proptest::prelude::*;

    const GPT2: &str =
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    const CONTRACTIONS: &str = r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
    const EASTERN: &str = r"[[\x{800}-\x{9fa5}\x{ac00}-\x{d7ff}]&&\S]+";

    fn modern(number: &str, word: &str, not_sign: &str) -> String {
        format!(
            r"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{word}+|{number}| ?[^\s{not_sign}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        )
    }

    /// The expressions that the scanners of a name stand for, and are judged by.
    fn expressions(name: &str) -> Vec<String> {
        let owned = |all: &[&str]| all.iter().map(|e| e.to_string()).collect();
        match name {
            "gpt-2" | "mpt" | "gpt-neox" => owned(&[GPT2]),
            "llama-bpe" => vec![modern(r"\p{N}{1,3}", r"\p{L}", r"\p{L}")],
            "qwen2" => vec![modern(r"\p{N}", r"\p{L}", r"\p{L}")],
            "qwen35" => vec![modern(r"\p{N}", r"[\p{L}\p{M}]", r"\p{L}\p{M}")],
            "starcoder" | "refact" | "command-r" | "smollm" => owned(&[r"\p{N}", GPT2]),
            "falcon" => owned(&[r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"]),
            "default" => owned(&[r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
            "deepseek-coder" => owned(&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EASTERN, r"\p{N}"]),
            // Of its list of letters, those that the texts of the test have.
            "deepseek-llm" => owned(&[
                r"[\r\n]",
                r"\s?[A-Za-zÀ-ÖØ-öø-ƺͰ-ͳΊΌΎ-ΡΣ-ϵϷ-ҁ]+",
                r"\s?[!-/:-~！-／：-～‘-‟、-。]+",
                r"\s+\z",
                EASTERN,
                r"\p{N}+",
            ]),
            "gemma4" => owned(&[r"[^\n]+|\n+"]),
            other => panic!("no expressions for {other}"),
        }
    }

    const NAMES: &[&str] = &[
        "gpt-2",
        "mpt",
        "gpt-neox",
        "llama-bpe",
        "qwen2",
        "qwen35",
        "starcoder",
        "refact",
        "command-r",
        "smollm",
        "falcon",
        "default",
        "deepseek-coder",
        "deepseek-llm",
        "gemma4",
    ];

    /// Matches and what lies between them, for each expression in turn.
    fn judge(expressions: &[Regex], text: &str) -> Vec<String> {
        let mut pieces = vec![text.to_owned()];
        for expression in expressions {
            let mut finer = Vec::new();
            for piece in &pieces {
                let mut done = 0;
                for found in expression.find_iter(piece) {
                    let found = found.expect("a short text");
                    finer.push(piece[done..found.start()].to_owned());
                    finer.push(found.as_str().to_owned());
                    done = found.end();
                }
                finer.push(piece[done..].to_owned());
            }
            finer.retain(|piece| !piece.is_empty());
            pieces = finer;
        }
        pieces
    }

    fn pieces(name: &str, text: &str) -> Vec<String> {
        let mut pieces = Vec::new();
        let row = find(Some(name)).expect("a known name");
        row.split(text, &mut |piece| pieces.push(piece.to_owned()));
        pieces
    }

    fn texts() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(vec![
            "a", "b", "é", "Ω", "я", "我", "한", "か", "'", "s", "S", "t", "re", "RE", "VE", "ll",
            "LL", "d", "M", "1", "2", "345", "½", "٣", " ", " ", "  ", "\n", "\n", "\r", "\t",
            "\u{a0}", "\u{3000}", "\u{2003}", ".", ",", "^", "$", "~", "`", "|", "<", "_", "！",
            "。", "“", "\u{301}", "\u{200d}", "😀", "\0", "\u{1c}", "\u{85}",
        ]);
        prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn scanners_cut_as_their_expressions_do(text in texts()) {
            thread_local! {
                static JUDGES: Vec<(&'static str, Vec<Regex>)> = NAMES
                    .iter()
                    .map(|&name| {
                        let compile = |e: &String| Regex::new(e).expect("an expression");
                        (name, expressions(name).iter().map(compile).collect())
                    })
                    .collect();
            }
            JUDGES.with(|judges| {
                for (name, expressions) in judges {
                    prop_assert_eq!(pieces(name, &text), judge(expressions, &text), "{}", name);
                }
                Ok(())
            })?;
        }

        #[test]
        fn pieces_are_the_text(text in any::<String>()) {
            for row in PRE_TOKENIZERS {
                let mut joined = String::new();
                row.split(&text, &mut |piece| {
                    assert!(!piece.is_empty());
                    joined.push_str(piece);
                });
                prop_assert_eq!(&joined, &text);
            }
        }
    }

    #[test]
    fn well_known_cuts() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("gpt-2", "I've 12345  x", &["I", "'ve", " 12345", " ", " x"]),
            ("gpt-2", "I'VE \n", &["I", "'", "VE", " \n"]),
            ("llama-bpe", "I'VE 12345\n\n x", &["I", "'VE", " ", "123", "45", "\n\n", " x"]),
            ("qwen2", "a12 e\u{301}t", &["a", "1", "2", " e", "\u{301}t"]),
            ("qwen35", "a12 e\u{301}t", &["a", "1", "2", " e\u{301}t"]),
            ("starcoder", "x 42", &["x", " ", "4", "2"]),
            ("falcon", "x+1234", &["x", "+", "123", "4"]),
            ("deepseek-coder", "x 42我\n", &["x", " ", "4", "2", "我", "\n"]),
            // The second class of signs takes ASCII letters out of a word.
            ("deepseek-llm", "éa 42  ", &["é", "a", " ", "42", "  "]),
            ("gemma4", "a\n\nb", &["a", "\n\n", "b"]),
        ];
        for (name, text, wanted) in rows {
            assert_eq!(pieces(name, text), *wanted, "{name} {text:?}");
        }
        assert!(find(Some("no-such")).is_none());
        assert!(find(None).is_some() && find(Some("")).is_some());
    }
}
