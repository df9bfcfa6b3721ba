//! `POST /v1/chat/completions`: OpenAI's shapes of a conversation, and of what comes of one. What
//! would change an answer and cannot be done is refused; fields that are not known are passed over.

use std::collections::BTreeMap;

use axum::response::Response;
use ondine_chat::{
    Answer, Event, Format, Message, Overflow, Request, Role, TokenLogprob, Tool, ToolCall,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::own::{self, Own};
use super::{Choosing, Cost, copies, error, finish, logprobs};
use crate::Limits;
use crate::common::{self, at_most, id, now_s, within};
use crate::house::{Call, good};
use crate::stream::{self, Encode, sse};
use crate::trouble::Trouble;
use crate::wire::OneOr;

// Bounds stand in `Limits` and in `Choosing::sampling`.
/// A request.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ChatCompletionRequest")]
pub(crate) struct Body {
    /// Both have to be there, but where a kept conversation has them.
    #[serde(default)]
    pub(crate) model: Option<String>,
    #[serde(default)]
    pub(crate) messages: Option<Vec<Turn>>,
    #[serde(default)]
    tools: Option<Vec<ToolIn>>,
    #[serde(default)]
    tool_choice: Option<Value>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
    #[serde(default)]
    response_format: Option<ResponseFormat>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_completion_tokens: Option<usize>,
    #[serde(default)]
    n: Option<usize>,
    #[serde(default)]
    stop: Option<OneOr<String>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    top_logprobs: Option<usize>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    min_p: Option<f32>,
    #[serde(default)]
    presence_penalty: Option<f32>,
    #[serde(default)]
    frequency_penalty: Option<f32>,
    #[serde(default)]
    repetition_penalty: Option<f32>,
    #[serde(default)]
    logit_bias: Option<BTreeMap<String, f32>>,
    #[serde(default)]
    seed: Option<i64>,
    /// Not OpenAI's: what happens when the conversation does not fit.
    #[serde(default)]
    pub(crate) overflow: Option<Overflow>,
    /// `text` is the only one there is.
    #[serde(default)]
    modalities: Option<Vec<String>>,
    /// The forerunners of `tools`, refused by name.
    #[serde(default)]
    functions: Option<Value>,
    #[serde(default)]
    function_call: Option<Value>,
    #[serde(default)]
    ondine: Option<Own>,
    /// Other servers' words for another template than the model's own, refused by name.
    #[serde(default)]
    chat_template: Option<Value>,
    #[serde(default)]
    chat_template_kwargs: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct StreamOptions {
    #[serde(default)]
    pub(super) include_usage: Option<bool>,
}

/// A message.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ChatMessage")]
pub(crate) struct Turn {
    role: String,
    #[serde(default)]
    content: Option<OneOr<Part>>,
    #[serde(default)]
    tool_calls: Option<Vec<CallIn>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ContentPart")]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ChatToolCall")]
struct CallIn {
    id: String,
    function: FunctionIn,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ChatFunctionCall")]
struct FunctionIn {
    name: String,
    #[serde(default)]
    arguments: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ChatTool")]
struct ToolIn {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    function: Option<FunctionShape>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "FunctionDefinition")]
struct FunctionShape {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    json_schema: Option<SchemaFormat>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "JsonSchemaFormat")]
struct SchemaFormat {
    #[serde(default)]
    schema: Option<Value>,
}

/// What a body asks for besides the request itself.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) request: Request,
    pub(crate) n: usize,
    pub(crate) stream: bool,
    include_usage: bool,
    pub(crate) logprobs: bool,
    pub(crate) one_call: bool,
    own: bool,
}

impl Body {
    fn wanted(self, limits: &Limits) -> Result<Wanted, Trouble> {
        if self.model.is_none() {
            return Err(Trouble::at("model", "is missing"));
        }
        match &self.messages {
            None => Err(Trouble::at("messages", "is missing")),
            Some(turns) if turns.is_empty() => {
                Err(Trouble::at("messages", "expected at least one message"))
            }
            Some(_) => self.asked(limits),
        }
    }

