//! The table as a parser: what may follow each kind of flag, and the help.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, Command, ValueHint, value_parser};
use ondine_tensor::Isa;

use super::{COMMANDS, Flag, THREADS_MAX, Value};

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

/// A help text whose paragraphs the terminal's width breaks, not the source's: a line end within one is a
/// blank. Lines that are indented, and those before and after an empty one, stay lines.
pub(super) fn flowing(text: &str) -> String {
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
