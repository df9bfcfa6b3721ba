//! The two streams: answers to standard output, everything else to standard error.
//!
//! It decides what may reach a terminal: text of a stranger (a name in a file, a token of a
//! model) must not move the cursor or recolour the screen. It knows no command.

use std::fmt::{self, Display, Write as _};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use crate::failure::{Failure, Kind};

/// Untrusted text, displayed with every control and direction character escaped.
pub(crate) struct Shown<'a>(pub(crate) &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if unsettling(c) { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// Whether a character does something to a terminal other than to stand there.
fn unsettling(c: char) -> bool {
    let directions = matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let separators = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    c.is_control() || directions || separators
}

/// Standard output, buffered unless it is a terminal.
pub(crate) struct Answer {
    out: BufWriter<Stdout>,
    terminal: bool,
}

impl Answer {
    /// Opens standard output.
    pub(crate) fn new() -> Answer {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Answer { out: BufWriter::new(out), terminal }
    }

    /// Writes a piece of an answer at once, so that it streams.
    pub(crate) fn piece(&mut self, text: &str) -> Result<(), Failure> {
        if self.terminal {
            // A model's words are a stranger's words; line breaks and tabs are what they need.
            for c in text.chars() {
                let harmless = matches!(c, '\n' | '\t') || !c.is_control();
                if harmless {
                    write!(self.out, "{c}").map_err(lost)?
                } else {
                    write!(self.out, "{}", c.escape_unicode()).map_err(lost)?
                }
            }
        } else {
            self.out.write_all(text.as_bytes()).map_err(lost)?;
        }
        self.out.flush().map_err(lost)
    }

    /// Writes text exactly as it is.
    pub(crate) fn exact(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(lost)?;
        self.out.flush().map_err(lost)
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(lost)?;
        self.out.flush().map_err(lost)
    }

    /// Writes one line of a long listing; [`Answer::done`] flushes.
    pub(crate) fn row(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(lost)
    }

    /// Ends a listing.
    pub(crate) fn done(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(lost)
    }
}

/// What it means that standard output took no more.
fn lost(error: io::Error) -> Failure {
    let failure = Failure::from(error);
    match failure.kind {
        Kind::Failed => failure.at("standard output"),
        _ => failure,
    }
}

/// A remark for a person: standard error, and only where a person looks at it.
pub(crate) fn remark(text: impl Display) {
    if io::stderr().is_terminal() {
        note(text);
    }
}

/// A line on standard error, always.
pub(crate) fn note(text: impl Display) {
    // Nobody is left to be told that standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says what failed and what to do.
pub(crate) fn complain(failure: &Failure) {
    note(format_args!("error: {}", failure.message));
    let general = match failure.kind {
        Kind::Usage => "`ondine help` and the --help of each command say what can be typed",
        _ => "the message names the place; `ondine help` lists the commands",
    };
    note(format_args!("hint: {}", failure.hint.as_deref().unwrap_or(general)));
}

/// A number of bytes as people read it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: &[&str] = &["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A count as people read it: 1,234,567.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_names_cannot_act() {
        let rows = [
            ("plain 名字", "plain 名字"),
            ("\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("line\nbreak", "line\\u{a}break"),
        ];
        for (text, expected) in rows {
            assert_eq!(Shown(text).to_string(), expected);
        }
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(bytes(512), "512 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(8 << 20), "8.0 MiB");
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
