//! `ondine trace`: a file of spans as a tree, with the exact prompts where they are in it.

use ondine_app::trace;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::{self, Answer};

/// Prints the tree.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let path = arguments.path_needed("file")?;
    let read = trace::read(path).map_err(|error| {
        Failure::from_error(&error).hint("`ondine eval FILE --trace TRACE` writes one: OTLP/JSON")
    })?;
    let mut answer = Answer::new();
    for line in trace::tree(&read.spans, arguments.on("full")).lines() {
        answer.row(output::Shown(line))?;
    }
    answer.done()?;
    if read.torn {
        output::note("the last line is cut off, as by a program that was killed; it is left out");
    }
    if arguments.on("full") && !read.spans.iter().any(has_words) {
        output::remark("there are no words in this file; --words writes them");
    }
    Ok(())
}

fn has_words(span: &trace::SpanRead) -> bool {
    span.text("gen_ai.input.messages").is_some()
}
