//! Why there is no answer. Each says what a person can do about it.

/// What is asked for, and what there is of that kind; a name that was left out is none.
fn no_model(name: &str, known: &[String]) -> String {
    match (name, known) {
        ("", []) => "there is no model of that kind".to_owned(),
        (name, []) => format!("there is no model {name:?}, and none of that kind"),
        (name, known) => format!("there is no model {name:?}; there are: {}", known.join(", ")),
    }
}

/// Why there is no answer, or no end to it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// No model of this name.
    #[error("{}", no_model(name, known))]
    NoModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Something in the request cannot be done.
    #[error("{what}")]
    Invalid {
        /// What is wrong, and what would be right.
        what: String,
        /// The part of the request that it stands in, in this crate's names.
        part: &'static str,
    },
    /// Prompt and answer do not fit.
    #[error(
        "the prompt has {prompt_tokens} tokens and asks for {wanted} more; the model has {context} positions"
    )]
    Context {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens of the answer at least.
        wanted: usize,
        /// Positions of the model.
        context: usize,
    },
    /// A limit is reached that time will free.
    #[error("{limit} is reached ({value}); try again in {retry_after_s} s")]
    Busy {
        /// Which limit: a name and whose it is.
        limit: String,
        /// Its value.
        value: u64,
        /// When it is worth trying again.
        retry_after_s: u64,
    },
    /// The memory that it needs is more than may be used.
    #[error("{what} needs {needed} bytes; {available} are left of a budget of {budget}")]
    Memory {
        /// What needs them.
        what: String,
        /// How many.
        needed: u64,
        /// How many are left.
        available: u64,
        /// How many there are in all.
        budget: u64,
    },
    /// The app has no such session.
    #[error("there is no session {id:?}")]
    NoSession {
        /// What was asked for.
        id: String,
    },
    /// It cannot be done as things are now; as they will be, perhaps.
    #[error("{0}")]
    Conflict(String),
    /// Whoever answers cannot do such things at all.
    #[error("{0}")]
    Unsupported(String),
    /// The disk does not do what it should.
    #[error("the disk: {0}")]
    Disk(String),
    /// The service is ending.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// Whoever answers is elsewhere and cannot be asked: nobody is there, or not one who lets us in.
    #[error("{0}")]
    Unreachable(String),
    /// Something broke that the request is not to blame for.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ChatError {
    /// A part of a request that cannot be done.
    pub fn invalid(part: &'static str, what: impl Into<String>) -> ChatError {
        ChatError::Invalid { what: what.into(), part }
    }
}
