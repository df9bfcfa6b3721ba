//! Ondine as an app sees it. Three lines hold a conversation that outlives the app, with the model that
//! the whole device shares:
//!
//! ```no_run
//! # fn main() -> Result<(), ondine::Error> {
//! let answer = ondine::connect()?.session("notes")?.say("What did I write down yesterday?")?;
//! println!("{answer}");
//! # Ok(()) }
//! ```
//!
//! [`connect`] asks the daemon (`ondine serve`) that is at `ONDINE_URL`, else at [`DEFAULT_URL`], with
//! the token in `ONDINE_TOKEN`, which `ondine app add NAME` prints. [`open`] brings a model into the
//! app's own process instead. Either gives a [`Device`], so that a program runs on the one or the other
//! by one line:
//!
//! ```
//! # fn main() -> Result<(), ondine::Error> {
//! let device = ondine::open("droplet")?; // or: ondine::connect()?
//! let notes = device.session("notes")?;
//! notes.say_to("hello", |piece| print!("{piece}"))?;
//! assert_eq!(notes.messages()?.len(), 2);
//! # Ok(()) }
//! ```
//!
//! What these few verbs do not say (tools, schemas, sampling, stopping half-way) is a
//! [`Request`](chat::Request) to [`Device::chat`]; the words of the crate [`chat`] are here under that name.
//!
//! # The framework
//!
//! An [`Llm`] is a model that can be asked, wherever it is; the one line that says where is
//! [`Open::open`]. It answers with words, with values of a type, and with calls of tools:
//!
//! ```
//! use ondine::prelude::*;
//!
//! #[derive(Debug, Generable)]
//! struct Song {
//!     #[guide(length = 1..=8)]
//!     title: String,
//!     #[guide(range = 1900..=2026)]
//!     year: u16,
//! }
//!
//! let llm = Llm::open("droplet")?; // or "ondine", "model.gguf", "https://host/v1"
//! let song: Song = llm.generate("A song for a rainy day")?;
//! assert!((1900..=2026).contains(&song.year));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An [`Agent`](app::Agent) does things with a model and tools: what changes something needs a grant, or
//! a person is asked; with [`task_in`](app::Agent::task_in) it goes on where its process was killed.
//!
//! All of it is in [`app`]; what programs need most is in [`prelude`]. Behind features: `tools` (ready
//! tools, on by default), `rag` (folders of documents) and `mcp` (the Model Context Protocol).
//!
//! | module | what it holds |
//! |---|---|
//! | `device` | a device and its sessions |
//! | `open` | a model in this process |
//! | `llm` | the framework's model, wherever it is |
//! | `error` | what can go wrong |

mod device;
mod error;
mod llm;
mod open;

pub use ondine_chat as chat;
pub use ondine_client::{Client, ClientError, Endpoint, Patience};

pub use device::{Device, Session};
pub use error::Error;
pub use llm::Open;
pub use open::open;

/// The application framework: everything of the crate `ondine_app`, with macros that find it here.
pub mod app {
    // The macros' code names the crate that it was asked of; these name this one.
    pub use ondine_app::*;
    pub use ondine_macros::{
        FacadeGenerable as Generable, FacadePrompt as Prompt, facade_tool as tool,
    };
}

/// Ready tools: calculator, clock, files in a folder, notes, the web, search, code, device functions.
#[cfg(feature = "tools")]
pub use ondine_tools as tools;

/// Retrieval: folders of documents become passages, found by their words and by their meaning.
#[cfg(feature = "rag")]
pub use ondine_rag as rag;

/// The Model Context Protocol: others' tools become ours, and ours are offered to others.
#[cfg(feature = "mcp")]
pub use ondine_mcp as mcp;

pub use app::{
    Context, Draft, Effect, Generable, Llm, Partial, Prompt, Shape, Talk, Tool, tool, tools,
};

/// What programs need most: `use ondine::prelude::*;`.
pub mod prelude {
    pub use crate::app::{
        Agent, Budget, Context, Effect, Ended, Generable, Grant, Llm, Partial, Prompt, Question,
        Talk, Tool, Verdict, perform, tool, tools,
    };
    pub use crate::chat::{Message, Request, Sampling, ToolCall};
    pub use crate::{Device, Open};
}

/// The README's programs run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

use std::env;

/// Where a daemon is when nothing else is said.
pub const DEFAULT_URL: &str = "http://127.0.0.1:11435";

/// The daemon of this device: at `ONDINE_URL` or else at [`DEFAULT_URL`], asked with the token in
/// `ONDINE_TOKEN`. That it is there and knows the token is made sure of.
///
/// # Errors
/// No token, nobody there, or a daemon that does not know the token.
pub fn connect() -> Result<Device, Error> {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let url = variable("ONDINE_URL").unwrap_or_else(|| DEFAULT_URL.to_owned());
    let token = variable("ONDINE_TOKEN").ok_or(Error::NoToken)?;
    connect_to(&url, &token)
}

/// The daemon at an address, asked with a token. That it is there and knows the token is made sure of.
///
/// # Errors
/// Nobody there, or a daemon that does not know the token.
pub fn connect_to(url: &str, token: &str) -> Result<Device, Error> {
    let client = Client::new(url, token)?;
    client.known_models()?;
    Ok(Device::from(client))
}
