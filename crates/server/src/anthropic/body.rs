//! What Anthropic's clients send, and the request it is.

use ondine_chat::{Format, Message, Request, Role, Sampling, Tool, ToolCall, ToolChoice};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::Limits;
use crate::common::{self, at_most, within};
use crate::trouble::Trouble;
use crate::wire::OneOr;

// Bounds stand in `Limits` and below.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "MessageRequest")]
pub(super) struct Body {
    model: String,
    messages: Vec<Turn>,
    /// Needed for an answer, and not for a count.
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    system: Option<OneOr<Block>>,
    #[serde(default)]
    tools: Option<Vec<ToolIn>>,
    #[serde(default)]
    tool_choice: Option<Choice>,
    #[serde(default)]
    stop_sequences: Option<Vec<String>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    thinking: Option<Kinded>,
    #[serde(default)]
    output_config: Option<OutputConfig>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "MessageTurn")]
struct Turn {
    role: String,
    content: OneOr<Block>,
}

/// A block of any type; which fields it has depends on that.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ContentBlockIn")]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    tool_use_id: Option<String>,
    #[serde(default)]
    content: Option<OneOr<Block>>,
    #[serde(default)]
    is_error: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "MessageTool")]
struct ToolIn {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    input_schema: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "MessageToolChoice")]
struct Choice {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "Thinking")]
struct Kinded {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OutputConfig {
    #[serde(default)]
    format: Option<FormatIn>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OutputFormat")]
struct FormatIn {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    schema: Option<Value>,
}

/// What a body asks for besides the request itself.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) request: Request,
    pub(super) stream: bool,
    pub(super) one_call: bool,
}

impl Body {
    /// As a request for an answer.
    pub(super) fn answer(self, limits: &Limits) -> Result<Wanted, Trouble> {
        let max_tokens = within("max_tokens", self.max_tokens, 1..=limits.tokens)?;
        let max_tokens = max_tokens.ok_or_else(|| Trouble::at("max_tokens", "is missing"))?;
        let stream = self.stream.unwrap_or(false);
        let one_call = self
            .tool_choice
            .as_ref()
            .is_some_and(|choice| choice.disable_parallel_tool_use == Some(true));
        let mut request = self.count(limits)?;
        request.max_tokens = Some(max_tokens);
        Ok(Wanted { request, stream, one_call })
    }

