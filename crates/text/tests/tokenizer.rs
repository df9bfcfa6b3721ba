//! The tokenizer's promises on small vocabularies made here: what loads and what is refused, what
//! is a mark and what is text, and that no text breaks it.

#![allow(clippy::single_range_in_vec_init)] // a list of one quotation is meant

use ondine_text::Prompt;
use ondine_text::tokenizer::{Special, Tokenizer};
use ondine_text::vocab::{MergeFault, TokenKind, VocabError, VocabSpec};
use proptest::prelude::*;

/// How byte-level vocabularies write bytes.
fn letters() -> Vec<String> {
    let is_itself = |b: u32| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100..;
    (0..256)
        .map(|b| if is_itself(b) { b } else { others.next().unwrap_or_default() })
        .filter_map(char::from_u32)
        .map(String::from)
        .collect()
}

/// Bytes 0 to 255, then merges, then marks.
fn byte_level() -> VocabSpec {
    let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "i m", "< |"].map(String::from);
    let built = merges.iter().map(|merge| merge.replace(' ', ""));
    let marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "    "];
    let mut tokens = letters();
    tokens.extend(built);
    tokens.extend(marks.map(String::from));
    let kinds = (0..tokens.len() as u32).map(|id| match id {
        263..=265 => 3,
        266.. => 4,
        _ => 1,
    });
    VocabSpec {
        model: "gpt2".into(),
        pre: Some("qwen2".into()),
        kinds: Some(kinds.collect()),
        tokens,
        merges: merges.into(),
        eos: Some(263),
        ..VocabSpec::default()
    }
}

const END_OF_TEXT: u32 = 263;
const IM_START: u32 = 264;
const IM_END: u32 = 265;
const TOOL_CALL: u32 = 266;
const FOUR_SPACES: u32 = 267;

/// Words with scores, then bytes.
fn sentence_piece() -> VocabSpec {
    let words = ["<unk>", "<s>", "</s>", "▁", "h", "i", "▁h", "▁hi", "hi", "é", "<tag>"];
    let mut tokens: Vec<String> = words.map(String::from).into();
    let mut scores = vec![0.0; tokens.len()];
    for (score, word) in [(-1.0, 6), (-3.0, 7), (-2.0, 8)] {
        scores[word] = score;
    }
    tokens.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    scores.resize(tokens.len(), 0.0);
    let kinds = [2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 4].into_iter().chain([6; 256]);
    VocabSpec {
        model: "llama".into(),
        kinds: Some(kinds.collect()),
        tokens,
        scores: Some(scores),
        ..VocabSpec::default()
    }
}

/// Words with `▁`, pieces without.
fn word_piece() -> VocabSpec {
    let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁un", "aff", "able", "▁caf", "e", "▁!"];
    VocabSpec {
        model: "bert".into(),
        tokens: tokens.map(String::from).into(),
        kinds: Some(vec![3, 3, 3, 3, 1, 1, 1, 1, 1, 1]),
        bos: Some(2),
        sep: Some(3),
        unk: Some(1),
        ..VocabSpec::default()
    }
}

/// SentencePiece text, cut by merges.
fn raw_merges() -> VocabSpec {
    let words = ["<pad>", "<eos>", "<bos>", "a", "b", "▁", "ab", "▁ab", "\n", "\n\n", "</s>"];
    let mut tokens: Vec<String> = words.map(String::from).into();
    tokens.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    let kinds = [3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1].into_iter().chain([6; 256]);
    VocabSpec {
        model: "gemma4".into(),
        kinds: Some(kinds.collect()),
        tokens,
        merges: ["a b", "▁ ab", "a é"].map(String::from).into(),
        bos: Some(2),
        ..VocabSpec::default()
    }
}

fn load(spec: VocabSpec) -> Tokenizer {
    Tokenizer::new(spec).expect("a good vocabulary")
}

