//! Tools that do as a test says, and note what they did.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ondine_app::{Agent, Context, Effect, Llm, Reply, ScriptedModel, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};

type Does = dyn Fn(&Value, &Context) -> Result<Value, ToolError> + Send + Sync;

/// A tool that does as it is told.
pub(crate) struct Fake {
    spec: ToolSpec,
    does: Box<Does>,
}

impl Tool for Fake {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        (self.does)(&arguments, context)
    }
}

pub(crate) fn fake(
    name: &str,
    effect: Effect,
    arguments: &[&str],
    does: impl Fn(&Value, &Context) -> Result<Value, ToolError> + Send + Sync + 'static,
) -> Arc<dyn Tool> {
    fake_for(name, effect, arguments, Duration::from_secs(20), does)
}

pub(crate) fn fake_for(
    name: &str,
    effect: Effect,
    arguments: &[&str],
    timeout: Duration,
    does: impl Fn(&Value, &Context) -> Result<Value, ToolError> + Send + Sync + 'static,
) -> Arc<dyn Tool> {
    let properties: serde_json::Map<String, Value> =
        arguments.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    let spec = ToolSpec {
        name: name.into(),
        description: format!("{name} for a test."),
        parameters: json!({
            "type": "object", "properties": properties, "required": arguments,
        }),
        effect,
        timeout,
    };
    Arc::new(Fake { spec, does: Box::new(does) })
}

/// What was done: tool, arguments, key.
pub(crate) type Log = Arc<Mutex<Vec<(String, Value, String)>>>;

/// A tool that notes that it was called, and gives this.
pub(crate) fn noting(
    name: &'static str,
    effect: Effect,
    arguments: &[&str],
    log: &Log,
    gives: Value,
) -> Arc<dyn Tool> {
    let log = log.clone();
    fake(name, effect, arguments, move |given, context| {
        log.lock().unwrap().push((name.into(), given.clone(), context.key.clone()));
        Ok(gives.clone())
    })
}

pub(crate) fn scripted(replies: impl IntoIterator<Item = Reply>) -> Llm {
    Llm::new(Arc::new(ScriptedModel::new(replies)))
}

pub(crate) fn agent(replies: impl IntoIterator<Item = Reply>) -> Agent {
    Agent::new("worker", scripted(replies)).brief("You work.")
}

/// A folder of a test's own, gone when it ends.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("ondine-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
