//! Sockets: listening, connections and their patience, and the end of it all. It knows no API; a
//! connection's requests go to a router.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::{Limits, Server, house};

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is open to other machines.
    #[error(
        "{0} can be reached from other machines, and what is said there is not encrypted; \
         listen on 127.0.0.1, or allow the network by name"
    )]
    OpenToNetwork(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The runtime cannot be started.
    #[error("cannot start the server's threads: {0}")]
    Runtime(io::Error),
}

/// Who can reach an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Programs of this machine alone; other addresses are refused.
    ThisMachine,
    /// Other machines too. There is no encryption: tokens and words can be read on the way.
    Network,
}

/// An address that is listened on. Connections wait there until somebody serves them.
#[derive(Debug)]
pub struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Listens on an address; port 0 takes any that is free.
    ///
    /// # Errors
    /// The address reaches further than it may, or cannot be listened on.
    pub fn open(address: SocketAddr, reach: Reach) -> Result<Door, ServeError> {
        if reach == Reach::ThisMachine && !address.ip().is_loopback() {
            return Err(ServeError::OpenToNetwork(address));
        }
        let listen = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(Door { address: listener.local_addr()?, listener })
        };
        listen().map_err(|error| ServeError::Listen { address, error })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Ends a server, from any thread.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Stop {
        Stop(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Not yet.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Now. More than once is the same as once.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections whose answers had to be cut off when the grace was over.
    pub cut_off: usize,
}

/// Serves until told to stop.
pub(crate) fn serve(server: Server, door: Door, stop: &Stop) -> Result<Drained, ServeError> {
    // Two threads carry bytes; whatever computes has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("server")
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let drained = runtime.block_on(accept(server, door, stop.0.subscribe()))?;
    // A model that does not hear of its end must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(drained)
}

async fn accept(
    server: Server,
    door: Door,
    mut stop: watch::Receiver<bool>,
) -> Result<Drained, ServeError> {
    let listener = TcpListener::from_std(door.listener).map_err(ServeError::Runtime)?;
    let limits = server.limits.clone();
    let router = house::router(server);
    let seats = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => match seats.clone().try_acquire_owned() {
                    Ok(seat) => {
                        let service = TowerToHyperService::new(router.clone());
                        connections.spawn(converse(stream, service, limits.clone(), stop.clone(), seat));
                    }
                    Err(_) => {
                        connections.spawn(turn_away(stream, limits.connections));
                    }
                },
                // No file handle is free, or a client was gone before it was greeted: neither is
                // better at once.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let emptied = async { while connections.join_next().await.is_some() {} };
    let cut_off = match tokio::time::timeout(limits.grace, emptied).await {
        Ok(()) => 0,
        Err(_) => connections.len(),
    };
    connections.shutdown().await;
    Ok(Drained { cut_off })
}

/// Waits for the stop. Where nobody can tell any more, nobody stops the server but the process.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

type Service = TowerToHyperService<axum::Router>;

/// One connection, to its end.
async fn converse(
    stream: TcpStream,
    service: Service,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
    seat: OwnedSemaphorePermit,
) {
    // Pieces of an answer are small and wanted at once. Where the option is unknown they are late.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Patient { stream, patience: limits.write_time, stalled: None });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .max_headers(limits.headers)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is the client's affair; requests have been counted already.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(seat);
}

/// Tells one connection too many so.
async fn turn_away(mut stream: TcpStream, most: usize) {
    let body = format!(
        "{{\"error\":{{\"message\":\"connections at one time is reached ({most}); try again in 1 s\",\
         \"type\":\"server_error\",\"param\":null,\"code\":\"busy\"}}}}"
    );
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // What has come is read, or the system would drop the answer with it. Whoever does not take it
    // within a second goes without.
    let tell = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        let mut unread = [0_u8; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), tell).await;
}

/// A connection that ends where its client takes nothing for too long.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn patiently<T>(
        &mut self,
        context: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patiently(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_unless_told_by_name() {
        let rows = [
            ("127.0.0.1:0", Reach::ThisMachine, true),
            ("0.0.0.0:0", Reach::ThisMachine, false),
            ("[::]:0", Reach::ThisMachine, false),
            ("192.168.1.1:0", Reach::ThisMachine, false),
            ("[::ffff:127.0.0.1]:0", Reach::ThisMachine, false),
            ("0.0.0.0:0", Reach::Network, true),
        ];
        for (address, reach, expected) in rows {
            let opened = Door::open(address.parse().unwrap(), reach);
            assert_eq!(opened.is_ok(), expected, "{address} {reach:?} {opened:?}");
        }
        let taken = Door::open("127.0.0.1:0".parse().unwrap(), Reach::ThisMachine).unwrap();
        let again = Door::open(taken.address(), Reach::ThisMachine);
        assert!(matches!(again, Err(ServeError::Listen { .. })));
    }
}
