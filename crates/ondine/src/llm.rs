//! The framework's model, opened by where it is: in this process, in the device's daemon, or behind
//! somebody's endpoint.

use std::env;
use std::sync::Arc;

use ondine_app::{Llm, Recording};
use ondine_client::{Client, ClientError, Endpoint};

use crate::{Error, connect, connect_to, open};

/// The name of the device's daemon, wherever that is.
const DAEMON: &str = "ondine";
/// What the names of recordings end with.
const RECORDING: &str = ".jsonl";
/// What the tokens of daemons begin with.
const TOKEN: &str = "ondine-";

/// Opens an [`Llm`]. In the prelude, so that a program changes one line to have another model:
///
/// | `what` | who answers |
/// |---|---|
/// | `"droplet"` | the model inside this program |
/// | a path | that GGUF file, in this process |
/// | a path that ends with `.jsonl` | what was [recorded](crate::app::Recorder) there, and nobody else |
/// | `"ondine"` | the daemon at `ONDINE_URL`, or where it usually is, with the token in `ONDINE_TOKEN` |
/// | `"http://127.0.0.1:11435"` | a daemon there, with the token in `ONDINE_TOKEN` |
/// | `"https://host/v1"` | an endpoint of OpenAI's API, by the path that it has, with the key in `ONDINE_TOKEN` if there is one |
///
/// ```
/// use ondine::prelude::*;
///
/// let llm = Llm::open("droplet")?.max_tokens(8).temperature(0.0);
/// println!("{}", llm.ask("fn add(")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Open: Sized {
    /// What is named.
    ///
    /// # Errors
    /// No such file, nobody there, no token where one is needed.
    fn open(what: &str) -> Result<Self, Error>;

    /// What is at an address, asked with a token or key; an empty one is none.
    ///
    /// # Errors
    /// As [`Open::open`].
    fn open_with(url: &str, key: &str) -> Result<Self, Error>;
}

impl Open for Llm {
    fn open(what: &str) -> Result<Llm, Error> {
        if what == DAEMON {
            return Ok(connect()?.llm());
        }
        if what.ends_with(RECORDING) && !is_url(what) {
            let recording = Recording::open(what).map_err(ondine_app::Error::from)?;
            return Ok(Llm::new(recording.clone()).embedding_with(recording));
        }
        if !is_url(what) {
            return Ok(open(what)?.llm());
        }
        let key = env::var("ONDINE_TOKEN").ok().filter(|token| !token.is_empty());
        match (is_endpoint(what), key) {
            (false, None) => Err(Error::NoToken),
            // The token of this device's daemon is nobody else's business.
            (true, Some(token)) if token.starts_with(TOKEN) && !is_near(what) => {
                Err(Error::WrongToken { url: what.to_owned() })
            }
            (_, key) => Llm::open_with(what, &key.unwrap_or_default()),
        }
    }

    fn open_with(url: &str, key: &str) -> Result<Llm, Error> {
        if !is_endpoint(url) {
            return Ok(connect_to(url, key)?.llm());
        }
        let endpoint = Arc::new(Endpoint::new(url, key)?);
        Ok(Llm::new(endpoint.clone()).embedding_with(endpoint))
    }
}

fn is_url(what: &str) -> bool {
    what.starts_with("http://") || what.starts_with("https://")
}

/// Whether an address has a path, which daemons have not.
fn is_endpoint(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').is_some_and(|(_, path)| !path.is_empty())
}

/// Whether an endpoint is on this machine.
fn is_near(url: &str) -> bool {
    // What a daemon's address may be without encryption is this machine alone.
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split('/').next().unwrap_or_default();
    let plain: Result<Client, ClientError> = Client::new(&format!("http://{host}"), "");
    plain.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let rows = [
            ("http://127.0.0.1:11435", false, true),
            ("http://localhost:11435/", false, true),
            ("https://example.org", false, false),
            ("https://example.org/v1", true, false),
            ("http://127.0.0.1:8080/v1/", true, true),
            ("https://127.0.0.1.example.org/v1", true, false),
            ("https://user@127.0.0.1/v1", true, false),
        ];
        for (url, endpoint, near) in rows {
            assert_eq!((is_endpoint(url), is_near(url)), (endpoint, near), "{url}");
        }
        assert!(!is_url("model.gguf") && !is_url("./http:/x") && is_url("http://x"));
    }
}
