//! What a model may do to the world: a trait, what is known of a tool before it is called, and one way
//! to call it that neither hangs, nor panics, nor floods the conversation.
//!
//! A tool is not trusted to behave and its result is not trusted to be harmless: [`perform`] turns
//! whatever happens into an [`Observation`]. Who may call what is the agent's to decide, by [`Effect`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ondine_chat::ToolCall;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::trace;

/// What a call changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing: it may be called again at will.
    Read,
    /// Something that can be put right: a note, a file in a folder of its own.
    Write,
    /// Something that cannot be taken back: a message that is sent, money that is paid.
    Irreversible,
}

/// What is known of a tool before it is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
    /// What a call changes.
    pub effect: Effect,
    /// How long a call may take.
    pub timeout: Duration,
}

impl ToolSpec {
    /// As a request names it to a model.
    pub fn tool(&self) -> ondine_chat::Tool {
        ondine_chat::Tool {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: self.parameters.clone(),
        }
    }
}

/// Something that a model may do.
pub trait Tool: Send + Sync {
    /// What is known of it before it is called. The same every time.
    fn spec(&self) -> &ToolSpec;

    /// Does it. `arguments` are an object; whether they keep to the schema is the tool's to check, since
    /// not everybody who calls is bound by a grammar. May block, and is told by `context` when nobody
    /// waits any more.
    ///
    /// # Errors
    /// What the model is told instead of a result.
    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError>;
}

/// A tool that is what is known of it and a function.
pub struct FnTool<F> {
    spec: ToolSpec,
    does: F,
}

impl<F> FnTool<F>
where
    F: Fn(Value, &Context) -> Result<Value, ToolError> + Send + Sync,
{
    /// A tool that does what the function does.
    pub fn new(spec: ToolSpec, does: F) -> FnTool<F> {
        FnTool { spec, does }
    }
}

impl<F> Tool for FnTool<F>
where
    F: Fn(Value, &Context) -> Result<Value, ToolError> + Send + Sync,
{
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        (self.does)(arguments, context)
    }
}

/// Around a call.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The same for every try of the same call, and no other call's: what a service needs so as to do a
    /// thing once.
    pub key: String,
    /// Whether anybody still waits.
    pub cancel: Cancel,
}

/// Says to all who have a copy that nobody waits any more.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody waits any more.
    pub fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether that was said.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Why a call has no result. The model is told, and may try something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ToolError {
    /// The arguments are not what the tool takes.
    #[error("the arguments are not what it takes: {0}")]
    Arguments(String),
    /// It did not work.
    #[error("{0}")]
    Failed(String),
    /// It must not be done.
    #[error("not allowed: {0}")]
    Refused(String),
    /// It took too long. Whether it was done is not known.
    #[error("no result within {0:?}")]
    TimedOut(Duration),
    /// It broke. Whether it was done is not known.
    #[error("it broke: {0}")]
    Panicked(String),
    /// Nobody waits any more. Whether it was done is not known.
    #[error("stopped")]
    Cancelled,
}

impl ToolError {
    /// Whether the call may have had its effect all the same.
    pub fn leaves_doubt(&self) -> bool {
        matches!(self, ToolError::TimedOut(_) | ToolError::Panicked(_) | ToolError::Cancelled)
    }
}

/// Bounds that hold whatever a tool does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a result that a model is shown; the middle of a longer one is left out, and said to be.
    pub result_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { result_bytes: 8 * 1024 }
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// What the model is shown: bounded, whole characters.
    pub text: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// With a result.
    Done,
    /// Without.
    Error(ToolError),
}

/// Calls a tool on a thread of its own, waits as long as it may take, and gives whatever came of it. A
/// tool that does not come back keeps its thread until it does; nothing waits for that.
pub fn perform(
    tool: &Arc<dyn Tool>,
    call: &ToolCall,
    context: &Context,
    bounds: Bounds,
) -> Observation {
    let span = trace::tool(&call.name, &call.id);
    trace::called(&span, &call.arguments);
    let result = span.in_scope(|| attempt(tool, call, context));
    let observation = match result {
        Ok(value) => {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Observation { text: shortened(&text, bounds.result_bytes), outcome: Outcome::Done }
        }
        Err(error) => {
            span.record("error.type", error_kind(&error));
            let text = shortened(&format!("error: {error}"), bounds.result_bytes);
            Observation { text, outcome: Outcome::Error(error) }
        }
    };
    trace::observed(&span, &observation.text);
    observation
}