    /// As a request whose prompt is counted.
    pub(super) fn count(self, limits: &Limits) -> Result<Request, Trouble> {
        at_most("messages", self.messages.len(), limits.messages, "messages")?;
        if self.messages.is_empty() {
            return Err(Trouble::at("messages", "expected at least one message"));
        }
        // To think when it likes is a model's freedom; to think as told is a promise.
        if self.thinking.is_some_and(|thinking| thinking.kind == "enabled") {
            return Err(Trouble::at("thinking.type", "enabled is not supported"));
        }
        let mut messages = Vec::new();
        if let Some(system) = self.system {
            messages.push(Message::system(text(system, "system")?));
        }
        for (index, turn) in self.messages.into_iter().enumerate() {
            turn.add_to(&mut messages, &format!("messages[{index}]"))?;
        }
        let mut request = Request::new(self.model, messages);
        request.tools = common::tools(limits, self.tools, |tool, path| tool.tool(limits, path))?;
        request.tool_choice = match self.tool_choice {
            None => ToolChoice::Auto,
            Some(choice) => choice.choice()?,
        };
        common::check_tools(limits, &request.tools, &request.tool_choice, "tool_choice")?;
        if let Some(format) = self.output_config.and_then(|config| config.format) {
            request.format = match (format.kind.as_str(), format.schema) {
                ("json_schema", Some(schema)) => {
                    let path = "output_config.format.schema";
                    Format::Schema(common::schema(limits, path, schema)?)
                }
                ("json_schema", None) => {
                    return Err(Trouble::at("output_config.format.schema", "is missing"));
                }
                _ => return Err(Trouble::at("output_config.format.type", "expected json_schema")),
            };
        }
        request.sampling = Sampling {
            temperature: within("temperature", self.temperature, 0.0..=1.0)?,
            top_p: within("top_p", self.top_p, 0.0..=1.0)?,
            top_k: self.top_k,
            ..Sampling::default()
        };
        let stops = self.stop_sequences.map(OneOr::Many);
        request.stop = common::stops(limits, "stop_sequences", stops)?;
        Ok(request)
    }
}

/// Texts of blocks, where nothing else may stand.
fn text(content: OneOr<Block>, path: &str) -> Result<String, Trouble> {
    match content {
        OneOr::One(text) => Ok(text),
        OneOr::Many(blocks) => {
            let blocks = blocks.into_iter().enumerate();
            let texts: Result<Vec<String>, Trouble> =
                blocks.map(|(index, block)| block.text(&format!("{path}[{index}]"))).collect();
            Ok(common::joined(texts?))
        }
    }
}

impl Block {
    fn text(self, path: &str) -> Result<String, Trouble> {
        match (self.kind.as_str(), self.text) {
            ("text", Some(text)) => Ok(text),
            ("text", None) => Err(Trouble::at(format!("{path}.text"), "is missing")),
            ("image", _) => Err(Trouble::at(path, "images are not read here; send text")),
            ("document", _) => Err(Trouble::at(path, "documents are not read here; send text")),
            _ => Err(Trouble::at(format!("{path}.type"), "expected text")),
        }
    }
}

impl Turn {
    /// One turn here may be several there: each tool's answer is its own.
    fn add_to(self, messages: &mut Vec<Message>, path: &str) -> Result<(), Trouble> {
        let role = match self.role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                return Err(Trouble::at(format!("{path}.role"), "expected one of user, assistant"));
            }
        };
        let blocks = match self.content {
            OneOr::One(text) => {
                messages.push(Message { role, ..Message::user(text) });
                return Ok(());
            }
            OneOr::Many(blocks) => blocks,
        };
        let (mut texts, mut calls) = (Vec::new(), Vec::new());
        let mut answered = false;
        for (index, block) in blocks.into_iter().enumerate() {
            let path = format!("{path}.content[{index}]");
            let missing = |field: &str| Trouble::at(format!("{path}.{field}"), "is missing");
            match (block.kind.as_str(), role) {
                ("tool_use", Role::Assistant) => {
                    let id = block.id.ok_or_else(|| missing("id"))?;
                    let name = block.name.ok_or_else(|| missing("name"))?;
                    let arguments = block.input.ok_or_else(|| missing("input"))?;
                    if !arguments.is_object() {
                        return Err(Trouble::at(format!("{path}.input"), "expected an object"));
                    }
                    calls.push(ToolCall { id, name, arguments });
                }
                ("tool_result", Role::User) => {
                    let id = block.tool_use_id.ok_or_else(|| missing("tool_use_id"))?;
                    let said = match block.content {
                        None => String::new(),
                        Some(content) => text(content, &format!("{path}.content"))?,
                    };
                    // A tool's turn has words alone, so that it failed is said in words.
                    let failed = block.is_error == Some(true);
                    let said = if failed { format!("error: {said}") } else { said };
                    messages.push(Message::tool(id, said));
                    answered = true;
                }
                ("tool_use" | "tool_result", _) => {
                    let message = "tool_use is the assistant's, tool_result the user's";
                    return Err(Trouble::at(format!("{path}.type"), message));
                }
                // What a model thought is its own; no model here is told it again.
                ("thinking" | "redacted_thinking", Role::Assistant) => {}
                _ => texts.push(block.text(&path)?),
            }
        }
        // A turn that was tools' answers alone has said all.
        if !(answered && texts.is_empty()) {
            messages.push(Message { role, calls, ..Message::user(common::joined(texts)) });
        }
        Ok(())
    }
}

impl ToolIn {
    fn tool(self, limits: &Limits, path: &str) -> Result<Tool, Trouble> {
        if self.kind.is_some_and(|kind| kind != "custom") {
            let message = "expected custom; there are no built-in tools here";
            return Err(Trouble::at(format!("{path}.type"), message));
        }
        let parts = (self.name, self.description, self.input_schema);
        common::tool(limits, path, parts, "input_schema")
    }
}

