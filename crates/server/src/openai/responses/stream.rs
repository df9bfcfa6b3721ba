//! A response as events: items open, grow and close, and the response is told whole at both ends.

use std::sync::Arc;

use ondine_chat::{Event, Message, ToolCall};
use serde_json::{Value, json};

use super::{Frame, call_item, message_item, status, text_part};
use crate::common::id;
use crate::house::House;
use crate::openai::error;
use crate::stream::{Encode, sse};
use crate::trouble::Trouble;

/// Writes the events of one response.
pub(super) struct Events {
    frame: Frame,
    house: Arc<House>,
    app: String,
    sequence: u64,
    /// Items that are closed.
    output: Vec<Value>,
    /// The id of the message that is open.
    open: Option<String>,
    /// Its words.
    text: String,
    /// All words of the answer.
    said: String,
    calls: Vec<ToolCall>,
}

impl Events {
    pub(super) fn new(frame: Frame, house: Arc<House>, app: String) -> Events {
        let (output, calls) = (Vec::new(), Vec::new());
        let (text, said) = (String::new(), String::new());
        Events { frame, house, app, sequence: 0, output, open: None, text, said, calls }
    }

    fn say(&mut self, out: &mut String, name: &str, mut data: Value) {
        data["type"] = name.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        sse(out, Some(name), &data);
    }

    /// Opens the message that words go to.
    fn open(&mut self, out: &mut String) -> String {
        if let Some(id) = &self.open {
            return id.clone();
        }
        let id = id("msg_");
        self.open = Some(id.clone());
        let place = self.output.len();
        let item = message_item(&id, "in_progress", None);
        let added = json!({"output_index": place, "item": item});
        self.say(out, "response.output_item.added", added);
        let part = json!({
            "item_id": id, "output_index": place, "content_index": 0, "part": text_part(""),
        });
        self.say(out, "response.content_part.added", part);
        id
    }

    /// Closes it, where it is open.
    fn close(&mut self, out: &mut String, status: &str) {
        let Some(id) = self.open.take() else { return };
        let (place, text) = (self.output.len(), std::mem::take(&mut self.text));
        let done = json!({
            "item_id": id, "output_index": place, "content_index": 0, "text": text, "logprobs": [],
        });
        self.say(out, "response.output_text.done", done);
        let part = json!({
            "item_id": id, "output_index": place, "content_index": 0, "part": text_part(&text),
        });
        self.say(out, "response.content_part.done", part);
        let item = message_item(&id, status, Some(&text));
        let done = json!({"output_index": place, "item": item});
        self.output.push(item);
        self.say(out, "response.output_item.done", done);
    }

    fn call(&mut self, out: &mut String, call: ToolCall) {
        if self.frame.one_call && !self.calls.is_empty() {
            return;
        }
        self.close(out, "completed");
        let (id, place) = (id("fc_"), self.output.len());
        let arguments = call.arguments.to_string();
        let added =
            json!({"output_index": place, "item": call_item(&id, "in_progress", &call, "")});
        self.say(out, "response.output_item.added", added);
        let delta = json!({"item_id": id, "output_index": place, "delta": arguments});
        self.say(out, "response.function_call_arguments.delta", delta);
        let done = json!({
            "item_id": id, "output_index": place, "name": call.name, "arguments": arguments,
        });
        self.say(out, "response.function_call_arguments.done", done);
        let item = call_item(&id, "completed", &call, &arguments);
        let done = json!({"output_index": place, "item": item});
        self.output.push(item);
        self.say(out, "response.output_item.done", done);
        self.calls.push(call);
    }
}

impl Encode for Events {
    fn begin(&mut self, out: &mut String) {
        let response = self.frame.response("in_progress", &[], None);
        self.say(out, "response.created", json!({"response": response}));
        self.say(out, "response.in_progress", json!({"response": response}));
    }

    fn event(&mut self, _: usize, event: Event, out: &mut String) {
        match event {
            Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
            Event::Text { text, .. } if text.is_empty() => {}
            Event::Text { text, .. } => {
                let id = self.open(out);
                self.text.push_str(&text);
                self.said.push_str(&text);
                let delta = json!({
                    "item_id": id, "output_index": self.output.len(), "content_index": 0,
                    "delta": text, "logprobs": [],
                });
                self.say(out, "response.output_text.delta", delta);
            }
            Event::Call(call) => self.call(out, call),
            Event::Finished { reason, usage } => {
                // A response has an item, be it an empty one.
                if self.output.is_empty() {
                    self.open(out);
                }
                let status = status(reason);
                self.close(out, status);
                let body = self.frame.response(status, &self.output, Some(&usage));
                let turn =
                    Message { calls: self.calls.clone(), ..Message::assistant(self.said.clone()) };
                self.frame.keep(&self.house.kept, &self.app, turn, &body);
                self.say(out, &format!("response.{status}"), json!({"response": body}));
            }
            Event::Failed(why) => {
                let trouble = Trouble::from(why);
                let told = error(&trouble);
                let mut body = self.frame.response("failed", &self.output, None);
                body["error"] = json!({
                    "code": told["error"]["code"], "message": told["error"]["message"],
                });
                self.say(out, "response.failed", json!({"response": body}));
            }
        }
    }

    fn end(&mut self, _: &mut String) {}
}
