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
//! | [`chain`] | steps in an order that the compiler has checked: kept, resumed, drawn |
//! | [`graph`] | nodes of which the model, or a function, chooses the next |
//! | [`drawing`] | boxes and arrows as Mermaid and SVG |
//! | [`memory`] | a conversation that remembers more than the window holds |
//! | `journal` | what happened, one record after the other, on disk |
//! | `scripted` | a model that says what a test wrote |
//! | `trace` | the spans of all of it, under OpenTelemetry's names |
//! | `error` | what can go wrong |

pub mod chain;
pub mod drawing;
mod error;
pub mod graph;
mod journal;
mod llm;
pub mod memory;
mod retrieve;
mod scripted;
mod tool;
mod trace;

pub use error::Error;
pub use journal::{Journal, JournalError};
pub use llm::Llm;
pub use retrieve::{Hit, Retrieve, RetrieveError};
pub use scripted::{Reply, ScriptedModel};
pub use tool::{
    Bounds, Cancel, Context, Effect, Observation, Outcome, Tool, ToolError, ToolSpec, perform,
};

pub use ondine_chat as chat;
