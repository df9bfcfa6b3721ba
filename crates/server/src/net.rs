//! Sockets: listening, greeting, connections and their patience, and the end of it all. It knows no
//! API; a connection's requests go to a router.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::patient::Patient;
use crate::{Identity, Limits, Server, ending, house};

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is open to other machines.
    #[error(
        "{0} can be reached from other machines, which takes a certificate and its key, so that what is \
         said there cannot be read on the way"
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

/// Who can reach an address, and how they are spoken to.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Programs of this machine alone, in the clear; other addresses are refused.
    ThisMachine,
    /// Whoever can reach the address, encrypted. Nobody else can be spoken to: there is no word for
    /// listening to other machines in the clear.
    Encrypted(Identity),
}

/// Where a door is: an address and a port.
pub type Address = SocketAddr;

/// An address that is listened on. Connections wait there until somebody serves them.
#[derive(Debug)]
pub struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
    identity: Option<Identity>,
}

impl Door {
    /// Listens on an address; port 0 takes any that is free.
    ///
    /// # Errors
    /// The address reaches further than it may, or cannot be listened on.
    pub fn open(address: Address, reach: Reach) -> Result<Door, ServeError> {
        let identity = match reach {
            Reach::ThisMachine if !address.ip().is_loopback() => {
                return Err(ServeError::OpenToNetwork(address));
            }
            Reach::ThisMachine => None,
            Reach::Encrypted(identity) => Some(identity),
        };
        let listen = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(Door { address: listener.local_addr()?, listener, identity })
        };
        listen().map_err(|error| ServeError::Listen { address, error })
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
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

/// How long an idle connection stays after the stop: a request that is on its way then is told why it is
/// not answered, instead of finding the connection closed.
const ON_THE_WAY: Duration = Duration::from_millis(200);

/// How long connections have to take the word that the grace is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

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
    let (ender, ending) = ending::pair();
    let porter = Porter {
        router: house::router(server, ending),
        acceptor: door.identity.map(|identity| identity.acceptor()),
        seats: Arc::new(Semaphore::new(limits.connections)),
        limits: limits.clone(),
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told(&mut stop) => break,
            stream = next(&listener) => porter.seat(stream, &mut connections, Some(stop.clone())),
            Some(_) = connections.join_next() => {}
        }
    }
    // What runs has its grace. Who comes now is told that the server is ending, and not kept waiting
    // for a connection that nobody takes.
    ender.drain();
    let mut late = JoinSet::new();
    let mut grace = std::pin::pin!(tokio::time::sleep(limits.grace));
    let cut_off = loop {
        tokio::select! {
            joined = connections.join_next() => if joined.is_none() { break 0 },
            () = grace.as_mut() => break connections.len(),
            stream = next(&listener) => porter.seat(stream, &mut late, None),
            Some(_) = late.join_next() => {}
        }
    };
    drop(listener);
    ender.over();
    let emptied = async {
        while connections.join_next().await.is_some() {}
        while late.join_next().await.is_some() {}
    };
    // Whoever does not take the last word in time goes without.
    let _ = tokio::time::timeout(LAST_WORDS, emptied).await;
    connections.shutdown().await;
    late.shutdown().await;
    Ok(Drained { cut_off })
}

/// The next connection.
async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // No file handle is free, or a client was gone before it was greeted: neither is better
            // at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Waits for the stop. Where nobody can tell any more, nobody stops the server but the process.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending().await
    }
}

type Service = TowerToHyperService<axum::Router>;

/// Gives connections a seat, and sees that they are spoken to as the door is.
struct Porter {
    router: axum::Router,
    /// Encrypts, where this door does.
    acceptor: Option<TlsAcceptor>,
    seats: Arc<Semaphore>,
    limits: Limits,
}

