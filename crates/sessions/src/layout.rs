//! Where things lie. Paths are made here alone, from digests and checked ids: nothing that an app says is
//! ever part of one.

use std::path::{Path, PathBuf};

use ondine_chat::ChatError;
use sha2::{Digest, Sha256};

/// Before the digits of an id.
const ID_PREFIX: &str = "sess_";
/// Bytes of an id before they are spelled: as many as nobody guesses.
const ID_BYTES: usize = 16;

/// A session's log.
const LOG: &str = ".log";
/// A log that is not whole yet. What a crash leaves of one is removed.
const NEW: &str = ".new";
/// A log that is not what was written, kept for whoever wants to look.
const DAMAGED: &str = ".damaged";

/// The id of a session that is new.
pub(crate) fn id() -> Result<String, ChatError> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| ChatError::Internal(format!("no random numbers for an id: {error}")))?;
    Ok(format!("{ID_PREFIX}{}", hex(&bytes)))
}

fn is_id(text: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix(ID_PREFIX)
        .is_some_and(|digits| digits.len() == 2 * ID_BYTES && digits.bytes().all(digit))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of an app's sessions.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// What a file of an app's folder is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The log of this session.
    Log(String),
    /// What is left of a log that was being made.
    New(PathBuf),
    /// This session, set aside.
    Damaged(String),
}

impl Folder {
    /// By a digest of the app's name: names are not paths, and some differ by case alone.
    pub(crate) fn of(root: &Path, app: &str) -> Folder {
        Folder(root.join(hex(&Sha256::digest(app.as_bytes()))))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// `id` is one that [`id`] made, or that [`Folder::found`] gave.
    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.0.join(format!("{id}{LOG}"))
    }

    pub(crate) fn new_log(&self, id: &str) -> PathBuf {
        self.0.join(format!("{id}{NEW}"))
    }

    pub(crate) fn damaged(&self, id: &str) -> PathBuf {
        self.0.join(format!("{id}{DAMAGED}"))
    }

    /// What a name in the folder stands for; `None` for what is not ours.
    pub(crate) fn found(&self, name: &str) -> Option<Found> {
        let of = |ending: &str| name.strip_suffix(ending).filter(|id| is_id(id)).map(str::to_owned);
        None.or_else(|| of(LOG).map(Found::Log))
            .or_else(|| of(NEW).map(|id| Found::New(self.new_log(&id))))
            .or_else(|| of(DAMAGED).map(Found::Damaged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_our_own_names_is_looked_at() {
        let folder = Folder::of(Path::new("root"), "../../etc");
        assert_eq!(folder.path().parent(), Some(Path::new("root")));
        let id = id().unwrap();
        let rows = [
            (format!("{id}.log"), Some(Found::Log(id.clone()))),
            (format!("{id}.new"), Some(Found::New(folder.new_log(&id)))),
            (format!("{id}.damaged"), Some(Found::Damaged(id.clone()))),
            (id.clone(), None),
            (format!("{}.log", id.to_uppercase()), None),
            (format!("{id}0.log"), None),
            ("sess_.log".into(), None),
            ("../x.log".into(), None),
            (format!("sess_{}.log", "/".repeat(32)), None),
        ];
        for (name, expected) in rows {
            assert_eq!(folder.found(&name), expected, "{name}");
        }
    }

    #[test]
    fn apps_have_folders_of_their_own() {
        let root = Path::new("root");
        let of = |app| Folder::of(root, app).path().to_path_buf();
        assert_eq!(of("notes"), of("notes"));
        assert_ne!(of("notes"), of("Notes"));
        assert_ne!(of(""), of("notes"));
    }
}
