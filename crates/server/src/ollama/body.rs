//! What Ollama's clients send, and the request it is. Options that say how a model is loaded
//! (`num_ctx`, `num_gpu` and others) are passed over: here that is decided by whoever loads it, and
//! a prompt that does not fit is refused unless `truncate` is true.

use ondine_chat::{Format, Message, Overflow, Request, Role, Sampling, Tool, ToolCall};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::Limits;
use crate::common::{self, at_most, within};
use crate::trouble::Trouble;
use crate::wire::OneOr;

/// `POST /api/chat`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaChatRequest")]
pub(super) struct ChatBody {
    model: String,
    #[serde(default)]
    messages: Vec<Turn>,
    #[serde(default)]
    keep_alive: Option<Value>,
    #[serde(default)]
    tools: Option<Vec<ToolIn>>,
    #[serde(default)]
    format: Option<Value>,
    #[serde(default)]
    options: Option<Options>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    think: Option<Value>,
}

/// `POST /api/generate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaGenerateRequest")]
pub(super) struct GenerateBody {
    model: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    keep_alive: Option<Value>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    raw: Option<bool>,
    #[serde(default)]
    format: Option<Value>,
    #[serde(default)]
    options: Option<Options>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    truncate: Option<bool>,
    #[serde(default)]
    think: Option<Value>,
    #[serde(default)]
    suffix: Option<String>,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    images: Option<Vec<Value>>,
    #[serde(default)]
    context: Option<Vec<Value>>,
}

/// `POST /api/embed`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaEmbedRequest")]
pub(super) struct EmbedBody {
    model: String,
    input: OneOr<String>,
}

