//! The door for other programs: OpenAI's, Anthropic's and Ollama's HTTP APIs over whoever answers.
//!
//! A [`Server`] is given somebody who answers ([`ondine_chat::Chat`]) and somebody who turns texts
//! into vectors ([`ondine_chat::Embed`]). It reads what a client says, refuses what it must not do
//! and tells what comes of it in the client's own words. It knows no model, no tokens, no files
//! and no terminal. The asynchronous runtime lives in this crate alone: [`Server::serve`] blocks.
//!
//! Nobody asks without a token, from a web page of a stranger, or under a name that is not ours;
//! every number that a client controls has a limit ([`Limits`]). It speaks plain HTTP to its own
//! machine only; whoever else is listened to is spoken to in HTTPS ([`Reach`]).
//!
//! ```
//! use std::sync::Arc;
//! use ondine_chat::Script;
//! use ondine_server::{App, Door, Reach, Server, Stop, Tokens};
//!
//! let model = Arc::new(Script::new(["Good ", "morning."]));
//! let app = App { name: "notes".into(), background: false };
//! let server = Server::new(model.clone(), model, Arc::new(Tokens::new().allow("secret", app)));
//! let door = Door::open("127.0.0.1:0".parse()?, Reach::ThisMachine)?;
//! println!("http://{}/v1", door.address());
//! let stop = Stop::new();
//! stop.now(); // somebody else would do this, later
//! server.serve(door, &stop)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anthropic;
mod bill;
mod common;
mod doors;
mod ending;
mod feed;
mod guest;
mod histogram;
mod hosts;
mod house;
mod limits;
mod log;
mod memory;
mod meter;
mod net;
mod ollama;
mod openai;
mod openapi;
mod page;
mod patient;
mod route;
mod sessions;
mod stream;
mod tls;
mod trouble;
mod window;
mod wire;

pub use doors::{App, Doors, OverQuota, Refusal, Tokens};
pub use guest::{Gone, Guest, Visit};
pub use hosts::{BadHost, Hosts};
pub use limits::Limits;
pub use log::{Log, NoLog};
pub use net::{Address, Door, Drained, Reach, ServeError, Stop};
pub use tls::{Identity, IdentityError};

/// Requests and responses, as a [`Guest`] has them.
pub use axum::http;

use std::sync::Arc;

use ondine_chat::{Chat, Embed, Keeper, Sessions, Shelf};

/// What is served, to whom, within which limits.
pub struct Server {
    /// Answers conversations.
    pub chat: Arc<dyn Chat>,
    /// Turns texts into vectors.
    pub embed: Arc<dyn Embed>,
    /// Keeps conversations, where somebody does.
    pub sessions: Option<Arc<dyn Sessions>>,
    /// Holds models in memory, where somebody says how.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// Keeps models on disk, where somebody does.
    pub shelf: Option<Arc<dyn Shelf>>,
    /// Answers at `/mcp`, where somebody does.
    pub guest: Option<Arc<dyn Guest>>,
    /// Says who may ask.
    pub doors: Arc<dyn Doors>,
    /// Takes a line for each request.
    pub log: Arc<dyn Log>,
    /// The names that it answers to.
    pub hosts: Hosts,
    /// What may be asked.
    pub limits: Limits,
    /// What it calls its own version.
    pub version: String,
}

impl Server {
    /// With the usual limits, no log, and no name but the machine's own.
    pub fn new(chat: Arc<dyn Chat>, embed: Arc<dyn Embed>, doors: Arc<dyn Doors>) -> Server {
        Server {
            chat,
            embed,
            sessions: None,
            keeper: None,
            shelf: None,
            guest: None,
            doors,
            log: Arc::new(NoLog),
            hosts: Hosts::default(),
            limits: Limits::default(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// Answers until it is told to stop: then nobody new is let in, and what runs has
    /// [`Limits::grace`] to end.
    ///
    /// # Errors
    /// The runtime or the listener cannot be set up.
    pub fn serve(self, door: Door, stop: &Stop) -> Result<Drained, ServeError> {
        net::serve(self, door, stop)
    }
}
