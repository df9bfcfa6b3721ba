//! A server of the application's own, for programs of this machine: a loopback address, one token, no web
//! page. The daemon has a larger door of its own and does not need this one.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ondine_app::Cancel;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::Offer;
use super::handler::StopOnDrop;
use super::http::{plain, respond};
use crate::error::McpError;

/// Connections at one time; one more waits.
const CONNECTIONS: usize = 64;
/// How long headers may take, and how long a body may.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers at an address until it is dropped.
pub struct Listener {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Offer {
    /// Offers this to programs of this machine that know the token, at `http://{address}/mcp`. Port 0 is any
    /// free one.
    ///
    /// # Errors
    /// The address can be reached from other machines, the token is empty, or the address is taken.
    pub fn listen(self, address: SocketAddr, token: &str) -> Result<Listener, McpError> {
        if !address.ip().is_loopback() {
            return Err(McpError::Address(format!(
                "{address} can be reached from other machines; `ondine serve` speaks to those, encrypted"
            )));
        }
        if token.is_empty() {
            return Err(McpError::Address("an empty token would let everybody in".into()));
        }
        let wanted: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("mcp listener")
            .enable_all()
            .build()
            .map_err(McpError::Runtime)?;
        let socket = runtime.block_on(TcpListener::bind(address)).map_err(McpError::Listen)?;
        let address = socket.local_addr().map_err(McpError::Listen)?;
        runtime.spawn(accept(socket, Arc::new(self), wanted));
        Ok(Listener { address, runtime: Some(runtime) })
    }
}

impl Listener {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(socket: TcpListener, offer: Arc<Offer>, wanted: [u8; 32]) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = socket.accept().await else {
            // Out of file descriptors, most likely; others may be free in a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let offer = offer.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(move |request| {
                let offer = offer.clone();
                async move {
                    let response = take(&offer, &wanted, request).await;
                    Ok::<_, Infallible>(response.map(|body| Full::new(bytes::Bytes::from(body))))
                }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 << 10);
            // A connection that breaks is the other side's to notice.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(offer: &Offer, wanted: &[u8; 32], request: Request<Incoming>) -> Response<Vec<u8>> {
    if let Err(status) = check(request.headers(), wanted) {
        return plain(status);
    }
    if request.uri().path() != "/mcp" {
        return plain(StatusCode::NOT_FOUND);
    }
    let (parts, body) = request.into_parts();
    let reading = Limited::new(body, offer.allowance.message_bytes).collect();
    let body = match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Ok(body)) => body.to_bytes().to_vec(),
        Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT),
    };
    // This is dropped with its connection, and then the tool that is called hears of it.
    let stop = StopOnDrop(Cancel::default());
    respond(offer.clone(), Request::from_parts(parts, body), stop.0.clone()).await
}

/// Whether somebody may ask: by a name of this machine (a page of a stranger whose name server points here
/// comes by another one), not from a web page, with the token.
fn check(headers: &HeaderMap, wanted: &[u8; 32]) -> Result<(), StatusCode> {
    let only = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    };
    let host = only(header::HOST).and_then(|host| host.parse::<http::uri::Authority>().ok());
    let here = host.is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    if !here || headers.contains_key(header::ORIGIN) {
        return Err(StatusCode::FORBIDDEN);
    }
    let token = only(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    // Digests are compared, so that the time says nothing of the token.
    let given: [u8; 32] = Sha256::digest(token.unwrap_or_default().as_bytes()).into();
    if token.is_none() || given != *wanted {
        return Err(StatusCode::UNAUTHORIZED);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_of_this_machine_with_the_token_are_let_in() {
        let wanted: [u8; 32] = Sha256::digest(b"secret").into();
        const GOOD: (&str, &str) = ("authorization", "Bearer secret");
        type Row = (&'static [(&'static str, &'static str)], Option<u16>);
        let rows: &[Row] = &[
            (&[("host", "127.0.0.1:80"), GOOD], None),
            (&[("host", "localhost"), GOOD], None),
            (&[("host", "[::1]:80"), ("authorization", "bearer secret")], None),
            (&[("host", "evil.example"), GOOD], Some(403)),
            (&[("host", "127.0.0.1.evil.example"), GOOD], Some(403)),
            (&[GOOD], Some(403)),
            (&[("host", "127.0.0.1"), ("host", "evil.example"), GOOD], Some(403)),
            (&[("host", "127.0.0.1"), ("origin", "http://127.0.0.1"), GOOD], Some(403)),
            (&[("host", "127.0.0.1"), ("origin", "null"), GOOD], Some(403)),
            (&[("host", "127.0.0.1")], Some(401)),
            (&[("host", "127.0.0.1"), ("authorization", "Bearer wrong")], Some(401)),
            (&[("host", "127.0.0.1"), ("authorization", "secret")], Some(401)),
            (&[("host", "127.0.0.1"), GOOD, GOOD], Some(401)),
        ];
        for (rows, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in *rows {
                headers.append(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap());
            }
            let status = check(&headers, &wanted).err().map(|status| status.as_u16());
            assert_eq!(status, *expected, "{rows:?}");
        }
    }
}