impl Porter {
    /// Seats a connection among others, or turns it away. `stop` ends one that is idle; who comes
    /// after it has one request, and its answer says that the connection closes.
    fn seat(
        &self,
        stream: TcpStream,
        among: &mut JoinSet<()>,
        stop: Option<watch::Receiver<bool>>,
    ) {
        let limits = self.limits.clone();
        let Ok(seat) = self.seats.clone().try_acquire_owned() else {
            // To tell it in a cipher costs more than a crowd should; a closed connection says as much.
            if self.acceptor.is_none() {
                among.spawn(turn_away(stream, limits.connections));
            }
            return;
        };
        // Pieces of an answer are small and wanted at once. Where the option is unknown they are late.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.router.clone());
        match self.acceptor.clone() {
            None => {
                let stream = Patient::new(stream, limits.write_time);
                among.spawn(converse(stream, service, limits, stop, seat));
            }
            Some(acceptor) => {
                among.spawn(async move {
                    let greeting = greet(stream, &acceptor, limits.write_time);
                    // Who is slow to greet is as slow as one who is slow to ask.
                    if let Ok(Some(stream)) =
                        tokio::time::timeout(limits.header_time, greeting).await
                    {
                        converse(stream, service, limits, stop, seat).await;
                    }
                });
            }
        }
    }
}

/// The encrypted connection; none where the other side does not speak TLS, or not to us.
async fn greet(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
    patience: Duration,
) -> Option<TlsStream<Patient>> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    // Methods are letters; a greeting of TLS begins with the byte 22.
    if first[0].is_ascii_uppercase() {
        let words = "this port speaks HTTPS: write https:// in the address";
        tell(&mut stream, "400 Bad Request", ("invalid_request_error", "https_needed"), words)
            .await;
        return None;
    }
    // Why a greeting fails is told by the alert that TLS has for it.
    acceptor.accept(Patient::new(stream, patience)).await.ok()
}

/// One connection, to its end.
async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    service: Service,
    limits: Limits,
    stop: Option<watch::Receiver<bool>>,
    seat: OwnedSemaphorePermit,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes.max(8 << 10))
        .max_headers(limits.headers)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stopped = async {
        match stop {
            Some(mut stop) => told(&mut stop).await,
            None => std::future::pending().await,
        }
        tokio::time::sleep(ON_THE_WAY).await;
    };
    // How a connection ends is the client's affair; requests have been counted already.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(seat);
}

/// Tells one connection too many so.
async fn turn_away(mut stream: TcpStream, most: usize) {
    let words = format!("connections at one time is reached ({most}); try again in 1 s");
    let status = "503 Service Unavailable\r\nRetry-After: 1";
    tell(&mut stream, status, ("server_error", "busy"), &words).await;
}

/// A whole answer to somebody whose request is not read.
async fn tell(
    stream: &mut TcpStream,
    status: &str,
    (kind, code): (&'static str, &'static str),
    words: &str,
) {
    let error = serde_json::json!({
        "error": {"message": words, "type": kind, "param": null, "code": code},
    });
    let body = error.to_string();
    let response = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_unless_encrypted() {
        let key = rcgen::KeyPair::generate().unwrap();
        let own = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = own.self_signed(&key).unwrap().pem();
        let identity = Identity::from_pem(
            certificate.as_bytes(),
            key.serialize_pem().as_bytes(),
            std::time::SystemTime::now(),
        );
        let encrypted = Reach::Encrypted(identity.unwrap());
        let rows = [
            ("127.0.0.1:0", Reach::ThisMachine, true),
            ("[::1]:0", Reach::ThisMachine, std::net::TcpListener::bind("[::1]:0").is_ok()),
            ("0.0.0.0:0", Reach::ThisMachine, false),
            ("[::]:0", Reach::ThisMachine, false),
            ("192.168.1.1:0", Reach::ThisMachine, false),
            ("[::ffff:127.0.0.1]:0", Reach::ThisMachine, false),
            ("0.0.0.0:0", encrypted.clone(), true),
            ("127.0.0.1:0", encrypted, true),
        ];
        for (address, reach, expected) in rows {
            let opened = Door::open(address.parse().unwrap(), reach);
            assert_eq!(opened.is_ok(), expected, "{address} {opened:?}");
        }
        let taken = Door::open("127.0.0.1:0".parse().unwrap(), Reach::ThisMachine).unwrap();
        let again = Door::open(taken.address(), Reach::ThisMachine);
        assert!(matches!(again, Err(ServeError::Listen { .. })));
    }
}
