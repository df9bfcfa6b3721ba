//! The one table of commands and flags. The parser, `--help` and the shell completions are made
//! from it, and a test walks it, so they cannot disagree.
//!
//! It says what may be typed; the commands say what happens.

mod framework;
mod mcp;
mod service;
mod store;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint, value_parser};
use ondine_engine::KvType;
use ondine_tensor::Isa;

use crate::commands;
use crate::cores;
use crate::failure::Failure;
use crate::memory;

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

/// The parser of the whole command line.
pub(crate) fn parser() -> Command {
    let commands = COMMANDS.iter().map(|spec| {
        let command = Command::new(spec.name).about(spec.about).after_help(flowing(spec.more));
        command.args(spec.flags.iter().map(|flag| argument(flag)))
    });
    Command::new("ondine")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Language models on your own device")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(commands)
}

fn argument(flag: &'static Flag) -> Arg {
    let mut arg = Arg::new(flag.name).help(flag.help).required(flag.required);
    if flag.is_long() {
        arg = arg.long(flag.name);
    }
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    if let Some(default) = flag.default {
        arg = arg.default_value(default);
    }
    let take = |arg: Arg, name: &'static str, parser: ValueParser| {
        // What follows a flag is its value, even where it begins with a dash: -1, "- a list".
        arg.value_name(name).value_parser(parser).allow_hyphen_values(flag.is_long())
    };
    match flag.value {
        Value::Switch => arg.action(ArgAction::SetTrue),
        Value::Text(name) | Value::Word(name) => take(arg, name, value_parser!(String)),
        Value::Texts(name) => take(arg, name, value_parser!(String)).action(ArgAction::Append),
        Value::Path(name) | Value::File(name) => {
            take(arg, name, value_parser!(PathBuf)).value_hint(ValueHint::AnyPath)
        }
        Value::Count { min, max } => take(arg, "N", value_parser!(u64).range(min..=max).into()),
        Value::Number { min, max } => {
            take(arg, "X", ValueParser::new(move |text: &str| number(text, min, max)))
        }
        Value::Tokens => take(arg, "IDS", ValueParser::new(tokens)),
        Value::Threads => take(arg, "N", ValueParser::new(threads)),
        Value::Isa => take(arg, "ISA", ValueParser::new(isa)),
        Value::Words(name) => take(arg, name, value_parser!(String)).num_args(1..),
        Value::Choice(name, words) => take(arg, name, PossibleValuesParser::new(words).into()),
        Value::OneOf(words) => take(arg, "SHELL", PossibleValuesParser::new(words).into()),
    }
}

fn number(text: &str, min: f32, max: f32) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        Ok(_) => Err(format!("{text} is not in {min}..={max}")),
        Err(_) => Err("not a number".to_string()),
    }
}

fn tokens(text: &str) -> Result<Vec<u32>, String> {
    let ids: Result<Vec<u32>, _> = text.split(',').map(|id| id.trim().parse()).collect();
    ids.map_err(|_| "expected token ids separated by commas, such as 1,2,3".to_string())
}

fn threads(text: &str) -> Result<Option<usize>, String> {
    match text.parse() {
        _ if text == "auto" => Ok(None),
        Ok(count) if (1..=THREADS_MAX).contains(&count) => Ok(Some(count as usize)),
        Ok(_) => Err(format!("{text} is not in 1..={THREADS_MAX}")),
        Err(_) => Err("expected a number or `auto`".to_string()),
    }
}

fn isa(text: &str) -> Result<Isa, String> {
    let have = Isa::available().map(Isa::name).collect::<Vec<_>>().join(", ");
    match text.parse::<Isa>() {
        Ok(isa) if isa.is_available() => Ok(isa),
        Ok(_) => Err(format!("this machine has no {text}; it has {have}")),
        Err(_) => Err(format!("no such instruction set; this machine has {have}")),
    }
}

/// What was typed, by the names of the table.
pub(crate) struct Arguments<'a> {
    spec: &'a CommandSpec,
    matches: &'a ArgMatches,
}

