//! The words of a conversation, and the two verbs of whoever answers one.
//!
//! A [`Request`] says what is asked, an [`Event`] what came of it, a [`ChatError`] why nothing did.
//! [`Chat`] and [`Embed`] are implemented by a model in this process, by a client of a daemon and by
//! a [`Script`] in tests, so that code which asks does not know which of them answers; [`Sessions`] by
//! whoever keeps conversations, of which [`Memory`] is the one that forgets. The crate
//! knows no model, no tokens, no network and no wire format: an API's shapes are its own file
//! in `server`.
//!
//! ```
//! use ondine_chat::{Chat, Message, Request, Script};
//!
//! let model = Script::new(["Good ", "morning."]);
//! let answer = model.ask(Request::new("any", [Message::user("hello")]))?;
//! assert_eq!(answer.text, "Good morning.");
//! # Ok::<(), ondine_chat::ChatError>(())
//! ```

mod answer;
mod error;
mod event;
mod keeper;
mod kept;
mod memory;
mod message;
mod request;
mod script;

pub use answer::Answer;
pub use error::ChatError;
pub use event::{Event, FinishReason, Timing, TokenLogprob, Usage};
pub use keeper::{
    Evicted, Eviction, Keep, Keeper, ModelStatus, NoTime, Plan, Pulling, Shelf, Status, Wanted,
};
pub use kept::{NewSession, SessionInfo, Sessions};
pub use memory::Memory;
pub use message::{Message, Role, ToolCall};
pub use request::{Format, Overflow, Prompt, Request, Sampling, Tool, ToolChoice};
pub use script::Script;

/// Takes the events of an answer as they come. Gives `false` where nobody listens any more: the
/// answer then ends, and what it held is free.
pub type Sink = Box<dyn FnMut(Event) -> bool + Send>;

/// Whoever answers.
pub trait Chat: Send + Sync {
    /// Begins to answer, and returns before the answer does. `sink` is called from another thread,
    /// in order: perhaps with [`Event::Waiting`], once with [`Event::Started`], perhaps with
    /// [`Event::Reading`], then with what is said, and last with [`Event::Finished`] or
    /// [`Event::Failed`]. It must not block.
    ///
    /// # Errors
    /// Whatever is known to be wrong before anything is computed: no such model, a prompt that does
    /// not fit, a schema that does not compile, a full queue. `sink` is then never called.
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError>;

    /// Tokens of the request's prompt as the model would read it, without running it.
    ///
    /// # Errors
    /// No such model, or a prompt that cannot be rendered.
    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError>;

    /// The request's prompt exactly as the model would read it, without running it: marks and tokens.
    ///
    /// # Errors
    /// Those of [`Chat::count_tokens`]; [`ChatError::Unsupported`] from whoever does not know.
    fn rendered(&self, _request: &Request) -> Result<Rendered, ChatError> {
        Err(ChatError::Unsupported("whoever answers here does not show how it reads".into()))
    }

    /// The models that can be asked for, the default first.
    fn models(&self) -> Vec<Model>;

    /// The kept conversation `session` of an app is no more: whoever keeps something that was computed
    /// for it lets that go.
    fn forget(&self, _app: &str, _session: &str) {}

    /// The whole answer, when it is done.
    ///
    /// # Errors
    /// Those of [`Chat::start`], and what went wrong on the way.
    fn ask(&self, request: Request) -> Result<Answer, ChatError> {
        Answer::collect(|sink| self.start(request, sink))
    }
}

/// A prompt as a model reads it.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rendered {
    /// The text, its marks as the vocabulary spells them.
    pub text: String,
    /// The tokens. Empty where whoever answers has none.
    pub tokens: Vec<u32>,
}

/// Whoever turns texts into vectors.
pub trait Embed: Send + Sync {
    /// A vector of length 1 for each text, all equally long, and how many tokens they were together.
    ///
    /// # Errors
    /// No such model, or one that is not for this; a text longer than the model takes.
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError>;
}

/// What [`Embed::embed`] gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embedded {
    /// (texts, width)
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: usize,
}

/// A model that can be asked for.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Model {
    /// What requests call it.
    pub name: String,
    /// Positions it has: prompt and answer together.
    pub context: usize,
    /// Whether it answers conversations; others embed.
    pub chats: bool,
    /// Whether its prompts have a place for tools.
    pub tools: bool,
    /// Bytes of its weights.
    pub bytes: u64,
    /// When it came here, in seconds since 1970.
    pub created_s: u64,
    /// Lower-case hexadecimal SHA-256 of its file, where it is known.
    pub sha256: Option<String>,
    /// `general.architecture` of its file.
    pub family: String,
    /// How its weights are stored, as files are named: `Q4_0`, `Q4_K_M`.
    pub quantisation: String,
}
