//! What can go wrong in the store: what, where, and what was expected.
//!
//! Names, addresses and digests in these messages come from strangers. They are shown quoted, so
//! that control characters in them are spelled out.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::name::ModelName;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk did not do what it should.
    #[error("{}: cannot {what}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A name that no model may have.
    #[error("{text:?} is no name for a model: {reason}")]
    Name {
        /// What was given.
        text: String,
        /// What is wrong, and what is allowed.
        reason: &'static str,
    },
    /// Text that is no digest.
    #[error("{text:?} is no SHA-256 digest: {reason}")]
    Digest {
        /// What was given.
        text: String,
        /// What is wrong, and what was expected.
        reason: &'static str,
    },
    /// Text that names no source.
    #[error("{text:?} is no source of a model: {reason}")]
    Source {
        /// What was given.
        text: String,
        /// What is wrong, and what was expected.
        reason: &'static str,
    },
    /// Text that is no address of the web, or one that is not followed.
    #[error("{text:?} is no address that is followed: {reason}")]
    Url {
        /// What was given.
        text: String,
        /// What is wrong, and what was expected.
        reason: &'static str,
    },
    /// No model has this name.
    #[error("the store has no model {name}")]
    Unknown {
        /// What was asked for.
        name: ModelName,
        /// What there is.
        known: Vec<ModelName>,
    },
    /// The name belongs to a model from elsewhere.
    #[error("the name {name} is taken by a model from {holder:?}; this one comes from {wanted:?}")]
    Taken {
        /// The name.
        name: ModelName,
        /// Where the model came from that has it.
        holder: String,
        /// Where the model comes from that wants it.
        wanted: String,
    },
    /// A file of the store says nothing that can be understood.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The server answered with a status that is no success.
    #[error("{url}: the server answers with status {status}; expected 200 or 206")]
    Status {
        /// What was asked for.
        url: String,
        /// Its answer.
        status: u16,
    },
    /// The connection failed, ended early or was silent for too long.
    #[error("{url}: {reason}")]
    Transport {
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server could not show that it is who it should be.
    #[error("{url}: no trusted connection: {reason}")]
    Untrusted {
        /// What was asked for.
        url: String,
        /// What is wrong with its certificate or its words.
        reason: String,
    },
    /// The answer ended before its announced end.
    #[error("{url}: the answer ends after {found} bytes; {expected} were announced")]
    Truncated {
        /// What was asked for.
        url: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// The server sends somewhere that is not followed.
    #[error("{from}: the redirect to {to:?} is not followed: {reason}")]
    Redirect {
        /// Who redirects.
        from: String,
        /// Where to.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// Two places disagree about how long the file is.
    #[error("{url}: the file has {found} bytes; {expected} were announced")]
    Size {
        /// What was asked for.
        url: String,
        /// Bytes announced first.
        expected: u64,
        /// Bytes announced later.
        found: u64,
    },
    /// The server does not say how long the file is.
    #[error("{url}: the server does not say how long the file is; a length is needed beforehand")]
    NoLength {
        /// What was asked for.
        url: String,
    },
    /// The server sends another part of the file than was asked for.
    #[error("{url}: asked for {expected}, the server sends {found:?}")]
    Range {
        /// What was asked for.
        url: String,
        /// The range asked for.
        expected: String,
        /// What the server says it sends.
        found: String,
    },
    /// The file at the source became another one while it was fetched.
    #[error("{url}: the file changes while it is fetched")]
    Changed {
        /// What was asked for.
        url: String,
    },
    /// The server packs what it sends; nothing here unpacks it.
    #[error("{url}: the answer is encoded as {encoding:?}; expected it as it is")]
    Encoded {
        /// What was asked for.
        url: String,
        /// Its Content-Encoding.
        encoding: String,
    },
    /// More than a limit allows.
    #[error("{what} is above the limit of {limit} bytes")]
    TooLarge {
        /// What is too large, and where.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// A listing or manifest of a server that cannot be understood.
    #[error("{url}: {reason}")]
    Listing {
        /// Where it came from.
        url: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A repository has several models and none was chosen.
    #[error("{repository} has {} GGUF files; choose one: {}", files.len(), shown(files))]
    Several {
        /// The repository.
        repository: String,
        /// Its models.
        files: Vec<String>,
    },
    /// A repository has no such file.
    #[error("{repository} has no file {wanted:?}; its GGUF files: {}", shown(files))]
    Missing {
        /// The repository.
        repository: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        files: Vec<String>,
    },
    /// The content is not what it was announced to be.
    #[error("{what}: the content has the digest {found}; expected {expected}")]
    Mismatch {
        /// What was fetched.
        what: String,
        /// What it should have been.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// Too little room on the disk.
    #[error("{}: {needed} bytes are needed, {free} are free", path.display())]
    Space {
        /// Where.
        path: PathBuf,
        /// Bytes still to be written, with a margin.
        needed: u64,
        /// Bytes there are.
        free: u64,
    },
    /// The content arrived and is not what the caller takes for a model.
    #[error("{what} is not taken into the store: {reason}")]
    Refused {
        /// What was fetched.
        what: String,
        /// What the caller's check says.
        reason: String,
    },
    /// Text that is no public key.
    #[error("{text:?} is no minisign public key: {reason}")]
    Key {
        /// What was given.
        text: String,
        /// What was expected.
        reason: &'static str,
    },
    /// A signed source and a key belong together, and one of them is missing.
    #[error("{of:?}: {reason}")]
    NeedsKey {
        /// Where the model should come from.
        of: String,
        /// Which one is missing.
        reason: &'static str,
    },
    /// A release that is not signed as it should be. Nothing in it was read.
    #[error("{url}: {reason}")]
    Signature {
        /// Where it came from.
        url: String,
        /// What is wrong with the signature.
        reason: &'static str,
    },
    /// A release that was signed and cannot be taken.
    #[error("{url}: {reason}")]
    Release {
        /// Where it came from.
        url: String,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// A release that is no longer valid: its publisher has stopped, or somebody holds newer ones
    /// back.
    #[error("{url}: the release expired {ago} ago")]
    Expired {
        /// Where it came from.
        url: String,
        /// How long ago.
        ago: String,
    },
    /// A release for later versions of this program.
    #[error("{url}: the release needs version {needed} of this program; this is {have}")]
    OldProgram {
        /// Where it came from.
        url: String,
        /// What it needs.
        needed: String,
        /// What there is.
        have: &'static str,
    },
    /// A version below one that was seen before.
    #[error("{name}: version {offered} is offered; there was version {highest} before")]
    Downgrade {
        /// The model.
        name: ModelName,
        /// What is offered.
        offered: u64,
        /// The highest version that was seen.
        highest: u64,
    },
    /// A version that had another content before.
    #[error("{name}: version {version} is offered with another content than before")]
    Rewritten {
        /// The model.
        name: ModelName,
        /// Which version.
        version: u64,
    },
    /// A model that follows no signed releases.
    #[error("{name} came from an unsigned source, which has no versions")]
    Unsigned {
        /// The model.
        name: ModelName,
        /// Where it came from.
        from: String,
    },
    /// There is no earlier version to go back to.
    #[error("{name} has no earlier version here to go back to")]
    NoRollback {
        /// The model.
        name: ModelName,
    },
    /// The caller asked to stop. What arrived stays for the next time.
    #[error("interrupted")]
    Cancelled,
}

impl StoreError {
    /// Whether trying again may help by itself: the way was at fault, not the content.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            StoreError::Transport { .. } | StoreError::Truncated { .. } => true,
            StoreError::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            _ => false,
        }
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            StoreError::Space { .. } => true,
            StoreError::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

/// Names a file and what was tried, where the system says no.
pub(crate) fn io_at(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { path, what, source }
}

/// Names from strangers in a row.
fn shown(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_string();
    }
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
