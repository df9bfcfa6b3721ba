//! What we offer to others: tools and things to read. Who asks is a stranger: names, arguments and sizes are
//! checked here, a tool's panic or silence ends in an answer, and what cannot be taken back is not offered
//! unless somebody says so.

mod arguments;
mod handler;
mod http;
mod listener;

use std::sync::Arc;
use std::time::Duration;

use ondine_app::{Cancel, Effect, Tool};
use rmcp::service::serve_server;
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::sync::Semaphore;

pub use http::Http;
pub use listener::Listener;

use crate::error::McpError;
use crate::resources::Resources;
use handler::Handler;

/// What somebody who asks may have.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// Calls at one time; one more is told so. A tool that does not come back keeps its place.
    pub calls: usize,
    /// Bytes of a call's result; the middle of a longer one is left out, and said to be.
    pub result_bytes: usize,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// How long a resource may take to be read.
    pub read_time: Duration,
    /// Bytes of a resource; a longer one is not read.
    pub resource_bytes: usize,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance {
            calls: 16,
            result_bytes: 64 << 10,
            message_bytes: 4 << 20,
            read_time: Duration::from_secs(30),
            resource_bytes: 2 << 20,
        }
    }
}

/// What is offered. Cheap to clone; clones share their places.
#[derive(Clone)]
pub struct Offer {
    name: String,
    version: String,
    instructions: String,
    caller: String,
    tools: Vec<Arc<dyn Tool>>,
    resources: Option<Arc<dyn Resources>>,
    irreversible: bool,
    allowance: Allowance,
    places: Arc<Semaphore>,
}

impl Offer {
    /// Nothing yet, under a name and a version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Offer {
        let allowance = Allowance::default();
        Offer {
            name: name.into(),
            version: version.into(),
            instructions: String::new(),
            caller: String::new(),
            tools: Vec::new(),
            resources: None,
            irreversible: false,
            places: Arc::new(Semaphore::new(allowance.calls)),
            allowance,
        }
    }

    /// Says how it wants to be used.
    pub fn instructions(self, text: impl Into<String>) -> Offer {
        Offer { instructions: text.into(), ..self }
    }

    /// Offers a tool. Of two with the same name the first is offered.
    pub fn tool(mut self, tool: Arc<dyn Tool>) -> Offer {
        self.tools.push(tool);
        self
    }

    /// Offers tools.
    pub fn tools(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Offer {
        self.tools.extend(tools);
        self
    }

    /// Offers things to read.
    pub fn resources(self, resources: Arc<dyn Resources>) -> Offer {
        Offer { resources: Some(resources), ..self }
    }

    /// Offers tools, too, whose effect cannot be taken back. Whoever calls them has asked its user, or has
    /// not: nothing here knows.
    pub fn with_irreversible(self) -> Offer {
        Offer { irreversible: true, ..self }
    }

    /// Other limits.
    pub fn allowing(self, allowance: Allowance) -> Offer {
        Offer { places: Arc::new(Semaphore::new(allowance.calls)), allowance, ..self }
    }

    /// Who asks: what belongs to calls of one (their idempotency keys) is kept apart from others'.
    pub fn for_caller(self, name: impl Into<String>) -> Offer {
        Offer { caller: name.into(), ..self }
    }

    /// The tools that are offered, in their order.
    fn offered(&self) -> impl Iterator<Item = &Arc<dyn Tool>> {
        let mut names = std::collections::HashSet::new();
        self.tools.iter().filter(move |tool| {
            let spec = tool.spec();
            (self.irreversible || spec.effect != Effect::Irreversible)
                && names.insert(spec.name.as_str())
        })
    }

    /// Answers over the standard streams until the other side closes them. Nothing else may write to
    /// standard output meanwhile.
    ///
    /// # Errors
    /// No runtime can be had, or what comes is not this protocol.
    pub fn serve_stdio(self) -> Result<(), McpError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(McpError::Runtime)?;
        let done = runtime.block_on(async {
            let most = self.allowance.message_bytes;
            let transport = AsyncRwTransport::new_server(tokio::io::stdin(), tokio::io::stdout());
            let gone = Cancel::default();
            let handler = Handler::new(self, gone.clone());
            let served = serve_server(handler, transport.with_max_line_length(most)).await;
            let greeting = |error: &dyn std::fmt::Display| McpError::Greeting {
                server: "on standard streams".into(),
                why: crate::words::tame(&error.to_string(), 500, false),
            };
            let ended = served.map_err(|error| greeting(&error))?.waiting().await;
            gone.now();
            ended.map(drop).map_err(|error| greeting(&error))
        });
        // A read of standard input cannot be ended; the process ends with it.
        runtime.shutdown_background();
        done
    }
}