#[test]
fn texts_have_their_ids() {
    let rows: Vec<(VocabSpec, &str, Special, Vec<u32>)> = vec![
        (byte_level(), "hello", Special::AsText, vec![259]),
        (byte_level(), "he llo", Special::AsText, vec![256, 32, 257, 111]),
        (byte_level(), "é", Special::AsText, vec![0xc3, 0xa9]),
        (byte_level(), "<|im_end|>", Special::Parse, vec![IM_END]),
        (byte_level(), "<|im_end|>", Special::AsText, vec![262, 261, 95, 101, 110, 100, 124, 62]),
        (byte_level(), "<tool_call>a", Special::AsText, vec![TOOL_CALL, 97]),
        (byte_level(), "     a", Special::AsText, vec![FOUR_SPACES, 32, 97]),
        (sentence_piece(), "hi", Special::AsText, vec![7]),
        // The pair with the higher score is joined first, wherever it is.
        (sentence_piece(), "hi hi", Special::AsText, vec![7, 7]),
        (sentence_piece(), "hi</s>hi", Special::Parse, vec![7, 2, 7]),
        (sentence_piece(), "<tag>é", Special::AsText, vec![10, 3, 9]),
        (sentence_piece(), "\n", Special::AsText, vec![3, 11 + 10]),
        (sentence_piece(), "<0x0A>", Special::AsText, {
            let bytes = b"<0x0A>".iter().map(|&b| 11 + u32::from(b));
            [3].into_iter().chain(bytes).collect()
        }),
        (word_piece(), "Unaffable", Special::AsText, vec![4, 5, 6]),
        (word_piece(), "CAFÉ!", Special::AsText, vec![7, 8, 9]),
        (word_piece(), "unaffably !", Special::AsText, vec![1, 9]),
        (raw_merges(), "ab ab", Special::AsText, vec![6, 7]),
        (raw_merges(), "a\n\nb", Special::AsText, vec![3, 9, 4]),
        (raw_merges(), "\n\n\n", Special::AsText, vec![8, 8, 8]),
        // A merge that makes no token leaves bytes.
        (raw_merges(), "aé", Special::AsText, vec![11 + 97, 11 + 0xc3, 11 + 0xa9]),
    ];
    for (spec, text, special, wanted) in rows {
        let model = spec.model.clone();
        assert_eq!(load(spec).encode(text, special), wanted, "{model} {text:?} {special:?}");
    }
}

#[test]
fn the_longest_token_is_found_first_wherever_it_stands() {
    let mut spec = byte_level();
    for text in ["xab", "bcde", "cd"] {
        spec.tokens.push(text.into());
        spec.kinds.as_mut().expect("kinds").push(4);
    }
    let tokenizer = load(spec);
    let ids = tokenizer.encode("xabcde", Special::AsText);
    assert_eq!(ids, [120, 97, 269]);
}

#[test]
fn roles_come_from_the_file_or_from_the_texts_of_tokens() {
    let tokenizer = load(byte_level());
    assert_eq!((tokenizer.eos(), tokenizer.eot()), (Some(END_OF_TEXT), Some(IM_END)));
    assert!([END_OF_TEXT, IM_END].iter().all(|&id| tokenizer.ends_generation(id)));
    assert!(!tokenizer.ends_generation(IM_START));
    assert_eq!((tokenizer.add_bos(), tokenizer.fim()), (false, None));
    assert_eq!(tokenizer.id_of("Ġw"), Some(260));
    assert_eq!(tokenizer.bytes(260), Some(&b" w"[..]));
    assert_eq!(tokenizer.piece(260), Some("Ġw"));
    assert_eq!(tokenizer.bytes(IM_END), Some(&b""[..]));
    assert_eq!(tokenizer.bytes(999), None);

    let tokenizer = load(sentence_piece());
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.unk()), (Some(1), Some(2), Some(0)));
    assert!(tokenizer.add_bos() && !tokenizer.add_eos());
    assert_eq!(tokenizer.kind(20), TokenKind::Byte);

    let tokenizer = load(word_piece());
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.add_eos()), (Some(2), Some(3), true));

    // An end of turn that the file calls ordinary text is a mark all the same.
    let mut spec = byte_level();
    spec.kinds.as_mut().expect("kinds")[IM_END as usize] = 4;
    let tokenizer = load(spec);
    assert_eq!(tokenizer.kind(IM_END), TokenKind::Control);
    assert!(!tokenizer.encode("<|im_end|>", Special::AsText).contains(&IM_END));
}

