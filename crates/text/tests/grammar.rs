//! Grammars over a small vocabulary: what they allow, and that what they cannot enforce is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ondine_text::grammar::{
    Grammar, GrammarCompiler, GrammarError, GrammarSpec, Matcher, literal, substring_of_chars,
    substring_of_words,
};
use ondine_text::vocab::{TokenId, VocabSpec};
use ondine_text::{Tokenizer, limits};

const NORMAL: u32 = 1;
const CONTROL: u32 = 3;
const USER: u32 = 4;
const BYTE: u32 = 6;

/// Bytes, some words, and the marks of an assistant that calls functions.
fn tokenizer() -> Arc<Tokenizer> {
    let mut tokens: Vec<(String, u32)> = vec![
        ("<unk>".into(), 2),
        ("<s>".into(), CONTROL),
        ("</s>".into(), CONTROL),
        ("<|set_timer|>".into(), CONTROL),
        ("<|light|>".into(), CONTROL),
        ("<|arg:duration|>".into(), CONTROL),
        ("<|arg:room|>".into(), CONTROL),
        ("<|end|>".into(), CONTROL),
        ("<think>".into(), USER),
    ];
    tokens.extend((0..=255u8).map(|b| (format!("<0x{b:02X}>"), BYTE)));
    let words = "ten min utes ute 10 set a timer for in the kitchen hall true false null { } [ ] : , \" \
                 \"a\" \": name age 1 2 3 0 - . e E x y é 天";
    tokens.extend(words.split(' ').map(|word| (word.to_owned(), NORMAL)));
    tokens.extend(["▁", "▁ten", "▁minutes", "▁kitchen"].map(|word| (word.to_owned(), NORMAL)));
    let spec: VocabSpec = VocabSpec {
        model: "llama".into(),
        scores: Some(vec![0.0; tokens.len()]),
        kinds: Some(tokens.iter().map(|(_, kind)| *kind).collect()),
        tokens: tokens.into_iter().map(|(token, _)| token).collect(),
        bos: Some(1),
        eos: Some(2),
        unk: Some(0),
        add_space_prefix: Some(false),
        ..VocabSpec::default()
    };
    Arc::new(Tokenizer::new(spec).unwrap())
}

fn compiler() -> GrammarCompiler {
    GrammarCompiler::new(&tokenizer()).unwrap()
}

/// Goes through `text` byte by byte, marks by name; says whether it ends complete.
fn accepts(grammar: &Grammar, tokenizer: &Tokenizer, text: &str) -> bool {
    let mut matcher = grammar.matcher();
    feed(&mut matcher, tokenizer, text) && matcher.is_complete()
}

fn feed(matcher: &mut Matcher, tokenizer: &Tokenizer, text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let marked = rest.strip_prefix('«').and_then(|inner| inner.split_once('»'));
        let (ids, tail): (Vec<TokenId>, &str) = match marked {
            Some((name, tail)) => (vec![tokenizer.id_of(name).unwrap()], tail),
            None => {
                let c = rest.chars().next().unwrap();
                let byte = |b: u8| tokenizer.id_of(&format!("<0x{b:02X}>")).unwrap();
                (rest[..c.len_utf8()].bytes().map(byte).collect(), &rest[c.len_utf8()..])
            }
        };
        for id in ids {
            let allowed = !matcher.is_stopped() && matcher.mask().unwrap().allows(id);
            assert_eq!(matcher.commit(id).is_ok(), allowed, "mask and commit differ at {rest:?}");
            if !allowed {
                return false;
            }
        }
        rest = tail;
    }
    true
}

fn check(spec: GrammarSpec, good: &[&str], bad: &[&str]) {
    let compiler = compiler();
    let tokenizer = tokenizer();
    let grammar = compiler.compile(&spec).unwrap_or_else(|e| panic!("{spec:?}: {e}"));
    for text in good {
        assert!(accepts(&grammar, &tokenizer, text), "{spec:?} refuses {text:?}");
    }
    for text in bad {
        assert!(!accepts(&grammar, &tokenizer, text), "{spec:?} takes {text:?}");
    }
}

