//! The conversations that the service keeps: where, and what to do where that cannot be.
//!
//! ```text
//! ONDINE_HOME/sessions/lock                  held by the service that runs
//! ONDINE_HOME/sessions/APP/ID.log            APP is a digest of the app's name
//! ```

use std::sync::Arc;

use ondine_chat::{Chat, Sessions};
use ondine_sessions::{Archive, Limits, SessionsError};

use crate::failure::Failure;
use crate::store;

/// The folder, inside the home folder.
const FOLDER: &str = "sessions";

/// The conversations, answered by `chat`.
pub(super) fn open(chat: Arc<dyn Chat>) -> Result<Arc<dyn Sessions>, Failure> {
    let folder = store::home()?.join(FOLDER);
    let archive = Archive::open(&folder, chat, Limits::default()).map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error {
            SessionsError::InUse { .. } => failure.hint(
                "another `ondine serve` runs with this home; ONDINE_HOME names another folder",
            ),
            _ => failure,
        }
    })?;
    Ok(Arc::new(archive))
}

/// Takes an app's conversations away.
pub(super) fn forget(app: &str) -> Result<(), Failure> {
    Archive::remove_app(&store::home()?.join(FOLDER), app)
        .map_err(|error| Failure::new(error.to_string()))
}