    /// What is asked, of whichever model, behind whatever was said before.
    pub(crate) fn asked(self, limits: &Limits) -> Result<Wanted, Trouble> {
        for (name, old) in [("functions", &self.functions), ("function_call", &self.function_call)]
        {
            if old.is_some() {
                return Err(Trouble::at(name, "is not supported; use tools and tool_choice"));
            }
        }
        let template = [
            ("chat_template", &self.chat_template),
            ("chat_template_kwargs", &self.chat_template_kwargs),
        ];
        for (name, other) in template {
            if other.is_some() {
                return Err(Trouble::at(
                    name,
                    "is not supported; the model's own template is used",
                ));
            }
        }
        if self.modalities.iter().flatten().any(|modality| modality != "text") {
            return Err(Trouble::at("modalities", "only text can be answered"));
        }
        let messages = messages(limits, self.messages)?;
        let mut request = Request::new(self.model.unwrap_or_default(), messages);

        request.tools = common::tools(limits, self.tools, |tool, path| tool.tool(limits, path))?;
        request.tool_choice = super::tool_choice(self.tool_choice.as_ref(), "/function/name")?;
        common::check_tools(limits, &request.tools, &request.tool_choice, "tool_choice")?;
        request.format = match self.response_format {
            None => Format::Text,
            Some(format) => format.format(limits)?,
        };
        request.sampling = Choosing {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            repetition_penalty: self.repetition_penalty,
            logit_bias: self.logit_bias,
            seed: self.seed,
        }
        .sampling(limits)?;
        // The newer name wins where both are there; both have to be right.
        let older = within("max_tokens", self.max_tokens, 1..=limits.tokens)?;
        let newer = within("max_completion_tokens", self.max_completion_tokens, 1..=limits.tokens)?;
        request.max_tokens = newer.or(older);
        request.stop = common::stops(limits, "stop", self.stop)?;
        request.overflow = self.overflow.unwrap_or_default();
        let top = within("top_logprobs", self.top_logprobs, 0..=limits.top_logprobs)?;
        let wants_logprobs = self.logprobs.unwrap_or(false);
        if top.is_some() && !wants_logprobs {
            return Err(Trouble::at("top_logprobs", "needs logprobs to be true"));
        }
        request.logprobs = wants_logprobs.then(|| top.unwrap_or(0));
        let own = self.ondine.is_some();
        self.ondine.unwrap_or_default().add_to(&mut request, limits)?;
        let stream = self.stream.unwrap_or(false);
        if self.stream_options.is_some() && !stream {
            return Err(Trouble::at("stream_options", "needs stream to be true"));
        }
        Ok(Wanted {
            request,
            n: within("n", self.n, 1..=limits.choices)?.unwrap_or(1),
            stream,
            include_usage: self.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
            logprobs: wants_logprobs,
            one_call: self.parallel_tool_calls == Some(false),
            own,
        })
    }
}

/// Messages of a body, no more than there may be.
pub(crate) fn messages(limits: &Limits, turns: Option<Vec<Turn>>) -> Result<Vec<Message>, Trouble> {
    let turns = turns.unwrap_or_default();
    at_most("messages", turns.len(), limits.messages, "messages")?;
    let read = |(index, turn): (usize, Turn)| turn.message(limits, &format!("messages[{index}]"));
    turns.into_iter().enumerate().map(read).collect()
}

