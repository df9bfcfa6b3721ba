//! What goes wrong at the command line: a message, a hint, an exit code. It knows no command.

use std::error::Error;
use std::fmt::Display;
use std::io;

use crate::output::Shown;

/// Why a command ends before its time.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which exit code follows.
    pub(crate) kind: Kind,
    /// What happened, where, and what was expected; lower case, no full stop.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// The kinds of ends that are not success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The task could not be done.
    Failed,
    /// The command line asks for something that does not exist or does not fit together.
    Usage,
    /// The user pressed Ctrl-C.
    Interrupt,
    /// Whoever read standard output has closed it.
    ReaderGone,
}

impl Kind {
    /// The exit code of the process.
    pub(crate) fn code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Interrupt => 130,
            Kind::ReaderGone => 0,
        }
    }
}

impl Failure {
    /// The task could not be done.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Failed, message: message.into(), hint: None }
    }

    /// The command line asks for what cannot be.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure { kind: Kind::Usage, ..Failure::new(message) }
    }

    /// The user pressed Ctrl-C.
    pub(crate) fn interrupt() -> Failure {
        Failure { kind: Kind::Interrupt, ..Failure::new("interrupted") }
    }

    /// A failure of a lower floor, with the reasons below it.
    pub(crate) fn from_error(error: &dyn Error) -> Failure {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let reason = error.to_string();
            if !message.contains(&reason) {
                message = format!("{message}: {reason}");
            }
            source = error.source();
        }
        Failure::new(message)
    }

    /// The same failure with what it happened to in front: a file's name, a flag.
    pub(crate) fn at(mut self, place: impl Display) -> Failure {
        self.message = format!("{}: {}", Shown(&place.to_string()), self.message);
        self
    }

    /// The same failure with advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                Failure { kind: Kind::ReaderGone, ..Failure::new("standard output is closed") }
            }
            io::ErrorKind::Interrupted => Failure::interrupt(),
            _ => Failure::from_error(&error),
        }
    }
}

/// Floors below have typed errors; here they become words.
macro_rules! from_errors {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::from_error(&error)
            }
        })*
    };
}

from_errors!(
    serde_json::Error,
    jiff::Error,
    ondine_text::template::TemplateError,
    ondine_format::FormatError,
    ondine_model::ModelError,
    ondine_engine::EngineError,
    ondine_droplet::DropletError,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shown_escaped() {
        let failure = Failure::new("is not a model").at("a\u{1b}[31mb");
        assert_eq!(failure.message, "a\\u{1b}[31mb: is not a model");
    }

    #[test]
    fn a_closed_reader_is_not_a_failure() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(Failure::from(closed).kind.code(), 0);
        assert_eq!(Failure::from(io::Error::other("x")).kind.code(), 1);
    }
}
