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
//! | `agent` | whoever drives a run: asks its model, performs its calls, asks people |
//! | `run` | a run of an agent as a value: what it needs next, and nothing that happens by itself |
//! | `policy` | who may have what done: grants, and questions to people |
//! | `retrieve` | whoever finds passages |
//! | `journal` | what happened, one record after the other, on disk |
//! | `scripted` | a model that says what a test wrote |
//! | `trace` | the spans of all of it, under OpenTelemetry's names |
//! | `error` | what can go wrong |

mod agent;
mod error;
mod journal;
mod llm;
mod policy;
mod retrieve;
pub mod run;
mod scripted;
mod tool;
mod trace;

pub use agent::{Agent, Approve, Drive, Ended, Happening, Happenings};
pub use error::Error;
pub use journal::{Journal, JournalError};
pub use llm::Llm;
pub use policy::{Constraint, Grant, Policy, Question, Verdict, Why};
pub use retrieve::{Hit, Retrieve, RetrieveError};
pub use run::{Budget, Manner, Run};
pub use scripted::{Reply, ScriptedModel};
pub use tool::{
    Bounds, Cancel, Context, Effect, Observation, Outcome, Tool, ToolError, ToolSpec, perform,
};

pub use ondine_chat as chat;
