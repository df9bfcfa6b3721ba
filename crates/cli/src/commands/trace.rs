//! `ondine trace`: a file of spans as a tree, with the exact prompts where they are in it.

use ondine_app::trace::{self, TraceFile};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::{self, Answer};

/// The file of `--trace`, if one is written: with the words of what happens where this switch is on.
///
/// # Errors
/// It cannot be made.
pub(crate) fn file(arguments: &Arguments<'_>, words: &str) -> Result<Option<TraceFile>, Failure> {
    if let Some(path) = arguments.path("trace").filter(|path| path.exists()) {
        return Err(Failure::new("there is a file of this name already")
            .at(path.display())
            .hint("a trace is not written over: name a new file"));
    }
    let file = arguments.path("trace").map(TraceFile::create).transpose();
    let file = file.map_err(|error| Failure::from_error(&error))?;
    Ok(file.map(|file| if arguments.on(words) { file.with_words() } else { file }))
}

/// Prints the tree.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let path = arguments.path_needed("file")?;
    let read = trace::read(path).map_err(|error| {
        Failure::from_error(&error)
            .hint("`--trace FILE` of `ondine eval` and `ondine rag` writes one: OTLP/JSON")
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
        output::remark(
            "there are no words in this file; `eval --words` and `rag --full` write them",
        );
    }
    Ok(())
}

fn has_words(span: &trace::SpanRead) -> bool {
    ["gen_ai.input.messages", "gen_ai.retrieval.query.text"]
        .iter()
        .any(|name| span.text(name).is_some())
}
