//! Calls that a run says are to be performed: those that read at the same time, and none for longer than
//! the run has.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use ondine_chat::ToolCall;

use super::ask::GLANCE;
use crate::run::ToDo;
use crate::tool::{Bounds, Cancel, Context, Observation, Outcome, Tool, ToolError, perform};

/// What came of each call, in their order, and whether they were stopped: by who waits, or by the run's end.
pub(super) fn all(
    calls: &[(ToDo, Option<Arc<dyn Tool>>)],
    bounds: Bounds,
    cancel: &Cancel,
    end: Option<Instant>,
) -> (Vec<Observation>, bool) {
    // The calls hear of the run's end as of their own.
    let stop = Cancel::default();
    let (sender, results) = mpsc::channel();
    let mut seen: Vec<Option<Observation>> = vec![None; calls.len()];
    for (n, (todo, tool)) in calls.iter().enumerate() {
        let Some(tool) = tool.clone() else {
            let error = ToolError::Failed(format!("{} is not here any more", todo.tool));
            seen[n] = Some(ended(error));
            continue;
        };
        let call = ToolCall {
            id: todo.key.clone(),
            name: todo.tool.clone(),
            arguments: todo.arguments.clone(),
        };
        let context = Context { key: todo.key.clone(), cancel: stop.clone() };
        let (sender, span) = (sender.clone(), tracing::Span::current());
        let spawned = thread::Builder::new().name(format!("call {}", call.name)).spawn(move || {
            let observation = span.in_scope(|| perform(&tool, &call, &context, bounds));
            let _ = sender.send((n, observation));
        });
        if let Err(error) = spawned {
            seen[n] = Some(ended(ToolError::Failed(format!("no thread for it: {error}"))));
        }
    }
    drop(sender);
    while seen.iter().any(Option::is_none) {
        if cancel.is_set() || end.is_some_and(|end| Instant::now() >= end) {
            stop.now();
        }
        match results.recv_timeout(GLANCE) {
            Ok((n, observation)) => seen[n] = Some(observation),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let lost = || ended(ToolError::Panicked("its thread ended without a word".into()));
    let seen = seen.into_iter().map(|observation| observation.unwrap_or_else(lost)).collect();
    (seen, stop.is_set())
}

fn ended(error: ToolError) -> Observation {
    Observation { text: format!("error: {error}"), outcome: Outcome::Error(error) }
}

/// Whether a call says that it was stopped. A tool may say so by itself; that is a result like another.
pub(super) fn says_stopped(observation: &Observation) -> bool {
    observation.outcome == Outcome::Error(ToolError::Cancelled)
}
