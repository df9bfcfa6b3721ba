//! A server of somebody else's: its tools become tools of ours, its resources can be read.
//!
//! A [`Client`] blocks; the asynchronous runtime is inside of it. It connects when it is made, and anew
//! when it is asked something after the connection was lost. What the server says is a stranger's word
//! throughout: bounded, and believed only where the user said so ([`Trust`]).

mod catalogue;
mod child;
mod content;
mod link;
mod remote;
mod tool;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use ondine_app::{Cancel, Tool};
use rmcp::model::ReadResourceRequestParams;
use rmcp::model::ReadResourceResponse;
use tokio::runtime::Runtime;

pub use catalogue::{LeftOut, Trust};
pub use child::{PASSED_ON, Program};
pub use remote::Endpoint;

use crate::error::McpError;
use crate::limits::Limits;
use crate::resources::{Content, Resource};
use crate::words::tame;
use link::Link;

/// Where a server is.
#[derive(Clone, Debug)]
enum Place {
    Program(Program),
    Endpoint(Endpoint),
}

/// What a server says of itself: a stranger's words, shortened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it wants to be used.
    pub instructions: String,
}

/// The tools of a server.
#[derive(Clone)]
pub struct Catalogue {
    /// Those that are taken.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Those that are not, with the reason.
    pub left_out: Vec<LeftOut>,
}

/// A server of somebody else's. Cheap to clone; the connection ends with the last clone and the last of
/// its tools.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    name: String,
    place: Place,
    trust: Trust,
    limits: Limits,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    /// `None` while it is being dropped.
    runtime: Mutex<Option<Runtime>>,
}

impl Client {
    /// Starts a program and greets it. Its tools' names begin with `name`.
    ///
    /// # Errors
    /// The name cannot begin a tool's; the program cannot be started, or does not answer as a server.
    pub fn program(
        name: &str,
        program: Program,
        trust: Trust,
        limits: Limits,
    ) -> Result<Client, McpError> {
        Client::connect(name, Place::Program(program), trust, limits)
    }

    /// Reaches an address and greets who is there. Its tools' names begin with `name`.
    ///
    /// # Errors
    /// The name cannot begin a tool's; the address may not be asked, or nobody answers there as a server.
    pub fn endpoint(
        name: &str,
        endpoint: Endpoint,
        trust: Trust,
        limits: Limits,
    ) -> Result<Client, McpError> {
        Client::connect(name, Place::Endpoint(endpoint), trust, limits)
    }

