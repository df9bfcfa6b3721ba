//! The one table of commands and flags. The parser, `--help` and the shell completions are made
//! from it, and a test walks it, so they cannot disagree.
//!
//! It says what may be typed; the commands say what happens.

mod arguments;
mod framework;
mod mcp;
mod parser;
mod service;
mod store;

use crate::commands;
use crate::failure::Failure;
use crate::memory;

pub(crate) use arguments::Arguments;
pub(crate) use parser::parser;

/// One command.
pub(crate) struct CommandSpec {
    /// What is typed.
    pub(crate) name: &'static str,
    /// One line of help.
    pub(crate) about: &'static str,
    /// What `--help` adds below the flags.
    pub(crate) more: &'static str,
    /// What it accepts, in the order of the help.
    pub(crate) flags: &'static [&'static Flag],
    /// What it does.
    pub(crate) run: fn(&Arguments<'_>) -> Result<(), Failure>,
}

/// One flag or positional argument.
pub(crate) struct Flag {
    /// The long name without dashes.
    pub(crate) name: &'static str,
    /// One letter.
    pub(crate) short: Option<char>,
    /// What follows it.
    pub(crate) value: Value,
    /// Whether it must be given.
    pub(crate) required: bool,
    /// What is taken where it is not given; shown in the help.
    pub(crate) default: Option<&'static str>,
    /// One line of help.
    pub(crate) help: &'static str,
}