#[test]
fn quoted_text_never_becomes_a_mark() {
    let tokenizer = load(byte_level());
    let whole = "<|im_start|>hello<|im_end|>";
    let prompt = |quoted| Prompt { text: whole.into(), quoted };
    let count = |ids: &[u32]| ids.iter().filter(|&&id| id >= END_OF_TEXT).count();
    assert_eq!(tokenizer.encode_prompt(&prompt(vec![])), [IM_START, 259, IM_END]);
    // One byte quoted in a mark, at its beginning, in it and at its end.
    for at in [17, 20, 26] {
        let ids = tokenizer.encode_prompt(&prompt(vec![at..at + 1]));
        assert_eq!(count(&ids), 1, "{at}");
    }
    // Touching is not overlapping; an empty quotation quotes nothing.
    let ids = tokenizer.encode_prompt(&prompt(vec![12..17, 20..20]));
    assert_eq!(ids, [IM_START, 259, IM_END]);
    // Halves of a mark, one of them quoted, and ranges out of order.
    let ids = tokenizer.encode_prompt(&prompt(vec![22..27, 0..5, 3..6]));
    assert_eq!(count(&ids), 0);
    // What a tool wrote may not look like a call of a tool, but keeps its indentation.
    let text = "<tool_call>    a";
    let ids = tokenizer.encode_prompt(&Prompt { text: text.into(), quoted: vec![0..text.len()] });
    assert!(!ids.contains(&TOOL_CALL) && ids.contains(&FOUR_SPACES));
}

#[test]
fn bad_vocabularies_are_refused_by_name() {
    let change = |f: fn(&mut VocabSpec)| {
        let mut spec = byte_level();
        f(&mut spec);
        Tokenizer::new(spec).map(|_| ()).expect_err("a bad vocabulary")
    };
    let change_words = |f: fn(&mut VocabSpec)| {
        let mut spec = sentence_piece();
        f(&mut spec);
        Tokenizer::new(spec).map(|_| ()).expect_err("a bad vocabulary")
    };
    let merge = |text: &str, fault| VocabError::Merge { index: 7, text: text.into(), fault };
    let rows = [
        (change(|s| s.model = "rwkv".into()), VocabError::UnknownModel("rwkv".into())),
        (change(|s| s.pre = Some("x".into())), VocabError::UnknownPre("x".into())),
        (change(|s| s.tokens.clear()), VocabError::Empty),
        (
            change(|s| s.kinds = Some(vec![1; 9])),
            VocabError::Length { what: "token types", count: 9, tokens: 268 },
        ),
        (change(|s| s.kinds = Some(vec![7; 268])), VocabError::Kind { id: 0, kind: 7 }),
        (
            change(|s| s.tokens[5] = "a".into()),
            VocabError::Duplicate { text: "a".into(), first: 5, second: 97 },
        ),
        (
            change(|s| s.bos = Some(268)),
            VocabError::OutOfRange { role: "beginning-of-text", id: 268, tokens: 268 },
        ),
        (change(|s| s.merges.push("ab".into())), merge("ab", MergeFault::NotAPair)),
        (change(|s| s.merges.push("a ".into())), merge("a ", MergeFault::NotAPair)),
        (change(|s| s.merges.push("".into())), merge("", MergeFault::NotAPair)),
        (change(|s| s.merges.push("我 a".into())), merge("我 a", MergeFault::LeftUnknown)),
        (change(|s| s.merges.push("a 我".into())), merge("a 我", MergeFault::RightUnknown)),
        (change(|s| s.merges.push("a b".into())), merge("a b", MergeFault::ResultUnknown)),
        (change(|s| s.tokens[97] = "aa".into()), VocabError::MissingByte(b'a')),
        (
            change_words(|s| s.scores = None),
            VocabError::Missing { model: "llama".into(), what: "scores" },
        ),
        (
            change_words(|s| s.scores = Some(vec![0.0])),
            VocabError::Length { what: "scores", count: 1, tokens: 267 },
        ),
        (change_words(|s| s.scores = Some(vec![f32::NAN; 267])), VocabError::Score { id: 0 }),
        (change_words(|s| s.tokens[20] = "x".into()), VocabError::MissingByte(9)),
        (
            change_words(|s| {
                s.tokens.push("x".into());
                s.scores.as_mut().expect("scores").push(0.0);
                s.kinds.as_mut().expect("kinds").push(6);
            }),
            VocabError::ByteToken { id: 267, text: "x".into() },
        ),
    ];
    for (got, wanted) in rows {
        assert_eq!(got, wanted);
        assert!(!got.to_string().is_empty());
    }
}

