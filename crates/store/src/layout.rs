//! Where things lie in the store's folder, and how a file is put there so that it is whole or not
//! there at all.
//!
//! [`Layout::path`] is the only place that makes a path, and it makes it from types that cannot
//! hold one: digests, names, keys.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::name::ModelName;

/// Which download a part belongs to. Whoever wants the same content has the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PartKey {
    /// The content is known by its digest.
    Content(Digest),
    /// Only its address is known; this is the address's digest.
    Address(Digest),
}

/// Everything that has a place in the folder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry<'a> {
    /// Content that has been checked.
    Blob(Digest),
    /// What a name stands for.
    Name(&'a ModelName),
    /// A name's next content, while it is written.
    NextName,
    /// Content on its way.
    Part(PartKey),
    /// Which chunks of a part have arrived.
    Chunks(PartKey),
    /// Held by whoever fetches a part.
    PartLock(PartKey),
    /// Held by whoever changes a name.
    NamesLock,
    /// Shared by whoever adds to the store, held alone by whoever takes garbage away.
    StoreLock,
}

/// The folder and its subfolders.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
}

/// Before a digest in the name of a blob or of a part whose content is known.
const BY_CONTENT: &str = "sha256-";
/// Before an address's digest in the name of a part.
const BY_ADDRESS: &str = "url-";

impl Layout {
    /// The folder, made where it is missing, for its owner alone.
    pub(crate) fn create(root: &Path) -> Result<Layout, StoreError> {
        let layout = Layout { root: root.to_path_buf() };
        for folder in [root, &layout.blobs(), &layout.names(), &layout.parts()] {
            let mut builder = DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(folder).map_err(io_at(folder, "make the folder"))?;
        }
        Ok(layout)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    /// The one place of an entry.
    pub(crate) fn path(&self, entry: Entry<'_>) -> PathBuf {
        let part = |key: PartKey, end: &str| {
            self.parts().join(match key {
                PartKey::Content(digest) => format!("{BY_CONTENT}{digest}{end}"),
                PartKey::Address(digest) => format!("{BY_ADDRESS}{digest}{end}"),
            })
        };
        match entry {
            Entry::Blob(digest) => self.blobs().join(format!("{BY_CONTENT}{digest}")),
            Entry::Name(name) => self.names().join(format!("{name}.json")),
            Entry::NextName => self.names().join(".next"),
            Entry::Part(key) => part(key, ".part"),
            Entry::Chunks(key) => part(key, ".chunks"),
            Entry::PartLock(key) => part(key, ".lock"),
            Entry::NamesLock => self.root.join("names.lock"),
            Entry::StoreLock => self.root.join("store.lock"),
        }
    }

    /// The digests of all blobs. What is no blob is not looked at.
    pub(crate) fn all_blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let names = entries(&self.blobs())?;
        Ok(names.iter().filter_map(|name| name.strip_prefix(BY_CONTENT)?.parse().ok()).collect())
    }

    /// All names, in their order.
    pub(crate) fn all_names(&self) -> Result<Vec<ModelName>, StoreError> {
        let names = entries(&self.names())?;
        let mut names: Vec<ModelName> =
            names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// The keys of all parts, whichever of their files is there.
    pub(crate) fn all_parts(&self) -> Result<Vec<PartKey>, StoreError> {
        let key = |name: &String| {
            let (stem, _) = name.rsplit_once('.')?;
            if let Some(digest) = stem.strip_prefix(BY_CONTENT) {
                return digest.parse().ok().map(PartKey::Content);
            }
            stem.strip_prefix(BY_ADDRESS)?.parse().ok().map(PartKey::Address)
        };
        let mut keys: Vec<PartKey> = Vec::new();
        for key in entries(&self.parts())?.iter().filter_map(key) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }
}

/// The names of what a folder holds, as far as they are text.
fn entries(folder: &Path) -> Result<Vec<String>, StoreError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    };
    list().map_err(io_at(folder, "list the folder"))
}

/// How files of the store are opened: for their owner alone.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes what a folder lists durable. A rename is on the disk only when its folder is.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    // Windows writes its folders' entries by itself and opens no folder as a file.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(io_at(folder, "write the folder to the disk"))?;
    }
    Ok(())
}

/// Puts a small file in its place: the old one stays until the new one is whole and on the disk.
pub(crate) fn replace(next: &Path, place: &Path, content: &[u8]) -> Result<(), StoreError> {
    let write = || -> io::Result<()> {
        let mut file = options().write(true).create(true).truncate(true).open(next)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(io_at(next, "write"))?;
    rename(next, place)
}

/// Gives a file that is whole and on the disk its place.
pub(crate) fn rename(from: &Path, place: &Path) -> Result<(), StoreError> {
    fs::rename(from, place).map_err(io_at(place, "put the file there"))?;
    place.parent().map_or(Ok(()), sync_folder)
}

/// Removes a file. That there is none is as good.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_at(path, "remove the file")(error))
        }
        _ => Ok(()),
    }
}
