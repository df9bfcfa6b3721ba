//! What can go wrong, and what to do about it.

use std::path::PathBuf;

use ondine_chat::ChatError;
use ondine_client::ClientError;
use ondine_engine::EngineError;
use ondine_format::FormatError;

/// Why there is no device, or no answer from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The daemon lets nobody in without a token.
    #[error(
        "ONDINE_TOKEN is not set; `ondine app add NAME` prints the token of an app called NAME"
    )]
    NoToken,
    /// The daemon's token would be told to somebody else.
    #[error(
        "ONDINE_TOKEN is a token of an Ondine daemon, and {url} is none on this device; \
         name the endpoint's own key with Llm::open_with"
    )]
    WrongToken {
        /// Who would be told.
        url: String,
    },
    /// The daemon could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What whoever answers says.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// The recording cannot be opened.
    #[error(transparent)]
    App(#[from] ondine_app::Error),
    /// The model file cannot be opened.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no model.
    #[error("{}: {source}", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
    /// The model cannot be used.
    #[error("{}: {source}", path.display())]
    Engine {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<EngineError>,
    },
}
