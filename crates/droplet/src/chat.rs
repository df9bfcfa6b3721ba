//! droplet as somebody who answers: the last thing the user said becomes a call of a device function,
//! or a short text where there is nothing to call. Knows no queue and no time.
//!
//! What was said before it does not count, and neither does how tokens are chosen or how many there may
//! be: droplet's answer is one call, always the same. Tools are refused, because it has functions of
//! its own ([`FUNCTIONS`](crate::FUNCTIONS)) and calls no others.

use std::sync::atomic::Ordering;

use ondine_chat::{
    Chat, ChatError, Event, FinishReason, Format, Model, Prompt, Rendered, Request, Role, Sink,
    ToolCall, ToolChoice, Usage,
};
use ondine_text::tokenizer::Special;
use ondine_text::vocab::TokenId;

use crate::functions::CLOUD;
use crate::{ANSWER_TOKENS_SPARE, Droplet, DropletError, Stage, check};

/// What is said where a request needs more than the device knows.
const CLOUD_SAID: [&str; 2] =
    ["That needs a larger model than the one on this device.", "这需要比本机更大的模型。"];
/// What is said where nothing was asked for.
const NONE_SAID: [&str; 2] = ["There is nothing for the device to do.", "没有需要设备执行的操作。"];

impl Chat for Droplet {
    /// Answers before it returns: whoever has several who ask gives it a thread.
    fn start(&self, request: Request, mut sink: Sink) -> Result<(), ChatError> {
        let prompt_tokens = self.count_tokens(&request)?;
        let said = said(&request)?;
        if !sink(Event::Started { prompt_tokens, cached_tokens: 0 }) {
            return Ok(());
        }
        let read = |stage| {
            if stage == Stage::Read {
                sink(Event::Reading { done: prompt_tokens });
            }
        };
        let answer = match self.call_watched(said, read) {
            Ok(answer) => answer,
            Err(error) => {
                sink(Event::Failed(told(error)));
                return Ok(());
            }
        };
        let call = answer.call;
        let reason = if call.is_local() {
            let number = self.calls.fetch_add(1, Ordering::Relaxed);
            sink(Event::Call(ToolCall {
                id: format!("call_droplet_{number}"),
                name: call.function.name.to_owned(),
                arguments: call.arguments.into(),
            }));
            FinishReason::Calls
        } else {
            let words = if call.function.name == CLOUD { CLOUD_SAID } else { NONE_SAID };
            let text = words[usize::from(is_chinese(said))].to_owned();
            sink(Event::Text { text, logprobs: Vec::new() });
            FinishReason::Stop
        };
        let completion_tokens = answer.tokens.len();
        let usage = Usage { prompt_tokens, completion_tokens, ..Usage::default() };
        sink(Event::Finished { reason, usage });
        Ok(())
    }

    /// Of what the user said last, and the marks around it.
    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        Ok(self.read(request)?.len())
    }

    fn rendered(&self, request: &Request) -> Result<Rendered, ChatError> {
        let tokens = self.read(request)?;
        let tokenizer = self.engine.tokenizer().map_err(|error| told(error.into()))?;
        Ok(Rendered { text: tokenizer.shown(&tokens), tokens })
    }

    fn models(&self) -> Vec<Model> {
        let shape = self.engine.shape();
        vec![Model {
            name: "droplet".into(),
            context: shape.context,
            chats: true,
            bytes: crate::bytes().len() as u64,
            family: shape.architecture.clone(),
            ..Model::default()
        }]
    }
}

impl Droplet {
    /// The tokens of a request's prompt.
    fn read(&self, request: &Request) -> Result<Vec<TokenId>, ChatError> {
        let said = check(said(request)?).map_err(told)?;
        let tokenizer = self.engine.tokenizer().map_err(|error| told(error.into()))?;
        let tokens = self.tokens.prompt(tokenizer.encode(said, Special::AsText));
        let prompt_tokens = tokens.len();
        let (wanted, context) = (prompt_tokens + ANSWER_TOKENS_SPARE, self.engine.shape().context);
        if prompt_tokens + wanted > context {
            return Err(ChatError::Context { prompt_tokens, wanted, context });
        }
        Ok(tokens)
    }
}

