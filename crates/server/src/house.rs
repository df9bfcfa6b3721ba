//! What every request passes before an API sees it: the name it is addressed to, the page it comes
//! from, whose token it has, how large and how slow its body is. It knows which API a request
//! is for, and nothing of what any API says.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, MatchedPath, Request, State};
use axum::http::header::AsHeaderName;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use ondine_chat::{Chat, ChatError, Embed, Keeper, Request as Asked, Sessions, Shelf, Sink, Usage};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::bill::Admitted;
use crate::ending::Ending;
use crate::feed::Feed;
use crate::meter::{Answered, Counters, Meter};
use crate::openai::responses::Kept;
use crate::route::{self, Route};
use crate::trouble::{Kind, Trouble};
use crate::{
    App, Doors, Guest, Hosts, Limits, Refusal, Server, anthropic, guest, hosts, memory, ollama,
    openai, openapi, page, sessions, wire,
};

/// All that requests share.
pub(crate) struct House {
    pub(crate) chat: Arc<dyn Chat>,
    pub(crate) embed: Arc<dyn Embed>,
    sessions: Option<Arc<dyn Sessions>>,
    keeper: Option<Arc<dyn Keeper>>,
    shelf: Option<Arc<dyn Shelf>>,
    pub(crate) guest: Option<Arc<dyn Guest>>,
    doors: Arc<dyn Doors>,
    hosts: Hosts,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) version: String,
    pub(crate) kept: Kept,
    /// Patterns of paths that are asked without a token.
    open: Vec<&'static str>,
    /// The OpenAPI document.
    document: Bytes,
    ending: Ending,
    places: Arc<Semaphore>,
    /// Bytes that bodies may still take.
    room: Arc<Semaphore>,
}

/// Whose words an answer, and above all an error, is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    OpenAi,
    Anthropic,
    Ollama,
    /// What other APIs have no words for: conversations that are kept, health, numbers, the page.
    Own,
}

impl Api {
    /// OpenAI and Anthropic share the path of the models; Anthropic's clients always send a
    /// version.
    pub(crate) fn of(path: &str, headers: &HeaderMap) -> Api {
        let under = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match () {
            () if under("/api") => Api::Ollama,
            () if under("/v1/messages") => Api::Anthropic,
            () if matches!(path, "/" | "/health" | "/metrics" | "/openapi.json") => Api::Own,
            () if path == guest::PATH => Api::Own,
            () if under("/v1/sessions") || under("/assets") => Api::Own,
            () if headers.contains_key("anthropic-version") => Api::Anthropic,
            () => Api::OpenAi,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Api::OpenAi => "openai",
            Api::Anthropic => "anthropic",
            Api::Ollama => "ollama",
            Api::Own => "own",
        }
    }

