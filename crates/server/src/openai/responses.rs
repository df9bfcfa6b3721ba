//! `/v1/responses`: OpenAI's newer shapes, with or without a memory of earlier responses. What is
//! kept is bounded in number, bytes and time, belongs to one application, and is gone when the
//! process ends. Instructions are not carried from one response to the next, as OpenAI documents.

mod store;
mod stream;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use ondine_chat::{
    Answer, FinishReason, Format, Message, Overflow, Prompt, Request, Role, Tool, ToolCall, Usage,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::store::Conversation;
pub(crate) use self::store::Kept;
use super::Choosing;
use crate::Limits;
use crate::common::{self, at_most, id, now_s, within};
use crate::house::{Call, Visit, good};
use crate::trouble::{Kind, Trouble};
use crate::wire::OneOr;

// Bounds stand in `Limits` and in `Choosing::sampling`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponseRequest")]
pub(super) struct Body {
    model: String,
    input: OneOr<Item>,
    #[serde(default)]
    instructions: Option<String>,
    #[serde(default)]
    previous_response_id: Option<String>,
    #[serde(default)]
    store: Option<bool>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    tools: Option<Vec<ToolIn>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    text: Option<TextIn>,
    #[serde(default)]
    max_output_tokens: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    truncation: Option<Truncation>,
    /// Not OpenAI's: says more than `truncation` can, and instead of it.
    #[serde(default)]
    overflow: Option<Overflow>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    /// Both are refused: an answer would come otherwise than was asked.
    #[serde(default)]
    background: Option<bool>,
    #[serde(default)]
    conversation: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Truncation {
    Auto,
    Disabled,
}

/// Anything that stands in a conversation; which fields it has depends on its type.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponseInputItem")]
struct Item {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    content: Option<OneOr<Part>>,
    #[serde(default)]
    call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(default)]
    output: Option<OneOr<Part>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponseInputPart")]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponseTool")]
struct ToolIn {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponseText")]
struct TextIn {
    #[serde(default)]
    format: Option<FormatIn>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ResponseTextFormat")]
struct FormatIn {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    schema: Option<Value>,
}

/// What a body asks for besides the request itself.
#[derive(Debug)]
struct Wanted {
    request: Request,
    stream: bool,
    frame: Frame,
}

/// The fields of a response that are known before the answer.
#[derive(Debug)]
struct Frame {
    id: String,
    created: u64,
    model: String,
    /// What was asked, echoed.
    asked: Map<String, Value>,
    keeps: bool,
    one_call: bool,
    /// The conversation before the answer, without instructions.
    turns: Vec<Message>,
}

impl Body {
    fn wanted(self, limits: &Limits, earlier: Vec<Message>) -> Result<Wanted, Trouble> {
        if self.background == Some(true) {
            return Err(Trouble::at("background", "is not supported; wait for the answer"));
        }
        if self.conversation.is_some() {
            return Err(Trouble::at("conversation", "is not supported; use previous_response_id"));
        }
        let mut turns = earlier;
        match self.input {
            OneOr::One(text) => turns.push(Message::user(text)),
            OneOr::Many(items) => {
                at_most("input", items.len(), limits.messages, "items")?;
                for (index, item) in items.into_iter().enumerate() {
                    item.add_to(&mut turns, limits, &format!("input[{index}]"))?;
                }
            }
        }
        if turns.is_empty() {
            return Err(Trouble::at("input", "expected at least one item"));
        }
        at_most("input", turns.len(), limits.messages, "turns with those before")?;
        let system = self.instructions.clone().map(Message::system);
        let messages = system.into_iter().chain(turns.iter().cloned());
        let mut request = Request::new(self.model.clone(), messages);

        request.tools = common::tools(limits, self.tools, |tool, path| tool.tool(limits, path))?;
        request.tool_choice = super::tool_choice(self.tool_choice.as_ref(), "/name")?;
        common::check_tools(limits, &request.tools, &request.tool_choice, "tool_choice")?;
        let format = self.text.and_then(|text| text.format);
        let mut format_echo = json!({"type": "text"});
        if let Some(format) = format {
            format_echo = json!({"type": format.kind});
            if let ("json_schema", Some(schema)) = (format.kind.as_str(), &format.schema) {
                format_echo["name"] = format.name.clone().into();
                format_echo["schema"] = schema.clone();
                format_echo["strict"] = true.into();
            }
            request.format = format.format(limits)?;
        }
        let choosing =
            Choosing { temperature: self.temperature, top_p: self.top_p, ..Choosing::default() };
        request.sampling = choosing.sampling(limits)?;
        request.max_tokens =
            within("max_output_tokens", self.max_output_tokens, 1..=limits.tokens)?;
        let truncation = self.truncation.unwrap_or(Truncation::Disabled);
        request.overflow = match (self.overflow, self.truncation) {
            (Some(_), Some(_)) => {
                return Err(Trouble::at(
                    "overflow",
                    "says the same as truncation; send one of them",
                ));
            }
            (Some(overflow), None) => overflow,
            (None, Some(Truncation::Auto)) => Overflow::Anchored,
            (None, _) => Overflow::Error,
        };
        let one_call = self.parallel_tool_calls == Some(false);
        let keeps = self.store.unwrap_or(true);
        let tools: Vec<Value> = request.tools.iter().map(tool_json).collect();
        let asked = json!({
            "instructions": self.instructions,
            "max_output_tokens": request.max_tokens,
            "metadata": self.metadata.unwrap_or_default(),
            "parallel_tool_calls": !one_call,
            "previous_response_id": self.previous_response_id,
            "reasoning": {"effort": null, "summary": null},
            "store": keeps,
            "temperature": self.temperature.map(f64::from),
            "text": {"format": format_echo},
            "tool_choice": self.tool_choice.unwrap_or_else(|| "auto".into()),
            "tools": tools,
            "top_p": self.top_p.map(f64::from),
            "truncation": if truncation == Truncation::Auto { "auto" } else { "disabled" },
        });
        let Value::Object(asked) = asked else { unreachable!("an object was written just above") };
        let (id, created) = (id("resp_"), now_s());
        let frame = Frame { id, created, model: self.model, asked, keeps, one_call, turns };
        Ok(Wanted { request, stream: self.stream.unwrap_or(false), frame })
    }
}

fn tool_json(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": true,
    })
}

