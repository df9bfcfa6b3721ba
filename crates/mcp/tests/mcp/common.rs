//! What the tests offer and ask.

use std::sync::Arc;
use std::time::Duration;

use ondine_app::{Context, Effect, Tool, ToolError, ToolSpec};
use ondine_mcp::{Content, Offer, Resource, ResourceError, Resources};
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "secret-of-the-tests";

type Work = fn(Value, &Context) -> Result<Value, ToolError>;

/// A tool made of a function.
pub(crate) struct Made(ToolSpec, Work);

impl Tool for Made {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        (self.1)(arguments, context)
    }
}

fn made(name: &str, effect: Effect, parameters: Value, work: Work) -> Arc<dyn Tool> {
    Arc::new(Made(
        ToolSpec {
            name: name.into(),
            description: format!("The tool {name}."),
            parameters,
            effect,
            timeout: Duration::from_millis(if name == "hang" { 300 } else { 10_000 }),
        },
        work,
    ))
}

/// Resources enough for two pages.
struct Notes;

impl Resources for Notes {
    fn list(&self) -> Result<Vec<Resource>, ResourceError> {
        Ok((0..150)
            .map(|n| Resource {
                uri: format!("notes://{n}"),
                name: format!("note {n}"),
                description: "A note.".into(),
                media: if n == 1 { String::new() } else { "text/markdown".into() },
                bytes: None,
            })
            .collect())
    }

    fn read(&self, uri: &str) -> Result<Content, ResourceError> {
        match uri {
            "notes://0" => Ok(Content::Text("# 名字".into())),
            "notes://1" => Ok(Content::Bytes(vec![0, 255, 1])),
            "notes://2" => panic!("a resource that breaks"),
            _ => Err(ResourceError::Unknown(uri.into())),
        }
    }
}

/// Everything that the tests ask for.
pub(crate) fn offer() -> Offer {
    let none = || json!({"type": "object", "properties": {}});
    let two = json!({
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": false,
    });
    Offer::new("test", "1.2.3")
        .instructions("Ask politely.")
        .tool(made("add", Effect::Read, two, |arguments, _| {
            Ok(json!(arguments["a"].as_i64().unwrap() + arguments["b"].as_i64().unwrap()))
        }))
        .tool(made("note", Effect::Write, none(), |_, _| Ok("noted".into())))
        .tool(made("key", Effect::Read, none(), |_, context| Ok(context.key.clone().into())))
        .tool(made("fail", Effect::Read, none(), |_, _| Err(ToolError::Failed("no luck".into()))))
        .tool(made("panic", Effect::Read, none(), |_, _| panic!("at the disco")))
        .tool(made("flood", Effect::Read, none(), |_, _| Ok("x".repeat(1 << 20).into())))
        .tool(made("hang", Effect::Read, none(), |_, context| {
            while !context.cancel.is_set() {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(ToolError::Cancelled)
        }))
        .tool(made("pay", Effect::Irreversible, none(), |_, _| Ok("paid".into())))
        .resources(Arc::new(Notes))
        .for_caller("tests")
}