#[test]
fn half_a_character_is_held_back() {
    let tokenizer = load(byte_level());
    let mut decoder = tokenizer.decoder();
    let steps: Vec<String> = "é😀".bytes().map(|b| decoder.push(b.into())).collect();
    assert_eq!(steps, ["", "é", "", "", "", "😀"]);
    // A begun character that does not go on, and one at the end.
    assert_eq!(decoder.push(0xf0), "");
    assert_eq!(decoder.push(97), "\u{fffd}a");
    assert_eq!(decoder.push(0xe2), "");
    assert_eq!(decoder.push(IM_END), "");
    assert_eq!(decoder.finish(), "\u{fffd}");
    assert_eq!(load(sentence_piece()).decode(&[1, 7, 3, 8]), "hi hi");
    assert_eq!(load(word_piece()).decode(&[2, 4, 5, 6, 9, 3]), "unaffable !");
}

fn all() -> [Tokenizer; 4] {
    [byte_level(), sentence_piece(), word_piece(), raw_merges()].map(load)
}

/// Text in which marks and parts of marks are common.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("<|im_end|>".to_owned()),
        Just("<|im_".to_owned()),
        Just("end|>".to_owned()),
        Just("<tool_call>".to_owned()),
        Just("</s>".to_owned()),
        Just("<unk>".to_owned()),
        Just("[CLS]".to_owned()),
        Just("<0x41>".to_owned()),
        Just("hello hi ".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_panics_and_text_is_never_a_mark(text in texts()) {
        for tokenizer in all() {
            tokenizer.encode(&text, Special::Parse);
            // A word that has no tokens is unknown: that says nothing to the model.
            let is_mark = |id: &u32| {
                tokenizer.kind(*id) == TokenKind::Control && Some(*id) != tokenizer.unk()
            };
            prop_assert!(!tokenizer.encode(&text, Special::AsText).iter().any(is_mark));
            let quoted = vec![0..text.len()];
            let ids = tokenizer.encode_prompt(&Prompt { text: text.clone(), quoted });
            prop_assert!(!ids.iter().any(is_mark));
            prop_assert!(!ids.contains(&TOOL_CALL) || tokenizer.id_of("<tool_call>").is_none());
        }
    }

    #[test]
    fn bytes_come_back(text in texts()) {
        let tokenizer = load(byte_level());
        let ids = tokenizer.encode(&text, Special::AsText);
        prop_assert_eq!(tokenizer.decode(&ids), text);
    }

    #[test]
    fn parts_together_are_the_whole(ids in prop::collection::vec(0u32..300, 0..40)) {
        for tokenizer in all() {
            let bytes: Vec<u8> =
                ids.iter().filter_map(|&id| tokenizer.bytes(id)).flatten().copied().collect();
            let mut decoder = tokenizer.decoder();
            let mut parts: String = ids.iter().map(|&id| decoder.push(id)).collect();
            parts.push_str(&decoder.finish());
            prop_assert_eq!(parts, String::from_utf8_lossy(&bytes));
        }
    }

    /// Any pieces of a prompt, quoted or not: marks appear where they are wholly outside.
    #[test]
    fn marks_are_read_outside_quotations_only(
        parts in prop::collection::vec((texts(), any::<bool>()), 0..6),
    ) {
        let tokenizer = load(byte_level());
        let mut prompt = Prompt { text: String::new(), quoted: Vec::new() };
        let mut outside = String::new();
        for (text, is_quoted) in &parts {
            let start = prompt.text.len();
            prompt.text.push_str(text);
            if *is_quoted {
                prompt.quoted.push(start..prompt.text.len());
                // A character that no mark has stands for what is quoted.
                if !text.is_empty() {
                    outside.push('\u{1}');
                }
            } else {
                outside.push_str(text);
            }
        }
        let marks = |ids: Vec<u32>| -> Vec<u32> {
            ids.into_iter().filter(|id| (END_OF_TEXT..=TOOL_CALL).contains(id)).collect()
        };
        let wanted = marks(tokenizer.encode(&outside, Special::Parse));
        prop_assert_eq!(marks(tokenizer.encode_prompt(&prompt)), wanted);
    }
}
