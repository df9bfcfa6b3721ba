//! The Model Context Protocol, both ways: tools and resources of others become tools of an agent, and
//! tools of ours are offered to others.
//!
//! [`Client`] is for a server of somebody else's, a program of this machine or an address; [`Offer`] is
//! what we offer, over the standard streams ([`Offer::serve_stdio`]) or HTTP ([`Http`], [`Listener`]).
//! Everything blocks: the asynchronous runtime is in this crate. It carries calls, and knows neither
//! models nor agents.
//!
//! ```no_run
//! use ondine_mcp::{Client, Limits, Program, Trust};
//!
//! let program = Program::new("some-server", ["--root", "notes"]);
//! let client = Client::program("files", program, Trust::Stranger, Limits::default())?;
//! for tool in client.tools()? {
//!     println!("{}", tool.spec().name); // files_…
//! }
//! # Ok::<(), ondine_mcp::McpError>(())
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | `client` | a server of somebody else's |
//! | `offer` | what is offered, and how it is asked for |
//! | `resources` | things to read, by their address |
//! | `limits` | what a server of somebody else's may say and take |
//! | `error` | what can go wrong |
//! | `words` | words of strangers |

mod client;
mod error;
mod limits;
mod offer;
mod resources;
mod words;

pub use client::{About, Catalogue, Client, Endpoint, LeftOut, PASSED_ON, Program, Trust};
pub use error::McpError;
pub use limits::Limits;
pub use offer::{Allowance, Http, Listener, Offer};
pub use resources::{Content, Resource, ResourceError, Resources};

/// Where a call's idempotency key stands in its `_meta`.
pub(crate) const KEY: &str = "dev.ondine/key";
