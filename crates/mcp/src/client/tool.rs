//! Tools that are somebody else's: a call goes there and its result comes back.

use std::sync::Arc;
use std::time::Duration;

use ondine_app::{Context, Effect, Tool, ToolError, ToolSpec};
use rmcp::model::{CallToolRequestParams, CallToolResponse, RequestMetaObject};
use serde_json::{Value, json};

use super::catalogue::{Entry, Trust};
use super::{Inner, content};
use crate::KEY;
use crate::error::McpError;
use crate::resources::Content;

/// A tool of a server.
struct Remote {
    server: Arc<Inner>,
    entry: Entry,
}

/// Makes a tool of what a server lists.
pub(super) fn remote(server: Arc<Inner>, entry: Entry) -> Arc<dyn Tool> {
    Arc::new(Remote { server, entry })
}

impl Tool for Remote {
    fn spec(&self) -> &ToolSpec {
        &self.entry.spec
    }

    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        let Value::Object(arguments) = arguments else {
            return Err(ToolError::Arguments("an object is wanted".into()));
        };
        let (entry, context) = (self.entry.clone(), context.clone());
        let most = self.server.limits.result_bytes;
        let result = self.server.wait(|inner| async move {
            let link = inner.link().await?;
            let cancel = &context.cancel;
            if !link.is_still(&entry.raw, &entry.digest, &inner.limits, cancel).await? {
                return Err(McpError::Changed(entry.spec.name));
            }
            let mut params = CallToolRequestParams::new(entry.raw).with_arguments(arguments);
            if !context.key.is_empty() {
                let mut meta = RequestMetaObject::new();
                meta.insert(KEY.into(), context.key.into());
                params.meta = Some(meta);
            }
            let asked = link.peer().call_tool_once(params);
            let answer = link.bounded(asked, inner.limits.call_time, cancel).await?;
            match answer {
                CallToolResponse::Complete(result) => Ok(result),
                _ => Err(McpError::Nonsense {
                    server: inner.name.clone(),
                    what: "it asks for something before it answers".into(),
                }),
            }
        });
        content::result(result.map_err(told)?, most).map(Value::String)
    }
}

/// What a model is told of an error, and whether it leaves doubt about what was done.
fn told(error: McpError) -> ToolError {
    match error {
        McpError::TimedOut(limit) => ToolError::TimedOut(limit),
        McpError::Cancelled => ToolError::Cancelled,
        // The call was on its way.
        error @ (McpError::Lost(_) | McpError::TooLarge { .. } | McpError::Nonsense { .. }) => {
            ToolError::Panicked(error.to_string())
        }
        error @ McpError::Changed(_) => ToolError::Refused(error.to_string()),
        error => ToolError::Failed(error.to_string()),
    }
}

/// Lists what a server has to read, or reads one of it.
struct Reading {
    server: Arc<Inner>,
    spec: ToolSpec,
    lists: bool,
}

/// The two tools that read a server's resources.
pub(super) fn reading(server: &Arc<Inner>) -> Vec<Arc<dyn Tool>> {
    let effect = match server.trust {
        Trust::Believed => Effect::Read,
        // To read is no more than that, but what a stranger makes of being asked is not known.
        Trust::Stranger => Effect::Irreversible,
    };
    let tool = |lists: bool, name: &str, description: String, parameters: Value| {
        let spec = ToolSpec {
            name: format!("{}_{name}", server.name),
            description,
            parameters,
            effect,
            timeout: server.limits.call_time + Duration::from_secs(1),
        };
        Arc::new(Reading { server: server.clone(), spec, lists }) as Arc<dyn Tool>
    };
    let name = &server.name;
    let none = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let one = json!({
        "type": "object",
        "properties": {"uri": {"type": "string", "description": "An address of the list"}},
        "required": ["uri"],
        "additionalProperties": false,
    });
    vec![
        tool(true, "list_resources", format!("Lists what the server `{name}` has to read."), none),
        tool(false, "read_resource", format!("Reads one of what the server `{name}` lists."), one),
    ]
}

impl Tool for Reading {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        let cancel = context.cancel.clone();
        let listed = self.server.wait(|inner| async move { inner.resources(&cancel).await });
        let listed = listed.map_err(told)?;
        if self.lists {
            return serde_json::to_value(listed)
                .map_err(|error| ToolError::Failed(error.to_string()));
        }
        let uri = arguments["uri"].as_str().unwrap_or_default().to_owned();
        // Only what is listed: an address that a model makes up could carry anything to the server.
        if !listed.iter().any(|resource| resource.uri == uri) {
            return Err(ToolError::Arguments(format!("{uri:?} is not in the list")));
        }
        let cancel = context.cancel.clone();
        let read = self.server.wait(|inner| async move { inner.read(&uri, &cancel).await });
        let text = read.map_err(told)?.into_iter().map(|content| match content {
            Content::Text(text) => text,
            Content::Bytes(bytes) => format!("[{} bytes that are no text]", bytes.len()),
        });
        Ok(Value::String(text.collect::<Vec<_>>().join("\n")))
    }
}
