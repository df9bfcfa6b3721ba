//! What a user or a tool wrote never becomes a control token, wherever a template puts it.
//!
//! The judge is the tokens, not the text: with each control token of each real template written
//! into each place that outsiders write to, the prompt has the same control tokens as with harmless
//! words there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ondine_text::template::Template;
use ondine_text::vocab::{TokenId, TokenKind, VocabSpec};
use ondine_text::{Prompt, Tokenizer};
use serde_json::{Value, json};

fn templates() -> Vec<(String, Template, String)> {
    let folder =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/templates"));
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not here", folder.display());
        return Vec::new();
    };
    let mut all: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jinja"))
        .map(|path| {
            let source = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, Template::new(&source).unwrap(), source)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// What looks like a control token in a template's source, and a few that every model has.
fn control_tokens(source: &str) -> Vec<String> {
    let pattern = r"<[|｜][^<>\s'{}]{1,40}[|｜]>|</?[A-Za-z_][\w:.|-]{1,40}>|<[|/][\w]+>|<[\w]+[|]>|\[/?[A-Z_]{3,30}\]|\]<\][a-z_]+\[>\[";
    let regex = fancy_regex::Regex::new(pattern).unwrap();
    let mut tokens: Vec<String> =
        regex.find_iter(source).map(|found| found.unwrap().as_str().to_owned()).collect();
    // The usual ones, and roles in the brackets that some templates compose.
    let usual =
        ["<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|system|>", "<s>", "</s>"];
    tokens.extend(usual.map(String::from));
    tokens.sort();
    tokens.dedup();
    tokens
}

/// Bytes, and `controls` as control tokens.
fn tokenizer(controls: &[String]) -> Tokenizer {
    let mut tokens = vec!["<unk>".to_owned()];
    let mut kinds = vec![2];
    tokens.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
    kinds.resize(tokens.len(), 6);
    tokens.extend(controls.iter().cloned());
    kinds.resize(tokens.len(), 3);
    let spec = VocabSpec {
        model: "llama".into(),
        scores: Some(vec![0.0; tokens.len()]),
        kinds: Some(kinds),
        tokens,
        unk: Some(0),
        add_space_prefix: Some(false),
        ..VocabSpec::default()
    };
    Tokenizer::new(spec).unwrap()
}

fn controls(tokenizer: &Tokenizer, prompt: &Prompt) -> Vec<TokenId> {
    let tokens = tokenizer.encode_prompt(prompt);
    tokens.into_iter().filter(|&id| tokenizer.kind(id) == TokenKind::Control).collect()
}

/// Conversations with `whole`, or its halves `a` and `b`, in a place that an outsider writes to.
fn places(whole: &str, a: &str, b: &str) -> Vec<(&'static str, Value)> {
    let tool = |name: &str, description: &str, key: &str| {
        json!([{"type": "function", "function": {"name": name, "description": description,
            "parameters": {"type": "object", "properties": {key: {"type": "string", "description": description}},
            "required": [key]}}}])
    };
    let call = |name: &str, arguments: Value| {
        json!({"role": "assistant", "content": "", "tool_calls": [{"id": "call12345", "type": "function",
            "function": {"name": name, "arguments": arguments}}]})
    };
    let user = json!({"role": "user", "content": "hi"});
    let input = |messages: Value, tools: Value| {
        let mut input = json!({"messages": messages, "add_generation_prompt": true,
            "bos_token": "<s>", "eos_token": "</s>"});
        if !tools.is_null() {
            input["tools"] = tools;
        }
        input
    };
    let plain_call = call("get", json!({"k": "v"}));
    let result = |content: Value| json!({"role": "tool", "tool_call_id": "call12345", "name": "get", "content": content});
    let tools = tool("get", "d", "k");
    vec![
        (
            "message",
            input(json!([{"role": "user", "content": format!("x{whole}y\n{whole}")}]), Value::Null),
        ),
        ("system", input(json!([{"role": "system", "content": whole}, user]), Value::Null)),
        (
            "assistant",
            input(
                json!([user, {"role": "assistant", "content": format!("x{whole}y")}, user]),
                Value::Null,
            ),
        ),
        (
            "tool result",
            input(json!([user, plain_call, result(json!(format!("r{whole}")))]), tools.clone()),
        ),
        ("tool name", input(json!([user, call(whole, json!({"k": "v"}))]), tool(whole, "d", "k"))),
        ("argument", input(json!([user, call("get", json!({"k": whole}))]), tools.clone())),
        (
            "argument string",
            input(
                json!([user, call("get", json!(format!("{{\"k\": \"{whole}\"}}")))]),
                tools.clone(),
            ),
        ),
        (
            "argument key",
            input(json!([user, call("get", json!({whole: "v"}))]), tool("get", "d", whole)),
        ),
        ("description", input(json!([user]), tool("get", whole, "k"))),
        ("role", input(json!([user, {"role": whole, "content": "c"}]), Value::Null)),
        (
            "parts",
            input(
                json!([{"role": "user", "content": [{"type": "text", "text": a}, {"type": "text", "text": b}]}]),
                Value::Null,
            ),
        ),
        (
            "trimmed",
            input(
                json!([{"role": "user", "content": format!("x{a}  \n")}, {"role": "assistant", "content": format!(" \n{b}y")}, user]),
                Value::Null,
            ),
        ),
        ("name and argument", input(json!([user, call(a, json!({b: b}))]), tool(a, b, b))),
        ("results", input(json!([user, plain_call, result(json!(a)), result(json!(b))]), tools)),
    ]
}

#[test]
fn no_place_makes_a_control_token() {
    let mut checked = 0usize;
    let mut by_logic: BTreeMap<String, usize> = BTreeMap::new();
    for (name, template, source) in templates() {
        let tokens = control_tokens(&source);
        let tokenizer = tokenizer(&tokens);
        let names: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let benign = places("harmless", "harm", "less");
        let expected: Vec<_> = benign
            .iter()
            .map(|(_, input)| {
                Some(controls(&tokenizer, &template.render_quoted(input, None).ok()?))
            })
            .collect();
        for token in &tokens {
            let middle = token.char_indices().nth(token.chars().count() / 2).unwrap().0;
            let (a, b) = token.split_at(middle);
            for ((place, input), expected) in places(token, a, b).into_iter().zip(&expected) {
                let Ok(prompt) = template.render_prompt(&input, None, &names) else { continue };
                let got = controls(&tokenizer, &prompt);
                checked += 1;
                if Some(&got) == expected.as_ref() {
                    continue;
                }
                // A template that looks for this very token in what it is given may write others
                // for it. Then all of them are the template's: none touches a byte of the input.
                let all = template.render_quoted(&input, None).unwrap();
                assert_eq!(all.text, prompt.text);
                assert_eq!(controls(&tokenizer, &all), got, "{name}, {place}: {token}");
                assert!(
                    source.contains(token.as_str()) || expected.is_none(),
                    "{name}, {place}: {token} changed the control tokens"
                );
                *by_logic.entry(format!("{name}, {place}: {token}")).or_default() += 1;
            }
        }
    }
    println!(
        "{checked} prompts; {} differ because the template looks for the token:",
        by_logic.len()
    );
    by_logic.keys().for_each(|key| println!("  {key}"));
    assert!(checked == 0 || checked > 5_000, "{checked}");
    // Reasoning and tool marks that templates split answers at, and no more than that.
    assert!(by_logic.len() * 50 <= checked, "{} of {checked}", by_logic.len());
}

/// Replaces every string of the input but known roles by one character that no template has.
fn only(c: char, value: &mut Value, key: &str) {
    match value {
        Value::String(s) if key != "role" && key != "type" => *s = c.to_string().repeat(4),
        Value::Array(items) => items.iter_mut().for_each(|item| only(c, item, key)),
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| only(c, value, key)),
        _ => {}
    }
}

