//! OpenAI's shapes, and Ondine's own object beside them: a request becomes a body, a chunk becomes
//! events. It knows no connection.

use ondine_chat::{
    ChatError, Event, FinishReason, Format, Keep, Message, Overflow, Prompt, Request, Role,
    Sampling, TokenLogprob, Tool, ToolCall, ToolChoice, Usage,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat::Told;

/// What JSON has no number for (a token that cannot come) is told as this.
const IMPOSSIBLE: f32 = -9999.0;

/// The path and the body of a request whose answer comes in pieces.
pub(crate) fn body(request: &Request) -> Result<(&'static str, Value), ChatError> {
    let mut body = Map::new();
    body.insert("model".into(), request.model.clone().into());
    body.insert("stream".into(), true.into());
    let mut own = own(request);
    let path = match &request.prompt {
        Prompt::Messages(messages) => {
            body.insert("messages".into(), messages.iter().map(message).collect());
            if let Some(max_tokens) = request.max_tokens {
                body.insert("max_completion_tokens".into(), max_tokens.into());
            }
            if let Some(top) = request.logprobs {
                body.insert("logprobs".into(), true.into());
                body.insert("top_logprobs".into(), top.into());
            }
            add_tools(&mut body, &request.tools, &request.tool_choice);
            add_format(&mut body, &mut own, &request.format);
            "/v1/chat/completions"
        }
        Prompt::Text(text) => {
            let none = |part: &str| {
                let what = format!("a daemon takes {part} with messages, not with a plain text");
                ChatError::Unsupported(what)
            };
            if !request.tools.is_empty() || request.tool_choice != ToolChoice::Auto {
                return Err(none("tools"));
            }
            if matches!(request.format, Format::Json | Format::Schema(_)) {
                return Err(none("JSON as a format"));
            }
            body.insert("prompt".into(), text.clone().into());
            if let Some(max_tokens) = request.max_tokens {
                body.insert("max_tokens".into(), max_tokens.into());
            }
            if let Some(top) = request.logprobs {
                body.insert("logprobs".into(), top.into());
            }
            add_format(&mut body, &mut own, &request.format);
            "/v1/completions"
        }
    };
    if !request.stop.is_empty() {
        body.insert("stop".into(), request.stop.clone().into());
    }
    add_sampling(&mut body, &request.sampling);
    if request.overflow != Overflow::Error {
        body.insert("overflow".into(), json!(request.overflow));
    }
    body.insert("ondine".into(), own.into());
    Ok((path, body.into()))
}

/// What OpenAI has no field for. It is sent even where it is empty: it asks for an exact beginning
/// and an exact end.
fn own(request: &Request) -> Map<String, Value> {
    let mut own = Map::new();
    match request.keep {
        Keep::Usual => {}
        Keep::Seconds(seconds) => _ = own.insert("keep_alive".into(), seconds.into()),
        Keep::Always => _ = own.insert("keep_alive".into(), (-1).into()),
    }
    own
}

/// A turn.
pub(crate) fn message(message: &Message) -> Value {
    let mut turn = json!({"role": message.role.name(), "content": message.text});
    if !message.calls.is_empty() {
        let call = |call: &ToolCall| {
            let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
            json!({"id": call.id, "type": "function", "function": function})
        };
        turn["tool_calls"] = message.calls.iter().map(call).collect();
    }
    if message.role == Role::Tool {
        turn["tool_call_id"] = message.call_id.clone().unwrap_or_default().into();
    }
    turn
}

/// A turn as a daemon tells it.
#[derive(Deserialize)]
pub(crate) struct TurnIn {
    role: Role,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Vec<CallIn>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
struct CallIn {
    id: String,
    function: FunctionIn,
}

#[derive(Deserialize)]
struct FunctionIn {
    name: String,
    arguments: String,
}

impl CallIn {
    fn call(self) -> Option<ToolCall> {
        let arguments = serde_json::from_str(&self.function.arguments).ok()?;
        Some(ToolCall { id: self.id, name: self.function.name, arguments })
    }
}

impl TurnIn {
    /// `None` where a call's arguments are no JSON.
    pub(crate) fn message(self) -> Option<Message> {
        let calls: Option<Vec<ToolCall>> = self.tool_calls.into_iter().map(CallIn::call).collect();
        Some(Message {
            role: self.role,
            text: self.content.unwrap_or_default(),
            calls: calls?,
            call_id: self.tool_call_id,
        })
    }
}

/// Tools, where there are any.
pub(crate) fn add_tools(body: &mut Map<String, Value>, tools: &[Tool], choice: &ToolChoice) {
    if !tools.is_empty() {
        let tool = |tool: &Tool| {
            json!({"type": "function", "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            }})
        };
        body.insert("tools".into(), tools.iter().map(tool).collect());
    }
    let choice: Value = match choice {
        ToolChoice::Auto => return,
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    };
    body.insert("tool_choice".into(), choice);
}

fn add_format(body: &mut Map<String, Value>, own: &mut Map<String, Value>, format: &Format) {
    match format {
        Format::Text => {}
        Format::Json => _ = body.insert("response_format".into(), json!({"type": "json_object"})),
        Format::Schema(schema) => {
            let schema = json!({"name": "answer", "strict": true, "schema": schema});
            let format = json!({"type": "json_schema", "json_schema": schema});
            body.insert("response_format".into(), format);
        }
        Format::Regex(regex) => _ = own.insert("regex".into(), regex.clone().into()),
        Format::Lark(lark) => _ = own.insert("lark".into(), lark.clone().into()),
    }
}

pub(crate) fn add_sampling(body: &mut Map<String, Value>, sampling: &Sampling) {
    // Shortest decimals: a float that is widened first is told with digits that it never had.
    let number = |value: f32| value.to_string().parse::<f64>().ok().map(Value::from);
    let fields = [
        ("temperature", sampling.temperature.and_then(number)),
        ("top_k", sampling.top_k.map(Value::from)),
        ("top_p", sampling.top_p.and_then(number)),
        ("min_p", sampling.min_p.and_then(number)),
        ("repetition_penalty", sampling.repeat_penalty.and_then(number)),
        ("presence_penalty", sampling.presence_penalty.and_then(number)),
        ("frequency_penalty", sampling.frequency_penalty.and_then(number)),
        // The API's seeds have a sign; their bits are what counts.
        ("seed", sampling.seed.map(|seed| Value::from(seed as i64))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body.insert(name.into(), value);
        }
    }
    if !sampling.logit_bias.is_empty() {
        let biases = sampling.logit_bias.iter();
        let biases: Map<String, Value> =
            biases.map(|(token, bias)| (token.to_string(), json!(bias))).collect();
        body.insert("logit_bias".into(), biases.into());
    }
}

/// A chunk of an answer.
#[derive(Deserialize)]
pub(crate) struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    ondine: Option<Own>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
    /// The older endpoint's delta.
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    tool_calls: Vec<CallIn>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Logprobs {
    Chat { content: Vec<TokenIn> },
    Columns { tokens: Vec<String>, token_logprobs: Vec<f32>, top_logprobs: Vec<Map<String, Value>> },
}

#[derive(Deserialize)]
struct TokenIn {
    token: String,
    bytes: Vec<u8>,
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<TokenIn>,
}

/// The beginning or the end of an answer, as they were.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Own {
    Started { prompt_tokens: usize, cached_tokens: usize },
    Finished { reason: FinishReason, usage: Usage },
}

impl Chunk {
    /// What it tells, in order; `None` where that means nothing.
    pub(crate) fn told(self) -> Option<Told> {
        if self.error.is_some() {
            return Some(Told::Trouble(json!({"error": self.error})));
        }
        let mut events = Vec::new();
        for choice in self.choices {
            let (content, calls) = match choice.delta {
                Some(delta) => (delta.content, delta.tool_calls),
                None => (choice.text, Vec::new()),
            };
            let text = content.unwrap_or_default();
            let logprobs = choice.logprobs.map(Logprobs::tokens).unwrap_or_default();
            if !text.is_empty() || !logprobs.is_empty() {
                events.push(Event::Text { text, logprobs });
            }
            for call in calls {
                events.push(Event::Call(call.call()?));
            }
        }
        events.extend(self.ondine.map(|own| match own {
            Own::Started { prompt_tokens, cached_tokens } => {
                Event::Started { prompt_tokens, cached_tokens }
            }
            Own::Finished { reason, usage } => Event::Finished { reason, usage },
        }));
        Some(Told::Events(events))
    }
}

impl Logprobs {
    fn tokens(self) -> Vec<TokenLogprob> {
        match self {
            Logprobs::Chat { content } => content.into_iter().map(TokenIn::token).collect(),
            // The older endpoint tells no bytes: a token's text stands for them.
            Logprobs::Columns { tokens, token_logprobs, top_logprobs } => tokens
                .into_iter()
                .zip(token_logprobs)
                .zip(top_logprobs)
                .map(|((text, logprob), top)| TokenLogprob {
                    bytes: text.as_bytes().to_vec(),
                    text,
                    logprob: possible(logprob),
                    top: top.into_iter().filter_map(column).collect(),
                })
                .collect(),
        }
    }
}

fn column((text, value): (String, Value)) -> Option<(String, Vec<u8>, f32)> {
    let bytes = text.as_bytes().to_vec();
    Some((text, bytes, possible(value.as_f64()? as f32)))
}

impl TokenIn {
    fn token(self) -> TokenLogprob {
        let top = self.top_logprobs.into_iter();
        TokenLogprob {
            text: self.token,
            bytes: self.bytes,
            logprob: possible(self.logprob),
            top: top.map(|t| (t.token, t.bytes, possible(t.logprob))).collect(),
        }
    }
}

fn possible(logprob: f32) -> f32 {
    if logprob <= IMPOSSIBLE { f32::NEG_INFINITY } else { logprob }
}

/// A conversation as Anthropic's endpoint counts it. It has no place for a system's turn among the
/// others, nor for two of them.
pub(crate) fn counted(request: &Request) -> Result<Value, ChatError> {
    let none = |what: &str| ChatError::Unsupported(format!("a daemon counts no tokens of {what}"));
    let Prompt::Messages(messages) = &request.prompt else { return Err(none("a plain text")) };
    let (system, turns) = match &messages[..] {
        [first, turns @ ..] if first.role == Role::System => (Some(&first.text), turns),
        turns => (None, turns),
    };
    if turns.iter().any(|turn| turn.role == Role::System) {
        return Err(none("a system's turn that is not the first one"));
    }
    if turns.is_empty() {
        return Err(none("a system's turn alone"));
    }
    let mut body = json!({"model": request.model, "messages": []});
    body["messages"] = turns.iter().map(block).collect();
    if let Some(system) = system {
        body["system"] = system.as_str().into();
    }
    if !request.tools.is_empty() {
        let tool = |tool: &Tool| {
            json!({
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.parameters,
            })
        };
        body["tools"] = request.tools.iter().map(tool).collect();
    }
    match &request.tool_choice {
        ToolChoice::Auto => {}
        ToolChoice::None => body["tool_choice"] = json!({"type": "none"}),
        ToolChoice::Required => body["tool_choice"] = json!({"type": "any"}),
        ToolChoice::Named(name) => body["tool_choice"] = json!({"type": "tool", "name": name}),
    }
    Ok(body)
}

fn block(turn: &Message) -> Value {
    match turn.role {
        Role::Tool => json!({"role": "user", "content": [{
            "type": "tool_result",
            "tool_use_id": turn.call_id.clone().unwrap_or_default(),
            "content": turn.text,
        }]}),
        Role::Assistant if !turn.calls.is_empty() => {
            let text = (!turn.text.is_empty()).then(|| json!({"type": "text", "text": turn.text}));
            let calls = turn.calls.iter().map(|call| {
                json!({
                    "type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments,
                })
            });
            let content: Vec<Value> = text.into_iter().chain(calls).collect();
            json!({"role": "assistant", "content": content})
        }
        role => json!({"role": role.name(), "content": turn.text}),
    }
}
