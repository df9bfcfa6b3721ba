//! Real vocabularies: every text of their test files must give exactly the ids beside it, and no
//! text, however made, may take long or be cut wrongly.

mod common;

use std::time::{Duration, Instant};

use ondine_text::tokenizer::{Special, Tokenizer};

/// Every vocabulary in the shared folder, by name.
fn vocabularies() -> Vec<(String, Tokenizer)> {
    let Some(folder) = common::vocab_folder() else { return Vec::new() };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("a readable folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".gguf.gz")?.to_owned()))
        .collect();
    names.sort();
    let load = |name: String| {
        let path = common::vocab_folder()?.join(format!("{name}.gguf.gz"));
        let tokenizer = Tokenizer::new(common::read_spec(&path)).unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        Some((name, tokenizer))
    };
    names.into_iter().filter_map(load).collect()
}

#[test]
fn every_text_gives_every_id() {
    let mut wrong = Vec::new();
    let mut total = 0;
    for (name, tokenizer) in vocabularies() {
        let Some(folder) = common::vocab_folder() else { return };
        let read = |end| std::fs::read_to_string(folder.join(format!("{name}.{end}")));
        let (Ok(texts), Ok(ids)) = (read("inp"), read("out")) else { continue };
        // Every text is followed by the mark, the last one too.
        let mark = "\n__ggml_vocab_test__\n";
        let texts: Vec<&str> = texts.strip_suffix(mark).unwrap_or(&texts).split(mark).collect();
        let ids: Vec<Vec<u32>> = ids
            .lines()
            .map(|line| line.split_whitespace().map(|id| id.parse().expect("a number")).collect())
            .collect();
        assert_eq!(texts.len(), ids.len(), "{name}");
        for (text, wanted) in texts.iter().zip(ids) {
            total += wanted.len();
            let got = tokenizer.encode(text, Special::AsText);
            if got != wanted {
                wrong.push(format!("{name} {text:?}\n  got    {got:?}\n  wanted {wanted:?}"));
            }
        }
        println!("{name}: {} texts", texts.len());
    }
    println!("{total} ids");
    assert!(wrong.is_empty(), "{} texts differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_million_of_anything_is_quick() {
    let rows = [
        ("letters", "a"),
        ("capitals", "A"),
        ("signs", "^"),
        ("spaces", " "),
        ("line ends", "\n"),
        ("digits", "7"),
        ("joined emoji", "👩\u{200d}"),
        ("combining marks", "e\u{301}"),
        ("bare combining marks", "\u{301}"),
        ("ideographs", "我"),
        ("words", "token "),
        ("contractions", "'S"),
        ("mixed spaces", "\n \t"),
    ];
    let limit = Duration::from_secs(2);
    let mut slow = Vec::new();
    for (name, tokenizer) in vocabularies() {
        for (row, text) in rows {
            let text: String = text.chars().cycle().take(1_000_000).collect();
            let timed = |_| {
                let start = Instant::now();
                std::hint::black_box(tokenizer.encode(&text, Special::Parse));
                start.elapsed()
            };
            // Others may have had the processor, so a slow run is tried again.
            let taken = (0..3).map(timed).find(|&taken| taken < limit);
            match taken {
                Some(taken) => println!("{name} {row}: {taken:?}"),
                None => slow.push(format!("{name} {row}: more than {limit:?}")),
            }
        }
    }
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}
