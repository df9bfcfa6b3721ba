//! Whose a timeline is and what it is good for, as digests: names of apps and sessions stand in no file.

use sha2::{Digest, Sha256};

/// 32 bytes that nobody makes twice.
pub(crate) type Mark = [u8; 32];

/// Who may have a timeline, and which engine can go on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub(crate) app: Mark,
    pub(crate) origin: Mark,
}

impl Key {
    /// The key of an app's timelines of a model. `model` is the SHA-256 of its weights' file, and
    /// `form` says in words all else that decides the bits of keys and values.
    pub fn new(app: &str, model: &[u8; 32], form: &str) -> Key {
        let origin = Sha256::new().chain_update(model).chain_update(form).finalize();
        Key { app: mark(app), origin: origin.into() }
    }
}

/// The digest of a name.
pub(crate) fn mark(name: &str) -> Mark {
    Sha256::digest(name).into()
}