impl Turn {
    fn message(self, limits: &Limits, path: &str) -> Result<Message, Trouble> {
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            _ => {
                let message = "expected one of system, developer, user, assistant, tool";
                return Err(Trouble::at(format!("{path}.role"), message));
            }
        };
        let text = match self.content {
            None if role == Role::Assistant => String::new(),
            None => return Err(Trouble::at(format!("{path}.content"), "is missing")),
            Some(OneOr::One(text)) => text,
            Some(OneOr::Many(parts)) => {
                let parts = parts.into_iter().enumerate();
                let texts: Result<Vec<String>, Trouble> = parts
                    .map(|(index, part)| part.text(&format!("{path}.content[{index}]")))
                    .collect();
                common::joined(texts?)
            }
        };
        let calls = self.tool_calls.unwrap_or_default();
        if !calls.is_empty() && role != Role::Assistant {
            return Err(Trouble::at(
                format!("{path}.tool_calls"),
                "only the assistant calls tools",
            ));
        }
        at_most(&format!("{path}.tool_calls"), calls.len(), limits.tools, "calls")?;
        let calls: Result<Vec<ToolCall>, Trouble> = calls
            .into_iter()
            .enumerate()
            .map(|(index, call)| {
                let place = format!("{path}.tool_calls[{index}].function.arguments");
                let arguments = common::arguments(limits, &place, &call.function.arguments)?;
                Ok(ToolCall { id: call.id, name: call.function.name, arguments })
            })
            .collect();
        let call_id = match (role, self.tool_call_id) {
            (Role::Tool, None) => {
                return Err(Trouble::at(format!("{path}.tool_call_id"), "is missing"));
            }
            (Role::Tool, id) => id,
            _ => None,
        };
        Ok(Message { role, text, calls: calls?, call_id })
    }
}

impl Part {
    fn text(self, path: &str) -> Result<String, Trouble> {
        match (self.kind.as_str(), self.text, self.refusal) {
            ("text", Some(text), _) => Ok(text),
            ("refusal", _, Some(text)) => Ok(text),
            ("text", ..) => Err(Trouble::at(format!("{path}.text"), "is missing")),
            ("refusal", ..) => Err(Trouble::at(format!("{path}.refusal"), "is missing")),
            ("image_url", ..) => Err(Trouble::at(path, "images are not read here; send text")),
            ("input_audio", ..) => Err(Trouble::at(path, "sound is not read here; send text")),
            ("file", ..) => Err(Trouble::at(path, "files are not read here; send text")),
            _ => Err(Trouble::at(format!("{path}.type"), "expected text")),
        }
    }
}

impl ToolIn {
    fn tool(self, limits: &Limits, path: &str) -> Result<Tool, Trouble> {
        if self.kind != "function" {
            return Err(Trouble::at(format!("{path}.type"), "expected function"));
        }
        let path = format!("{path}.function");
        let Some(function) = self.function else {
            return Err(Trouble::at(path, "is missing"));
        };
        let FunctionShape { name, description, parameters } = function;
        common::tool(limits, &path, (name, description, parameters), "parameters")
    }
}

impl ResponseFormat {
    fn format(self, limits: &Limits) -> Result<Format, Trouble> {
        match (self.kind.as_str(), self.json_schema) {
            ("text", _) => Ok(Format::Text),
            ("json_object", _) => Ok(Format::Json),
            ("json_schema", Some(SchemaFormat { schema: Some(schema) })) => {
                let path = "response_format.json_schema.schema";
                Ok(Format::Schema(common::schema(limits, path, schema)?))
            }
            ("json_schema", _) => {
                Err(Trouble::at("response_format.json_schema.schema", "is missing"))
            }
            _ => Err(Trouble::at(
                "response_format.type",
                "expected one of text, json_object, json_schema",
            )),
        }
    }
}

/// Answers a conversation.
pub(super) async fn chat(call: Call) -> Result<Response, Trouble> {
    let limits = call.house.limits.clone();
    let wanted = call.read::<Body>()?.wanted(&limits)?;
    let head = Head {
        id: id("chatcmpl-"),
        created: now_s(),
        model: wanted.request.model.clone(),
        logprobs: wanted.logprobs,
        one_call: wanted.one_call,
    };
    let (feed, place) = call.ask(copies(wanted.request, wanted.n)).await?;
    if wanted.stream {
        let include_usage = wanted.include_usage;
        let (own, cost, calls) = (wanted.own, Cost::default(), BTreeMap::new());
        let chunks = Chunks { head, include_usage, own, cost, calls };
        return Ok(stream::response(feed, chunks, limits.keep_alive, place));
    }
    let answers = feed.answers().await?;
    Ok(good(&head.whole(&answers)))
}

/// What all parts of a response have in common.
#[derive(Debug)]
struct Head {
    id: String,
    created: u64,
    model: String,
    logprobs: bool,
    one_call: bool,
}

/// A call as it stands in messages.
pub(crate) fn call_json(call: &ToolCall) -> Value {
    json!({
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments.to_string()},
    })
}

