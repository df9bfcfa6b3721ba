//! A connection that is up: it asks, waits no longer than it is told, and ends when it is dropped. It knows
//! the protocol's library; what the answers mean, others know.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use ondine_app::Cancel;
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, PaginatedRequestParams};
use rmcp::service::{
    ClientInitializeError, NotificationContext, RunningService, ServiceError, serve_client,
};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{ClientHandler, Peer, RoleClient};
use tokio::sync::Mutex;

use super::child::{Child, last_words};
use super::{Place, catalogue, remote};
use crate::error::McpError;
use crate::limits::Limits;
use crate::words::tame;

/// How often it is looked whether anybody still waits.
const GLANCE: Duration = Duration::from_millis(20);

/// Pages of one list.
const PAGES: usize = 64;

/// What hears a server that speaks unasked: it may say that its tools have changed, and is given nothing.
#[derive(Clone, Default)]
struct Ears {
    changed: Arc<AtomicBool>,
}

impl ClientHandler for Ears {
    fn get_info(&self) -> ClientConfig {
        // Nothing is offered to a server: no words of our models, no folders, no questions to the user.
        let own = Implementation::new("ondine", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), own)
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.changed.store(true, Ordering::Release);
    }
}

/// A connection that is up.
pub(super) struct Link {
    service: RunningService<RoleClient, Ears>,
    child: Option<Child>,
    ears: Ears,
    /// What each tool looked like when it was last looked at.
    seen: Mutex<Option<HashMap<String, [u8; 32]>>>,
    silences: AtomicU32,
    server: String,
    message_bytes: usize,
}

/// What went wrong with a greeting: of a transport's error the causes, without the names of its types.
fn in_short(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::TransportError { error, .. } => chain(&*error.error),
        error => chain(error),
    }
}

impl Link {
    /// Starts or reaches a server and greets it.
    pub(super) async fn open(
        server: &str,
        place: &Place,
        limits: &Limits,
    ) -> Result<Link, McpError> {
        let ears = Ears::default();
        let limit = limits.greeting_time;
        let late = |_| format!("it said nothing within {limit:?}");
        let (greeted, child) = match place {
            Place::Program(program) => {
                let (child, lines, input) =
                    Child::start(program, limits.message_bytes, limits.complaint_bytes)?;
                // The reader above ends the stream at a long line; this limit is never reached.
                let transport =
                    AsyncRwTransport::new_client(lines, input).with_max_line_length(usize::MAX);
                let greeted = serve_client(ears.clone(), transport);
                (tokio::time::timeout(limit, greeted).await, Some(child))
            }
            Place::Endpoint(endpoint) => {
                let transport = remote::transport(endpoint, limits.message_bytes)?;
                let greeted = serve_client(ears.clone(), transport);
                (tokio::time::timeout(limit, greeted).await, None)
            }
        };
        let greeted = greeted
            .map_err(late)
            .and_then(|greeted| greeted.map_err(|error| tame(&in_short(&error), 500, false)));
        match greeted {
            Ok(service) => Ok(Link {
                service,
                child,
                ears,
                seen: Mutex::new(None),
                silences: AtomicU32::new(0),
                server: server.to_owned(),
                message_bytes: limits.message_bytes,
            }),
            Err(mut why) => {
                if let Some(child) = &child {
                    // Its last words may still be on the way.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    let words = last_words(&child.complaints);
                    if !words.is_empty() {
                        why += &format!("; it complained: {words}");
                    }
                }
                Err(McpError::Greeting { server: server.to_owned(), why })
            }
        }
    }

    /// What the server says of itself.
    pub(super) fn about(&self) -> (String, String, String) {
        let info = self.service.peer().peer_info();
        let own = info.as_ref().and_then(|info| info.server_info.as_ref());
        let text = |text: Option<&str>, most| tame(text.unwrap_or_default(), most, true);
        (
            text(own.map(|own| own.name.as_str()), 100),
            text(own.map(|own| own.version.as_str()), 100),
            text(info.as_ref().and_then(|info| info.instructions.as_deref()), 2000),
        )
    }

    /// Whether the server says that it has things to read.
    pub(super) fn has_resources(&self) -> bool {
        let info = self.service.peer().peer_info();
        info.is_some_and(|info| info.capabilities.resources.is_some())
    }

