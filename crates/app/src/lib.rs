//! Ondine's application framework: what stands between a model and an application.
//!
//! An [`Llm`] is a model that can be asked, wherever it is: in this process, in the device's daemon, at
//! a remote endpoint, or in a recording. A [`Tool`] is something that a model may do to the world, with
//! an [`Effect`] that decides who must be asked. What happened is kept in a [`Journal`], so that a run
//! which was killed goes on where it was and repeats nothing.
//!
//! The crate imports `chat` alone: it knows no engine, no tokens, no network. Everything in it blocks;
//! what lasts tells what happens while it happens.
//!
//! | module | what it holds |
//! |---|---|
//! | `llm` | a model that can be asked |
//! | `tool` | what a model may do, and how it is kept within bounds |
//! | `retrieve` | whoever finds passages |
//! | `journal` | what happened, one record after the other, on disk |
//! | `company` | roles that make something together, over a store of versions |
//! | `eval` | how good a program is: cases, scorers, intervals, bars |
//! | `expect` | what an agent does on its way, and what was expected of it |
//! | `record` | what a model gave, kept in a file, and a model that gives it again |
//! | `scripted` | a model that says what a test wrote |
//! | `trace` | the spans of all of it, under OpenTelemetry's names |
//! | `error` | what can go wrong |

pub mod company;
mod error;
pub mod eval;
pub mod expect;
mod journal;
mod llm;
mod record;
mod retrieve;
mod scripted;
mod tool;
pub mod trace;

pub use error::Error;
pub use journal::{Journal, JournalError};
pub use llm::Llm;
pub use record::{RecordError, Recorder, Recording};
pub use retrieve::{Hit, Retrieve, RetrieveError};
pub use scripted::{Reply, ScriptedModel};
pub use tool::{
    Bounds, Cancel, Context, Effect, Observation, Outcome, Tool, ToolError, ToolSpec, perform,
};

pub use ondine_chat as chat;