/// Texts of parts, whoever wrote them.
fn text(content: Option<OneOr<Part>>, path: &str) -> Result<String, Trouble> {
    match content {
        None => Err(Trouble::at(path, "is missing")),
        Some(OneOr::One(text)) => Ok(text),
        Some(OneOr::Many(parts)) => {
            let one = |(index, part): (usize, Part)| match (part.kind.as_str(), part.text) {
                ("input_text" | "output_text" | "text", Some(text)) => Ok(text),
                ("input_text" | "output_text" | "text", None) => {
                    Err(Trouble::at(format!("{path}[{index}].text"), "is missing"))
                }
                ("input_image", _) => Err(Trouble::at(
                    format!("{path}[{index}]"),
                    "images are not read here; send text",
                )),
                _ => Err(Trouble::at(
                    format!("{path}[{index}].type"),
                    "expected input_text or output_text",
                )),
            };
            let texts: Result<Vec<String>, Trouble> =
                parts.into_iter().enumerate().map(one).collect();
            Ok(common::joined(texts?))
        }
    }
}

impl Item {
    fn add_to(self, turns: &mut Vec<Message>, limits: &Limits, path: &str) -> Result<(), Trouble> {
        let missing = |field: &str| Trouble::at(format!("{path}.{field}"), "is missing");
        match self.kind.as_deref().unwrap_or("message") {
            "message" => {
                let role = match self.role.as_deref() {
                    Some("system" | "developer") => Role::System,
                    Some("user") => Role::User,
                    Some("assistant") => Role::Assistant,
                    Some(_) => {
                        let message = "expected one of system, developer, user, assistant";
                        return Err(Trouble::at(format!("{path}.role"), message));
                    }
                    None => return Err(missing("role")),
                };
                let text = text(self.content, &format!("{path}.content"))?;
                turns.push(Message { role, ..Message::user(text) });
            }
            "function_call" => {
                let id = self.call_id.ok_or_else(|| missing("call_id"))?;
                let name = self.name.ok_or_else(|| missing("name"))?;
                let place = format!("{path}.arguments");
                let arguments =
                    common::arguments(limits, &place, &self.arguments.unwrap_or_default())?;
                let call = ToolCall { id, name, arguments };
                // Calls after one another, and after what was said with them, are one turn.
                match turns.last_mut() {
                    Some(last) if last.role == Role::Assistant => last.calls.push(call),
                    _ => turns.push(Message { calls: vec![call], ..Message::assistant("") }),
                }
            }
            "function_call_output" => {
                let id = self.call_id.ok_or_else(|| missing("call_id"))?;
                turns.push(Message::tool(id, text(self.output, &format!("{path}.output"))?));
            }
            // What a model thought is its own; no model here is told it again.
            "reasoning" => {}
            _ => {
                let message =
                    "expected one of message, function_call, function_call_output, reasoning";
                return Err(Trouble::at(format!("{path}.type"), message));
            }
        }
        Ok(())
    }
}