    /// The trouble in this API's words.
    fn tell(self, trouble: &Trouble) -> Response {
        let body = match self {
            Api::OpenAi | Api::Own => openai::error(trouble),
            Api::Anthropic => anthropic::error(trouble),
            Api::Ollama => ollama::error(trouble),
        };
        let status = match self {
            Api::Anthropic => anthropic::status(trouble.kind),
            _ => trouble.kind.status(),
        };
        let mut response = json(status, &body);
        if let Some(seconds) = trouble.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        if trouble.kind == Kind::Quota {
            // OpenAI's and Anthropic's clients would try again at once.
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        }
        // What is left of a body that is not read would be taken for the next request; and a server
        // that is ending takes none.
        let unread = matches!(
            trouble.kind,
            Kind::Slow | Kind::TooLarge | Kind::MediaType | Kind::Busy | Kind::ShuttingDown
        );
        if unread {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    let media = [(header::CONTENT_TYPE, "application/json")];
    (status, media, body.to_string()).into_response()
}

/// A JSON response to what went well.
pub(crate) fn good(body: &serde_json::Value) -> Response {
    json(StatusCode::OK, body)
}

// A handler's trouble leaves it unsaid; the outermost layer says it in the API's words.
impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Who asks, and a number for it.
#[derive(Clone)]
struct Caller {
    app: App,
    id: u64,
}

/// All routes behind the doors.
pub(crate) fn router(server: Server, ending: Ending) -> Router {
    let Server { chat, embed, sessions, keeper, shelf, guest, doors, log, hosts, limits, version } =
        server;
    let mut table = own_routes();
    table.extend(openai::routes());
    table.extend(anthropic::routes());
    table.extend(ollama::routes());
    table.extend(sessions::routes());
    table.extend(memory::routes());
    table.extend(page::routes());
    if guest.is_some() {
        table.extend(guest::routes());
    }
    let house = Arc::new(House {
        open: table.iter().filter(|row| row.open).map(|row| row.path).collect(),
        document: openapi::document(&table, &version).to_string().into(),
        chat,
        embed,
        sessions,
        keeper,
        shelf,
        guest,
        doors,
        hosts,
        counters: Arc::new(Counters::new(log)),
        version,
        kept: Kept::new(&limits),
        ending,
        places: Arc::new(Semaphore::new(limits.requests)),
        room: Arc::new(Semaphore::new(limits.bodies_bytes)),
        limits,
    });
    route::router(table)
        .fallback(async || Trouble::new(Kind::NotFound, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Trouble::new(Kind::Method, "the path does not take this method")
        })
        .layer(middleware::from_fn_with_state(house.clone(), door))
        .with_state(house)
}

/// What is nobody's API.
fn own_routes() -> Vec<Route> {
    vec![
        Route::get("/health", "Says whether somebody who asks can be answered", health)
            .open()
            .tells(200, TEXT, None),
        Route::get("/metrics", "Tells numbers to Prometheus", metrics).tells(200, TEXT, None),
        Route::get("/openapi.json", "Tells what can be asked: this document", document)
            .open()
            .tells(200, "application/json", None),
    ]
}

const TEXT: &str = "text/plain";

async fn document(State(house): State<Arc<House>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], house.document.clone()).into_response()
}

/// Whether somebody who asks now can be answered. A server that is ending has said so at the door.
async fn health(State(house): State<Arc<House>>) -> (StatusCode, &'static str) {
    if house.chat.models().is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "there is no model\n");
    }
    (StatusCode::OK, "ok\n")
}

async fn metrics(State(house): State<Arc<House>>) -> Response {
    let media = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let mut page = house.counters.page();
    if let Ok(keeper) = house.keeper().cloned() {
        let status = house.blocking(move |_| Ok(keeper.status())).await;
        page += &status.map(|status| memory::page(&status)).unwrap_or_default();
    }
    (media, page).into_response()
}

