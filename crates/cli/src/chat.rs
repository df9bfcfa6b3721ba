//! A conversation on a terminal: a line editor in front of whatever answers.
//!
//! Ctrl-C stops the answer or clears the line; Ctrl-D leaves. It knows no model.

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::failure::{Failure, Kind};
use crate::output;

/// What stands before a line.
const PROMPT: &str = "> ";
/// Typed to forget what was said.
const AFRESH: &str = "/new";

/// Whoever answers a line.
pub(crate) trait Partner {
    /// Answers and prints.
    fn answer(&mut self, line: &str) -> Result<(), Failure>;
    /// Forgets what was said.
    fn forget(&mut self);
    /// What a person must know who expects a conversation, if anything.
    fn manners(&self) -> Option<&'static str> {
        None
    }
}

/// Talks until Ctrl-D. A failed answer is told and does not end the conversation.
pub(crate) fn converse(partner: &mut dyn Partner) -> Result<(), Failure> {
    let unusable = |error: ReadlineError| Failure::new(format!("the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(unusable)?;
    output::remark(format_args!("Ctrl-C stops an answer, {AFRESH} begins anew, Ctrl-D leaves."));
    if let Some(manners) = partner.manners() {
        output::note(manners);
    }
    loop {
        let line = match editor.readline(PROMPT) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(unusable(error)),
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        // A line that cannot be kept in the history can still be answered.
        let _ = editor.add_history_entry(line);
        if line == AFRESH {
            partner.forget();
            continue;
        }
        if is_command(line) {
            output::note(format_args!("{AFRESH} is the only command; Ctrl-D leaves"));
            continue;
        }
        match partner.answer(line) {
            Ok(()) => {}
            Err(failure) if failure.kind == Kind::Interrupt => output::note("(stopped)"),
            Err(failure) if failure.kind == Kind::ReaderGone => return Err(failure),
            Err(failure) => output::complain(&failure),
        }
    }
}

/// Whether a line looks like a command: a slash and a word. A path has a second slash, and is said.
fn is_command(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    word.strip_prefix('/').is_some_and(|rest| !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_paths() {
        let rows = [
            ("/exit", true),
            ("/set temp 1", true),
            ("/", true),
            ("/etc/passwd is what?", false),
            ("// a comment", false),
            ("say /exit", false),
        ];
        for (line, expected) in rows {
            assert_eq!(is_command(line), expected, "{line}");
        }
    }
}
