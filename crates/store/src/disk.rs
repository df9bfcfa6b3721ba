//! What is asked of the disk beyond reading and writing: how much room there is.
//!
//! It is a trait so that a full disk can be tried without one.

use std::io;
use std::path::Path;

/// Room on the disk.
pub trait Disk: Send + Sync {
    /// Bytes that may still be written in a folder.
    ///
    /// # Errors
    /// The system does not say.
    fn free(&self, folder: &Path) -> io::Result<u64>;

    /// Called before bytes of a model are written.
    ///
    /// # Errors
    /// They must not be: the write fails with this error.
    fn spend(&self, bytes: u64) -> io::Result<()> {
        let _ = bytes;
        Ok(())
    }
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn free(&self, folder: &Path) -> io::Result<u64> {
        fs4::available_space(folder)
    }
}
