//! Whoever answers at a path of its own behind our door: the door checks names, pages, tokens, sizes and
//! places, as for every API, and hands over what came. A guest reads and writes plain requests, and asks
//! models through what it is given here alone: nothing is computed for an app whose quota is used up, and
//! nothing goes uncounted. The door knows no guest's words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::{FromRequest, Request as Incoming, State};
use axum::http::{Request, Response};
use axum::response::IntoResponse;
use ondine_chat::{Chat, ChatError, Embed, Embedded, Model, Request as Asked, Sink, Usage};

use crate::App;
use crate::bill::Bill;
use crate::house::{Call, House};
use crate::route::Route;
use crate::trouble::{Kind, Trouble};

/// Where a guest is.
pub(crate) const PATH: &str = "/mcp";

/// Answers the POSTs at a path of its own.
pub trait Guest: Send + Sync {
    /// The response to a request that has been let in. May block.
    fn answer(&self, visit: Visit) -> Response<Vec<u8>>;
}

/// A request that has been let in.
pub struct Visit {
    /// Whose it is.
    pub app: App,
    /// The request: its body is JSON by name, whole, and within the limits.
    pub request: Request<Vec<u8>>,
    /// The models, asked as this app: its name, its turn, its quota.
    pub chat: Arc<dyn Chat>,
    /// The same for vectors.
    pub embed: Arc<dyn Embed>,
    /// Says when nobody waits any more.
    pub gone: Gone,
}

/// Says whether whoever asked has gone away.
#[derive(Clone, Debug, Default)]
pub struct Gone(Arc<AtomicBool>);

impl Gone {
    /// Whether they have.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Tells a guest, wherever the waiting ends.
struct GoneOnDrop(Gone);

impl Drop for GoneOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// What stands where, with a guest.
pub(crate) fn routes() -> Vec<Route> {
    let about = "Speaks the Model Context Protocol: one message each way";
    vec![Route::post(PATH, about, answer).tells(200, "application/json", None)]
}

async fn answer(
    State(house): State<Arc<House>>,
    request: Incoming,
) -> Result<Response<Body>, Trouble> {
    let none = || Trouble::new(Kind::NotFound, "there is nothing at this path");
    let guest = house.guest.clone().ok_or_else(none)?;
    let mut own = Request::new(Vec::new());
    *own.method_mut() = request.method().clone();
    *own.uri_mut() = request.uri().clone();
    *own.headers_mut() = request.headers().clone();
    let call = Call::from_request(request, &house).await?;
    let (app, body, _place) = call.taken();
    *own.body_mut() = body.to_vec();
    let gone = GoneOnDrop(Gone::default());
    let models = Arc::new(Models { house: house.clone(), app: app.clone(), gone: gone.0.clone() });
    let visit =
        Visit { app, request: own, chat: models.clone(), embed: models, gone: gone.0.clone() };
    let mut ending = house.ending();
    tokio::select! {
        response = house.blocking(move |_| Ok(guest.answer(visit))) => {
            Ok(response?.map(Body::from).into_response())
        }
        () = ending.over() => Err(ChatError::ShuttingDown.into()),
    }
}

/// The house's models as one app may ask them.
struct Models {
    house: Arc<House>,
    app: App,
    gone: Gone,
}

impl Models {
    fn admit(&self) -> Result<Arc<crate::bill::Admitted>, ChatError> {
        self.house.admit(&self.app).map_err(|trouble| match trouble.kind {
            Kind::ShuttingDown => ChatError::ShuttingDown,
            _ => ChatError::Conflict(trouble.message.into_owned()),
        })
    }
}

impl Chat for Models {
    fn start(&self, mut request: Asked, mut sink: Sink) -> Result<(), ChatError> {
        let mut bill = Bill::new(self.admit()?);
        request.app.clone_from(&self.app.name);
        request.background = self.app.background;
        let gone = self.gone.clone();
        let billed: Sink = Box::new(move |event| {
            bill.see(&event);
            !gone.is_set() && sink(event)
        });
        self.house.chat.start(request, billed)
    }

    fn count_tokens(&self, request: &Asked) -> Result<usize, ChatError> {
        self.house.chat.count_tokens(request)
    }

    fn models(&self) -> Vec<Model> {
        self.house.chat.models()
    }
}

impl Embed for Models {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let admitted = self.admit()?;
        let embedded = self.house.embed.embed(model, texts)?;
        admitted.pay(&Usage { prompt_tokens: embedded.tokens, ..Usage::default() });
        Ok(embedded)
    }
}
