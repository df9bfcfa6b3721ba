//! Small files of the service in its home: they belong to their user alone, and are replaced as a whole,
//! so that what is there is the old one or the new one at all times.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::failure::Failure;

/// Replaces a file's text.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let replaced = (|| {
        own_folder(folder)?;
        let mut file = own_file(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The new name is on the disk when its folder is.
        #[cfg(unix)]
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    })();
    replaced.map_err(|error: std::io::Error| {
        let _ = fs::remove_file(&beside);
        Failure::from_error(&error).at(path.display())
    })
}

/// Makes a folder for its user alone, where it is missing.
pub(crate) fn own_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a file for its user alone, which must not be there.
pub(crate) fn own_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