/// The outermost layer.
async fn door(State(house): State<Arc<House>>, mut request: Request, next: Next) -> Response {
    let since = Instant::now();
    let id = house.counters.id();
    let api = Api::of(request.uri().path(), request.headers());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let origin = request.headers().get(header::ORIGIN).cloned();
    let (app, mut response) = match house.check(&request) {
        Err(trouble) => (None, trouble.into_response()),
        Ok(None) if is_preflight(&request) => (None, preflight(request.headers())),
        Ok(app) => {
            let name = app.as_ref().map(|app| app.name.clone());
            if let Some(app) = app {
                request.extensions_mut().insert(Caller { app, id });
            }
            (name, next.run(request).await)
        }
    };
    let trouble = response.extensions_mut().remove::<Trouble>();
    if let Some(trouble) = &trouble {
        response = api.tell(trouble);
    }
    // The origin was found to be ours, or there would be none of its headers on a good answer.
    let refused = trouble.as_ref().is_some_and(|trouble| trouble.kind == Kind::Forbidden);
    if let (Some(origin), false) = (origin, refused) {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Ok(value) = HeaderValue::from_str(&format!("req_{id}")) {
        response.headers_mut().insert("request-id", value.clone());
        response.headers_mut().insert("x-request-id", value);
    }
    house.counters.answered(&Answered {
        id,
        api: api.name(),
        route,
        app: app.as_deref(),
        status: response.status().as_u16(),
        error: trouble.map(|trouble| trouble.kind.name()),
        took_s: since.elapsed().as_secs_f64(),
    });
    response
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(hosts::REQUEST_METHOD)
}

/// What a browser asks before it lets one of our own pages send a token.
fn preflight(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let own = response.headers_mut();
    own.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        own.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    own.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

impl House {
    /// Whose request it is; nobody's where none is needed.
    fn check(&self, request: &Request) -> Result<Option<App>, Trouble> {
        let headers = request.headers();
        if !self.hosts.addressed(headers, request.uri()) {
            let message = "this server does not answer to the name in the Host header";
            return Err(Trouble::new(Kind::Forbidden, message));
        }
        if !self.hosts.welcome(headers) {
            let message = "web pages of this origin may not ask this server";
            return Err(Trouble::new(Kind::Forbidden, message));
        }
        if self.ending.has_begun() {
            return Err(ChatError::ShuttingDown.into());
        }
        // A preflight has no token: browsers send none before they are allowed to.
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let open = reads && route.is_some_and(|route| self.open.contains(&route));
        if is_preflight(request) || open {
            return Ok(None);
        }
        match self.doors.who(token(headers)) {
            Ok(app) => Ok(Some(app)),
            Err(refusal @ Refusal::Missing) => {
                Err(Trouble::new(Kind::NoToken, refusal.to_string()))
            }
            Err(refusal @ Refusal::Unknown) => {
                Err(Trouble::new(Kind::WrongToken, refusal.to_string()))
            }
        }
    }

    /// Lets an application have something computed, where the server is not ending and its quota is
    /// not used up.
    pub(crate) fn admit(&self, app: &App) -> Result<Arc<Admitted>, Trouble> {
        if self.ending.has_begun() {
            return Err(ChatError::ShuttingDown.into());
        }
        self.doors.admit(app)?;
        let (doors, counters) = (self.doors.clone(), self.counters.clone());
        Ok(Arc::new(Admitted::new(app.clone(), doors, counters)))
    }

    /// How far the server is with its end.
    pub(crate) fn ending(&self) -> Ending {
        self.ending.clone()
    }

    /// Whoever keeps conversations.
    pub(crate) fn sessions(&self) -> Result<&Arc<dyn Sessions>, Trouble> {
        let none = || Trouble::new(Kind::Unsupported, "this server keeps no conversations");
        self.sessions.as_ref().ok_or_else(none)
    }

    /// Whoever holds models in memory.
    pub(crate) fn keeper(&self) -> Result<&Arc<dyn Keeper>, Trouble> {
        let none = || Trouble::new(Kind::Unsupported, "this server's models stay as they are");
        self.keeper.as_ref().ok_or_else(none)
    }

    /// Whoever keeps models on disk.
    pub(crate) fn shelf(&self) -> Result<&Arc<dyn Shelf>, Trouble> {
        let none = || Trouble::new(Kind::Unsupported, "this server fetches no models");
        self.shelf.as_ref().ok_or_else(none)
    }

    /// Does what takes a while without holding up other connections.
    pub(crate) async fn blocking<T: Send + 'static>(
        self: &Arc<House>,
        work: impl FnOnce(&House) -> Result<T, ChatError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let house = self.clone();
        match tokio::task::spawn_blocking(move || work(&house)).await {
            Ok(done) => done.map_err(Trouble::from),
            Err(_) => Err(Trouble::new(Kind::Internal, "whoever answers broke down")),
        }
    }
}

/// A header's text. One that comes twice has none: whoever else reads the request may take the other.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The token of a request, from where OpenAI's and Anthropic's clients put it.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = only(headers, header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    bearer.or_else(|| only(headers, "x-api-key"))
}

/// A request without a body, from somebody known.
pub(crate) struct Visit {
    pub(crate) house: Arc<House>,
    pub(crate) app: App,
    pub(crate) api: Api,
}

impl axum::extract::FromRequestParts<Arc<House>> for Visit {
    type Rejection = Trouble;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        house: &Arc<House>,
    ) -> Result<Visit, Trouble> {
        let api = Api::of(parts.uri.path(), &parts.headers);
        match parts.extensions.get::<Caller>() {
            Some(caller) => Ok(Visit { house: house.clone(), app: caller.app.clone(), api }),
            None => Err(Trouble::new(Kind::NoToken, Refusal::Missing.to_string())),
        }
    }
}

