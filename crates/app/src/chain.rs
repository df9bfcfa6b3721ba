//! Chains: steps in an order that the compiler has checked. What happens is told while it happens, and
//! kept, so that a chain that was killed goes on where it was.
//!
//! A [`Step`] takes one typed value and gives another. Small ones ([`step`], [`ask`], [`typed`], [`tool`],
//! [`retrieve`]) are put together with [`Step::then`], [`Step::map`], [`Step::retry`],
//! [`Step::fallback`], [`branch`], [`parallel`] and [`each`]; a [`Graph`](crate::graph::Graph) is a step as well.
//! A [`Chain`] runs the whole, keeps its journal, and draws it.
//!
//! ```
//! use ondine_app::chain::{Chain, Step, StepError, step};
//!
//! let words = step("count", |text: String| Ok::<_, StepError>(text.split(' ').count()));
//! let chain = Chain::new("length", words.map(|n| format!("{n} words")));
//! assert_eq!(chain.run("one two three".into())?, "3 words");
//! # Ok::<(), ondine_app::chain::ChainError>(())
//! ```
//!
//! What a model is, how passages are found and how a tool works is not known here.
//!
//! | module | what it holds |
//! |---|---|
//! | `step` | the trait, and how steps are put together |
//! | `block` | a model, a typed answer, a tool, a retriever, a function as a step |
//! | `combine` | one after the other, one of two, again, something else instead |
//! | `parallel` | several at once |
//! | `scope` | where a running step is: its path, its records, its events |
//! | `record` | what a journal holds |
//! | `run` | a chain from its beginning, or from where it was, to its end |
//! | `shape` | how the whole is built: its fingerprint and its picture |
//! | `event` | what happens |
//! | `error` | why there is no end |

mod block;
mod combine;
mod error;
mod event;
mod parallel;
mod record;
mod run;
mod scope;
mod shape;
mod step;

pub use block::{Ask, Func, Given, Retriever, ask, retrieve, step, tool, typed};
pub use combine::{Branch, Fallback, Map, Retry, Retrying, Then, branch};
pub use error::{ChainError, StepError};
pub use event::{Event, What};
pub use parallel::{Branches, Each, Parallel, each, parallel};
pub use run::{Chain, Clock, Decision, Doubt, Events, Go, WallClock};
pub use scope::{Live, Scope};
pub use shape::{Edge, Kind, Shape};
pub use step::{Boxed, Step};

pub(crate) use block::answer;

#[cfg(test)]
mod tests;