/// A message as it stands in responses.
pub(crate) fn said(role: Role, text: &str, calls: &[ToolCall]) -> Value {
    // OpenAI's content is null where a turn is calls alone.
    let silent = text.is_empty() && !calls.is_empty();
    let content = if silent { Value::Null } else { text.into() };
    let mut message = json!({"role": role.name(), "content": content});
    if !calls.is_empty() {
        message["tool_calls"] = calls.iter().map(call_json).collect();
    }
    message
}

impl Head {
    /// The response in one piece.
    fn whole(&self, answers: &[Answer]) -> Value {
        let mut cost = Cost::default();
        let mut choices = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            cost.add(&answer.usage, index > 0);
            let most = if self.one_call { 1 } else { usize::MAX };
            let calls = &answer.calls[..answer.calls.len().min(most)];
            let mut message = said(Role::Assistant, &answer.text, calls);
            message["refusal"] = Value::Null;
            choices.push(json!({
                "index": index,
                "message": message,
                "logprobs": self.logprobs.then(|| logprobs(&answer.logprobs)),
                "finish_reason": finish(answer.reason),
            }));
        }
        json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "usage": cost.json(),
            "system_fingerprint": null,
        })
    }

    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "system_fingerprint": null,
            "choices": choices,
        })
    }
}

/// The response in pieces.
struct Chunks {
    head: Head,
    include_usage: bool,
    /// Whether the client is one of ours.
    own: bool,
    cost: Cost,
    /// How many calls each answer has made.
    calls: BTreeMap<usize, usize>,
}

impl Chunks {
    fn say(&self, out: &mut String, index: usize, delta: Value, more: (Value, Option<&str>)) {
        let (logprobs, finish_reason) = more;
        let mut chunk = self.head.chunk(json!([{
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }]));
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        sse(out, None, &chunk);
    }

    fn tokens(&self, tokens: &[TokenLogprob]) -> Value {
        if self.head.logprobs { logprobs(tokens) } else { Value::Null }
    }
}

impl Encode for Chunks {
    fn event(&mut self, index: usize, event: Event, out: &mut String) {
        if self.own {
            own::tell(out, &event, || self.head.chunk(json!([])));
        }
        match event {
            Event::Waiting { .. } | Event::Reading { .. } => {}
            Event::Started { .. } => {
                let delta = json!({"role": "assistant", "content": "", "refusal": null});
                self.say(out, index, delta, (Value::Null, None));
            }
            // Half a character: the whole one is on its way.
            Event::Text { text, logprobs } if text.is_empty() && logprobs.is_empty() => {}
            Event::Text { text, logprobs } => {
                let tokens = self.tokens(&logprobs);
                self.say(out, index, json!({"content": text}), (tokens, None));
            }
            Event::Call(call) => {
                let made = self.calls.entry(index).or_default();
                let place = *made;
                *made += 1;
                if place == 0 || !self.head.one_call {
                    let mut said = call_json(&call);
                    said["index"] = place.into();
                    self.say(out, index, json!({"tool_calls": [said]}), (Value::Null, None));
                }
            }
            Event::Finished { reason, usage } => {
                self.cost.add(&usage, self.cost.prompt > 0);
                self.say(out, index, json!({}), (Value::Null, Some(finish(reason))));
            }
            Event::Failed(why) => sse(out, None, &error(&why.into())),
        }
    }

