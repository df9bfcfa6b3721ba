//! From a request to tokens and a grammar, and from the text of an answer to events.
//!
//! Everything that can be refused is refused here, before anything waits or is computed. Knows no
//! queue and no other request.

use jiff::Zoned;
use ondine_chat::{
    ChatError, Event, Format, Message, Overflow, Prompt, Rendered, Request, Role, Tool, ToolChoice,
};
use ondine_engine::{Engine, EngineError, GenerateOptions, Sampling};
use ondine_text::grammar::{self, Grammar, GrammarError, GrammarSpec};
use ondine_text::vocab::TokenId;
use serde_json::{Map, Value, json};

use crate::calls::{self, Manner};

/// Of the model's positions, what an answer without a bound is left when turns are dropped to make
/// room: one in so many.
const SHARE_OF_ANSWER: usize = 4;

/// A request that can be run.
pub(crate) struct Turn {
    /// The prompt.
    pub(crate) tokens: Vec<TokenId>,
    /// Tokens that were left out of it.
    pub(crate) dropped: usize,
    /// Tokens of the answer at most: prompt and answer fit into the model's positions.
    pub(crate) answer: usize,
    /// How many of the likeliest tokens are told.
    pub(crate) logprobs: Option<usize>,
    sampling: Sampling,
    stop: Vec<String>,
    grammar: Option<Grammar>,
    manner: Option<Manner>,
}

impl Turn {
    /// Checks, renders and compiles. `answer` bounds answers whose request does not.
    pub(crate) fn new(
        engine: &Engine,
        request: &Request,
        answer: usize,
    ) -> Result<Turn, ChatError> {
        let context = engine.shape().context;
        let mut tokens = prompt(engine, request, None)?;
        let mut dropped = 0;
        if request.overflow == Overflow::Anchored {
            let wanted = request.max_tokens.unwrap_or(context / SHARE_OF_ANSWER);
            let whole = tokens.len();
            tokens = shortened(engine, request, tokens, context.saturating_sub(wanted))?;
            dropped = whole.saturating_sub(tokens.len());
        }
        if tokens.is_empty() {
            return Err(ChatError::invalid("prompt", "the prompt is empty"));
        }
        let wanted = match request.overflow {
            Overflow::Stop => 1,
            Overflow::Error | Overflow::Anchored | Overflow::Summarize => {
                request.max_tokens.unwrap_or(1)
            }
        };
        let prompt_tokens = tokens.len();
        if prompt_tokens.saturating_add(wanted) > context {
            return Err(ChatError::Context { prompt_tokens, wanted, context });
        }
        let answer = request.max_tokens.unwrap_or(answer).min(context - prompt_tokens);
        let (spec, manner) = constraint(engine, request)?;
        let compile = |spec: &GrammarSpec| {
            engine.grammar(spec).map_err(|error| ChatError::invalid("format", error.to_string()))
        };
        Ok(Turn {
            dropped,
            answer,
            logprobs: request.logprobs,
            sampling: sampling(request)?,
            stop: request.stop.clone(),
            grammar: spec.as_ref().map(compile).transpose()?,
            manner,
            tokens,
        })
    }

    /// What a generation is asked to do.
    pub(crate) fn options(&self) -> GenerateOptions {
        GenerateOptions {
            sampling: self.sampling.clone(),
            max_tokens: Some(self.answer),
            stop: self.stop.clone(),
            grammar: self.grammar.as_ref().map(Grammar::matcher),
            odds: self.logprobs.is_some(),
        }
    }

    /// What turns the answer's text into events.
    pub(crate) fn reading(&self) -> Reading {
        Reading { manner: self.manner, held: String::new(), begun: self.manner.is_none() }
    }
}

/// Tokens of the request's prompt.
pub(crate) fn count(engine: &Engine, request: &Request) -> Result<usize, ChatError> {
    Ok(prompt(engine, request, None)?.len())
}

