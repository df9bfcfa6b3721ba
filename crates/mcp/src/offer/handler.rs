//! An offer as the protocol's library asks it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ondine_app::chat::ToolCall;
use ondine_app::{Bounds, Cancel, Context, Effect, Outcome, Tool, ToolError, ToolSpec, perform};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource as Listed,
    ResourceContents, ServerCapabilities, ServerConfig, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Map, Value};
use tokio::sync::OwnedSemaphorePermit;

use super::{Offer, arguments};
use crate::KEY;
use crate::resources::{Content, ResourceError, Resources};
use crate::words::tame;

/// How often it is looked whether anybody still waits.
const GLANCE: Duration = Duration::from_millis(20);

/// Resources of one page.
const PAGE: usize = 100;

/// Bytes of an idempotency key that is taken from whoever asks.
const KEY_BYTES: usize = 200;

/// Answers one connection, or one request where requests have none.
#[derive(Clone)]
pub(super) struct Handler {
    offer: Offer,
    /// Whoever asked is gone.
    gone: Cancel,
}

impl Handler {
    pub(super) fn new(offer: Offer, gone: Cancel) -> Handler {
        Handler { offer, gone }
    }

    /// Does something that blocks; a panic there is an error here.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Resources) -> Result<T, ResourceError> + Send + 'static,
    ) -> Result<T, ErrorData> {
        let Some(resources) = self.offer.resources.clone() else {
            return Err(ErrorData::invalid_request("there is nothing to read here", None));
        };
        let place = self.offer.places.clone().try_acquire_owned().map_err(|_| busy())?;
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(resources.as_ref())
        });
        let limit = self.offer.allowance.read_time;
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(Ok(done))) => Ok(done),
            Ok(Ok(Err(error @ ResourceError::Unknown(_)))) => {
                Err(ErrorData::resource_not_found(error.to_string(), None))
            }
            Ok(Ok(Err(error))) => Err(ErrorData::internal_error(error.to_string(), None)),
            Ok(Err(_)) => Err(ErrorData::internal_error("it broke", None)),
            Err(_) => Err(ErrorData::internal_error(format!("nothing within {limit:?}"), None)),
        }
    }
}

