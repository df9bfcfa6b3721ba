//! What is in memory, for whoever watches or decides: `/v1/status`, `/v1/plan` and the two verbs that
//! bring a model in and let it go. The same numbers stand on the page that Prometheus reads.
//!
//! The names of all apps are shown to every app: it is one person's device. What they say is not.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use ondine_chat::{Keep, Request, Status, Wanted};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::{at_most, keep};
use crate::house::{Call, House, Visit, good};
use crate::openai::chat::{self, Turn};
use crate::openapi::memory as told;
use crate::route::Route;
use crate::trouble::Trouble;

/// What stands where.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v1/status", "Tells what is going on", status).gives::<told::ServiceStatus>(),
        Route::post(
            "/v1/plan",
            "Tells whether something would fit, and what would go for it",
            plan,
        )
        .takes::<PlanBody>()
        .gives::<ondine_chat::Plan>(),
        Route::post("/v1/models/load", "Brings a model into memory", load)
            .takes::<ModelBody>()
            .gives::<told::ModelPlace>(),
        Route::post("/v1/models/unload", "Lets a model go when nobody uses it", unload)
            .takes::<ModelBody>()
            .gives::<told::ModelPlace>(),
    ]
}

async fn status(visit: Visit) -> Result<Response, Trouble> {
    let keeper = visit.house.keeper()?.clone();
    let status = visit.house.blocking(move |_| Ok(keeper.status())).await?;
    let models: Vec<Value> = (status.models.into_iter())
        .map(|(name, model)| {
            let mut shown = json!(model);
            shown["name"] = name.into();
            shown
        })
        .collect();
    let mut shown = visit.house.counters.shown(Instant::now());
    shown["version"] = visit.house.version.as_str().into();
    shown["memory"] = json!({ "budget": status.memory, "used": status.memory_used });
    shown["models"] = models.into();
    Ok(good(&shown))
}

/// `POST /v1/plan`: a prompt by its length, or by its messages.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "PlanRequest")]
#[serde(deny_unknown_fields)]
struct PlanBody {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    prompt_tokens: Option<usize>,
    #[serde(default)]
    messages: Option<Vec<Turn>>,
    #[serde(default)]
    max_tokens: Option<usize>,
}

/// Messages are counted by the model itself, which is loaded for it where it is not in memory.
async fn plan(call: Call) -> Result<Response, Trouble> {
    let body = call.read::<PlanBody>()?;
    let limits = &call.house.limits;
    at_most("prompt_tokens", body.prompt_tokens.unwrap_or(0), limits.tokens, "tokens")?;
    at_most("max_tokens", body.max_tokens.unwrap_or(0), limits.tokens, "tokens")?;
    let model = body.model.unwrap_or_default();
    let prompt_tokens = match body.messages {
        Some(_) if body.prompt_tokens.is_some() => {
            let message = "says what prompt_tokens says; leave one of them out";
            return Err(Trouble::at("messages", message));
        }
        Some(turns) => {
            let messages = chat::messages(limits, Some(turns))?;
            call.count(Request::new(model.clone(), messages)).await?
        }
        None => body.prompt_tokens.unwrap_or(0),
    };
    let wanted = Wanted { model, prompt_tokens, answer_tokens: body.max_tokens };
    let keeper = call.house.keeper()?.clone();
    let plan = call.house.blocking(move |_| keeper.plan(&wanted)).await?;
    Ok(good(&json!(plan)))
}

/// `POST /v1/models/load` and `/v1/models/unload`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ModelPlaceRequest")]
#[serde(deny_unknown_fields)]
struct ModelBody {
    model: String,
    #[serde(default)]
    keep_alive: Option<Value>,
}

/// Answers when the model is there.
async fn load(call: Call) -> Result<Response, Trouble> {
    let ModelBody { model, keep_alive } = call.read()?;
    let keep = keep("keep_alive", keep_alive.as_ref())?;
    bring(&call.house, model.clone(), keep).await?;
    Ok(good(&json!({ "model": model, "loaded": true })))
}

/// Answers at once: the model goes when nobody uses it.
async fn unload(call: Call) -> Result<Response, Trouble> {
    let ModelBody { model, .. } = call.read()?;
    release(&call.house, model.clone()).await?;
    Ok(good(&json!({ "model": model, "loaded": false })))
}

/// Has a model brought into memory.
pub(crate) async fn bring(house: &Arc<House>, model: String, keep: Keep) -> Result<(), Trouble> {
    let keeper = house.keeper()?.clone();
    house.blocking(move |_| keeper.load(&model, keep)).await
}

/// Has a model let go when nobody uses it.
pub(crate) async fn release(house: &Arc<House>, model: String) -> Result<(), Trouble> {
    let keeper = house.keeper()?.clone();
    house.blocking(move |_| keeper.unload(&model)).await
}

/// The status as Prometheus reads it. Names of models are the owner's.
pub(crate) fn page(status: &Status) -> String {
    let mut page = String::new();
    let head = |page: &mut String, name: &str, kind: &str, help: &str| {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
    };
    for (name, help, value) in [
        ("ondine_memory_used_bytes", "Bytes in use.", status.memory_used),
        ("ondine_memory_budget_bytes", "Bytes that may be used.", status.memory),
    ] {
        head(&mut page, name, "gauge", help);
        let _ = writeln!(page, "{name} {value}");
    }
    type Number = fn(&ondine_chat::ModelStatus) -> u64;
    let rows: [(&str, &str, &str, Number); 6] = [
        ("loaded", "gauge", "Whether the model is in memory.", |m| u64::from(m.loaded)),
        ("running", "gauge", "Requests that it answers.", |m| {
            m.running.values().sum::<usize>() as u64
        }),
        ("waiting", "gauge", "Requests that wait for it.", |m| {
            m.waiting.values().sum::<usize>() as u64
        }),
        ("kept_bytes", "gauge", "Keys and values kept for later requests.", |m| m.kept_bytes),
        ("tokens_total", "counter", "Tokens that it evaluated.", |m| m.tokens),
        ("cached_tokens_total", "counter", "Tokens that it knew from before.", |m| m.cached_tokens),
    ];
    for (short, kind, help, number) in rows {
        let name = format!("ondine_model_{short}");
        head(&mut page, &name, kind, help);
        for (model, own) in &status.models {
            let model = crate::meter::label(model);
            let _ = writeln!(page, "{name}{{model=\"{model}\"}} {}", number(own));
        }
    }
    page
}
