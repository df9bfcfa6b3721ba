//! A tool of one's own, offered to whatever starts this program and speaks the Model Context Protocol: an
//! editor, an assistant, or an agent of ours.
//!
//! ```text
//! cargo build --release -p mcp-server
//! ondine mcp tools -- target/release/mcp-server
//! ```

use std::sync::Arc;
use std::time::Duration;

use ondine::app::{Context, Effect, Tool, ToolError, ToolSpec};
use ondine::mcp::Offer;
use serde_json::{Value, json};

/// Counts what a text has.
struct Count(ToolSpec);

impl Tool for Count {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call(&self, arguments: Value, _: &Context) -> Result<Value, ToolError> {
        let text = arguments["text"].as_str();
        let text = text.ok_or_else(|| ToolError::Arguments("text is a text".into()))?;
        let (lines, words) = (text.lines().count(), text.split_whitespace().count());
        Ok(json!({"lines": lines, "words": words, "characters": text.chars().count()}))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = Count(ToolSpec {
        name: "count".into(),
        description: "Counts the lines, words and characters of a text.".into(),
        parameters: json!({
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        }),
        effect: Effect::Read,
        timeout: Duration::from_secs(1),
    });
    Offer::new("counter", env!("CARGO_PKG_VERSION")).tool(Arc::new(count)).serve_stdio()?;
    Ok(())
}