/// What follows a flag.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    /// Nothing.
    Switch,
    /// Any text; the name stands in the help.
    Text(&'static str),
    /// Any text, and the flag may be repeated.
    Texts(&'static str),
    /// A file or a folder.
    Path(&'static str),
    /// A whole number.
    Count {
        /// The least that makes sense.
        min: u64,
        /// The limit.
        max: u64,
    },
    /// How many threads, or `auto`, which is as if nothing was said.
    Threads,
    /// A number.
    Number {
        /// The least that makes sense.
        min: f32,
        /// The limit.
        max: f32,
    },
    /// Token ids, separated by commas.
    Tokens,
    /// An instruction set.
    Isa,
    /// One of a few words; the name stands in the help.
    Choice(&'static str, &'static [&'static str]),
    /// A positional argument: one of a few words.
    OneOf(&'static [&'static str]),
    /// A positional argument: any text.
    Word(&'static str),
    /// Positional arguments: any number of texts.
    Words(&'static str),
    /// A positional argument: a file or a folder.
    File(&'static str),
}

impl Flag {
    /// Whether it is typed with two dashes, not by its place.
    pub(crate) fn is_long(&self) -> bool {
        !matches!(self.value, Value::Word(_) | Value::Words(_) | Value::File(_) | Value::OneOf(_))
    }
}

const fn flag(name: &'static str, value: Value, help: &'static str) -> Flag {
    Flag { name, short: None, value, required: false, default: None, help }
}

/// More threads than any device has cores.
const THREADS_MAX: u64 = 1024;
/// More tokens than any context holds.
const TOKENS_MAX: u64 = 1 << 30;

/// The names of `KvType`, as `--kv` takes them.
const KV_TYPES: &[&str] = &["f32", "f16", "int8"];

// What several commands share.
const MODEL: Flag = Flag {
    short: Some('m'),
    default: Some("droplet"),
    ..flag(
        "model",
        Value::Path("MODEL"),
        "A GGUF file, a Hugging Face folder, `droplet`, or a name of `ls`",
    )
};
const MODEL_NEEDED: Flag = Flag { required: true, default: None, ..MODEL };
const PROMPT: Flag = flag("prompt", Value::Word("PROMPT"), "What to answer; may come from a pipe");
const THREADS: Flag = Flag {
    short: Some('t'),
    ..flag(
        "threads",
        Value::Threads,
        "Threads that compute [default: auto, one for each core that is not a slow one]",
    )
};
const ISA: Flag = flag("isa", Value::Isa, "Instruction set [default: the best of this machine]");
const MEMORY: Flag = flag(
    "memory",
    Value::Choice("HOW", memory::HOW),
    "Weights laid out anew (fast), left in the file (lean), or as free memory allows [default: auto]",
);
const CTX: Flag = flag(
    "ctx",
    Value::Count { min: 1, max: TOKENS_MAX },
    "Tokens the conversation may hold [default: what the model was made for]",
);
const KV: Flag = Flag {
    default: Some("f16"),
    ..flag(
        "kv",
        Value::Choice("TYPE", KV_TYPES),
        "What keys and values are stored as: int8 takes half the memory and is less exact, f32 is exact and slow",
    )
};
const JSON: Flag = flag("json", Value::Switch, "Print JSON");
const MAX_TOKENS: Flag = Flag {
    short: Some('n'),
    default: Some("1024"),
    ..flag("max-tokens", Value::Count { min: 1, max: TOKENS_MAX }, "Tokens an answer may have")
};
const TEMP: Flag = Flag {
    default: Some("0.8"),
    ..flag(
        "temp",
        Value::Number { min: 0.0, max: 100.0 },
        "Temperature; 0 takes the likeliest token",
    )
};
const TOP_K: Flag = Flag {
    default: Some("40"),
    ..flag(
        "top-k",
        Value::Count { min: 0, max: TOKENS_MAX },
        "Choose among the K likeliest; 0 is all",
    )
};
const TOP_P: Flag = Flag {
    default: Some("0.95"),
    ..flag(
        "top-p",
        Value::Number { min: 0.0, max: 1.0 },
        "Choose among the likeliest that together reach P; 1 is all",
    )
};
const MIN_P: Flag = Flag {
    default: Some("0.05"),
    ..flag(
        "min-p",
        Value::Number { min: 0.0, max: 1.0 },
        "Leave out what is less likely than P times the likeliest; 0 is all",
    )
};
const REPEAT_PENALTY: Flag = Flag {
    default: Some("1"),
    ..flag(
        "repeat-penalty",
        Value::Number { min: 0.01, max: 100.0 },
        "Make tokens that were said less likely; 1 leaves them",
    )
};
const SEED: Flag = Flag {
    default: Some("0"),
    ..flag(
        "seed",
        Value::Count { min: 0, max: u64::MAX },
        "Where chance starts: the same seed gives the same answer",
    )
};
const STOP: Flag =
    flag("stop", Value::Texts("TEXT"), "End the answer before TEXT; may be repeated");
const SYSTEM: Flag =
    flag("system", Value::Text("TEXT"), "What the model is told before the conversation");
const RAW: Flag = flag(
    "raw",
    Value::Switch,
    "Continue the prompt as it stands: no chat template, special tokens are read",
);
const SCHEMA: Flag =
    flag("schema", Value::Path("FILE"), "The answer must fit the JSON Schema in FILE");
const GRAMMAR: Flag =
    flag("grammar", Value::Path("FILE"), "The answer must fit the Lark grammar in FILE");
const BATCH: Flag = flag(
    "batch",
    Value::Path("FILE"),
    "Answer each line of FILE, one JSON object a line; needs --json",
);
const TEXT_FILE: Flag = flag("file", Value::Path("FILE"), "The text [default: standard input]");

/// Every command there is.
pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "run",
        about: "Answer a prompt, or hold a conversation",
        more: "Without a model, droplet answers: the small model inside this program, which turns \
               a request\nin English or Chinese into a call of a device function. Without a \
               prompt, on a terminal, a\nconversation begins: Ctrl-C stops an answer, Ctrl-D \
               leaves.\n\nExamples:\n  ondine run \"wake me at half past six tomorrow\"\n  \
               ondine run -m model.gguf \"Why is the sky blue?\"\n  \
               git diff | ondine run -m model.gguf --system \"Write a commit message\"",
        flags: &[
            &PROMPT,
            &MODEL,
            &TEMP,
            &TOP_K,
            &TOP_P,
            &MIN_P,
            &REPEAT_PENALTY,
            &SEED,
            &MAX_TOKENS,
            &CTX,
            &KV,
            &THREADS,
            &ISA,
            &MEMORY,
            &STOP,
            &SYSTEM,
            &RAW,
            &SCHEMA,
            &GRAMMAR,
            &JSON,
            &BATCH,
        ],
        run: commands::run::run,
    },
    CommandSpec {
        name: "complete",
        about: "Fill in code between a beginning and an end",
        more: "Example:\n  ondine complete --prefix \"fn add(a: i32, b: i32) -> i32 { \" --suffix \" }\"",
        flags: &[
            &MODEL,
            &Flag {
                required: true,
                ..flag("prefix", Value::Text("TEXT"), "What stands before the gap")
            },
            &flag("suffix", Value::Text("TEXT"), "What stands after the gap"),
            &Flag { default: Some("0"), ..TEMP },
            &TOP_K,
            &TOP_P,
            &MIN_P,
            &REPEAT_PENALTY,
            &SEED,
            &Flag { default: Some("128"), ..MAX_TOKENS },
            &CTX,
            &KV,
            &THREADS,
            &ISA,
            &MEMORY,
            &STOP,
            &JSON,
        ],
        run: commands::complete::run,
    },
    CommandSpec {
        name: "embed",
        about: "Turn texts into vectors, one line a text",
        more: "Vectors of an encoder such as bert: numbers separated by spaces, or with --json an \
               object a line.\nTexts come from the command line, from the lines of a file or from a \
               pipe.\n\nExamples:\n  ondine embed -m minilm.gguf \"a cat\" \"a dog\"\n  \
               ondine embed -m minilm.gguf --file lines.txt --json > vectors.jsonl",
        flags: &[
            &flag("texts", Value::Words("TEXT"), "The texts"),
            &MODEL_NEEDED,
            &flag("file", Value::Path("FILE"), "A file with a text on each line"),
            &flag(
                "pooling",
                Value::Choice("HOW", commands::embed::POOLINGS),
                "How the rows of a text become one vector [default: what the file says]",
            ),
            &flag("no-normalize", Value::Switch, "Leave the vectors' lengths, which else become 1"),
            &flag(
                "truncate",
                Value::Switch,
                "Cut what the model cannot read at once, instead of refusing it",
            ),
            &THREADS,
            &ISA,
            &MEMORY,
            &JSON,
        ],
        run: commands::embed::run,
    },
    CommandSpec {
        name: "import",
        about: "Turn a Hugging Face folder into a GGUF file",
        more: "Reads config.json, safetensors, and a WordPiece tokenizer (tokenizer.json or \
               vocab.txt), and the\npooling of an embedding model. What GGUF cannot say is \
               refused by name. Vectors and small tables\nstay 32-bit floats; rows that are no whole \
               blocks of the type keep their own.\n\nExample:\n  \
               ondine import all-MiniLM-L6-v2 minilm.gguf --type f16",
        flags: &[
            &Flag {
                required: true,
                ..flag("folder", Value::File("FOLDER"), "The folder with config.json")
            },
            &Flag { required: true, ..flag("out", Value::File("OUT"), "The file to write") },
            &flag(
                "type",
                Value::Choice("TYPE", commands::import::TYPES),
                "How the weights are stored [default: as in the folder]",
            ),
            &flag("force", Value::Switch, "Replace OUT where it is there already"),
        ],
        run: commands::import::run,
    },
    store::PULL,
    store::LS,
    store::RM,
    store::UPDATE,
    store::ROLLBACK,
    CommandSpec {
        name: "inspect",
        about: "Show what a model file holds",
        more: "",
        flags: &[
            &Flag {
                required: true,
                ..flag(
                    "file",
                    Value::File("FILE"),
                    "A GGUF file, a Hugging Face folder, `droplet`, or a name of `ls`",
                )
            },
            &CTX,
            &KV,
            &JSON,
        ],
        run: commands::inspect::run,
    },
    CommandSpec {
        name: "tokenize",
        about: "Turn text into token ids",
        more: "Beginning and end tokens are not added. Text that spells a special token is text, \
               unless --special.",
        flags: &[
            &MODEL_NEEDED,
            &TEXT_FILE,
            &flag("special", Value::Switch, "Read special tokens where the text spells them"),
            &JSON,
        ],
        run: commands::tokenize::run,
    },
    CommandSpec {
        name: "template",
        about: "Render a chat template",
        more: "The input is an object with `messages` and whatever else the template reads. What \
               it renders\nis printed exactly; where it raises, the exit code is 1.",
        flags: &[
            &Flag { required: true, ..flag("template", Value::Path("FILE"), "The Jinja template") },
            &Flag {
                required: true,
                ..flag("input", Value::Path("FILE"), "Its input, a JSON object")
            },
            &flag(
                "now",
                Value::Text("RFC3339"),
                "The time the template sees [default: the clock's]",
            ),
        ],
        run: commands::template::run,
    },
    CommandSpec {
        name: "logits",
        about: "Print what a model says of the next token, as a JSON list",
        more: "",
        flags: &[
            &MODEL_NEEDED,
            &Flag { required: true, ..flag("tokens", Value::Tokens, "The tokens so far") },
            &flag(
                "every",
                Value::Path("FILE"),
                "Write every position's logits there instead (little-endian 32-bit floats)",
            ),
            &KV,
            &THREADS,
            &ISA,
            &MEMORY,
        ],
        run: commands::logits::run,
    },
    CommandSpec {
        name: "perplexity",
        about: "Measure how well a model predicts a text",
        more: "The text is cut into windows of --ctx tokens. The second half of each window is \
               scored, so\nthat every scored token has at least half a window before it.",
        flags: &[
            &MODEL_NEEDED,
            &TEXT_FILE,
            &Flag {
                default: Some("512"),
                ..flag("ctx", Value::Count { min: 8, max: TOKENS_MAX }, "Tokens a window")
            },
            &KV,
            &THREADS,
            &ISA,
            &MEMORY,
            &JSON,
        ],
        run: commands::perplexity::run,
    },
    service::SERVE,
    service::APP,
    service::SERVICE,
    framework::RAG,
    framework::EVAL,
    framework::TRACE,
    mcp::MCP,
    CommandSpec {
        name: "bench",
        about: "Measure prompt and decode speed, with the machine's limits beside them",
        more: "Each sample is followed by a probe of the memory's read bandwidth and of the int8 \
               peak, so that\na slow sample can be told from a slow machine.",
        flags: &[
            &MODEL_NEEDED,
            &Flag {
                short: Some('p'),
                default: Some("256"),
                ..flag("prompt-tokens", Value::Count { min: 0, max: TOKENS_MAX }, "Tokens a prompt")
            },
            &Flag {
                short: Some('n'),
                default: Some("32"),
                ..flag("decode-tokens", Value::Count { min: 0, max: TOKENS_MAX }, "Tokens a decode")
            },
            &THREADS,
            &Flag {
                short: Some('r'),
                default: Some("3"),
                ..flag("repeat", Value::Count { min: 1, max: 1000 }, "Samples of each")
            },
            &Flag {
                default: Some("0"),
                ..flag(
                    "depth",
                    Value::Count { min: 0, max: TOKENS_MAX },
                    "Tokens that are there before each sample",
                )
            },
            &KV,
            &ISA,
            &MEMORY,
            &JSON,
        ],
        run: commands::bench::run,
    },
    CommandSpec {
        name: "completions",
        about: "Print a completion script for a shell",
        more: "Example:\n  ondine completions fish > ~/.config/fish/completions/ondine.fish",
        flags: &[&Flag {
            required: true,
            ..flag("shell", Value::OneOf(commands::completions::SHELLS), "The shell")
        }],
        run: commands::completions::run,
    },
];

#[cfg(test)]
mod tests;