impl<'a> Arguments<'a> {
    /// The parsed arguments of a command.
    pub(crate) fn new(spec: &'a CommandSpec, matches: &'a ArgMatches) -> Arguments<'a> {
        Arguments { spec, matches }
    }

    /// Asking for a flag that the command's row does not list is a mistake of this program.
    fn known(&self, name: &str) {
        assert!(
            self.spec.flags.iter().any(|flag| flag.name == name),
            "the table gives {} no flag {name}",
            self.spec.name
        );
    }

    fn get<T: Clone + Send + Sync + 'static>(&self, name: &str) -> Option<T> {
        self.known(name);
        self.matches.get_one::<T>(name).cloned()
    }

    /// Whether a switch is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.known(name);
        self.matches.get_flag(name)
    }

    /// Whether a flag was typed, not taken from its default.
    pub(crate) fn typed(&self, name: &str) -> bool {
        self.known(name);
        self.matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine)
    }

    /// Text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)
    }

    /// All values of a flag that may be repeated.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.known(name);
        self.matches.get_many::<String>(name).map(|all| all.cloned().collect()).unwrap_or_default()
    }

    /// A path.
    pub(crate) fn path(&self, name: &str) -> Option<&'a Path> {
        self.known(name);
        self.matches.get_one::<PathBuf>(name).map(PathBuf::as_path)
    }

    /// A path that the parser has made sure of.
    pub(crate) fn path_needed(&self, name: &str) -> Result<&'a Path, Failure> {
        self.path(name).ok_or_else(|| Failure::usage(format!("--{name} is missing")))
    }

    /// A whole number.
    pub(crate) fn count(&self, name: &str) -> Option<usize> {
        self.get::<u64>(name).and_then(|count| usize::try_from(count).ok())
    }

    /// A whole number that may be larger than any length here.
    pub(crate) fn large(&self, name: &str) -> Option<u64> {
        self.get(name)
    }

    /// A whole number that has a default.
    pub(crate) fn count_or(&self, name: &str, otherwise: usize) -> usize {
        self.count(name).unwrap_or(otherwise)
    }

    /// A seed.
    pub(crate) fn seed(&self) -> u64 {
        self.get("seed").unwrap_or_default()
    }

    /// A number that has a default.
    pub(crate) fn number_or(&self, name: &str, otherwise: f32) -> f32 {
        self.get(name).unwrap_or(otherwise)
    }

    /// Token ids.
    pub(crate) fn tokens(&self, name: &str) -> Vec<u32> {
        self.get(name).unwrap_or_default()
    }

    /// How many threads compute: what was asked, or what suits the machine.
    pub(crate) fn threads(&self) -> usize {
        self.get::<Option<usize>>("threads").flatten().unwrap_or_else(cores::threads)
    }

    /// What keys and values are stored as.
    pub(crate) fn kv(&self) -> KvType {
        self.text("kv").and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// Which instruction set computes: what was asked, or the best.
    pub(crate) fn isa(&self) -> Isa {
        self.get("isa").unwrap_or_else(Isa::best)
    }
}

/// A help text whose paragraphs the terminal's width breaks, not the source's: a line end within one is a
/// blank. Lines that are indented, and those before and after an empty one, stay lines.
fn flowing(text: &str) -> String {
    let mut out = String::new();
    for line in text.split('\n') {
        let goes_on = out.lines().next_back().is_some_and(|last| {
            !last.is_empty()
                && !last.starts_with(' ')
                && !last.ends_with(':')
                && !out.ends_with('\n')
        });
        if goes_on && !line.is_empty() && !line.starts_with(' ') {
            out.push(' ');
        } else if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(line);
    }
    out
}

#[cfg(test)]
mod tests {
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
        (
            "eval",
            &["FILE", "-m", "--json", "--record", "--replay", "--trace", "--words", "--parallel"],
        ),
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
        let names: Vec<&str> = ondine_tensor::KvType::all().map(KvType::name).collect();
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
}
