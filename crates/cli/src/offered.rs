//! What this device offers to programs that speak the Model Context Protocol: its models as tools, what
//! can be looked up, and what else whoever starts it gives. Over standard streams that is one program;
//! behind the daemon's door, each app has its own.

use std::sync::Arc;
use std::time::Duration;

use ondine_app::{Context, Effect, FnTool, Retrieve, Tool, ToolError, ToolSpec};
use ondine_chat::{Answer, Chat, ChatError, Embed, Message, Request};
use ondine_mcp::{Allowance, Content, Http, McpError, Offer, Resource, ResourceError, Resources};
use ondine_server::{Guest, Visit, http};
use ondine_tools::device::Notice;
use ondine_tools::{Desktop, desktop_tools};
use serde_json::{Value, json};

use crate::commands::rag;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::model::DROPLET;
use crate::output::{self, Shown};
use crate::own::own_folder;
use crate::store;

/// Tokens of an answer at most; a model that does not end is not asked for ever.
const TOKENS_MAX: usize = 8192;
/// Tokens of an answer where nothing is said.
const TOKENS: usize = 1024;
/// Texts that become vectors at one time.
const TEXTS_MAX: usize = 16;
/// Passages of one search.
const HITS_MAX: usize = 50;
/// How long an answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(240);
/// How long everything else may take.
const SHORT_TIME: Duration = Duration::from_secs(30);
/// Calls of all apps at one time.
const CALLS: usize = 32;
/// Where the list of models is read.
const MODELS: &str = "ondine://models";

/// What is offered beside the models.
#[derive(Clone, Default)]
pub(crate) struct Extras {
    /// What can be looked up.
    pub(crate) retrieve: Option<Arc<dyn Retrieve>>,
    /// Further tools.
    pub(crate) tools: Vec<Arc<dyn Tool>>,
}

impl Extras {
    /// What the flags ask for.
    pub(crate) fn of(arguments: &Arguments<'_>) -> Result<Extras, Failure> {
        let mut extras = Extras::default();
        if arguments.on("device") {
            let folder = store::home()?.join("device");
            own_folder(&folder).map_err(|error| Failure::from(error).at(folder.display()))?;
            // Whoever has a screen to show it on asks for the alarms; here there are words.
            let told =
                |notice: &Notice| output::note(format_args!("it is time: {}", Shown(&notice.text)));
            let desktop = Desktop::open(&folder, Arc::new(told))
                .map_err(|error| Failure::from(error).at(folder.display()))?;
            extras.tools = desktop_tools(Arc::new(desktop));
        }
        if let Some(place) = arguments.path("rag") {
            extras.retrieve = Some(Arc::new(rag::retriever(place)?));
        }
        Ok(extras)
    }
}

/// All that is offered to somebody who asks these models.
pub(crate) fn offer(chat: Arc<dyn Chat>, embed: Arc<dyn Embed>, extras: &Extras) -> Offer {
    let has_droplet = chat.models().iter().any(|model| model.name == DROPLET);
    let mut tools = vec![ask(chat.clone()), count_tokens(chat.clone()), embedding(embed)];
    if has_droplet {
        tools.push(device_call(chat.clone()));
    }
    tools.extend(extras.retrieve.clone().map(search));
    tools.extend(extras.tools.iter().cloned());
    // Vectors of several texts are long, and half a list of numbers is of no use.
    let allowance = Allowance { result_bytes: 1 << 20, ..Allowance::default() };
    Offer::new("ondine", env!("CARGO_PKG_VERSION"))
        .instructions("Models of this device: what is asked here does not leave it.")
        .tools(tools)
        .resources(Arc::new(Models(chat)))
        .allowing(allowance)
}

/// The offer behind the daemon's door.
pub(crate) struct Desk {
    http: Http,
    extras: Extras,
}

impl Desk {
    /// Offers the daemon's models, and these.
    pub(crate) fn new(extras: Extras) -> Result<Desk, McpError> {
        Ok(Desk { http: Http::new(CALLS)?, extras })
    }
}

impl Guest for Desk {
    fn answer(&self, visit: Visit) -> http::Response<Vec<u8>> {
        let Visit { app, request, chat, embed, gone } = visit;
        let offer = offer(chat, embed, &self.extras).for_caller(app.name);
        self.http.answer(&offer, request, move || gone.is_set())
    }
}

/// A tool that changes nothing, with the arguments that it must have and those that it may have.
fn made(
    name: &str,
    description: &str,
    properties: Value,
    required: &[&str],
    timeout: Duration,
    work: impl Fn(Value, &Context) -> Result<Value, ToolError> + Send + Sync + 'static,
) -> Arc<dyn Tool> {
    let parameters = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let (name, description) = (name.to_owned(), description.to_owned());
    let spec = ToolSpec { name, description, parameters, effect: Effect::Read, timeout };
    Arc::new(FnTool::new(spec, work))
}

