//! The table against what its commands promise.

use ondine_tensor::KvType;

use super::parser::flowing;
use super::*;

/// What the commands promise, written apart from the table.
const PROMISED: &[(&str, &[&str])] = &[
    (
        "run",
        &[
            "-m",
            "--temp",
            "--top-k",
            "--top-p",
            "--min-p",
            "--repeat-penalty",
            "--seed",
            "--max-tokens",
            "--ctx",
            "--threads",
            "--isa",
            "--kv",
            "--stop",
            "--system",
            "--raw",
            "--schema",
            "--grammar",
            "--json",
            "--batch",
            "PROMPT",
        ],
    ),
    ("complete", &["-m", "--prefix", "--suffix"]),
    ("embed", &["TEXT", "-m", "--file", "--pooling", "--no-normalize", "--truncate", "--json"]),
    ("import", &["FOLDER", "OUT", "--type", "--force"]),
    ("pull", &["SOURCE", "--name", "--sha256", "--key", "--registry"]),
    ("ls", &["--json"]),
    ("rm", &["NAME"]),
    ("update", &["NAME", "--allow-downgrade", "--json"]),
    ("rollback", &["NAME"]),
    (
        "serve",
        &[
            "--listen",
            "--tls-cert",
            "--tls-key",
            "--host",
            "--model",
            "--only",
            "--keep-alive",
            "--memory",
            "--device",
            "--rag",
            "--threads",
            "--isa",
        ],
    ),
    ("app", &["add|ls|rm", "NAME", "--priority", "--tokens-per-day"]),
    ("service", &["install|uninstall|status", "FLAGS", "--print", "--force"]),
    (
        "mcp",
        &[
            "serve|tools",
            "PROGRAM",
            "--url",
            "--token-file",
            "--env",
            "--trust",
            "-m",
            "--device",
            "--rag",
            "--json",
        ],
    ),
    ("inspect", &["FILE", "--json"]),
    ("tokenize", &["-m", "--file", "--special", "--json"]),
    ("template", &["--template", "--input", "--now"]),
    ("logits", &["-m", "--tokens"]),
    ("perplexity", &["-m", "--file", "--ctx", "--kv", "--json"]),
    ("bench", &["-m", "-p", "-n", "-t", "-r", "--depth", "--kv", "--json"]),
    (
        "rag",
        &[
            "add|search|ask|ls|rm",
            "WORDS",
            "--index",
            "-k",
            "--below",
            "--embedder",
            "--anew",
            "--trace",
            "--full",
            "-m",
            "--json",
        ],
    ),
    ("eval", &["FILE", "-m", "--json", "--record", "--replay", "--trace", "--words", "--parallel"]),
    ("trace", &["FILE", "--full"]),
    ("completions", &["SHELL"]),
];

#[test]
fn paragraphs_flow_and_lists_stay_lists() {
    let text = "One\ntwo.\n\nExamples:\n  a\n  b\nAfter\nit.";
    assert_eq!(flowing(text), "One two.\n\nExamples:\n  a\n  b\nAfter it.");
}

#[test]
fn every_promise_is_in_the_help() {
    let mut parser = parser();
    parser.build();
    for (name, flags) in PROMISED {
        let command = parser.find_subcommand_mut(name).expect(name);
        let help = command.render_long_help().to_string();
        for flag in *flags {
            assert!(help.contains(flag), "{name} does not document {flag}:\n{help}");
        }
    }
    assert_eq!(PROMISED.len(), COMMANDS.len(), "a command is promised nowhere");
}

#[test]
fn the_table_makes_a_sound_parser() {
    parser().debug_assert();
}

#[test]
fn every_row_says_what_it_is() {
    for command in COMMANDS {
        assert!(!command.about.is_empty(), "{}", command.name);
        for flag in command.flags {
            let place = format!("{} {}", command.name, flag.name);
            assert!(flag.help.len() > 8, "{place} has no help");
            assert!(!flag.help.ends_with('.'), "{place}: a line of help is no sentence");
            assert!(
                !(flag.required && flag.default.is_some()),
                "{place}: required, yet has a default"
            );
        }
    }
}

#[test]
fn the_types_of_keys_and_values_are_all_there() {
    let names: Vec<&str> = KvType::all().map(KvType::name).collect();
    assert_eq!(KV_TYPES, names);
}

#[test]
fn values_out_of_range_are_refused() {
    let rows = [
        ("ondine run --temp -1 x", false),
        ("ondine run --temp nan x", false),
        ("ondine run --top-p 1.5 x", false),
        ("ondine run --threads 0 x", false),
        ("ondine run --seed 18446744073709551615 x", true),
        ("ondine run --isa sparkle x", false),
        ("ondine run --isa scalar x", true),
        ("ondine run --kv int8 x", true),
        ("ondine run --kv f32 x", true),
        ("ondine run --kv int4 x", false),
        ("ondine run --kv", false),
        ("ondine bench -m f --kv f16", true),
        ("ondine bench -m f --kv=", false),
        ("ondine perplexity -m f --kv INT8", false),
        ("ondine logits -m f --tokens 1,2,x", false),
        ("ondine logits -m f --tokens 1,2,3", true),
        ("ondine logits --tokens 1", false),
        ("ondine complete --suffix x", false),
        ("ondine embed -m f a b c", true),
        ("ondine embed -m f --pooling max a", false),
        ("ondine embed a", false),
        ("ondine import a b --type q8_0", true),
        ("ondine import a b --type q4_k", false),
        ("ondine import a", false),
        ("ondine mcp", true),
        ("ondine mcp -m a.gguf --only", true),
        ("ondine mcp tools -- server --flag", true),
        ("ondine mcp tools --url", false),
        ("ondine rag add notes --index i", true),
        ("ondine rag search a -k 3", true),
        ("ondine rag search a -k 0", false),
        ("ondine rag", false),
        ("ondine completions bash", true),
        ("ondine completions cmd", false),
        ("ondine", false),
        ("ondine dance", false),
    ];
    for (line, expected) in rows {
        let parsed = parser().try_get_matches_from(line.split(' '));
        assert_eq!(parsed.is_ok(), expected, "{line}");
    }
}