    /// Whether it is of no more use.
    pub(super) fn is_over(&self, silences: u32) -> bool {
        self.service.is_closed()
            || self.service.peer().is_transport_closed()
            || self.silences.load(Ordering::Relaxed) >= silences
    }

    /// Waits for an answer as long as it may take, or as long as anybody waits. Who stops waiting drops the
    /// question, of which the server is told.
    pub(super) async fn bounded<T>(
        &self,
        question: impl Future<Output = Result<T, ServiceError>>,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<T, McpError> {
        let stopped = async {
            while !cancel.is_set() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::select! {
            answer = question => {
                if !matches!(&answer, Err(ServiceError::TransportClosed)) {
                    self.silences.store(0, Ordering::Relaxed);
                }
                answer.map_err(|error| self.explain(error))
            }
            () = stopped => Err(McpError::Cancelled),
            () = tokio::time::sleep(limit) => {
                self.silences.fetch_add(1, Ordering::Relaxed);
                Err(McpError::TimedOut(limit))
            }
        }
    }

    /// All tools that the server lists, as far as that is read.
    pub(super) async fn tools(
        &self,
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<Vec<rmcp::model::Tool>, McpError> {
        self.ears.changed.store(false, Ordering::Release);
        let listing = pages(limits.items, |cursor| {
            let peer = self.peer().clone();
            async move {
                let page = peer.list_tools(cursor).await?;
                Ok((page.tools, page.next_cursor))
            }
        });
        let tools = self.bounded(listing, limits.listing_time, cancel).await?;
        let seen = tools.iter().map(|tool| (tool.name.to_string(), catalogue::digest(tool)));
        *self.seen.lock().await = Some(seen.collect());
        Ok(tools)
    }

    /// All resources that the server lists, as far as that is read.
    pub(super) async fn resources(
        &self,
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<Vec<rmcp::model::Resource>, McpError> {
        let listing = pages(limits.items, |cursor| {
            let peer = self.peer().clone();
            async move {
                let page = peer.list_resources(cursor).await?;
                Ok((page.resources, page.next_cursor))
            }
        });
        self.bounded(listing, limits.listing_time, cancel).await
    }

    /// Whether a tool is still what it was when it was listed: a server may be another one after it was
    /// started anew, or say another thing of the same name later.
    pub(super) async fn is_still(
        &self,
        tool: &str,
        digest: &[u8; 32],
        limits: &Limits,
        cancel: &Cancel,
    ) -> Result<bool, McpError> {
        let known = self.seen.lock().await.is_some();
        if !known || self.ears.changed.load(Ordering::Acquire) {
            self.tools(limits, cancel).await?;
        }
        let seen = self.seen.lock().await;
        Ok(seen.as_ref().is_some_and(|seen| seen.get(tool) == Some(digest)))
    }

    /// Who is asked.
    pub(super) fn peer(&self) -> &Peer<RoleClient> {
        self.service.peer()
    }

    fn explain(&self, error: ServiceError) -> McpError {
        let server = self.server.clone();
        let flooded =
            self.child.as_ref().is_some_and(|child| child.flooded.load(Ordering::Acquire));
        match error {
            _ if flooded => McpError::TooLarge { server, limit: self.message_bytes },
            ServiceError::McpError(error) => {
                McpError::Denied { code: error.code.0, message: tame(&error.message, 1000, true) }
            }
            ServiceError::TransportClosed | ServiceError::Cancelled { .. } => {
                McpError::Lost(server)
            }
            ServiceError::UnexpectedResponse => {
                McpError::Nonsense { server, what: "it answers another question".into() }
            }
            error => McpError::Nonsense { server, what: tame(&chain(&error), 500, false) },
        }
    }
}

/// The pages of a list, up to a number of items and of pages: whoever pages on for ever is not followed.
async fn pages<T, F>(
    most: usize,
    mut page: impl FnMut(Option<PaginatedRequestParams>) -> F,
) -> Result<Vec<T>, ServiceError>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), ServiceError>>,
{
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let asked =
            cursor.take().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
        let (more, next) = page(asked).await?;
        items.extend(more);
        cursor = next;
        if cursor.is_none() || items.len() > most {
            break;
        }
    }
    Ok(items)
}

/// An error with the reasons below it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        source = error.source();
    }
    text
}
