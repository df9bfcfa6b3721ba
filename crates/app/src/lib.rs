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
//! | `llm` | a model that can be asked: words, typed values, calls, vectors |
//! | `prompt` | what is said to it: texts, conversations, templates with typed slots |
//! | `generable` | types that a model can write |
//! | `partial` | JSON that is still being written |
//! | `tool` | what a model may do, and how it is kept within bounds |
//! | `toolset` | tools with unique names, and the few of them that a turn needs |
//! | `agent` | whoever drives a run: asks its model, performs its calls, asks people |
//! | `run` | a run of an agent as a value: what it needs next, and nothing that happens by itself |
//! | `policy` | who may have what done: grants, and questions to people |
//! | `retrieve` | whoever finds passages |
//! | [`chain`] | steps in an order that the compiler has checked: kept, resumed, drawn |
//! | [`graph`] | nodes of which the model, or a function, chooses the next |
//! | [`drawing`] | boxes and arrows as Mermaid and SVG |
//! | [`memory`] | a conversation that remembers more than the window holds |
//! | `journal` | what happened, one record after the other, on disk |
//! | `company` | roles that make something together, over a store of versions |
//! | `eval` | how good a program is: cases, scorers, intervals, bars |
//! | `expect` | what an agent does on its way, and what was expected of it |
//! | `record` | what a model gave, kept in a file, and a model that gives it again |
//! | `scripted` | a model that says what a test wrote |
//! | `trace` | the spans of all of it, under OpenTelemetry's names |
//! | `error` | what can go wrong |

mod agent;
pub mod chain;
pub mod company;
pub mod drawing;
mod error;
pub mod eval;
pub mod expect;
pub mod generable;
pub mod graph;
mod journal;
mod llm;
pub mod memory;
mod partial;
mod policy;
mod prompt;
mod record;
mod retrieve;
pub mod run;
mod scripted;
mod tool;
mod toolset;
pub mod trace;

// What the macros write names this crate from outside.
extern crate self as ondine_app;

pub use agent::{Agent, Approve, Drive, Ended, Happening, Happenings};
pub use error::Error;
pub use generable::{Generable, Misfit, Partial, Scope, Shape, made};
pub use journal::{Journal, JournalError};
pub use llm::{Events, Llm, Pieces, Talk, Typed};
pub use ondine_macros::{Generable, Prompt, tool};
pub use partial::{Broken, Draft, Drafting};
pub use policy::{Constraint, Grant, Policy, Question, Verdict, Why};
pub use prompt::Prompt;
pub use record::{RecordError, Recorder, Recording};
pub use retrieve::{Hit, Retrieve, RetrieveError};
pub use run::{Budget, Manner, Run};
pub use scripted::{Reply, ScriptedModel};
pub use tool::{
    Bounds, Cancel, Context, Effect, FnTool, Observation, Outcome, Tool, ToolError, ToolSpec,
    perform,
};
pub use toolset::{Chosen, SEARCH_TOOLS, ToolSet, ToolSetError};

pub use ondine_chat as chat;

/// Tools as `Vec<Arc<dyn Tool>>`: functions marked with [`tool`] and other types that have a default by
/// their names, everything else by its value, such as `Search::new(index)` or an `Arc<dyn Tool>`.
///
/// ```
/// use ondine_app::{Bounds, Context, chat::ToolCall, perform, tool, tools};
///
/// /// The weather of a city.
/// #[tool(effect = read, timeout = "2s")]
/// fn weather(
///     /// The city, in English.
///     #[arg(length = 1..=40)]
///     city: &str,
///     #[arg(default = 1, range = 1..=7)] days: u8,
/// ) -> Result<String, String> {
///     match city {
///         "Oslo" => Ok(format!("rain, for {days} days")),
///         other => Err(format!("there is no {other}")),
///     }
/// }
///
/// let tools = tools![weather];
/// assert_eq!(tools![weather, tools[0].clone()].len(), 2);
/// assert_eq!(tools[0].spec().description, "The weather of a city.");
/// let arguments = serde_json::json!({"city": "Oslo"});
/// let call = ToolCall { id: "1".into(), name: "weather".into(), arguments };
/// let seen = perform(&tools[0], &call, &Context::default(), Bounds::default());
/// assert_eq!(seen.text, "rain, for 1 days");
/// assert_eq!(weather("Oslo", 2), Ok("rain, for 2 days".into())); // a function as before
/// ```
#[macro_export]
macro_rules! tools {
    (@made [$($made:expr,)*]) => {
        ::std::vec![$($crate::made::IntoTool::into_tool($made)),*]
    };
    // Names segment by segment: as a path, `calculator()` would be taken for a type.
    (@made [$($made:expr,)*] $first:ident $(:: $next:ident)* $(, $($rest:tt)*)?) => {
        $crate::tools!(
            @made [$($made,)* <$first $(:: $next)* as ::std::default::Default>::default(),]
            $($($rest)*)?
        )
    };
    (@made [$($made:expr,)*] $value:expr $(, $($rest:tt)*)?) => {
        $crate::tools!(@made [$($made,)* $value,] $($($rest)*)?)
    };
    (@made $($other:tt)*) => { ::std::compile_error!("expected names or values of tools") };
    ($($tools:tt)*) => { $crate::tools!(@made [] $($tools)*) };
}