/// A request with a body, which has been read.
pub(crate) struct Call {
    pub(crate) house: Arc<House>,
    pub(crate) app: App,
    id: u64,
    body: Bytes,
    /// The body's bytes among all bodies', free with the call.
    _room: Option<OwnedSemaphorePermit>,
    place: OwnedSemaphorePermit,
}

impl FromRequest<Arc<House>> for Call {
    type Rejection = Trouble;

    async fn from_request(request: Request, house: &Arc<House>) -> Result<Call, Trouble> {
        let Some(Caller { app, id }) = request.extensions().get::<Caller>().cloned() else {
            return Err(Trouble::new(Kind::NoToken, Refusal::Missing.to_string()));
        };
        // Taken before the body: bodies are what fills memory.
        let place = house
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| full("requests at one time", house.limits.requests))?;
        check_media(request.headers())?;
        let reading = read_body(request, house);
        let (body, room) = match tokio::time::timeout(house.limits.body_time, reading).await {
            Ok(body) => body?,
            Err(_) => {
                let seconds = house.limits.body_time.as_secs_f64();
                let message = format!("the body did not come within {seconds} s");
                return Err(Trouble::new(Kind::Slow, message));
            }
        };
        Ok(Call { house: house.clone(), app, id, body, _room: room, place })
    }
}

/// JSON by name, uncompressed. A page of a stranger can send other types without asking first.
fn check_media(headers: &HeaderMap) -> Result<(), Trouble> {
    let media = only(headers, header::CONTENT_TYPE);
    let media = media.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let message = "the Content-Type must be application/json";
        return Err(Trouble::new(Kind::MediaType, message));
    }
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Err(Trouble::new(Kind::MediaType, "compressed bodies are not read"));
    }
    Ok(())
}

/// A limit of the server's own is reached, which a moment may free.
fn full(limit: &str, value: usize) -> Trouble {
    ChatError::Busy { limit: limit.into(), value: value as u64, retry_after_s: 1 }.into()
}