/// The word that traces have for an error.
fn error_kind(error: &ToolError) -> &'static str {
    match error {
        ToolError::Arguments(_) => "arguments",
        ToolError::Failed(_) => "failed",
        ToolError::Refused(_) => "refused",
        ToolError::TimedOut(_) => "timeout",
        ToolError::Panicked(_) => "panic",
        ToolError::Cancelled => "cancelled",
    }
}

fn attempt(tool: &Arc<dyn Tool>, call: &ToolCall, context: &Context) -> Result<Value, ToolError> {
    /// How long a caller who stops waiting may have to wait for that.
    const GLANCE: Duration = Duration::from_millis(20);

    let timeout = tool.spec().timeout;
    let (sender, result) = mpsc::sync_channel(1);
    // A tool of its own hears of this call's end, not of the whole run's alone.
    let own = Context { key: context.key.clone(), cancel: Cancel::default() };
    let (tool, arguments, theirs) = (tool.clone(), call.arguments.clone(), own.clone());
    let span = tracing::Span::current();
    let spawned = thread::Builder::new().name(format!("tool {}", call.name)).spawn(move || {
        let run = AssertUnwindSafe(|| span.in_scope(|| tool.call(arguments, &theirs)));
        let outcome = catch_unwind(run).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(ToolError::Panicked(said.unwrap_or_else(|| "a panic without words".into())))
        });
        // Nobody may wait any more.
        let _ = sender.send(outcome);
    });
    if let Err(error) = spawned {
        return Err(ToolError::Failed(format!("no thread for it: {error}")));
    }
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match result.recv_timeout(left.min(GLANCE)) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(ToolError::Panicked("it ended without a word".into()));
            }
            Err(RecvTimeoutError::Timeout) if context.cancel.is_set() => {
                own.cancel.now();
                return Err(ToolError::Cancelled);
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                own.cancel.now();
                return Err(ToolError::TimedOut(timeout));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// At most about `most` bytes of a text: its beginning and its end, and between them how much is left out.
fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let (mut head, mut tail) = (most / 2, text.len() - most / 2);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n[… {} bytes left out …]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Odd(ToolSpec);

    impl Tool for Odd {
        fn spec(&self) -> &ToolSpec {
            &self.0
        }

        fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
            match arguments["do"].as_str().unwrap_or_default() {
                "panic" => panic!("at the disco"),
                "hang" => loop {
                    if context.cancel.is_set() {
                        return Err(ToolError::Cancelled);
                    }
                    thread::sleep(Duration::from_millis(1));
                },
                "flood" => Ok(Value::String("é".repeat(1 << 20))),
                "fail" => Err(ToolError::Failed("no".into())),
                _ => Ok(json!({"ok": true})),
            }
        }
    }

    fn seen(what: &str, context: &Context) -> Observation {
        let tool: Arc<dyn Tool> = Arc::new(Odd(ToolSpec {
            name: "odd".into(),
            description: String::new(),
            parameters: json!({"type": "object"}),
            effect: Effect::Read,
            timeout: if what == "hang" {
                Duration::from_millis(60)
            } else {
                Duration::from_secs(20)
            },
        }));
        let call = ToolCall { id: "1".into(), name: "odd".into(), arguments: json!({"do": what}) };
        perform(&tool, &call, context, Bounds { result_bytes: 100 })
    }

    #[test]
    fn whatever_a_tool_does_ends_in_an_observation() {
        let context = Context::default();
        assert_eq!(seen("", &context).text, r#"{"ok":true}"#);
        assert_eq!(seen("fail", &context).text, "error: no");
        assert_eq!(seen("panic", &context).text, "error: it broke: at the disco");
        assert_eq!(
            seen("hang", &context).outcome,
            Outcome::Error(ToolError::TimedOut(Duration::from_millis(60)))
        );
        let flood = seen("flood", &context);
        assert_eq!(flood.outcome, Outcome::Done);
        assert!(flood.text.len() < 200 && flood.text.contains("bytes left out"), "{}", flood.text);
        context.cancel.now();
        assert_eq!(seen("hang", &context).outcome, Outcome::Error(ToolError::Cancelled));
    }
}