impl ToolIn {
    fn tool(self, limits: &Limits, path: &str) -> Result<Tool, Trouble> {
        if self.kind != "function" {
            let message = "expected function; there are no built-in tools here";
            return Err(Trouble::at(format!("{path}.type"), message));
        }
        let name = self.name.ok_or_else(|| Trouble::at(format!("{path}.name"), "is missing"))?;
        common::tool(limits, path, (name, self.description, self.parameters), "parameters")
    }
}

impl FormatIn {
    fn format(self, limits: &Limits) -> Result<Format, Trouble> {
        match (self.kind.as_str(), self.schema) {
            ("text", _) => Ok(Format::Text),
            ("json_object", _) => Ok(Format::Json),
            ("json_schema", Some(schema)) => {
                Ok(Format::Schema(common::schema(limits, "text.format.schema", schema)?))
            }
            ("json_schema", None) => Err(Trouble::at("text.format.schema", "is missing")),
            _ => Err(Trouble::at(
                "text.format.type",
                "expected one of text, json_object, json_schema",
            )),
        }
    }
}

/// An answer's words as an item.
fn message_item(id: &str, status: &str, text: Option<&str>) -> Value {
    let content: Vec<Value> = text.map(text_part).into_iter().collect();
    json!({
        "type": "message", "id": id, "status": status, "role": "assistant", "content": content,
    })
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// An answer's call as an item.
fn call_item(id: &str, status: &str, call: &ToolCall, arguments: &str) -> Value {
    json!({
        "type": "function_call",
        "id": id,
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments,
        "status": status,
    })
}

fn usage_json(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        // Not OpenAI's: tokens that `truncation: auto` left out.
        "dropped_tokens": usage.dropped_tokens,
    })
}

impl Frame {
    /// The response as it stands.
    fn response(&self, status: &str, output: &[Value], usage: Option<&Usage>) -> Value {
        let cut = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        let mut body = json!({
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": null,
            "incomplete_details": cut,
            "model": self.model,
            "output": output,
            "usage": usage.map(usage_json),
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.asked.clone());
        }
        body
    }

    /// Remembers a response and the conversation up to it, where that was asked.
    fn keep(&self, kept: &Kept, app: &str, answer: Message, body: &Value) {
        if self.keeps {
            let turns = self.turns.iter().cloned().chain([answer]).collect();
            kept.put(app, &self.id, Conversation { turns, body: body.clone() });
        }
    }
}

fn status(reason: FinishReason) -> &'static str {
    if reason == FinishReason::Length { "incomplete" } else { "completed" }
}

/// Answers.
pub(super) async fn create(call: Call) -> Result<Response, Trouble> {
    let house = call.house.clone();
    let app = call.app.name.clone();
    let body: Body = call.read()?;
    let earlier = match &body.previous_response_id {
        None => Vec::new(),
        Some(id) => house.kept.get(&app, id).map(|kept| kept.turns).ok_or_else(|| {
            let message = "there is no such response, or it was kept long enough";
            let trouble = Trouble::new(Kind::NotFound, message);
            Trouble { param: Some("previous_response_id".into()), ..trouble }
        })?,
    };
    let Wanted { request, stream, frame } = body.wanted(&house.limits, earlier)?;
    debug_assert!(matches!(request.prompt, Prompt::Messages(_)));
    let (feed, place) = call.ask(vec![request]).await?;
    if stream {
        let events = stream::Events::new(frame, house.clone(), app);
        return Ok(crate::stream::response(feed, events, house.limits.keep_alive, place));
    }
    let Some(mut answer) = feed.answers().await?.pop() else {
        return Err(Trouble::new(Kind::Internal, "no answer came"));
    };
    if frame.one_call {
        answer.calls.truncate(1);
    }
    let body = frame.response(status(answer.reason), &output(&answer), Some(&answer.usage));
    frame.keep(&house.kept, &app, answer.message(), &body);
    Ok(good(&body))
}

