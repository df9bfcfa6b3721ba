//! `GET /v1/models`: what can be asked for. OpenAI and Anthropic have the same path for it; who
//! speaks Anthropic's API is told in its shape.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use ondine_chat::Model;
use serde_json::{Value, json};

use crate::anthropic;
use crate::house::{Api, Visit, good};
use crate::trouble::{Kind, Trouble};

/// A model in OpenAI's shape, and what else is known of it.
fn model(model: &Model) -> Value {
    json!({
        "id": model.name,
        "object": "model",
        "created": model.created_s,
        "owned_by": "ondine",
        "context_length": model.context,
        "capabilities": {"chat": model.chats, "tools": model.tools, "embeddings": !model.chats},
    })
}

/// All models.
pub(super) async fn list(visit: Visit) -> Response {
    let models = visit.house.chat.models();
    good(&match visit.api {
        Api::Anthropic => anthropic::models(&models),
        _ => {
            let data: Vec<Value> = models.iter().map(model).collect();
            json!({"object": "list", "data": data})
        }
    })
}

/// One model. A name is compared and never opened: it may hold anything.
pub(super) async fn one(
    visit: Visit,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Trouble> {
    let unknown = || {
        let trouble = Trouble::new(Kind::NoModel, "there is no such model");
        Trouble { param: Some("model".into()), ..trouble }
    };
    let Path(name) = name.map_err(|_| unknown())?;
    let models = visit.house.chat.models();
    let found = models.iter().find(|model| model.name == name).ok_or_else(unknown)?;
    Ok(good(&match visit.api {
        Api::Anthropic => anthropic::model(found),
        _ => model(found),
    }))
}