/// A body and the room that it takes.
async fn read_body(
    request: Request<Body>,
    house: &House,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Trouble> {
    let most = house.limits.body_bytes;
    let too_large = || Trouble::new(Kind::TooLarge, format!("the body has more than {most} bytes"));
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Trouble::new(Kind::Invalid, "the body breaks off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large());
        }
        // Room is taken as bytes come, not as they are announced: an announcement costs nothing.
        let more = u32::try_from(data.len()).map_err(|_| too_large())?;
        let more = house
            .room
            .clone()
            .try_acquire_many_owned(more)
            .map_err(|_| full("bytes of bodies at one time", house.limits.bodies_bytes))?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok((bytes.into(), room))
}

impl Call {
    /// Whose it is, its body, and its place, which is its own until it is answered.
    pub(crate) fn taken(self) -> (App, Bytes, impl Send) {
        (self.app, self.body, (self.place, self._room))
    }

    /// The body as an API's shape.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        wire::read(&self.body, &self.house.limits)
    }

    /// Begins the answers to some requests, and gives what reads them and the request's place.
    pub(crate) async fn ask(
        self,
        requests: Vec<Asked>,
    ) -> Result<(Feed, OwnedSemaphorePermit), Trouble> {
        self.begin(requests, |house, request, sink| house.chat.start(request, sink)).await
    }

    /// Begins an answer in a session, and gives the same.
    pub(crate) async fn say(
        self,
        sessions: Arc<dyn Sessions>,
        id: String,
        request: Asked,
    ) -> Result<(Feed, OwnedSemaphorePermit), Trouble> {
        self.begin(vec![request], move |_, request, sink| sessions.say(&id, request, sink)).await
    }

    async fn begin(
        self,
        mut requests: Vec<Asked>,
        start: impl Fn(&House, Asked, Sink) -> Result<(), ChatError> + Send + 'static,
    ) -> Result<(Feed, OwnedSemaphorePermit), Trouble> {
        let meter = Meter::new(self.house.admit(&self.app)?, self.id, requests.len());
        for request in &mut requests {
            request.app = self.app.name.clone();
            request.background = self.app.background;
        }
        let unread_bytes = self.house.limits.unread_bytes;
        let mut feed = Feed::new(unread_bytes, meter, self.house.ending.clone());
        let starts: Vec<_> = requests.into_iter().map(|r| (r, feed.sink())).collect();
        let started = self
            .house
            .blocking(move |house| {
                starts.into_iter().try_for_each(|(request, sink)| start(house, request, sink))
            })
            .await;
        if let Err(trouble) = started {
            feed.fail(&trouble);
            return Err(trouble);
        }
        Ok((feed, self.place))
    }

    /// Tokens of a request's prompt.
    pub(crate) async fn count(&self, request: Asked) -> Result<usize, Trouble> {
        self.house.blocking(move |house| house.chat.count_tokens(&request)).await
    }

    /// Vectors of texts.
    pub(crate) async fn vectors(
        &self,
        model: String,
        texts: Vec<String>,
    ) -> Result<ondine_chat::Embedded, Trouble> {
        let admitted = self.house.admit(&self.app)?;
        let embedded = self.house.blocking(move |house| house.embed.embed(&model, &texts)).await?;
        admitted.pay(&Usage { prompt_tokens: embedded.tokens, ..Usage::default() });
        Ok(embedded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        rows.iter()
            .map(|(name, value)| {
                (name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn a_path_and_a_header_say_whose_words_are_spoken() {
        let version = headers(&[("anthropic-version", "2023-06-01")]);
        let none = HeaderMap::new();
        let rows = [
            ("/v1/chat/completions", &none, Api::OpenAi),
            ("/v1/models", &none, Api::OpenAi),
            ("/v1/models", &version, Api::Anthropic),
            ("/v1/messages", &none, Api::Anthropic),
            ("/v1/messages/count_tokens", &none, Api::Anthropic),
            ("/v1/messagesx", &none, Api::OpenAi),
            ("/api/chat", &version, Api::Ollama),
            ("/apix", &none, Api::OpenAi),
            ("/health", &none, Api::Own),
            ("/v1/sessions", &none, Api::Own),
            ("/v1/sessions/x/answers", &version, Api::Own),
            ("/", &none, Api::Own),
            ("/assets/page.js", &none, Api::Own),
            ("/assetsx", &none, Api::OpenAi),
            ("/mcp", &none, Api::Own),
            ("/nowhere", &none, Api::OpenAi),
        ];
        for (path, headers, expected) in rows {
            assert_eq!(Api::of(path, headers), expected, "{path}");
        }
    }

    #[test]
    fn tokens_stand_in_two_headers() {
        type Headers = &'static [(&'static str, &'static str)];
        let rows: &[(Headers, Option<&str>)] = &[
            (&[("authorization", "Bearer abc")], Some("abc")),
            (&[("authorization", "bearer abc")], Some("abc")),
            (&[("authorization", "Basic abc")], None),
            (&[("authorization", "abc")], None),
            (&[("x-api-key", "abc")], Some("abc")),
            (&[("authorization", "Bearer a"), ("x-api-key", "b")], Some("a")),
            (&[], None),
        ];
        for (rows, expected) in rows {
            let rows: Vec<(&'static str, &'static str)> = rows.to_vec();
            assert_eq!(token(&headers(&rows)), *expected, "{rows:?}");
        }
    }

    #[test]
    fn bodies_are_json_by_name_and_plain() {
        let rows: &[(&[(&str, &str)], bool)] = &[
            (&[("content-type", "application/json")], true),
            (&[("content-type", "Application/JSON; charset=utf-8")], true),
            (&[("content-type", "text/plain")], false),
            (&[("content-type", "application/x-www-form-urlencoded")], false),
            (&[("content-type", "application/jsonx")], false),
            (&[], false),
            (&[("content-type", "application/json"), ("content-encoding", "gzip")], false),
            (&[("content-type", "application/json"), ("content-encoding", "identity")], true),
        ];
        for (rows, expected) in rows {
            let rows: Vec<(&'static str, &'static str)> = rows.to_vec();
            assert_eq!(check_media(&headers(&rows)).is_ok(), *expected, "{rows:?}");
        }
    }
}