fn output(answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    if !answer.text.is_empty() || answer.calls.is_empty() {
        items.push(message_item(&id("msg_"), status(answer.reason), Some(&answer.text)));
    }
    for call in &answer.calls {
        items.push(call_item(&id("fc_"), "completed", call, &call.arguments.to_string()));
    }
    items
}

fn unknown() -> Trouble {
    Trouble::new(Kind::NotFound, "there is no such response")
}

/// A kept response.
pub(super) async fn fetch(
    visit: Visit,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Trouble> {
    let Path(id) = id.map_err(|_| unknown())?;
    let kept = visit.house.kept.get(&visit.app.name, &id).ok_or_else(unknown)?;
    Ok(good(&kept.body))
}

/// Forgets a kept response.
pub(super) async fn forget(
    visit: Visit,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Trouble> {
    let Path(id) = id.map_err(|_| unknown())?;
    if !visit.house.kept.forget(&visit.app.name, &id) {
        return Err(unknown());
    }
    Ok(good(&json!({"id": id, "object": "response", "deleted": true})))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shape;

    fn wanted(body: &Value, earlier: Vec<Message>) -> Result<Wanted, Trouble> {
        shape::<Body>(body)?.wanted(&Limits::default(), earlier)
    }

    #[test]
    fn items_become_turns() {
        let body = json!({"model": "m", "instructions": "be brief", "input": [
            {"role": "user", "content": "a"},
            {"type": "reasoning", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "b"}]},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{\"x\":1}"},
            {"type": "function_call", "call_id": "2", "name": "g", "arguments": ""},
            {"type": "function_call_output", "call_id": "1", "output": "one"},
            {"type": "function_call_output", "call_id": "2", "output": [{"type": "input_text", "text": "two"}]},
        ]});
        let call = |id: &str, name: &str, arguments| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments,
        };
        let calls = vec![call("1", "f", json!({"x": 1})), call("2", "g", json!({}))];
        let turns = vec![
            Message::user("before"),
            Message::user("a"),
            Message { calls, ..Message::assistant("b") },
            Message::tool("1", "one"),
            Message::tool("2", "two"),
        ];
        let wanted = wanted(&body, vec![Message::user("before")]).unwrap();
        assert_eq!(wanted.frame.turns, turns, "instructions are not carried on");
        let Prompt::Messages(said) = wanted.request.prompt else { panic!("no conversation") };
        assert_eq!(said[0], Message::system("be brief"));
        assert_eq!(said[1..], turns);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let rows = [
            (json!({"input": []}), "input"),
            (json!({"input": 5}), "input"),
            (json!({"input": [{"role": "x", "content": ""}]}), "input[0].role"),
            (json!({"input": [{"content": ""}]}), "input[0].role"),
            (json!({"input": [{"role": "user"}]}), "input[0].content"),
            (json!({"input": [{"type": "item_reference"}]}), "input[0].type"),
            (
                json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
                "input[0].content[0]",
            ),
            (json!({"input": [{"type": "function_call", "name": "f"}]}), "input[0].call_id"),
            (json!({"input": "x", "tools": [{"type": "web_search"}]}), "tools[0].type"),
            (json!({"input": "x", "background": true}), "background"),
            (json!({"input": "x", "conversation": "c"}), "conversation"),
            (json!({"input": "x", "truncation": "some"}), "truncation"),
            (json!({"input": "x", "overflow": "forget"}), "overflow"),
            (json!({"input": "x", "overflow": "stop", "truncation": "auto"}), "overflow"),
            (json!({"input": "x", "max_output_tokens": 0}), "max_output_tokens"),
            (
                json!({"input": "x", "text": {"format": {"type": "json_schema"}}}),
                "text.format.schema",
            ),
            (json!({"input": "x", "tool_choice": "required"}), "tool_choice"),
        ];
        for (mut body, expected) in rows {
            body["model"] = "m".into();
            let trouble = wanted(&body, Vec::new()).unwrap_err();
            assert_eq!(trouble.param.as_deref(), Some(expected), "{body}");
        }
    }
}
