//! `POST /v1/sessions/{id}/answers`: says something in a session and answers it, in one piece or as events:
//!
//! | event | data |
//! |---|---|
//! | `text` | `{"text"}` |
//! | `call` | `{"id", "name", "arguments"}`, the arguments an object |
//! | `finished` | `{"finish_reason", "usage", "session"}`; the answer is on the disk |
//! | `failed` | `{"error"}`; nothing of the answer is kept |

use std::sync::Arc;

use axum::response::Response;
use ondine_chat::{Event, Overflow, Role, SessionInfo, Sessions, Usage};
use serde_json::{Value, json};

use super::{Id, id, info_json};
use crate::house::{Call, good};
use crate::openai::chat::{Body, said};
use crate::openai::{error, finish};
use crate::stream::{self, Encode, sse};
use crate::trouble::{Kind, Trouble};

/// Answers.
pub(super) async fn answer(path: Id, call: Call) -> Result<Response, Trouble> {
    let (sessions, id) = (call.house.sessions()?.clone(), id(path)?);
    let (house, app) = (call.house.clone(), call.app.name.clone());
    let body: Body = call.read()?;
    if body.model.is_some() {
        return Err(Trouble::at("model", "is the session's; create a session with another model"));
    }
    let overflow = body.overflow;
    let wanted = body.asked(&house.limits)?;
    for (name, cannot) in [
        ("n", wanted.n != 1),
        ("logprobs", wanted.logprobs),
        ("parallel_tool_calls", wanted.one_call),
    ] {
        if cannot {
            return Err(Trouble::at(name, "is not supported in a session"));
        }
    }
    let of = Of { sessions: sessions.clone(), app, id: id.clone() };
    let asks = of.clone();
    let info = house.blocking(move |_| asks.info()).await?;
    if overflow == Some(Overflow::Error) && info.overflow != Overflow::Error {
        let message = "the session was created with another word, which error cannot take back";
        return Err(Trouble::at("overflow", message));
    }
    let stream = wanted.stream;
    let (feed, place) = call.say(sessions, id, wanted.request).await?;
    if stream {
        return Ok(stream::response(feed, Pieces(of), house.limits.keep_alive, place));
    }
    let Some(answer) = feed.answers().await?.pop() else {
        return Err(Trouble::new(Kind::Internal, "no answer came"));
    };
    let info = house.blocking(move |_| of.info()).await?;
    Ok(good(&json!({
        "message": said(Role::Assistant, &answer.text, &answer.calls),
        "finish_reason": finish(answer.reason),
        "usage": usage_json(&answer.usage),
        "session": info_json(&info)?,
    })))
}

/// The session that is answered in.
#[derive(Clone)]
struct Of {
    sessions: Arc<dyn Sessions>,
    app: String,
    id: String,
}

impl Of {
    fn info(&self) -> Result<SessionInfo, ondine_chat::ChatError> {
        self.sessions.info(&self.app, &self.id)
    }
}

/// What an answer cost: tokens, and seconds.
fn usage_json(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "dropped_tokens": usage.dropped_tokens,
        "queue_s": usage.timing.queue_s,
        "prefill_s": usage.timing.prefill_s,
        "decode_s": usage.timing.decode_s,
    })
}

/// The answer in pieces.
struct Pieces(Of);

impl Encode for Pieces {
    fn event(&mut self, _: usize, event: Event, out: &mut String) {
        match event {
            Event::Waiting { .. } | Event::Started { .. } | Event::Reading { .. } => {}
            // Half a character: the whole one is on its way.
            Event::Text { text, .. } if text.is_empty() => {}
            Event::Text { text, .. } => sse(out, Some("text"), &json!({"text": text})),
            Event::Call(call) => {
                let told = json!({"id": call.id, "name": call.name, "arguments": call.arguments});
                sse(out, Some("call"), &told);
            }
            Event::Finished { reason, usage } => {
                // The session's lock may be held while somebody's words are synced: others of this thread
                // go on meanwhile. `null` where the session was deleted in this moment.
                let info = tokio::task::block_in_place(|| self.0.info());
                let session = info.ok().and_then(|info| info_json(&info).ok());
                let told = json!({
                    "finish_reason": finish(reason),
                    "usage": usage_json(&usage),
                    "session": session,
                });
                sse(out, Some("finished"), &told);
            }
            Event::Failed(why) => sse(out, Some("failed"), &error(&why.into())),
        }
    }

    fn end(&mut self, _: &mut String) {}
}
