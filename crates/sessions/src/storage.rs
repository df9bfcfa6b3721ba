//! The file system, as far as sessions need one, behind a trait: so that tests can let every operation
//! fail and the power go at any moment. It knows paths and bytes, and no sessions.

#[cfg(test)]
pub(crate) mod simulated;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// What is promised of each operation holds when it has returned without an error. After one, anything
/// between nothing and all of it may have happened.
pub(crate) trait Storage: Send + Sync {
    /// Makes a folder for its owner alone, where there is none.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Whether there is such a folder.
    fn is_there(&self, folder: &Path) -> bool;

    /// The names of the files in a folder, in their order; none where there is no folder. What is no
    /// plain file, or has no name in UTF-8, is left out.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// All of a file, which has at most `most` bytes.
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// Makes a file that is not there yet. Its bytes are on the disk; its name is when the folder is
    /// [synced](Storage::sync_folder).
    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Writes behind the first `at` bytes of a file, which is as long. They are on the disk then.
    fn append(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file this long, which was longer; on the disk too.
    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()>;

    /// Waits until all of a file is on the disk.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Waits until a folder's names are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name in the same folder, in the place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The real one.
pub(crate) struct Disk;

/// Files are their owner's alone.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Storage for Disk {
    fn is_there(&self, folder: &Path) -> bool {
        folder.is_dir()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            let what = format!("it has more than {most} bytes");
            return Err(io::Error::new(ErrorKind::FileTooLarge, what));
        }
        Ok(bytes)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = options().create_new(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn append(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        // Written and synced through one handle: another may not be told what went wrong with this one.
        let mut file = options().open(path)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = options().open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        options().open(path)?.sync_all()
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    // Windows has no such call: its journal keeps names in order.
    #[cfg(not(unix))]
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
