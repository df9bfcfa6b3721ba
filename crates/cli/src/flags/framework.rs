//! The commands of the application framework: retrieval, evaluations and traces.

use super::{CommandSpec, Flag, ISA, JSON, MAX_TOKENS, MEMORY, MODEL, SEED, THREADS, Value, flag};
use crate::commands;

const TRACE_FILE: Flag =
    flag("trace", Value::Path("TRACE"), "Write what happened as spans (OTLP/JSON lines)");

pub(super) const EVAL: CommandSpec = CommandSpec {
    name: "eval",
    about: "Hold a model against cases, with a figure and how sure it is",
    more: "FILE is a description in TOML or JSON, or cases alone, one JSON object a line:\n  \
           {\"input\": \"The capital of France?\", \"expected\": \"Paris\", \"tags\": [\"facts\"]}\n  \
           {\"input\": \"lights off\", \"calls\": {\"in_order\": [{\"name\": \"light_set\"}], \"most_calls\": 1}}\n\n\
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
        &TRACE_FILE,
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

pub(super) const RAG: CommandSpec = CommandSpec {
    name: "rag",
    about: "Index folders of documents, and find passages or answers in them",
    more: "`rag add FOLDER` reads text, Markdown, HTML, PDF, DOCX and source code into an index, or brings it \
           up to\ndate: only what changed is read, and what is gone leaves the index and the disk. What cannot \
           be read is\nnamed, the rest is indexed, and the exit code is 1. Hidden files, caches and links are \
           left out.\n\n`rag search` gives passages with file and lines, by their words and by their meaning \
           together. `rag ask` has a\nmodel (-m) answer from them and cite them; without a model that chats, the \
           answer is the passages,\nquoted. `rag ls` lists documents. `rag rm PATH` removes some, named as `rag ls` does or by their place on \
           the disk, also their text from the disk; what is still in an added folder comes back when that is added \
           again. The index is one folder (.ondine-rag in the current one, or --index): remove it, and it is gone. \
           A document of over 64 MiB and what is no text are left out.\n\nVectors are of a small table \
           in English and Chinese inside this program, or of an encoder (--embedder),\nwhich is then named each \
           time; --anew has a whole index embedded by another one.\n\nExamples:\n  \
           ondine rag add ~/notes\n  \
           ondine rag search \"how to descale the kettle\" -k 3 --json\n  \
           ondine rag ask \"怎么清洗水壶？\" -m model.gguf",
    flags: &[
        &Flag {
            required: true,
            ..flag("action", Value::Word("add|search|ask|ls|rm"), "What to do")
        },
        &flag("words", Value::Words("WORDS"), "A folder to add, a question, or paths to remove"),
        &Flag {
            default: Some(".ondine-rag"),
            ..flag("index", Value::Path("DIR"), "The index's folder")
        },
        &Flag {
            short: Some('k'),
            default: Some("5"),
            ..flag("passages", Value::Count { min: 1, max: 1000 }, "Passages that are looked for")
        },
        &flag("below", Value::Text("PATH"), "Look only into this document or folder of the index"),
        &flag(
            "embedder",
            Value::Path("MODEL"),
            "An encoder that makes the vectors [default: the table inside this program]",
        ),
        &flag("anew", Value::Switch, "With add: embed all passages anew, by this embedder"),
        &TRACE_FILE,
        &flag(
            "full",
            Value::Switch,
            "The trace holds the question, passages, prompt and answer too",
        ),
        &MODEL,
        &Flag { default: Some("512"), ..MAX_TOKENS },
        &SEED,
        &THREADS,
        &ISA,
        &MEMORY,
        &JSON,
    ],
    run: commands::rag::run,
};

pub(super) const TRACE: CommandSpec = CommandSpec {
    name: "trace",
    about: "Show what happened: a file of spans as a tree",
    more: "FILE holds OTLP/JSON lines, as `ondine eval --trace`, `ondine rag ask --trace` and other programs write \
           them: what was\ninside of what, how long it took and how many tokens it cost. Prompts and answers are in it \
           only where\nthey were asked for (`eval --words`, `rag --full`).\n\nExample:\n  ondine trace trace.jsonl --full",
    flags: &[
        &Flag { required: true, ..flag("file", Value::File("FILE"), "The file of spans") },
        &flag("full", Value::Switch, "Show prompts, tokens and answers too, where they are in it"),
    ],
    run: commands::trace::run,
};