fn busy() -> ErrorData {
    ErrorData::internal_error("busy: as many calls run as may run at one time", None)
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        if self.offer.resources.is_some() {
            capabilities.resources = Some(Default::default());
        }
        let config = ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(&*self.offer.name, &*self.offer.version));
        match self.offer.instructions.as_str() {
            "" => config,
            text => config.with_instructions(text),
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.offer.offered().map(|tool| listed(tool.spec())).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let found = self.offer.offered().find(|tool| tool.spec().name == request.name);
        let Some(tool) = found.cloned() else {
            let message = format!("there is no tool {:?}", tame(&request.name, 100, false));
            return Err(ErrorData::invalid_params(message, None));
        };
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        if let Err(why) = arguments::check(&tool.spec().parameters, &arguments) {
            return Ok(failed(&ToolError::Arguments(why)));
        }
        let Ok(place) = self.offer.places.clone().try_acquire_owned() else {
            return Ok(failed(&ToolError::Failed(busy().message.into())));
        };
        let meta = request.meta.as_ref().and_then(|meta| meta.get(KEY)).or(context.meta.get(KEY));
        let call =
            ToolCall { id: context.id.to_string(), name: request.name.into_owned(), arguments };
        let stop = StopOnDrop(Cancel::default());
        let around = Context { key: key(&self.offer.caller, meta), cancel: stop.0.clone() };
        let bounds = Bounds { result_bytes: self.offer.allowance.result_bytes };
        let tool: Arc<dyn Tool> = Arc::new(Placed { tool, _place: place });
        let mut work = tokio::task::spawn_blocking(move || perform(&tool, &call, &around, bounds));
        loop {
            tokio::select! {
                done = &mut work => {
                    let seen = done.map_err(|_| ErrorData::internal_error("it broke", None))?;
                    let text = vec![ContentBlock::text(seen.text)];
                    return Ok(match seen.outcome {
                        Outcome::Done => CallToolResult::success(text),
                        Outcome::Error(_) => CallToolResult::error(text),
                    }.into());
                }
                () = tokio::time::sleep(GLANCE) => {
                    if context.ct.is_cancelled() || self.gone.is_set() {
                        // `perform` comes back at once; there is nothing else to wait for.
                        stop.0.now();
                    }
                }
            }
        }
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|request| request.cursor);
        let from: usize = match cursor.as_deref() {
            None => 0,
            Some(cursor) => {
                cursor.parse().map_err(|_| ErrorData::invalid_params("no such cursor", None))?
            }
        };
        let all = self.blocking(|resources| resources.list()).await?;
        let page: Vec<Listed> = all
            .iter()
            .skip(from)
            .take(PAGE)
            .map(|resource| {
                let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                let mut listed = Listed::new(&*resource.uri, &*resource.name);
                listed.description = text(&resource.description);
                listed.mime_type = text(&resource.media);
                listed.size = resource.bytes;
                listed
            })
            .collect();
        let end = from.saturating_add(PAGE);
        let mut result = ListResourcesResult::with_all_items(page);
        result.next_cursor = (end < all.len()).then(|| end.to_string());
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.clone();
        let (content, media) = self
            .blocking(move |resources| {
                let content = resources.read(&uri)?;
                let media = resources.list()?.into_iter().find(|resource| resource.uri == uri);
                Ok((content, media.map(|resource| resource.media).unwrap_or_default()))
            })
            .await?;
        let most = self.offer.allowance.resource_bytes;
        let (bytes, read) = match content {
            Content::Text(text) => (text.len(), ResourceContents::text(text, request.uri)),
            Content::Bytes(bytes) => {
                (bytes.len(), ResourceContents::blob(STANDARD.encode(&bytes), request.uri))
            }
        };
        if bytes > most {
            let message = format!("it has {bytes} bytes; {most} are given");
            return Err(ErrorData::internal_error(message, None));
        }
        let read = if media.is_empty() { read } else { read.with_mime_type(media) };
        Ok(ReadResourceResult::new(vec![read]).into())
    }
}

/// A tool as the protocol lists it.
fn listed(spec: &ToolSpec) -> rmcp::model::Tool {
    let schema = match &spec.parameters {
        Value::Object(schema) => schema.clone(),
        _ => Map::from_iter([("type".to_owned(), Value::from("object"))]),
    };
    let hints = ToolAnnotations::new();
    let hints = match spec.effect {
        Effect::Read => hints.read_only(true),
        Effect::Write => hints.read_only(false).destructive(false),
        Effect::Irreversible => hints.read_only(false).destructive(true),
    };
    rmcp::model::Tool::new(spec.name.clone(), spec.description.clone(), schema).annotate(hints)
}

fn failed(error: &ToolError) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(format!("error: {error}"))]).into()
}

/// What makes a try of a call the same as another: the caller's word, kept apart from other callers', or
/// nothing that came before.
fn key(caller: &str, given: Option<&Value>) -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

    let given = given.and_then(Value::as_str);
    let given = given.filter(|key| !key.is_empty() && key.len() <= KEY_BYTES && key.is_ascii());
    match given {
        Some(key) => format!("{caller}/{key}"),
        None => {
            // Unlike those of an earlier start, too.
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let own = std::process::id();
            format!("{caller}/own/{own}-{}-{next}", now.unwrap_or_default().as_nanos())
        }
    }
}

/// A tool with its place among the calls: the place is free when the tool has come back, not when nobody
/// waits for it any more.
struct Placed {
    tool: Arc<dyn Tool>,
    _place: OwnedSemaphorePermit,
}

impl Tool for Placed {
    fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    fn call(&self, arguments: Value, context: &Context) -> Result<Value, ToolError> {
        self.tool.call(arguments, context)
    }
}

/// Tells a tool that nobody waits, wherever the waiting ends.
pub(super) struct StopOnDrop(pub(super) Cancel);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.now();
    }
}