/// The request's prompt as it would be read: what does not fit is left out of it as it would be.
pub(crate) fn rendered(engine: &Engine, request: &Request) -> Result<Rendered, ChatError> {
    let tokens = Turn::new(engine, request, 1)?.tokens;
    let tokenizer = engine.tokenizer();
    let tokenizer = tokenizer.map_err(|error| ChatError::Internal(error.to_string()))?;
    Ok(Rendered { text: tokenizer.shown(&tokens), tokens })
}

/// The prompt without as few of the oldest exchanges as leave it `room` tokens; without all but the
/// last where that is still too long. A stranger's history has thousands of turns and each look
/// renders a prompt, so the cut is found by halving.
fn shortened(
    engine: &Engine,
    request: &Request,
    whole: Vec<TokenId>,
    room: usize,
) -> Result<Vec<TokenId>, ChatError> {
    let Prompt::Messages(messages) = &request.prompt else { return Ok(whole) };
    let cuts = cuts(messages);
    let (mut short, mut from, mut to) = (whole, 0, cuts.len());
    if short.len() <= room || cuts.is_empty() {
        return Ok(short);
    }
    // Whatever is cut before `from` is too long, and `short` fits once anything was found to.
    while from < to {
        let middle = usize::midpoint(from, to);
        let tokens = prompt(engine, request, Some(cuts[middle]))?;
        let fits = tokens.len() <= room;
        if fits || short.len() > room {
            short = tokens;
        }
        if fits {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok(short)
}

/// The prompt's tokens; where there is a `cut`, of the system's turns and those from there on.
fn prompt(
    engine: &Engine,
    request: &Request,
    cut: Option<usize>,
) -> Result<Vec<TokenId>, ChatError> {
    let refused = |error: EngineError| ChatError::invalid("prompt", error.to_string());
    let messages = match &request.prompt {
        Prompt::Text(text) => return engine.encode_text(text).map_err(refused),
        Prompt::Messages(messages) => messages,
    };
    if messages.is_empty() {
        return Err(ChatError::invalid("prompt", "a conversation has at least one message"));
    }
    let head = head(messages);
    let turns: Vec<&Message> =
        messages[..head].iter().chain(&messages[cut.unwrap_or(head)..]).collect();
    let tools = if request.tool_choice == ToolChoice::None { &[][..] } else { &request.tools };
    let Ok(template) = engine.template() else {
        if !tools.is_empty() {
            let what = "the model has no chat template, so that it cannot be told of tools";
            return Err(ChatError::invalid("tools", what));
        }
        return engine.encode_text(&plainly(&turns)).map_err(refused);
    };
    let mut input = Map::new();
    let mut turns: Vec<Value> = turns.iter().map(|message| turn(message)).collect();
    if !tools.is_empty() {
        if calls::knows_tools(template.source()) {
            input.insert("tools".into(), tools.iter().map(calls::described).collect());
        } else {
            introduce(&mut turns, &Manner::of(template.source()).introduction(tools));
        }
    }
    input.insert("messages".into(), turns.into());
    let prompt = engine.chat_prompt(&input.into(), Some(Zoned::now().datetime()));
    engine.encode_prompt(&prompt.map_err(refused)?).map_err(refused)
}

/// How many turns of the system a conversation begins with.
fn head(messages: &[Message]) -> usize {
    messages.iter().take_while(|message| message.role == Role::System).count()
}

/// Where a conversation may be cut, the longest rest first: before what a user says, so that a call
/// goes with its answer, and a template that wants turns to alternate is content.
fn cuts(messages: &[Message]) -> Vec<usize> {
    let later = head(messages) + 1..messages.len();
    later.filter(|&i| messages[i].role == Role::User).collect()
}

/// A conversation for a model that was trained on none: names, colons and lines.
fn plainly(turns: &[&Message]) -> String {
    let line = |message: &&Message| format!("{}: {}\n", message.role.name(), message.text);
    turns.iter().map(line).collect::<String>() + Role::Assistant.name() + ":"
}

/// A message as templates expect it.
fn turn(message: &Message) -> Value {
    let mut turn = Map::new();
    turn.insert("role".into(), message.role.name().into());
    turn.insert("content".into(), message.text.clone().into());
    if !message.calls.is_empty() {
        let call = |call: &ondine_chat::ToolCall| {
            json!({
                "id": call.id,
                "type": "function",
                "function": { "name": call.name, "arguments": call.arguments },
            })
        };
        turn.insert("tool_calls".into(), message.calls.iter().map(call).collect());
    }
    if let Some(id) = &message.call_id {
        turn.insert("tool_call_id".into(), id.clone().into());
    }
    turn.into()
}

/// Puts a text before the system's turn, or makes one.
fn introduce(turns: &mut Vec<Value>, text: &str) {
    match turns.first_mut().filter(|first| first["role"] == "system") {
        Some(first) => {
            let said = first["content"].as_str().unwrap_or_default();
            first["content"] = format!("{said}\n\n{text}").into();
        }
        None => turns.insert(0, json!({ "role": "system", "content": text })),
    }
}

/// What the answer may be, and how calls are written where there may be any.
fn constraint(
    engine: &Engine,
    request: &Request,
) -> Result<(Option<GrammarSpec>, Option<Manner>), ChatError> {
    let allowed: Vec<Tool> = match &request.tool_choice {
        ToolChoice::None => Vec::new(),
        ToolChoice::Auto | ToolChoice::Required => request.tools.clone(),
        ToolChoice::Named(name) => {
            request.tools.iter().filter(|tool| tool.name == *name).cloned().collect()
        }
    };
    let must = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    if allowed.is_empty() {
        if must {
            let what = format!("{:?} asks for a tool that is not there", request.tool_choice);
            return Err(ChatError::invalid("tool_choice", what));
        }
        let spec = match &request.format {
            Format::Text => None,
            Format::Json => Some(GrammarSpec::JsonSchema(json!({ "type": "object" }).to_string())),
            Format::Schema(schema) => Some(GrammarSpec::JsonSchema(schema.to_string())),
            Format::Regex(regex) => Some(GrammarSpec::Regex(regex.clone())),
            Format::Lark(lark) => Some(GrammarSpec::Lark(lark.clone())),
        };
        return Ok((spec, None));
    }
    let manner = Manner::of(engine.template().map_or("", |template| template.source()));
    let refused = |error: GrammarError| ChatError::invalid("tools", error.to_string());
    let rules = manner.rules(&allowed).map_err(refused)?;
    let lark = if must {
        format!("start: calls\n{rules}")
    } else {
        match &request.format {
            Format::Text => format!("start: TEXT | calls\n{}\n{rules}", manner.text()),
            Format::Json => {
                let object = grammar::json(r#"{"type":"object"}"#).map_err(refused)?;
                format!("start: final | calls\nfinal: {object}\n{rules}")
            }
            Format::Schema(schema) => {
                let refused = |error: GrammarError| ChatError::invalid("format", error.to_string());
                let object = grammar::json(&schema.to_string()).map_err(refused)?;
                format!("start: final | calls\nfinal: {object}\n{rules}")
            }
            Format::Regex(_) | Format::Lark(_) => {
                let what =
                    "a regular expression or a grammar of one's own leaves no room for tools";
                return Err(ChatError::invalid("format", what));
            }
        }
    };
    Ok((Some(GrammarSpec::Lark(lark)), Some(manner)))
}

fn sampling(request: &Request) -> Result<Sampling, ChatError> {
    let asked = &request.sampling;
    let own = Sampling::default();
    let sampling = Sampling {
        temperature: asked.temperature.unwrap_or(own.temperature),
        top_k: asked.top_k.unwrap_or(own.top_k),
        top_p: asked.top_p.unwrap_or(own.top_p),
        min_p: asked.min_p.unwrap_or(own.min_p),
        repeat_penalty: asked.repeat_penalty.unwrap_or(own.repeat_penalty),
        presence_penalty: asked.presence_penalty.unwrap_or(own.presence_penalty),
        frequency_penalty: asked.frequency_penalty.unwrap_or(own.frequency_penalty),
        logit_bias: asked.logit_bias.iter().map(|(id, bias)| (*id, *bias)).collect(),
        seed: asked.seed.unwrap_or_else(chance),
        ..own
    };
    // The engine checks ranges; an answer that cannot begin is refused before it waits.
    let options = GenerateOptions { sampling: sampling.clone(), ..GenerateOptions::default() };
    ondine_engine::Speech::new(options)
        .map_err(|error| ChatError::invalid("sampling", error.to_string()))?;
    Ok(sampling)
}

/// A number that nobody knows, for requests that name no seed.
pub(crate) fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Tells the words of an answer from its calls, as it comes.
pub(crate) struct Reading {
    /// How calls are written, where there may be any.
    manner: Option<Manner>,
    /// What is not told yet because it is, or may be, calls.
    held: String,
    /// Whether it has turned out to be words.
    begun: bool,
}

impl Reading {
    /// Of an answer that is over.
    pub(crate) fn none() -> Reading {
        Reading { manner: None, held: String::new(), begun: true }
    }

    /// More of the answer; gives the words of it.
    pub(crate) fn push(&mut self, text: String) -> String {
        if self.begun {
            return text;
        }
        self.held += &text;
        let Some(manner) = self.manner.filter(|_| !self.held.is_empty()) else { return text };
        if manner.opens(&self.held) {
            return String::new();
        }
        self.begun = true;
        std::mem::take(&mut self.held)
    }

    /// The end of the answer: its calls, and what is left to be told as words where a call was cut off
    /// or the answer's last object was none.
    pub(crate) fn finish(self, id: impl Fn(usize) -> String) -> (String, Vec<Event>) {
        let Some(manner) = self.manner.filter(|_| !self.held.is_empty()) else {
            return (self.held, Vec::new());
        };
        match manner.read(&self.held, id) {
            Ok(calls) => (String::new(), calls.into_iter().map(Event::Call).collect()),
            Err(_) => (self.held, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_cut_where_a_user_speaks() {
        let messages = [
            Message::system("s"),
            Message::user("u1"),
            Message::assistant(""),
            Message::tool("1", "t"),
            Message::user("u2"),
            Message::assistant("a"),
            Message::user("u3"),
        ];
        assert_eq!((head(&messages), cuts(&messages)), (1, vec![4, 6]));
        assert_eq!(cuts(&messages[1..5]), [3], "without a system's turn");
        assert_eq!(cuts(&messages[..2]), [0; 0], "one turn is not cut");
        assert_eq!(cuts(&messages[..1]), [0; 0]);
    }

    #[test]
    fn words_are_told_and_calls_are_held() {
        let read = |pieces: &[&str]| {
            let manner = Some(Manner::of(""));
            let mut reading = Reading { manner, held: String::new(), begun: false };
            let mut told: String = pieces.iter().map(|p| reading.push((*p).to_owned())).collect();
            let (rest, events) = reading.finish(|i| i.to_string());
            told += &rest;
            (told, events.len())
        };
        assert_eq!(read(&["He", "llo <tool_call>"]), ("Hello <tool_call>".to_owned(), 0));
        let call = "<tool_call>\n{\"name\":\"f\",\"arguments\":{}}\n</tool_call>";
        assert_eq!(read(&["", &call[..5], &call[5..]]), (String::new(), 1));
        assert_eq!(read(&[&call[..20]]), (call[..20].to_owned(), 0), "cut off");
        assert_eq!(read(&[]), (String::new(), 0));
    }
}
