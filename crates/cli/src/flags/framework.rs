//! The commands of the application framework: evaluations and traces.

use super::{CommandSpec, Flag, ISA, JSON, MEMORY, MODEL, THREADS, Value, flag};
use crate::commands;

pub(super) const EVAL: CommandSpec = CommandSpec {
    name: "eval",
    about: "Hold a model against cases, with a figure and how sure it is",
    more: "FILE is a description in TOML or JSON, or cases alone, one JSON object a line:\n  \
           {\"input\": \"The capital of France?\", \"expected\": \"Paris\", \"tags\": [\"facts\"]}\n\n\
           A description has cases (a list, or a file of lines), scorers (expected, exact, contains, like,\n\
           equal_json, subset_json, near, calls, judge), bars, and how the model is asked (system, schema,\n\
           pattern, tools, temperature, seed, max_tokens):\n  \
           system = \"Answer in one word.\"\n  \
           cases = \"capitals.jsonl\"\n  \
           scorers = [{ kind = \"contains\" }, { kind = \"judge\", question = \"Is it one word?\" }]\n  \
           bars = [{ score = \"contains\", at_least = 0.9, surely = true }]\n\n\
           The exit code is 1 where a bar is not reached. The model may also be a daemon's address\n\
           (ONDINE_TOKEN says who asks) or a recording.\n\nExamples:\n  \
           ondine eval calls.jsonl\n  \
           ondine eval capitals.toml -m model.gguf --record run.jsonl --trace trace.jsonl --words\n  \
           ondine eval capitals.toml --replay run.jsonl --json",
    flags: &[
        &Flag {
            required: true,
            ..flag("file", Value::File("FILE"), "The description, or the cases")
        },
        &MODEL,
        &flag("record", Value::Path("REC"), "Keep all questions and answers in a new file"),
        &flag("replay", Value::Path("REC"), "Ask no model: the answers are those of a recording"),
        &flag("trace", Value::Path("TRACE"), "Write what happened as spans (OTLP/JSON lines)"),
        &flag("words", Value::Switch, "The trace holds prompts, tokens and answers too"),
        &Flag {
            default: Some("1"),
            ..flag("parallel", Value::Count { min: 1, max: 256 }, "Cases at a time")
        },
        &THREADS,
        &ISA,
        &MEMORY,
        &JSON,
    ],
    run: commands::eval::run,
};

pub(super) const TRACE: CommandSpec = CommandSpec {
    name: "trace",
    about: "Show what happened: a file of spans as a tree",
    more: "FILE holds OTLP/JSON lines, as `ondine eval --trace` and other programs write them: what was \
           inside of\nwhat, how long it took and how many tokens it cost. Prompts and answers are in it \
           only where\nthey were asked for (--words).\n\nExample:\n  ondine trace trace.jsonl --full",
    flags: &[
        &Flag { required: true, ..flag("file", Value::File("FILE"), "The file of spans") },
        &flag("full", Value::Switch, "Show prompts, tokens and answers too, where they are in it"),
    ],
    run: commands::trace::run,
};
