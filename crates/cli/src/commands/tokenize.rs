//! `ondine tokenize`: text to token ids. A file that holds a vocabulary and no weights serves.

use ondine_text::tokenizer::Special;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::Answer;
use crate::{input, model};

/// Tokenizes a text.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let tokenizer = model::open(arguments.path_needed("model")?)?.tokenizer()?;
    let text = match arguments.path("file") {
        Some(path) => input::text(path)?,
        None => input::piped("there is no text: give --file or a pipe")?,
    };
    let special = if arguments.on("special") { Special::Parse } else { Special::AsText };
    let ids = tokenizer.encode(&text, special);
    let words: Vec<String> = ids.iter().map(u32::to_string).collect();
    if arguments.on("json") {
        Answer::new().line(format_args!("[{}]", words.join(", ")))
    } else {
        Answer::new().line(words.join(" "))
    }
}