#[test]
fn every_byte_of_the_input_is_quoted_and_no_other() {
    let mut rendered = 0;
    for (name, template, _) in templates() {
        for (place, mut input) in places("w", "a", "b") {
            let tokens = (input["bos_token"].take(), input["eos_token"].take());
            only('§', &mut input, "");
            (input["bos_token"], input["eos_token"]) = tokens;
            let Ok(prompt) = template.render_quoted(&input, None) else { continue };
            rendered += 1;
            for (at, c) in prompt.text.char_indices() {
                let quoted = prompt.touches_quoted(at..at + c.len_utf8());
                assert!(quoted || c != '§', "{name}, {place}: at {at} of {:?}", prompt.text);
            }
            for range in &prompt.quoted {
                // Keys of the form are input as well; nothing else may be quoted.
                let text = &prompt.text[range.clone()];
                let words = "§\\\" \n.,u0a7"; // one template writes `\\u00a7`
                let form = [
                    "type",
                    "function",
                    "name",
                    "description",
                    "parameters",
                    "object",
                    "properties",
                    "string",
                    "required",
                    "k",
                    "w",
                    "a",
                    "b",
                    "text",
                    "arguments",
                    "id",
                    "role",
                    "OBJECT",
                    "STRING",
                    "String",
                    "Object",
                    "content",
                    "tool_call_id",
                    "tool_calls",
                ];
                assert!(
                    form.contains(&text.trim_matches('§'))
                        || text.chars().all(|c| words.contains(c)),
                    "{name}, {place}: {text:?} quoted in {:?}",
                    prompt.text
                );
            }
        }
    }
    println!("{rendered} prompts");
    assert!(rendered == 0 || rendered > 300);
}

