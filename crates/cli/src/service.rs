//! The daemon as something that the system starts: a file for systemd or for launchd. It writes words
//! into files and runs nothing.

pub(crate) mod launchd;
pub(crate) mod systemd;

use std::path::PathBuf;

use crate::failure::Failure;

/// Stands in every file that this program wrote, and in no other.
pub(crate) const MARK: &str = "Written by `ondine service install`";

/// How long the system waits for the daemon to end: longer than the daemon waits for its answers.
const STOP_S: u32 = 45;

/// What is started, and with what.
pub(crate) struct Plan {
    /// This program, from the root of the file system.
    pub(crate) program: PathBuf,
    /// What stands behind it.
    pub(crate) arguments: Vec<String>,
    /// Where it keeps things, and the only place that it writes to.
    pub(crate) home: PathBuf,
}

/// A place as text: files of either kind are text.
fn text(path: &std::path::Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::new("a path with bytes that are no UTF-8 cannot stand in a service's file")
            .at(path.display())
    })
}