fn text(arguments: &Value, name: &str) -> Result<String, ToolError> {
    let text = arguments[name].as_str().map(str::to_owned);
    text.ok_or_else(|| ToolError::Arguments(format!("{name} is a text")))
}

fn optional(arguments: &Value, name: &str) -> String {
    arguments[name].as_str().unwrap_or_default().to_owned()
}

fn failed(error: ChatError) -> ToolError {
    ToolError::Failed(error.to_string())
}

/// Asks, and stops asking when nobody waits.
fn answer(chat: &dyn Chat, request: Request, context: &Context) -> Result<Answer, ToolError> {
    let cancel = context.cancel.clone();
    let heard = cancel.clone();
    let answer = Answer::collect(|mut sink| {
        chat.start(request, Box::new(move |event| !heard.is_set() && sink(event)))
    });
    match answer {
        Err(_) if cancel.is_set() => Err(ToolError::Cancelled),
        answer => answer.map_err(failed),
    }
}

/// What a model said, and what it called.
fn said(answer: Answer) -> Value {
    if answer.calls.is_empty() {
        return answer.text.into();
    }
    let calls = answer.calls.into_iter();
    let calls = calls.map(|call| json!({"function": call.name, "arguments": call.arguments}));
    json!({"text": answer.text, "calls": calls.collect::<Vec<_>>()})
}

fn ask(chat: Arc<dyn Chat>) -> Arc<dyn Tool> {
    let properties = json!({
        "prompt": {"type": "string", "description": "What is asked"},
        "system": {"type": "string", "description": "What the model is told before"},
        "model": {"type": "string", "description": "A name from ondine://models; the default model otherwise"},
        "max_tokens": {"type": "integer", "minimum": 1, "maximum": TOKENS_MAX},
    });
    let about = "Asks a language model that runs on this device.";
    made("ask", about, properties, &["prompt"], ANSWER_TIME, move |arguments, context| {
        let mut messages = Vec::new();
        if let Some(system) = arguments["system"].as_str() {
            messages.push(Message::system(system));
        }
        messages.push(Message::user(text(&arguments, "prompt")?));
        let mut request = Request::new(optional(&arguments, "model"), messages);
        let tokens = arguments["max_tokens"].as_u64().and_then(|n| usize::try_from(n).ok());
        request.max_tokens = Some(tokens.unwrap_or(TOKENS).min(TOKENS_MAX));
        Ok(said(answer(chat.as_ref(), request, context)?))
    })
}

fn count_tokens(chat: Arc<dyn Chat>) -> Arc<dyn Tool> {
    let properties = json!({
        "text": {"type": "string", "description": "What a user would say"},
        "model": {"type": "string", "description": "A name from ondine://models; the default model otherwise"},
    });
    let about =
        "Counts the tokens of a prompt as a model of this device reads it, without running it.";
    made("count_tokens", about, properties, &["text"], SHORT_TIME, move |arguments, _| {
        let prompt = [Message::user(text(&arguments, "text")?)];
        let request = Request::new(optional(&arguments, "model"), prompt);
        Ok(json!({"tokens": chat.count_tokens(&request).map_err(failed)?}))
    })
}

fn embedding(embed: Arc<dyn Embed>) -> Arc<dyn Tool> {
    let properties = json!({
        "texts": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": TEXTS_MAX},
        "model": {"type": "string", "description": "A name from ondine://models; the default model otherwise"},
    });
    let about = "Turns texts into vectors of length 1, with an embedding model of this device.";
    made("embed", about, properties, &["texts"], ANSWER_TIME, move |arguments, _| {
        let texts: Vec<String> = serde_json::from_value(arguments["texts"].clone())
            .map_err(|error| ToolError::Arguments(error.to_string()))?;
        let embedded = embed.embed(&optional(&arguments, "model"), &texts).map_err(failed)?;
        Ok(json!({"vectors": embedded.vectors, "tokens": embedded.tokens}))
    })
}

fn device_call(chat: Arc<dyn Chat>) -> Arc<dyn Tool> {
    let properties = json!({
        "request": {"type": "string", "minLength": 1, "maxLength": 2048,
            "description": "What somebody wants of their device, in English or Chinese"},
    });
    let about = "Turns a request to a device (\"wake me at half past six\") into the call of a device \
                 function, as JSON. It calls nothing.";
    made("device_call", about, properties, &["request"], SHORT_TIME, move |arguments, context| {
        let request = Request::new(DROPLET, [Message::user(text(&arguments, "request")?)]);
        let mut said = answer(chat.as_ref(), request, context)?;
        Ok(match said.calls.pop() {
            Some(call) => json!({"function": call.name, "arguments": call.arguments}),
            None => said.text.into(),
        })
    })
}

