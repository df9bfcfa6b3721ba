//! What goes wrong at the command line: a message, a hint, an exit code. It knows no command.

use std::error::Error;
use std::fmt::Display;
use std::io;

use ondine_droplet::DropletError;
use ondine_engine::EngineError;
use ondine_format::FormatError;
use ondine_model::ModelError;
use ondine_store::StoreError;
use ondine_text::template::TemplateError;

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

    /// The same failure with advice, where it has none yet.
    pub(crate) fn or_hint(self, hint: impl Into<String>) -> Failure {
        if self.hint.is_some() { self } else { self.hint(hint) }
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

/// Floors below have typed errors; here they become words, with advice where the kind of error
/// alone says what to do.
macro_rules! from_errors {
    ($($error:ty => $advice:expr),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                let advice: fn(&$error) -> &'static str = $advice;
                Failure::from_error(&error).hint(advice(&error))
            }
        })*
    };
}

from_errors!(
    serde_json::Error => |_| "the file must hold one JSON value",
    TemplateError => |_| "the template or what it is given is at fault; the message says where",
    FormatError => format_advice,
    ModelError => model_advice,
    EngineError => engine_advice,
    DropletError => |error| match error {
        DropletError::Empty => "say what the device should do",
        DropletError::Long { .. } | DropletError::Context { .. } => {
            "droplet takes one short request; -m names a model for longer text"
        }
        DropletError::Engine(error) => engine_advice(error),
        _ => "this is a fault of the program; please report it with the request",
    },
);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let hint = match &error {
            StoreError::Unsigned { name, from } => {
                let from = Shown(from);
                format!("`ondine pull {from} --name {name}` asks whether there is something new")
            }
            StoreError::Downgrade { name, .. } => {
                let takes = format!("`ondine update {name} --allow-downgrade`");
                format!("nothing was changed; {takes} takes it all the same")
            }
            _ => store_advice(&error).to_string(),
        };
        Failure::from_error(&error).hint(hint)
    }
}

fn format_advice(error: &FormatError) -> &'static str {
    match error {
        FormatError::Config { .. } | FormatError::Folder { .. } => {
            "what would be computed otherwise here is refused; the message names the key"
        }
        FormatError::Range { .. } => "--type bf16 or f32 hold every number of a model",
        _ => "the file is damaged or is no model; fetch it again, or see its source",
    }
}

fn model_advice(error: &ModelError) -> &'static str {
    match error {
        ModelError::Context { .. } => "a shorter text or a smaller --ctx fits the model",
        ModelError::Encoder { .. } => "`ondine embed` makes vectors with this model",
        ModelError::Decoder { .. } => "`ondine run` continues texts with this model",
        ModelError::Token { .. } => "token ids count from 0 to the vocabulary's size less one",
        _ => "`ondine inspect` shows what the file holds",
    }
}

fn engine_advice(error: &EngineError) -> &'static str {
    match error {
        EngineError::Model(error) => model_advice(error),
        EngineError::NoTokenizer { .. } => "a GGUF file carries its vocabulary; use one for text",
        EngineError::NoTemplate { .. } | EngineError::Template(_) => {
            "--raw goes without the chat template"
        }
        EngineError::NoFim | EngineError::BadFim { .. } => {
            "`ondine run --raw` continues text with a model that fills no gaps"
        }
        EngineError::Context { .. } => "shorten the prompt, or raise --ctx up to the model's own",
        EngineError::TooLong { .. } => "--truncate reads the beginning of what is too long",
        EngineError::NoPooling => "--pooling says it: mean, cls or last",
        EngineError::NoVector | EngineError::Numerical { .. } => {
            "the file's weights are damaged; fetch it again"
        }
        EngineError::Grammar(_) | EngineError::NothingAllowed { .. } => {
            "the grammar is held to or refused, never dropped; the message says what is wrong"
        }
        _ => "`ondine help` lists what can be asked",
    }
}

fn store_advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::Name { .. } => "--name NAME gives it another name",
        StoreError::Unknown { .. } => "`ondine ls` shows what there is",
        StoreError::Taken { .. } => "--name NAME gives another name, `ondine rm` frees this one",
        StoreError::Status { status: 401 | 403, .. } => {
            "the model may need an account: HF_TOKEN holds the token of one at Hugging Face"
        }
        StoreError::Status { status: 404, .. } => {
            "see whether the source is spelled as its site has it"
        }
        StoreError::Status { .. } | StoreError::Transport { .. } | StoreError::Truncated { .. } => {
            "the same command goes on where this one stopped"
        }
        StoreError::Untrusted { .. } => {
            "somebody may be in between, or the clock or the server's certificate is wrong"
        }
        StoreError::Several { .. } | StoreError::Missing { .. } => {
            "name the file: hf:owner/repository/file.gguf"
        }
        StoreError::Mismatch { .. } => {
            "nothing of it is kept; compare the digest with its author's, or try another source"
        }
        StoreError::Key { .. } | StoreError::NeedsKey { .. } => {
            "--key RW… gives the publisher's key: the second line of its minisign.pub"
        }
        StoreError::Signature { .. } => {
            "nothing was changed; if its publisher has a new key, `ondine pull` takes it with --key"
        }
        StoreError::Expired { .. } => {
            "nothing was changed; the clock may be wrong, or somebody keeps newer releases back"
        }
        StoreError::Release { .. } => "nothing was changed; tell its publisher",
        StoreError::OldProgram { .. } => "nothing was changed; a newer ondine can take it",
        StoreError::Rewritten { .. } => {
            "nothing was changed; a version has one content: tell its publisher"
        }
        StoreError::NoRollback { .. } => "`ondine ls` shows which models have one",
        StoreError::Refused { .. } => "`ondine pull` takes whole GGUF files",
        StoreError::Space { .. } => "`ondine rm` frees space; ONDINE_HOME may name another disk",
        StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            "make room; the same command then goes on where this one stopped"
        }
        StoreError::Damaged { .. } => {
            "`ondine rm` removes the name, `ondine pull` fetches it again"
        }
        _ => "`ondine pull --help` says what can be fetched, and from where",
    }
}

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