    fn end(&mut self, out: &mut String) {
        if self.include_usage {
            let mut chunk = self.head.chunk(json!([]));
            chunk["usage"] = self.cost.json();
            sse(out, None, &chunk);
        }
        *out += "data: [DONE]\n\n";
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shape;
    use ondine_chat::ToolChoice;

    fn wanted(mut body: Value) -> Result<Wanted, Trouble> {
        if body.get("model").is_none() {
            body["model"] = "m".into();
        }
        if body.get("messages").is_none() {
            body["messages"] = json!([{"role": "user", "content": "x"}]);
        }
        shape::<Body>(&body)?.wanted(&Limits::default())
    }

    fn tool(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name}})
    }

    #[test]
    fn each_wrong_field_is_named() {
        let turn = |turn: Value| json!({"messages": [turn]});
        let part = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
        let call = |arguments: Value| {
            let function = json!({"name": "f", "arguments": arguments});
            turn(json!({"role": "assistant", "tool_calls": [{"id": "1", "function": function}]}))
        };
        let rows = [
            (json!({"messages": []}), "messages"),
            (json!({"messages": {}}), "messages"),
            (turn(json!([])), "messages[0]"),
            (turn(json!({"content": "x"})), "messages[0].role"),
            (turn(json!({"role": "function", "content": "x"})), "messages[0].role"),
            (turn(json!({"role": "user"})), "messages[0].content"),
            (turn(json!({"role": "tool", "content": "x"})), "messages[0].tool_call_id"),
            (part(json!({"type": "text"})), "messages[0].content[0].text"),
            (part(json!({"type": "image_url"})), "messages[0].content[0]"),
            (part(json!({"type": "input_audio"})), "messages[0].content[0]"),
            (part(json!({"type": "file"})), "messages[0].content[0]"),
            (part(json!({"type": "x"})), "messages[0].content[0].type"),
            (call(json!("[1]")), "messages[0].tool_calls[0].function.arguments"),
            (call(json!({"a": 1})), "messages[0].tool_calls[0].function.arguments"),
            (
                turn(json!({"role": "user", "content": "", "tool_calls": [
                    {"id": "1", "function": {"name": "f"}},
                ]})),
                "messages[0].tool_calls",
            ),
            (json!({"tools": [{"type": "custom"}]}), "tools[0].type"),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
            (json!({"tools": [tool("a b")]}), "tools[0].function.name"),
            (json!({"tools": [tool("f"), tool("f")]}), "tools[1]"),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"tools": [tool("f")], "tool_choice": tool("g")}), "tool_choice"),
            (json!({"tools": [tool("f")], "tool_choice": "f"}), "tool_choice"),
            (json!({"tool_choice": 5}), "tool_choice"),
            (json!({"response_format": {"type": "xml"}}), "response_format.type"),
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}),
                "response_format.json_schema.schema",
            ),
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"schema": 1}}}),
                "response_format.json_schema.schema",
            ),
            (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
            (json!({"max_tokens": 0, "max_completion_tokens": 5}), "max_tokens"),
            (json!({"top_logprobs": 2}), "top_logprobs"),
            (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
            (json!({"logprobs": 5}), "logprobs"),
            (json!({"stream_options": {}}), "stream_options"),
            (json!({"function_call": "auto"}), "function_call"),
            (json!({"overflow": "forget"}), "overflow"),
            (json!({"model": null}), "model"),
        ];
        for (body, expected) in rows {
            let trouble = wanted(body.clone()).unwrap_err();
            assert_eq!(trouble.param.as_deref(), Some(expected), "{body}");
        }
    }

    #[test]
    fn each_choice_and_format_has_its_place() {
        for (choice, expected) in [
            (json!(null), ToolChoice::Auto),
            (json!("auto"), ToolChoice::Auto),
            (json!("none"), ToolChoice::None),
            (json!("required"), ToolChoice::Required),
            (tool("f"), ToolChoice::Named("f".into())),
        ] {
            let wanted = wanted(json!({"tools": [tool("f")], "tool_choice": choice})).unwrap();
            assert_eq!(wanted.request.tool_choice, expected);
        }
        let schema = json!({"type": "object"});
        for (format, expected) in [
            (json!({"type": "text"}), Format::Text),
            (json!({"type": "json_object"}), Format::Json),
            (
                json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}),
                Format::Schema(schema.clone()),
            ),
        ] {
            let wanted = wanted(json!({"response_format": format})).unwrap();
            assert_eq!(wanted.request.format, expected);
        }
    }

    #[test]
    fn numbers_without_a_value_are_not_asked() {
        let wanted = wanted(json!({"n": null, "logprobs": false, "stop": null})).unwrap();
        assert_eq!((wanted.n, wanted.request.logprobs, wanted.stream), (1, None, false));
        assert_eq!(wanted.request.max_tokens, None);
        assert!(wanted.request.stop.is_empty());
    }
}