fn search(index: Arc<dyn Retrieve>) -> Arc<dyn Tool> {
    let properties = json!({
        "question": {"type": "string", "minLength": 1},
        "k": {"type": "integer", "minimum": 1, "maximum": HITS_MAX, "description": "Passages at most; 5 otherwise"},
    });
    let about =
        "Finds passages in the documents of this device that fit a question, with file and lines.";
    made("search", about, properties, &["question"], SHORT_TIME, move |arguments, _| {
        let k = arguments["k"].as_u64().and_then(|k| usize::try_from(k).ok()).unwrap_or(5);
        let hits = index.retrieve(&text(&arguments, "question")?, k.clamp(1, HITS_MAX));
        let hits = hits.map_err(|error| ToolError::Failed(error.to_string()))?;
        Ok(json!({"hits": hits}))
    })
}

/// The models, to read.
struct Models(Arc<dyn Chat>);

impl Resources for Models {
    fn list(&self) -> Result<Vec<Resource>, ResourceError> {
        Ok(vec![Resource {
            uri: MODELS.into(),
            name: "models".into(),
            description: "The models that can be asked, the default first.".into(),
            media: "application/json".into(),
            bytes: None,
        }])
    }

    fn read(&self, uri: &str) -> Result<Content, ResourceError> {
        if uri != MODELS {
            return Err(ResourceError::Unknown(uri.into()));
        }
        let models = serde_json::to_string(&self.0.models());
        models.map(Content::Text).map_err(|error| ResourceError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine_app::{Hit, RetrieveError};
    use ondine_chat::Script;

    struct Shelf;

    impl Retrieve for Shelf {
        fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError> {
            if question == "broken" {
                return Err(RetrieveError("the index is damaged".into()));
            }
            let hit = |n: usize| Hit {
                path: format!("{question}.md"),
                line_start: n,
                line_end: n + 1,
                score: 1.0,
                text: "a passage".into(),
            };
            Ok((0..k).map(hit).collect())
        }
    }

    /// The result of a call, asked over the protocol.
    fn call(extras: &Extras, name: &str, arguments: Value) -> (bool, String) {
        let model = Arc::new(Script::new(["Good ", "morning."]));
        let offer = offer(model.clone(), model, extras);
        let asked = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": arguments}});
        let request = http::Request::post("/mcp")
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(asked.to_string().into_bytes())
            .unwrap();
        let response = Http::new(1).unwrap().answer(&offer, request, || false);
        let text = String::from_utf8(response.into_body()).unwrap();
        let told: Value = serde_json::from_str(&text).expect(&text);
        let result = &told["result"];
        let told = result["content"][0]["text"].as_str().unwrap_or(&text).to_owned();
        (result["isError"] == true, told)
    }

    #[test]
    fn models_answer_and_the_index_is_searched() {
        let none = Extras::default();
        let found = Extras { retrieve: Some(Arc::new(Shelf)), ..Extras::default() };
        let rows = [
            (&none, "ask", json!({"prompt": "hello"}), false, "Good morning."),
            (&none, "ask", json!({}), true, "\"prompt\" is missing"),
            (&none, "ask", json!({"prompt": "x", "max_tokens": 0}), true, "max_tokens: too small"),
            (&none, "count_tokens", json!({"text": "one two three"}), false, "{\"tokens\":3}"),
            (&none, "embed", json!({"texts": ["a", "b"]}), false, "\"vectors\":[[1.0],[1.0]]"),
            (&none, "embed", json!({"texts": []}), true, "0 values"),
            (&none, "search", json!({"question": "x"}), false, "there is no tool"),
            (&none, "device_call", json!({"request": "x"}), false, "there is no tool"),
            (&found, "search", json!({"question": "milk", "k": 1}), false, "\"path\":\"milk.md\""),
            (&found, "search", json!({"question": "x", "k": 1000}), true, "k: too large"),
            (&found, "search", json!({"question": "broken"}), true, "the index is damaged"),
        ];
        for (extras, name, arguments, wrong, part) in rows {
            let (is_error, text) = call(extras, name, arguments.clone());
            assert!(is_error == wrong && text.contains(part), "{name} {arguments}: {text}");
        }
        let hits = call(&found, "search", json!({"question": "x"})).1;
        let hits: Value = serde_json::from_str(&hits).unwrap();
        assert_eq!(hits["hits"].as_array().unwrap().len(), 5);
        assert_eq!(hits["hits"][1]["line_start"], 1);
    }
}
