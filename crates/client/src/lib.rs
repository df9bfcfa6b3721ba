//! A daemon as an app sees it: [`Chat`](ondine_chat::Chat), [`Embed`](ondine_chat::Embed) and
//! [`Sessions`](ondine_chat::Sessions) over HTTP, so that code which asks does not know whether a
//! model in its own process answers, or the service of the device.
//!
//! A [`Client`] is an address and a token. What an answer costs, why it ended and what is wrong with
//! a request come back as the model said them. A server is a stranger all the same: lines, bodies and
//! silences have limits ([`Patience`]), a redirect is not followed, and the token is sent nowhere but
//! to the address it was given for. Who stops listening closes the connection with the next event,
//! and with it the answer ends.
//!
//! | module | what it holds |
//! |---|---|
//! | `address` | where a daemon is, and whether a token may be sent there |
//! | `http` | requests and answers in one piece, within limits |
//! | `sse` | answers in pieces, within limits |
//! | `error` | what can go wrong, and the model's own errors as they were |
//! | `chat` | conversations and texts, over OpenAI's API |
//! | `wire` | the shapes of that API |
//! | `endpoint` | the same over somebody else's endpoint of that API |
//! | `sessions` | conversations that the daemon keeps, over its own API |
//!
//! The crate knows no model, no files and no environment: who uses it says where the daemon is.
//!
//! ```no_run
//! use ondine_chat::{Chat, Message, Request};
//! use ondine_client::Client;
//!
//! let daemon = Client::new("http://127.0.0.1:11435", "ondine-…")?;
//! let answer = daemon.ask(Request::new("", [Message::user("hello")]))?;
//! println!("{}", answer.text);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod chat;
mod embed;
mod endpoint;
mod error;
mod http;
mod sessions;
mod sse;
mod wire;

pub use endpoint::Endpoint;
pub use error::ClientError;
pub use http::Patience;

use ondine_chat::Model;

use address::Address;
use http::Http;

/// A daemon and who asks it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
}

impl Client {
    /// The daemon at an address such as `http://127.0.0.1:11435`, asked with an app's token. Nothing is
    /// sent yet.
    ///
    /// # Errors
    /// No address of a daemon, or one to which a token would travel readable.
    pub fn new(url: &str, token: &str) -> Result<Client, ClientError> {
        Client::patient(url, token, Patience::default())
    }

    /// The same with another patience.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn patient(url: &str, token: &str, patience: Patience) -> Result<Client, ClientError> {
        Ok(Client { http: Http::new(Address::new(url)?, token, patience)? })
    }

    /// Where the daemon is.
    pub fn url(&self) -> &str {
        self.http.url()
    }

    /// The models that can be asked for, the default first: [`Chat::models`](ondine_chat::Chat::models)
    /// with its reasons for having none. It also shows whether the daemon is there and knows the token.
    ///
    /// # Errors
    /// The daemon cannot be reached, or does not know the token.
    pub fn known_models(&self) -> Result<Vec<Model>, ClientError> {
        chat::models(&self.http)
    }
}