impl Choice {
    fn choice(self) -> Result<ToolChoice, Trouble> {
        match (self.kind.as_str(), self.name) {
            ("auto", _) => Ok(ToolChoice::Auto),
            ("any", _) => Ok(ToolChoice::Required),
            ("none", _) => Ok(ToolChoice::None),
            ("tool", Some(name)) => Ok(ToolChoice::Named(name)),
            ("tool", None) => Err(Trouble::at("tool_choice.name", "is missing")),
            _ => Err(Trouble::at("tool_choice.type", "expected one of auto, any, tool, none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shape;
    use ondine_chat::Prompt;
    use serde_json::json;

    fn wanted(mut body: Value) -> Result<Wanted, Trouble> {
        body["model"] = "m".into();
        if body.get("max_tokens").is_none() {
            body["max_tokens"] = 9.into();
        }
        if body.get("messages").is_none() {
            body["messages"] = json!([{"role": "user", "content": "x"}]);
        }
        shape::<Body>(&body)?.answer(&Limits::default())
    }

    #[test]
    fn blocks_become_turns() {
        let wanted = wanted(json!({
            "system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "messages": [
                {"role": "user", "content": "c"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "…", "signature": "s"},
                    {"type": "text", "text": "d"},
                    {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
                    {"type": "tool_use", "id": "2", "name": "g", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "2", "is_error": true,
                     "content": [{"type": "text", "text": "two"}]},
                    {"type": "text", "text": "e", "cache_control": {"type": "ephemeral"}},
                ]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "3"}]},
            ],
        }))
        .unwrap();
        let call = |id: &str, name: &str, arguments| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments,
        };
        let calls = vec![call("1", "f", json!({"x": 1})), call("2", "g", json!({}))];
        let expected = vec![
            Message::system("a\nb"),
            Message::user("c"),
            Message { calls, ..Message::assistant("d") },
            Message::tool("1", "one"),
            Message::tool("2", "error: two"),
            Message::user("e"),
            Message::tool("3", ""),
        ];
        assert_eq!(wanted.request.prompt, Prompt::Messages(expected));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let of = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
        let rows = [
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_tokens": null}), "max_tokens"),
            (json!({"max_tokens": -1}), "max_tokens"),
            (json!({"messages": []}), "messages"),
            (json!({"messages": [{"role": "system", "content": "x"}]}), "messages[0].role"),
            (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
            (of(json!(5)), "messages[0].content"),
            (of(json!([{"type": "image"}])), "messages[0].content[0]"),
            (of(json!([{"type": "text"}])), "messages[0].content[0].text"),
            (of(json!([{"type": "x"}])), "messages[0].content[0].type"),
            (of(json!([{"type": "tool_use", "id": "1"}])), "messages[0].content[0].type"),
            (of(json!([{"type": "tool_result"}])), "messages[0].content[0].tool_use_id"),
            (json!({"tools": [{"name": "a b"}]}), "tools[0].name"),
            (json!({"tools": [{"type": "bash_20250124", "name": "b"}]}), "tools[0].type"),
            (json!({"tools": [{"name": "f", "input_schema": 5}]}), "tools[0].input_schema"),
            (json!({"tool_choice": {"type": "tool"}}), "tool_choice.name"),
            (json!({"tool_choice": {"type": "tool", "name": "f"}}), "tool_choice"),
            (json!({"tool_choice": {"type": "any"}}), "tool_choice"),
            (json!({"tool_choice": "auto"}), "tool_choice"),
            (json!({"temperature": 1.5}), "temperature"),
            (json!({"stop_sequences": "x"}), "stop_sequences"),
            (json!({"stop_sequences": [""]}), "stop_sequences"),
            (json!({"thinking": {"type": "enabled"}}), "thinking.type"),
            (
                json!({"output_config": {"format": {"type": "json_schema"}}}),
                "output_config.format.schema",
            ),
        ];
        for (body, expected) in rows {
            let trouble = wanted(body.clone()).unwrap_err();
            assert_eq!(trouble.param.as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn choices_are_the_same_by_other_names() {
        let rows = [
            (json!({"type": "auto"}), ToolChoice::Auto, false),
            (json!({"type": "any"}), ToolChoice::Required, false),
            (json!({"type": "none"}), ToolChoice::None, false),
            (json!({"type": "tool", "name": "f"}), ToolChoice::Named("f".into()), false),
            (json!({"type": "auto", "disable_parallel_tool_use": true}), ToolChoice::Auto, true),
        ];
        for (choice, expected, one_call) in rows {
            let wanted = wanted(json!({"tools": [{"name": "f"}], "tool_choice": choice})).unwrap();
            assert_eq!((wanted.request.tool_choice, wanted.one_call), (expected, one_call));
        }
    }
}