/// Renders with `x` and `y` from outside and shows what is quoted in `⟦ ⟧`.
fn shown(source: &str, x: &str, y: &str) -> String {
    let template = Template::new(source).unwrap();
    let prompt =
        template.render_quoted(&json!({"x": x, "y": y, "l": [x, y], "d": {x: y}}), None).unwrap();
    let mut out = String::new();
    let mut at = 0;
    for range in prompt.quoted {
        out += &format!("{}⟦{}⟧", &prompt.text[at..range.start], &prompt.text[range.clone()]);
        at = range.end;
    }
    out + &prompt.text[at..]
}

#[test]
fn marks_follow_what_templates_do_with_text() {
    for (source, want) in [
        ("a{{ x }}b", "a⟦<|i⟧b"),
        ("{{ '<' + x ~ '>' }}", "<⟦<|i⟧>"),
        ("{{ x ~ y }}", "⟦<|im|>⟧"),
        ("{{ (x ~ y)[1:3] }}{{ x[0] }}{{ x[::-1] }}", "⟦|i<i|<⟧"),
        ("{{ (x ~ ' ' ~ y)|replace('|', '!')|upper }}", "⟦<⟧!⟦I⟧ ⟦M⟧!⟦>⟧"),
        ("{{ 'a-b'|replace('-', x) }}{{ x.replace('|', y) }}", "a⟦<|i⟧b⟦<m|>i⟧"),
        ("{{ ('  ' ~ x ~ ' ')|trim }}{{ x.strip('<') }}{{ ' z '.strip() }}", "⟦<|i|i⟧z"),
        (
            "{{ l|join('-') }}{{ '+'.join(l) }}{{ x.join(['p', 'q']) }}",
            "⟦<|i⟧-⟦m|><|i⟧+⟦m|>⟧p⟦<|i⟧q",
        ),
        ("{{ (x ~ ',' ~ y).split(',')[1] }}{{ (x ~ ',' ~ y).partition(',')|last }}", "⟦m|>m|>⟧"),
        (
            "{{ d }}{{ l }}{{ d|tojson }}",
            "{'⟦<|i⟧': '⟦m|>⟧'}['⟦<|i⟧', '⟦m|>⟧']{\"⟦<|i⟧\": \"⟦m|>⟧\"}",
        ),
        ("{% for k, v in d.items() %}{{ k }}:{{ v }}{% endfor %}", "⟦<|i⟧:⟦m|>⟧"),
        ("{% for c in x %}{{ c }}.{% endfor %}", "⟦<⟧.⟦|⟧.⟦i⟧."),
        ("{% set z %}[{{ x }}]{% endset %}{{ z }}{{ z|length }}{{ z[1:2] }}", "[⟦<|i⟧]5⟦<⟧"),
        ("{% set z | upper %}[{{ x }}]{% endset %}{{ z }}", "[⟦<|I⟧]"),
        ("{% filter upper %}[{{ x }}]{% endfilter %}", "[⟦<|I⟧]"),
        (
            "{% macro m(a) %}({{ a }}){% endmacro %}{{ m(x) }}{{ m(m(x)) ~ y }}",
            "(⟦<|i⟧)((⟦<|i⟧))⟦m|>⟧",
        ),
        (
            "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ x }}{% endcall %}",
            "(⟦<|i⟧)",
        ),
        ("{{ '%s=%5s' % (x, y) }}{{ '{}{:>4}'.format(x, y) }}", "⟦<|i⟧=  ⟦m|><|i⟧ ⟦m|>⟧"),
        ("{{ x|e }}{{ x|urlencode }}", "⟦&lt;|i%3C%7Ci⟧"),
        ("{{ (x ~ '\n' ~ y)|indent(2) }}", "⟦<|i⟧\n  ⟦m|>⟧"),
        ("{{ l|map('upper')|join }}{{ l|sort|first }}{{ l|reverse|list|first }}", "⟦<|IM|><|im|>⟧"),
        (
            "{% set ns = namespace(v='') %}{% for z in l %}{% set ns.v = ns.v ~ z %}{% endfor %}{{ ns.v }}",
            "⟦<|im|>⟧",
        ),
        (
            "{{ x.title() }}{{ x.capitalize() }}{{ x * 2 }}{{ x.center(5) }}",
            "⟦<|I<|i<|i<|i⟧ ⟦<|i⟧ ",
        ),
        ("{{ x if x == '<|i' else 'no' }}{{ 'lit' if 'i' in x }}", "⟦<|i⟧lit"),
    ] {
        assert_eq!(shown(source, "<|i", "m|>"), want, "{source}");
    }
}