#[test]
fn the_three_languages_say_what_may_come() {
    check(
        GrammarSpec::JsonSchema(
            r#"{"type":"object","properties":{"name":{"type":"string","maxLength":4},"age":{"type":"integer","minimum":0}},
                "required":["name"],"additionalProperties":false}"#.into(),
        ),
        &[r#"{"name":"x"}"#, r#"{"name": "天é", "age": 12}"#],
        &[r#"{"age":1}"#, r#"{"name":"abcde"}"#, r#"{"name":"x","b":1}"#, r#"{"name":"x","age":-1}"#, "{"],
    );
    check(
        GrammarSpec::JsonSchema(r#"{"enum":["a",1,null]}"#.into()),
        &[r#""a""#, "1", "null"],
        &["2", "\"b\"", ""],
    );
    check(GrammarSpec::Regex("[a-c]+x{2,3}".into()), &["abxx", "cxxx"], &["xx", "abx", "abxxxx"]);
    check(
        GrammarSpec::Lark("start: \"say \" WORD (\", \" WORD)*\nWORD: /[a-z]+/".into()),
        &["say hi", "say hi, you"],
        &["say", "say Hi", "say hi,you"],
    );
}

#[test]
fn marks_are_named_and_match_no_text() {
    let source = "start: <|light|> <think> /[^x]*/ <|end|>";
    check(
        GrammarSpec::Lark(source.into()),
        &["«<|light|>»«<think>»on«<|end|>»", "«<|light|>»«<think>»«<|end|>»"],
        &[
            "<|light|>«<think>»on«<|end|>»",
            "«<|light|>»<think>on«<|end|>»",
            "«<|light|>»«<think>»on<|end|>",
        ],
    );
    // A JSON string may spell a mark, but never be one; a user-defined token writes text.
    check(
        GrammarSpec::JsonSchema(r#"{"type":"string"}"#.into()),
        &[r#""<|end|>""#, r#""«<think>»""#],
        &[r#""«<|end|>»""#, r#""«</s>»""#],
    );
    let unknown = compiler().compile(&GrammarSpec::Lark("start: <|nobody|>".into()));
    assert!(matches!(unknown, Err(GrammarError::Invalid { .. })));
}

#[test]
fn an_output_ends_with_an_end_token_or_by_itself() {
    let tokenizer = tokenizer();
    let grammar = compiler().compile(&GrammarSpec::Regex("a+".into())).unwrap();
    let mut matcher = grammar.matcher();
    let eos = tokenizer.eos().unwrap();
    assert!(!matcher.is_complete() && !matcher.mask().unwrap().allows(eos));
    assert_eq!(matcher.commit(eos), Err(GrammarError::NotAllowed { token: eos }));
    assert!(feed(&mut matcher, &tokenizer, "aa"), "a refused token must change nothing");
    assert!(matcher.is_complete() && !matcher.is_stopped());
    let copy = matcher.clone();
    assert!(matcher.mask().unwrap().allows(eos));
    matcher.commit(eos).unwrap();
    assert!(matcher.is_stopped() && matcher.is_complete());
    assert!(matcher.mask().unwrap().iter().all(|id| tokenizer.ends_generation(id)));
    assert!(matcher.commit(eos).is_err());
    assert!(!copy.is_stopped());

    let grammar = compiler().compile(&GrammarSpec::Regex("ab".into())).unwrap();
    let mut matcher = grammar.matcher();
    assert!(feed(&mut matcher, &tokenizer, "ab"));
    assert!(matcher.is_stopped() && matcher.is_complete());
    assert!(matcher.commit(u32::MAX).is_err());
}

/// The form of a function call: marks, and values that are part of the request or of a list.
fn call_grammar(request: &str) -> GrammarSpec {
    GrammarSpec::Lark(format!(
        "start: <|set_timer|> <|arg:duration|> DURATION <|end|> | <|light|> <|arg:room|> ROOM <|end|>\n\
         DURATION: {}\nROOM: {} | {}\n",
        substring_of_words(request),
        literal("kitchen"),
        literal("the \"hall\""),
    ))
}

#[test]
fn a_call_quotes_its_request() {
    let request = "set a timer for ten minutes \"now\" 天";
    check(
        call_grammar(request),
        &[
            "«<|set_timer|>»«<|arg:duration|>»ten minutes«<|end|>»",
            "«<|set_timer|>»«<|arg:duration|>»minutes \"now\" 天«<|end|>»",
            "«<|light|>»«<|arg:room|>»the \"hall\"«<|end|>»",
        ],
        &[
            "«<|set_timer|>»«<|arg:duration|>»ten  minutes«<|end|>»",
            "«<|set_timer|>»«<|arg:duration|>»minutes ten«<|end|>»",
            "«<|set_timer|>»«<|arg:duration|>»en minutes«<|end|>»",
            "«<|set_timer|>»«<|arg:room|>»kitchen«<|end|>»",
            "«<|light|>»«<|arg:room|>»cellar«<|end|>»",
            "ten minutes",
        ],
    );
    let chars = format!("start: X\nX: {}", substring_of_chars("abc天d"));
    check(GrammarSpec::Lark(chars), &["bc天", "", "d"], &["ac", "abcd"]);
}

#[test]
fn forced_tokens_need_no_model() {
    let tokenizer = tokenizer();
    let grammar = compiler().compile(&call_grammar("ten minutes")).unwrap();
    let mut matcher = grammar.matcher();
    assert!(matcher.forced(8).unwrap().is_empty(), "two functions to choose from");
    let id = |piece: &str| tokenizer.id_of(piece).unwrap();
    matcher.commit(id("<|light|>")).unwrap();
    assert_eq!(matcher.forced(8).unwrap(), [id("<|arg:room|>")]);
    // Longer pieces are allowed beside the bytes: any way to cut a text is.
    let mask = matcher.mask().unwrap();
    assert!(mask.allows(id("kitchen")) && mask.allows(id("<0x6B>")) && mask.allows(id("the")));
    assert!(!mask.allows(id("hall")) && !mask.allows(id("<|end|>")));
    matcher.commit(id("kitchen")).unwrap();
    assert_eq!(matcher.forced(8).unwrap(), [id("<|end|>")]);
    assert!(matcher.is_stopped());
}

#[test]
fn what_does_not_compile_is_an_error_and_soon() {
    let nested =
        |open: &str, inner: &str, close: &str, n: usize| open.repeat(n) + inner + &close.repeat(n);
    let many: Vec<String> = (0..1_000_000).map(|i| i.to_string()).collect();
    let regexes = [
        "(?<=x)*".into(),
        "^?[0-9]$".into(),
        "(?=a)b".into(),
        r"(a)\1".into(),
        "(".into(),
        "[z-a]".into(),
        "x{0,2000000000}".into(),
        "((a{100}){100}){100}".into(),
        nested("(", "a", ")", 60_000),
        nested("(", "a", ")", 30_000),
        "a".repeat(limits::GRAMMAR_BYTES_MAX + 1),
    ];
    let larks = [
        "".into(),
        "start: nothing".into(),
        "strat: \"a\"".into(),
        "start: \"a".into(),
        "start: /(?<=x)a/".into(),
        "start: start".into(),
        nested("start: (", "\"a\"", ")", 9_000),
        "start: \"a\"{3000}".into(),
        "start: <[99999]>".into(),
        "start: %json {\"type\": \"nope\"}".into(),
    ];
    let schemas = [
        "{".into(),
        "7".into(),
        r#"{"type":"nope"}"#.into(),
        r#"{"type":"string","format":"nope"}"#.into(),
        r#"{"type":"string","pattern":"(?<=x)*"}"#.into(),
        r#"{"not":{"type":"string"}}"#.into(),
        r#"{"type":"array","uniqueItems":true}"#.into(),
        r#"{"type":"array","contains":{"type":"string"}}"#.into(),
        r#"{"if":{"type":"string"},"then":{"maxLength":3}}"#.into(),
        r#"{"propertyNames":{"maxLength":3}}"#.into(),
        r#"{"$ref":"http://example.org/schema"}"#.into(),
        r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##
            .into(),
        r##"{"$ref":"#"}"##.into(),
        r##"{"$ref":"#/$defs/nope"}"##.into(),
        r#"{"x-guidance":{"lenient":true},"not":{}}"#.into(),
        r#"{"type":"string","minLength":5,"maxLength":2}"#.into(),
        r#"{"type":"string","maxLength":2000000000}"#.into(),
        "false".into(),
        nested(r#"{"items":"#, "{}", "}", 10_000),
        nested(r#"{"items":"#, "{}", "}", 100),
        format!(r#"{{"enum":[{}]}}"#, many.join(",")),
    ];
    let compiler = compiler();
    let specs = regexes
        .into_iter()
        .map(GrammarSpec::Regex)
        .chain(larks.into_iter().map(GrammarSpec::Lark))
        .chain(schemas.into_iter().map(GrammarSpec::JsonSchema));
    let mut wrong = Vec::new();
    for spec in specs {
        let shown: String = format!("{spec:?}").chars().take(100).collect();
        let start = Instant::now();
        let result = compiler.compile(&spec);
        let took = start.elapsed();
        println!("{took:>8.1?} {shown} {:?}", result.as_ref().err().map(ToString::to_string));
        if result.is_ok() {
            wrong.push(format!("compiles: {shown}"));
        }
        // The bar is 100 ms on an idle machine; tests share theirs.
        if took > Duration::from_millis(500) {
            wrong.push(format!("{took:?}: {shown}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hard_grammars_stay_within_bounds() {
    // These may compile or not; they may not take long, and what they allow they must allow.
    let enumeration: Vec<String> = (0..20_000).map(|i| format!("\"v{i}\"")).collect();
    let specs = [
        GrammarSpec::Regex("(a?){50}a{50}".into()),
        GrammarSpec::Regex("(a|a)*b".into()),
        GrammarSpec::Regex("(x+x+)+y".into()),
        GrammarSpec::Regex(".*a.{200}".into()),
        GrammarSpec::Lark("start: start \"a\" | \"a\"".into()),
        GrammarSpec::Lark("start: e\ne: e e | \"a\"".into()),
        GrammarSpec::JsonSchema(r##"{"type":"object","properties":{"next":{"$ref":"#"}}}"##.into()),
        GrammarSpec::JsonSchema(format!(r#"{{"enum":[{}]}}"#, enumeration.join(","))),
        GrammarSpec::JsonSchema("true".into()),
        GrammarSpec::JsonSchema("{}".into()),
    ];
    let (compiler, tokenizer) = (compiler(), tokenizer());
    let a = tokenizer.id_of("<0x61>").unwrap();
    for spec in specs {
        let shown: String = format!("{spec:?}").chars().take(80).collect();
        let start = Instant::now();
        let grammar = compiler.compile(&spec);
        println!(
            "{:>8.1?} {shown} {:?}",
            start.elapsed(),
            grammar.as_ref().err().map(ToString::to_string)
        );
        let Ok(grammar) = grammar else { continue };
        let mut matcher = grammar.matcher();
        for _ in 0..120 {
            match matcher.mask() {
                Ok(mask) if mask.allows(a) && !matcher.is_stopped() => matcher.commit(a).unwrap(),
                Ok(_) => break,
                Err(error) => {
                    assert!(matches!(error, GrammarError::DeadEnd { .. }));
                    break;
                }
            }
        }
        let took = start.elapsed();
        println!("{took:>8.1?} with 120 steps");
        assert!(took < Duration::from_secs(4), "{took:?}: {shown}");
    }
}

#[test]
fn random_answers_under_a_schema_are_of_the_schema() {
    let schema = r#"{"type":"object","properties":{
        "name":{"type":"string","maxLength":6},"n":{"type":"integer","minimum":-5,"maximum":12},
        "list":{"type":"array","items":{"enum":["x","y",null]},"minItems":1,"maxItems":3},
        "ok":{"type":"boolean"}},"required":["name","n","list","ok"],"additionalProperties":false}"#;
    let (compiler, tokenizer) = (compiler(), tokenizer());
    let grammar = compiler.compile(&GrammarSpec::JsonSchema(schema.into())).unwrap();
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize
    };
    let mut finished = 0;
    for _ in 0..40 {
        let mut matcher = grammar.matcher();
        let mut bytes = Vec::new();
        for _ in 0..300 {
            let allowed: Vec<_> = matcher.mask().unwrap().iter().collect();
            let token = allowed[random() % allowed.len()];
            if tokenizer.ends_generation(token) || matcher.is_stopped() {
                break;
            }
            matcher.commit(token).unwrap();
            bytes.extend_from_slice(tokenizer.bytes(token).unwrap());
        }
        if !matcher.is_complete() {
            continue;
        }
        finished += 1;
        let answer: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert!(answer["name"].as_str().unwrap().chars().count() <= 6, "{answer}");
        // As a float: `-0` is a whole number in JSON, and this reader keeps its sign.
        let n = answer["n"].as_f64().unwrap();
        assert!((-5.0..=12.0).contains(&n) && n.fract() == 0.0, "{answer}");
        assert!((1..=3).contains(&answer["list"].as_array().unwrap().len()), "{answer}");
        assert!(answer["ok"].is_boolean() && answer.as_object().unwrap().len() == 4, "{answer}");
    }
    assert!(finished > 10, "only {finished} of 40 came to an end");
}

#[test]
fn blanks_between_values_are_bounded() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#;
    check(
        GrammarSpec::JsonSchema(schema.into()),
        &[r#"{"a":1}"#, r#"{ "a": 1 }"#, "{\n  \"a\": 1\n}"],
        &["{\n\n", "{  ", "{\n                   "],
    );
}
