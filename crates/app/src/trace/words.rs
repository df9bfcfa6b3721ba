//! The words of a request and of an answer, as the conventions' JSON schemas want them. Only for those
//! who asked for words.

use ondine_chat::{Answer, Message, Prompt, Request, Role, Tool};
use serde_json::{Value, json};

use super::finish;

/// A list of texts, as JSON.
pub(super) fn list(texts: &[String]) -> String {
    json!(texts).to_string()
}

fn parts(message: &Message) -> Vec<Value> {
    if message.role == Role::Tool {
        return vec![json!({
            "type": "tool_call_response", "id": message.call_id, "result": message.text,
        })];
    }
    let mut parts = Vec::new();
    if !message.text.is_empty() || message.calls.is_empty() {
        parts.push(json!({ "type": "text", "content": message.text }));
    }
    parts.extend(message.calls.iter().map(|call| {
        json!({
            "type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments,
        })
    }));
    parts
}

/// What was asked.
pub(super) fn asked(request: &Request) -> String {
    let message = |message: &Message| json!({ "role": message.role, "parts": parts(message) });
    match &request.prompt {
        Prompt::Messages(messages) => messages.iter().map(message).collect::<Value>().to_string(),
        Prompt::Text(text) => Value::from(vec![message(&Message::user(text.as_str()))]).to_string(),
    }
}

/// What was answered.
pub(super) fn answered(answer: &Answer) -> String {
    json!([{
        "role": Role::Assistant,
        "parts": parts(&answer.message()),
        "finish_reason": finish(answer.reason),
    }])
    .to_string()
}

/// What could be called.
pub(super) fn tools(tools: &[Tool]) -> String {
    let tool = |tool: &Tool| {
        json!({
            "type": "function", "name": tool.name, "description": tool.description,
            "parameters": tool.parameters,
        })
    };
    tools.iter().map(tool).collect::<Value>().to_string()
}

/// What was found.
pub(super) fn hits(hits: &[crate::Hit]) -> String {
    let hit = |hit: &crate::Hit| {
        let id = format!("{}:{}-{}", hit.path, hit.line_start, hit.line_end);
        json!({ "id": id, "score": hit.score, "content": hit.text })
    };
    hits.iter().map(hit).collect::<Value>().to_string()
}