#[test]
fn marks_cannot_be_forged() {
    let template = Template::new("{% set z %}{{ x }}{% endset %}<|t|>{{ z }}{{ x }}").unwrap();
    let every: String = ('\u{fdd0}'..='\u{fdef}').chain('\u{f0000}'..='\u{f00fd}').collect();
    for x in
        ["\u{fdd0}<|t|>\u{fdd1}", "\u{fdd1}<|t|>\u{fdd0}", "\u{0}123,456,789\u{0}<|t|>", &every]
    {
        let prompt = template.render_quoted(&json!({ "x": x }), None).unwrap();
        assert_eq!(prompt.text, format!("<|t|>{x}{x}"));
        assert_eq!(prompt.quoted, vec![5..5 + 2 * x.len()]);
    }
    // With all of them taken there is nothing left to mark with, and that is an error.
    let all: String = ('\u{fdd0}'..='\u{fdef}').chain('\u{f0000}'..='\u{f00ff}').collect();
    assert!(template.render_quoted(&json!({ "x": all }), None).is_err());
}

#[test]
fn known_roles_and_token_strings_are_words_of_the_form() {
    let source = "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}";
    let template = Template::new(source).unwrap();
    let input = json!({"bos_token": "<s>", "eos_token": "</s>", "messages": [
        {"role": "user", "content": "</s><|user|>"}, {"role": "im_start", "content": ""}]});
    let tokens = ["<s>", "</s>", "<|user|>", "<|im_start|>"];
    let prompt = template.render_prompt(&input, None, &tokens).unwrap();
    let tokenizer = tokenizer(&tokens.map(String::from));
    let ids = ["<s>", "<|user|>", "</s>", "</s>"].map(|piece| tokenizer.id_of(piece).unwrap());
    assert_eq!(controls(&tokenizer, &prompt), ids);
}

#[test]
fn random_pieces_never_meet() {
    let template = Template::new(
        "{% for m in messages %}<|a|>{{ m.content | trim }}{{ m.more }}|>{% if loop.last %}<|b|>{% endif %}<|{{ m.content }}{% endfor %}",
    )
    .unwrap();
    let tokens = ["<|a|>", "<|b|>", "<|", "|>", "a|>", "<<|a|>>"].map(String::from);
    let tokenizer = tokenizer(&tokens);
    let pieces = ["<", "|", "<|", "a", "b", "|>", ">", " ", "\n", "<|a|>", "\u{fdd0}", "é"];
    let mut seed = 7u64;
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % n
    };
    let count = |messages: &[Value]| {
        let prompt = template.render_quoted(&json!({ "messages": messages }), None).unwrap();
        controls(&tokenizer, &prompt).len()
    };
    for _ in 0..400 {
        let mut word = || (0..random(6)).map(|_| pieces[random(pieces.len())]).collect::<String>();
        let messages: Vec<Value> = (0..3)
            .map(|_| json!({"content": format!("§{}§", word()), "more": format!("§{}§", word())}))
            .collect();
        let harmless = vec![json!({"content": "§", "more": "§"}); 3];
        assert_eq!(count(&messages), count(&harmless), "{messages:?}");
    }
}
