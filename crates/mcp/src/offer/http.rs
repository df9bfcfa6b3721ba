//! An offer over HTTP, one request at a time: a message comes in a POST and its answer goes back in the
//! response. There are no sessions: nothing is kept between two requests, so that nothing can be taken over
//! or filled up. Who may ask, whoever listens has decided.

use std::sync::{Arc, mpsc};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use ondine_app::Cancel;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::Offer;
use super::handler::Handler;
use crate::error::McpError;

/// Answers requests that somebody else has read: the daemon's door, or a server of the application's own.
pub struct Http {
    runtime: Option<Runtime>,
    /// Of all offers that are asked here together: an offer may be made anew for each request.
    places: Arc<Semaphore>,
}

impl Http {
    /// What answers so many calls at one time, whoever asks and whatever each offer allows.
    ///
    /// # Errors
    /// No threads can be had.
    pub fn new(calls: usize) -> Result<Http, McpError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mcp http")
            .enable_all()
            .build()
            .map_err(McpError::Runtime)?;
        Ok(Http { runtime: Some(runtime), places: Arc::new(Semaphore::new(calls)) })
    }

    /// The response to a request, whose sender has been let in: its `Host`, its `Origin` and its token are
    /// the caller's to check, and its body's length. Blocks. `gone` says that nobody waits any more.
    pub fn answer(
        &self,
        offer: &Offer,
        request: Request<Vec<u8>>,
        gone: impl Fn() -> bool,
    ) -> Response<Vec<u8>> {
        let Some(runtime) = &self.runtime else { return plain(StatusCode::SERVICE_UNAVAILABLE) };
        let (sender, answer) = mpsc::sync_channel(1);
        let cancel = Cancel::default();
        let offer = Offer { places: self.places.clone(), ..offer.clone() };
        let answering = respond(offer, request, cancel.clone());
        runtime.spawn(async move {
            // Whoever asked may be gone.
            let _ = sender.send(answering.await);
        });
        loop {
            match answer.recv_timeout(std::time::Duration::from_millis(20)) {
                Ok(response) => return response,
                Err(mpsc::RecvTimeoutError::Timeout) if gone() => cancel.now(),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return plain(StatusCode::INTERNAL_SERVER_ERROR);
                }
            }
        }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A response that says no more than its status.
pub(super) fn plain(status: StatusCode) -> Response<Vec<u8>> {
    let mut response = Response::new(status.canonical_reason().unwrap_or_default().into());
    *response.status_mut() = status;
    response
}

/// The response to a request whose sender has been let in.
pub(super) async fn respond(
    offer: Offer,
    request: Request<Vec<u8>>,
    gone: Cancel,
) -> Response<Vec<u8>> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        // Both have been checked by whoever let the sender in, who knows the names of this machine.
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_max_request_body_bytes(offer.allowance.message_bytes);
    let handler = Handler::new(offer, gone);
    let service = StreamableHttpService::new(
        move || Ok(handler.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let request = request.map(|body| Full::new(bytes::Bytes::from(body)));
    let (parts, body) = service.handle(request).await.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes().to_vec()),
        Err(never) => match never {},
    }
}