/// `POST /api/show`. Older clients say `name`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaShowRequest")]
pub(super) struct ShowBody {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaMessage")]
struct Turn {
    role: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    images: Option<Vec<Value>>,
    #[serde(default)]
    tool_calls: Option<Vec<CallIn>>,
    #[serde(default)]
    tool_call_id: Option<String>,
    #[serde(default)]
    tool_name: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaToolCall")]
struct CallIn {
    #[serde(default)]
    id: Option<String>,
    function: FunctionIn,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaFunctionCall")]
struct FunctionIn {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaTool")]
struct ToolIn {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    function: FunctionShape,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaFunctionDefinition")]
struct FunctionShape {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "OllamaOptions")]
struct Options {
    /// -1 and -2 mean as many as fit.
    #[serde(default)]
    num_predict: Option<i64>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    min_p: Option<f32>,
    #[serde(default)]
    seed: Option<i64>,
    #[serde(default)]
    stop: Option<OneOr<String>>,
    #[serde(default)]
    repeat_penalty: Option<f32>,
    #[serde(default)]
    presence_penalty: Option<f32>,
    #[serde(default)]
    frequency_penalty: Option<f32>,
}

/// What a body asks for besides the request itself.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) request: Request,
    pub(super) stream: bool,
    /// Nothing is said: the model itself is wanted, or, where it is to stay no longer, not any more.
    pub(super) silent: bool,
}

impl Options {
    fn apply(self, limits: &Limits, request: &mut Request) -> Result<(), Trouble> {
        request.max_tokens = match self.num_predict {
            None | Some(-1 | -2) => None,
            Some(tokens) => {
                let most = i64::try_from(limits.tokens).unwrap_or(i64::MAX);
                within("options.num_predict", Some(tokens), 1..=most)?;
                usize::try_from(tokens).ok()
            }
        };
        let penalty = -2.0..=2.0;
        request.sampling = Sampling {
            temperature: within("options.temperature", self.temperature, 0.0..=2.0)?,
            top_k: self.top_k,
            top_p: within("options.top_p", self.top_p, 0.0..=1.0)?,
            min_p: within("options.min_p", self.min_p, 0.0..=1.0)?,
            repeat_penalty: within("options.repeat_penalty", self.repeat_penalty, 0.01..=10.0)?,
            presence_penalty: within(
                "options.presence_penalty",
                self.presence_penalty,
                penalty.clone(),
            )?,
            frequency_penalty: within(
                "options.frequency_penalty",
                self.frequency_penalty,
                penalty,
            )?,
            seed: self.seed.map(|seed| seed as u64),
            ..Sampling::default()
        };
        request.stop = common::stops(limits, "options.stop", self.stop)?;
        Ok(())
    }
}

/// `"json"`, a schema, or nothing in several words.
fn format(limits: &Limits, format: Option<Value>) -> Result<Format, Trouble> {
    match format {
        None | Some(Value::Null) => Ok(Format::Text),
        Some(Value::String(word)) => match word.as_str() {
            "" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(Trouble::at("format", "expected json or a JSON Schema")),
        },
        Some(schema) => Ok(Format::Schema(common::schema(limits, "format", schema)?)),
    }
}

/// To think as told is a promise that is not made here.
fn check_think(think: Option<&Value>) -> Result<(), Trouble> {
    match think {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(_) => Err(Trouble::at("think", "is not supported; leave it out or say false")),
    }
}

impl ChatBody {
    pub(super) fn wanted(self, limits: &Limits) -> Result<Wanted, Trouble> {
        check_think(self.think.as_ref())?;
        at_most("messages", self.messages.len(), limits.messages, "messages")?;
        let silent = self.messages.is_empty();
        let mut messages: Vec<Message> = Vec::new();
        for (index, turn) in self.messages.into_iter().enumerate() {
            let message = turn.message(limits, &format!("messages[{index}]"), &messages)?;
            messages.push(message);
        }
        let mut request = Request::new(self.model, messages);
        request.tools = common::tools(limits, self.tools, |tool, path| tool.tool(limits, path))?;
        common::check_tools(limits, &request.tools, &request.tool_choice, "tools")?;
        request.format = format(limits, self.format)?;
        self.options.unwrap_or_default().apply(limits, &mut request)?;
        if self.truncate == Some(true) {
            request.overflow = Overflow::Anchored;
        }
        request.keep = common::keep("keep_alive", self.keep_alive.as_ref())?;
        Ok(Wanted { request, stream: self.stream.unwrap_or(true), silent })
    }
}

impl Turn {
    fn message(self, limits: &Limits, path: &str, before: &[Message]) -> Result<Message, Trouble> {
        let role = match self.role.as_str() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            _ => {
                let message = "expected one of system, user, assistant, tool";
                return Err(Trouble::at(format!("{path}.role"), message));
            }
        };
        if self.images.is_some_and(|images| !images.is_empty()) {
            let message = "images are not read here; send text";
            return Err(Trouble::at(format!("{path}.images"), message));
        }
        let calls = self.tool_calls.unwrap_or_default();
        if !calls.is_empty() && role != Role::Assistant {
            return Err(Trouble::at(
                format!("{path}.tool_calls"),
                "only the assistant calls tools",
            ));
        }
        at_most(&format!("{path}.tool_calls"), calls.len(), limits.tools, "calls")?;
        let mut own = Vec::new();
        for (index, call) in calls.into_iter().enumerate() {
            let FunctionIn { name, arguments } = call.function;
            let arguments = arguments.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            if !arguments.is_object() {
                let place = format!("{path}.tool_calls[{index}].function.arguments");
                return Err(Trouble::at(place, "expected an object"));
            }
            // Ollama's calls need no names; templates of some models do.
            let id = call.id.unwrap_or_else(|| format!("call_{}_{index}", before.len()));
            own.push(ToolCall { id, name, arguments });
        }
        let call_id = match (role, self.tool_call_id) {
            (Role::Tool, Some(id)) => Some(id),
            (Role::Tool, None) => answered(before, self.tool_name.as_deref()),
            _ => None,
        };
        Ok(Message { role, text: self.content.unwrap_or_default(), calls: own, call_id })
    }
}

/// The call that a tool's turn answers: the first of the last calls that has no answer yet, of that
/// name where a name is given.
fn answered(before: &[Message], name: Option<&str>) -> Option<String> {
    let asked = before.iter().rposition(|message| !message.calls.is_empty())?;
    let done: Vec<&str> =
        before[asked + 1..].iter().filter_map(|message| message.call_id.as_deref()).collect();
    let mut open = before[asked].calls.iter().filter(|call| !done.contains(&call.id.as_str()));
    let found = open.find(|call| name.is_none_or(|name| call.name == name))?;
    Some(found.id.clone())
}

impl ToolIn {
    fn tool(self, limits: &Limits, path: &str) -> Result<Tool, Trouble> {
        if self.kind.is_some_and(|kind| kind != "function") {
            return Err(Trouble::at(format!("{path}.type"), "expected function"));
        }
        let FunctionShape { name, description, parameters } = self.function;
        let path = format!("{path}.function");
        common::tool(limits, &path, (name, description, parameters), "parameters")
    }
}

impl GenerateBody {
    pub(super) fn wanted(self, limits: &Limits) -> Result<Wanted, Trouble> {
        check_think(self.think.as_ref())?;
        for (name, there) in [
            ("suffix", self.suffix.is_some_and(|text| !text.is_empty())),
            ("template", self.template.is_some_and(|text| !text.is_empty())),
            ("images", self.images.is_some_and(|list| !list.is_empty())),
            ("context", self.context.is_some_and(|list| !list.is_empty())),
        ] {
            if there {
                return Err(Trouble::at(name, "is not supported"));
            }
        }
        let silent = self.prompt.is_empty();
        let mut request = if self.raw == Some(true) {
            Request::text(self.model, self.prompt)
        } else {
            let system = self.system.filter(|text| !text.is_empty()).map(Message::system);
            Request::new(self.model, system.into_iter().chain([Message::user(self.prompt)]))
        };
        request.format = format(limits, self.format)?;
        self.options.unwrap_or_default().apply(limits, &mut request)?;
        if self.truncate == Some(true) {
            request.overflow = Overflow::Anchored;
        }
        request.keep = common::keep("keep_alive", self.keep_alive.as_ref())?;
        Ok(Wanted { request, stream: self.stream.unwrap_or(true), silent })
    }
}

impl EmbedBody {
    /// The model's name and the texts.
    pub(super) fn wanted(self, limits: &Limits) -> Result<(String, Vec<String>), Trouble> {
        let texts = match self.input {
            OneOr::One(text) => vec![text],
            OneOr::Many(texts) => texts,
        };
        at_most("input", texts.len(), limits.texts, "texts")?;
        Ok((self.model, texts))
    }
}

impl ShowBody {
    pub(super) fn name(self) -> Result<String, Trouble> {
        self.model.or(self.name).ok_or_else(|| Trouble::at("model", "is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::shape;
    use ondine_chat::{Keep, Prompt};
    use serde_json::json;

    fn chat(mut body: Value) -> Result<Wanted, Trouble> {
        body["model"] = "m".into();
        if body.get("messages").is_none() {
            body["messages"] = json!([{"role": "user", "content": "x"}]);
        }
        shape::<ChatBody>(&body)?.wanted(&Limits::default())
    }

    fn generate(mut body: Value) -> Result<Wanted, Trouble> {
        body["model"] = "m".into();
        body["prompt"] = "x".into();
        shape::<GenerateBody>(&body)?.wanted(&Limits::default())
    }

    #[test]
    fn a_tool_s_turn_finds_its_call() {
        let call = |name: &str| json!({"function": {"name": name, "arguments": {"x": 1}}});
        let wanted = chat(json!({"messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "", "tool_calls": [call("f"), call("g"), call("f")]},
            {"role": "tool", "tool_name": "g", "content": "of g"},
            {"role": "tool", "content": "of f"},
            {"role": "tool", "tool_name": "f", "content": "of f again"},
            {"role": "tool", "tool_call_id": "own", "content": "named"},
        ]}))
        .unwrap();
        let Prompt::Messages(messages) = wanted.request.prompt else { panic!("no conversation") };
        let ids: Vec<_> = messages[2..].iter().map(|m| m.call_id.as_deref().unwrap()).collect();
        assert_eq!(ids, ["call_1_1", "call_1_0", "call_1_2", "own"]);
    }

    #[test]
    fn each_option_has_its_place() {
        let wanted = generate(json!({"system": "s", "stream": false, "options": {
            "num_predict": 5, "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1, "seed": 7,
            "stop": ["a", "b"], "repeat_penalty": 1.1, "presence_penalty": 0.2,
            "frequency_penalty": 0.3, "num_ctx": 4096, "mirostat": 1,
        }}))
        .unwrap();
        let Request { sampling, max_tokens, stop, prompt, .. } = wanted.request;
        let expected = Sampling {
            temperature: Some(0.5),
            top_k: Some(3),
            top_p: Some(0.9),
            min_p: Some(0.1),
            seed: Some(7),
            repeat_penalty: Some(1.1),
            presence_penalty: Some(0.2),
            frequency_penalty: Some(0.3),
            ..Sampling::default()
        };
        assert_eq!((sampling, max_tokens), (expected, Some(5)));
        assert_eq!((stop, wanted.stream), (vec!["a".to_owned(), "b".to_owned()], false));
        assert_eq!(prompt, Prompt::Messages(vec![Message::system("s"), Message::user("x")]));
        assert!(!wanted.silent);
        let silent = chat(json!({"messages": [], "keep_alive": 0})).unwrap();
        assert!(silent.silent && silent.request.keep == Keep::Seconds(0));
        let kept = generate(json!({"keep_alive": "-1"})).unwrap();
        assert!(!kept.silent && kept.request.keep == Keep::Always);
        let raw = generate(json!({"raw": true, "system": "s"})).unwrap();
        assert_eq!(raw.request.prompt, Prompt::Text("x".into()));
        assert!(raw.stream, "a stream unless told otherwise");
        for all in [-1, -2] {
            let wanted = generate(json!({"options": {"num_predict": all}})).unwrap();
            assert_eq!(wanted.request.max_tokens, None);
        }
    }

    #[test]
    fn each_format_has_its_place() {
        for (value, expected) in [
            (json!(null), Some(Format::Text)),
            (json!(""), Some(Format::Text)),
            (json!("json"), Some(Format::Json)),
            (json!({"type": "object"}), Some(Format::Schema(json!({"type": "object"})))),
            (json!("yaml"), None),
            (json!(5), None),
        ] {
            let format = chat(json!({"format": value})).ok().map(|wanted| wanted.request.format);
            assert_eq!(format, expected, "{value}");
        }
    }

    #[test]
    fn each_wrong_field_is_named() {
        let turn = |turn: Value| json!({"messages": [turn]});
        let rows = [
            (json!({"keep_alive": "soon"}), "keep_alive"),
            (turn(json!({"role": "x", "content": ""})), "messages[0].role"),
            (turn(json!({"role": "user", "content": 5})), "messages[0].content"),
            (turn(json!({"role": "user", "content": "", "images": ["x"]})), "messages[0].images"),
            (
                turn(json!({"role": "user", "tool_calls": [{"function": {"name": "f"}}]})),
                "messages[0].tool_calls",
            ),
            (json!({"think": true}), "think"),
            (json!({"think": "high"}), "think"),
            (json!({"options": {"num_predict": -3}}), "options.num_predict"),
            (json!({"options": {"num_predict": 0}}), "options.num_predict"),
            (json!({"options": {"num_predict": i64::MAX}}), "options.num_predict"),
            (json!({"options": {"temperature": -1}}), "options.temperature"),
            (json!({"options": {"top_k": -1}}), "options.top_k"),
            (json!({"options": {"stop": [5]}}), "options.stop[0]"),
            (json!({"tools": [{"type": "x", "function": {"name": "f"}}]}), "tools[0].type"),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
            (json!({"stream": "yes"}), "stream"),
        ];
        for (body, expected) in rows {
            let trouble = chat(body.clone()).unwrap_err();
            assert_eq!(trouble.param.as_deref(), Some(expected), "{body}");
        }
        for name in ["suffix", "template", "images", "context"] {
            let value = if name == "images" || name == "context" { json!([1]) } else { json!("x") };
            let trouble = generate(json!({name: value})).unwrap_err();
            assert_eq!(trouble.param.as_deref(), Some(name));
        }
    }
}
