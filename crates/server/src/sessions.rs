//! `/v1/sessions`: conversations that are kept, an API of our own. Messages, tools and formats have the
//! shapes that `/v1/chat/completions` has, and errors too. What a session promises is its keeper's.
//!
//! | path | methods | |
//! |---|---|---|
//! | `/v1/sessions` | GET, POST | all of the app's; a new one, or the one that has its name |
//! | `/v1/sessions/{id}` | GET, DELETE | what is known of it; its end |
//! | `…/messages` | GET, POST | what was said; more of it, without an answer |
//! | `…/answers` | POST | says something and answers |
//! | `…/fork` | POST | another one with the same beginning |
//! | `…/count_tokens` | POST | tokens, without running the model |

mod answers;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ondine_chat::{ChatError, Message, NewSession, Overflow, SessionInfo};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::house::{Call, Visit, good, json};
use crate::openai::chat::{self, Body, Turn};
use crate::openapi::sessions as told;
use crate::route::{Route, shape};
use crate::stream::SSE;
use crate::trouble::{Kind, Trouble};

/// What stands where.
pub(crate) fn routes() -> Vec<Route> {
    const JSON: &str = "application/json";
    vec![
        Route::get("/v1/sessions", "Lists the app's kept conversations", list)
            .gives::<told::SessionList>(),
        Route::post(
            "/v1/sessions",
            "Begins a kept conversation, or gives the one that has its name",
            create,
        )
        .takes::<New>()
        .gives::<told::Session>()
        .tells(201, JSON, shape::<told::Session>()),
        Route::get("/v1/sessions/{id}", "Tells of one", one).gives::<told::Session>(),
        Route::delete("/v1/sessions/{id}", "Ends one, and takes all that was kept of it", delete)
            .tells(204, "", None),
        Route::get("/v1/sessions/{id}/messages", "Lists what was said", messages)
            .gives::<told::SessionMessages>(),
        Route::post("/v1/sessions/{id}/messages", "Adds messages without an answer", append)
            .takes::<More>()
            .gives::<told::Session>(),
        Route::post(
            "/v1/sessions/{id}/answers",
            "Says something and answers it, in one piece or as events",
            answers::answer,
        )
        .takes::<Body>()
        .gives::<told::SessionAnswer>()
        .streams::<told::SessionEvent>(SSE),
        Route::post("/v1/sessions/{id}/fork", "Begins another one with the same beginning", fork)
            .takes::<Fork>()
            .tells(201, JSON, shape::<told::Session>()),
        Route::post(
            "/v1/sessions/{id}/count_tokens",
            "Counts tokens without running the model",
            count_tokens,
        )
        .takes::<Counted>()
        .gives::<told::SessionTokens>(),
    ]
}

/// The id in a path.
type Id = Result<Path<String>, PathRejection>;

fn id(id: Id) -> Result<String, Trouble> {
    let Path(id) = id.map_err(|_| Trouble::new(Kind::NotFound, "there is no such session"))?;
    Ok(id)
}

/// A session as it is told.
fn info_json(info: &SessionInfo) -> Result<Value, Trouble> {
    let mut told = serde_json::to_value(info)
        .map_err(|_| Trouble::new(Kind::Internal, "a session that cannot be told"))?;
    told["object"] = "session".into();
    Ok(told)
}

/// A message as it is told.
fn message_json(message: &Message) -> Value {
    let mut told = chat::said(message.role, &message.text, &message.calls);
    if let Some(id) = &message.call_id {
        told["tool_call_id"] = id.as_str().into();
    }
    told
}

fn list_json(data: Vec<Value>) -> Value {
    json!({"object": "list", "data": data})
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SessionCreateRequest")]
#[serde(deny_unknown_fields)]
struct New {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    overflow: Option<Overflow>,
    #[serde(default)]
    messages: Option<Vec<Turn>>,
}

async fn create(call: Call) -> Result<Response, Trouble> {
    let sessions = call.house.sessions()?.clone();
    let New { name, model, overflow, messages } = call.read()?;
    let new = NewSession {
        name,
        model: model.unwrap_or_default(),
        overflow: overflow.unwrap_or_default(),
        messages: chat::messages(&call.house.limits, messages)?,
    };
    let app = call.app.name.clone();
    let (info, made) = call.house.blocking(move |_| sessions.create(&app, new)).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &info_json(&info)?))
}

async fn list(visit: Visit) -> Result<Response, Trouble> {
    let sessions = visit.house.sessions()?.clone();
    let infos = visit.house.blocking(move |_| sessions.list(&visit.app.name)).await?;
    let told: Result<Vec<Value>, Trouble> = infos.iter().map(info_json).collect();
    Ok(good(&list_json(told?)))
}

async fn one(path: Id, visit: Visit) -> Result<Response, Trouble> {
    let (sessions, id) = (visit.house.sessions()?.clone(), id(path)?);
    let info = visit.house.blocking(move |_| sessions.info(&visit.app.name, &id)).await?;
    Ok(good(&info_json(&info)?))
}

async fn delete(path: Id, visit: Visit) -> Result<Response, Trouble> {
    let (sessions, id) = (visit.house.sessions()?.clone(), id(path)?);
    visit.house.blocking(move |_| sessions.delete(&visit.app.name, &id)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn messages(path: Id, visit: Visit) -> Result<Response, Trouble> {
    let (sessions, id) = (visit.house.sessions()?.clone(), id(path)?);
    let read = visit.house.blocking(move |_| sessions.read(&visit.app.name, &id)).await?;
    Ok(good(&list_json(read.1.iter().map(message_json).collect())))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SessionAppendRequest")]
#[serde(deny_unknown_fields)]
struct More {
    messages: Vec<Turn>,
    #[serde(default)]
    expected: Option<usize>,
}

async fn append(path: Id, call: Call) -> Result<Response, Trouble> {
    let (sessions, id) = (call.house.sessions()?.clone(), id(path)?);
    let More { messages, expected } = call.read()?;
    let messages = chat::messages(&call.house.limits, Some(messages))?;
    let app = call.app.name.clone();
    let work = move || sessions.append(&app, &id, messages, expected);
    Ok(good(&info_json(&call.house.blocking(move |_| work()).await?)?))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SessionForkRequest")]
#[serde(deny_unknown_fields)]
struct Fork {
    #[serde(default)]
    messages: Option<usize>,
}

async fn fork(path: Id, call: Call) -> Result<Response, Trouble> {
    let (sessions, id) = (call.house.sessions()?.clone(), id(path)?);
    let Fork { messages } = call.read()?;
    let app = call.app.name.clone();
    let info = call.house.blocking(move |_| sessions.fork(&app, &id, messages)).await?;
    Ok(json(StatusCode::CREATED, &info_json(&info)?))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SessionCountRequest")]
#[serde(deny_unknown_fields)]
struct Counted {
    #[serde(default)]
    messages: Option<Vec<Turn>>,
}

async fn count_tokens(path: Id, call: Call) -> Result<Response, Trouble> {
    let (sessions, id) = (call.house.sessions()?.clone(), id(path)?);
    let Counted { messages } = call.read()?;
    let messages = chat::messages(&call.house.limits, messages)?;
    let app = call.app.name.clone();
    let count = move || -> Result<usize, ChatError> { sessions.count_tokens(&app, &id, messages) };
    Ok(good(&json!({"tokens": call.house.blocking(move |_| count()).await?})))
}