/// What the user said last, of a request that droplet can answer.
fn said(request: &Request) -> Result<&str, ChatError> {
    if !request.tools.is_empty() && request.tool_choice != ToolChoice::None {
        let what = "droplet calls functions of its own and no others; leave the tools out";
        return Err(ChatError::invalid("tools", what));
    }
    if request.format != Format::Text {
        let what = "droplet answers with a call of a function; it takes no format";
        return Err(ChatError::invalid("format", what));
    }
    if request.logprobs.is_some() {
        let what = "droplet answers with a call of a function; it tells no probabilities";
        return Err(ChatError::invalid("logprobs", what));
    }
    match &request.prompt {
        Prompt::Text(text) => Ok(text),
        Prompt::Messages(messages) => {
            let last = messages.iter().rev().find(|message| message.role == Role::User);
            let none = || ChatError::invalid("prompt", "there is no message of the user");
            Ok(last.ok_or_else(none)?.text.as_str())
        }
    }
}

/// Whether there are Chinese characters in it.
fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

fn told(error: DropletError) -> ChatError {
    match error {
        DropletError::Empty | DropletError::Long { .. } | DropletError::Context { .. } => {
            ChatError::invalid("prompt", error.to_string())
        }
        other => ChatError::Internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use ondine_chat::{Message, Tool};
    use ondine_tensor::Isa;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_thing_said_becomes_a_call_or_a_short_text() {
        let droplet = crate::open(1, Isa::best()).unwrap();
        let ask = |said: &str| {
            let before =
                [Message::system("be brief"), Message::user("hello"), Message::assistant("hi")];
            let turns = before.into_iter().chain([Message::user(said)]);
            droplet.ask(Request::new("droplet", turns)).unwrap()
        };
        for said in ["set an alarm for 7 am tomorrow", "turn on the flashlight", "今天天气怎么样"]
        {
            let (answer, direct) = (ask(said), droplet.call(said).unwrap());
            assert_eq!(answer.usage.prompt_tokens, direct.prompt_tokens);
            assert_eq!(answer.usage.completion_tokens, direct.tokens.len());
            if direct.call.is_local() {
                assert_eq!((answer.reason, answer.text.as_str()), (FinishReason::Calls, ""));
                assert_eq!(answer.calls[0].name, direct.call.function.name);
                assert_eq!(answer.calls[0].arguments, json!(direct.call.arguments));
            } else {
                assert_eq!(answer.reason, FinishReason::Stop);
                assert!(answer.calls.is_empty() && !answer.text.is_empty(), "{answer:?}");
            }
        }
        assert!(!ask("set an alarm for 7 am tomorrow").calls.is_empty());
        let texts = CLOUD_SAID.iter().chain(&NONE_SAID);
        let spoken = ask("write an essay about the history of the Roman Empire");
        assert!(texts.clone().any(|text| *text == spoken.text), "{spoken:?}");
        let first = ask("turn on the flashlight").calls[0].id.clone();
        assert_ne!(ask("turn on the flashlight").calls[0].id, first);
    }

    #[test]
    fn the_prompt_is_shown_as_it_is_read() {
        let droplet = crate::open(1, Isa::best()).unwrap();
        let request = Request::new("droplet", [Message::user("turn on the flashlight")]);
        let rendered = droplet.rendered(&request).unwrap();
        assert_eq!(rendered.tokens.len(), droplet.count_tokens(&request).unwrap());
        assert!(rendered.text.contains("turn on the flashlight"), "{rendered:?}");
        // The marks are spelt, and are no text of the request.
        assert!(rendered.text.len() > "turn on the flashlight".len() + 4, "{rendered:?}");
    }

    #[test]
    fn what_droplet_cannot_do_is_refused_by_its_part() {
        let droplet = crate::open(1, Isa::best()).unwrap();
        let good = || Request::new("droplet", [Message::user("turn on the flashlight")]);
        let tool = Tool { name: "x".into(), description: String::new(), parameters: json!({}) };
        let rows = [
            (Request { tools: vec![tool.clone()], ..good() }, "tools"),
            (Request { format: Format::Json, ..good() }, "format"),
            (Request { logprobs: Some(1), ..good() }, "logprobs"),
            (Request::new("droplet", [Message::user("  ")]), "prompt"),
            (Request::new("droplet", [Message::system("x")]), "prompt"),
            (Request::new("droplet", [Message::user("x".repeat(3000))]), "prompt"),
        ];
        for (request, expected) in rows {
            match droplet.ask(request) {
                Err(ChatError::Invalid { part, .. }) => assert_eq!(part, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        let long = Request::new("droplet", [Message::user("ab ".repeat(600))]);
        assert!(matches!(droplet.ask(long), Err(ChatError::Context { context: 512, .. })));
        let unused = Request { tools: vec![tool], tool_choice: ToolChoice::None, ..good() };
        assert!(droplet.ask(unused).is_ok());
    }
}