    fn connect(name: &str, place: Place, trust: Trust, limits: Limits) -> Result<Client, McpError> {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > 32 || !name.chars().all(letter) {
            return Err(McpError::Name(tame(name, 80, false)));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(format!("mcp {name}"))
            .enable_all()
            .build()
            .map_err(McpError::Runtime)?;
        let client = Client {
            inner: Arc::new(Inner {
                name: name.to_owned(),
                place,
                trust,
                limits,
                link: tokio::sync::Mutex::new(None),
                runtime: Mutex::new(Some(runtime)),
            }),
        };
        client.inner.wait(|inner| async move { inner.link().await.map(drop) })?;
        Ok(client)
    }

    /// What its tools' names begin with.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// The connection was lost and does not come back.
    pub fn about(&self) -> Result<About, McpError> {
        self.inner.wait(|inner| async move {
            let (name, version, instructions) = inner.link().await?.about();
            Ok(About { name, version, instructions })
        })
    }

    /// The server's tools, as far as they can be taken.
    ///
    /// # Errors
    /// The server does not list them.
    pub fn tools(&self) -> Result<Vec<Arc<dyn Tool>>, McpError> {
        Ok(self.catalogue()?.tools)
    }

    /// The same, with those that cannot be taken.
    ///
    /// # Errors
    /// The server does not list them.
    pub fn catalogue(&self) -> Result<Catalogue, McpError> {
        let listed = self.inner.wait(|inner| async move {
            inner.link().await?.tools(&inner.limits, &Cancel::default()).await
        })?;
        let Inner { name, trust, limits, .. } = &*self.inner;
        let (taken, left_out) = catalogue::read(&listed, name, *trust, limits);
        let tools =
            taken.into_iter().map(|entry| tool::remote(self.inner.clone(), entry)).collect();
        Ok(Catalogue { tools, left_out })
    }

    /// What the server has to read; nothing where it says that it has nothing.
    ///
    /// # Errors
    /// The server does not list it.
    pub fn resources(&self) -> Result<Vec<Resource>, McpError> {
        self.inner.wait(|inner| async move { inner.resources(&Cancel::default()).await })
    }

    /// What one of them holds.
    ///
    /// # Errors
    /// The server has none of that address, or more than is kept of one.
    pub fn read(&self, uri: &str) -> Result<Vec<Content>, McpError> {
        let uri = uri.to_owned();
        self.inner.wait(|inner| async move { inner.read(&uri, &Cancel::default()).await })
    }

    /// Two tools for a model: one lists what the server has to read, one reads what is listed.
    pub fn resource_tools(&self) -> Vec<Arc<dyn Tool>> {
        tool::reading(&self.inner)
    }
}

impl Inner {
    /// Does something on the runtime's threads and waits for it. Whoever waits may be a thread of another
    /// runtime, so that the future is not run here.
    fn wait<T, F>(self: &Arc<Inner>, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, McpError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, McpError>> + Send + 'static,
    {
        let (sender, result) = mpsc::sync_channel(1);
        let gone = || McpError::Lost(self.name.clone());
        let handle = {
            let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
            runtime.as_ref().ok_or_else(gone)?.handle().clone()
        };
        let work = work(self.clone());
        handle.spawn(async move {
            // Whoever asked may be gone.
            let _ = sender.send(work.await);
        });
        result.recv().map_err(|_| gone())?
    }

    /// The connection, made anew where it was lost.
    async fn link(&self) -> Result<Arc<Link>, McpError> {
        let mut held = self.link.lock().await;
        if let Some(link) = held.as_ref().filter(|link| !link.is_over(self.limits.silences)) {
            return Ok(link.clone());
        }
        // The old one ends first: a program that is started twice may hold what the second one needs.
        *held = None;
        let link = Arc::new(Link::open(&self.name, &self.place, &self.limits).await?);
        *held = Some(link.clone());
        Ok(link)
    }

    async fn resources(&self, cancel: &Cancel) -> Result<Vec<Resource>, McpError> {
        let link = self.link().await?;
        if !link.has_resources() {
            return Ok(Vec::new());
        }
        let listed = link.resources(&self.limits, cancel).await?;
        let most = self.limits.description_bytes;
        let said = |text: Option<String>| tame(&text.unwrap_or_default(), most, true);
        let resources = listed.into_iter().take(self.limits.items).filter_map(|resource| {
            // An address is used as it is, so that one which cannot be shown as it is is none.
            let plain =
                resource.uri.len() <= 2048 && tame(&resource.uri, 4096, false) == resource.uri;
            plain.then(|| Resource {
                uri: resource.uri,
                name: tame(&resource.name, 200, false),
                description: said(resource.description),
                media: tame(&resource.mime_type.unwrap_or_default(), 100, false),
                bytes: resource.size,
            })
        });
        Ok(resources.collect())
    }

    async fn read(&self, uri: &str, cancel: &Cancel) -> Result<Vec<Content>, McpError> {
        let link = self.link().await?;
        let asked = link.peer().read_resource_once(ReadResourceRequestParams::new(uri));
        let answer = link.bounded(asked, self.limits.call_time, cancel).await?;
        let nonsense =
            |what: &str| McpError::Nonsense { server: self.name.clone(), what: what.into() };
        let ReadResourceResponse::Complete(result) = answer else {
            return Err(nonsense("it asks for something before it answers"));
        };
        content::resource(result.contents, self.limits.result_bytes).map_err(|why| nonsense(&why))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A child is killed here and not when the runtime's threads come to it.
        let link = self.link.get_mut().take();
        let runtime = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            let _inside = runtime.enter();
            drop(link);
            drop(_inside);
            runtime.shutdown_background();
        }
    }
}
