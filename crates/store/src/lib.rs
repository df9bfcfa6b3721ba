//! The model store: models are fetched once, checked against a digest, kept by their content and
//! found by a name.
//!
//! A [`Store`] is a folder. [`Store::pull`] brings a model into it, from a file, an address, a
//! repository or a registry; [`Store::open`] gives it back by name; [`Store::remove`] lets it go.
//! A model from signed releases follows them with [`Store::update`], and [`Store::rollback`] goes back.
//! Threads and processes may do all of this at once, and may be ended at any moment.
//!
//! It is the one crate that opens connections. It does not know what a model is: a check that the
//! caller brings decides that, and what the check says is kept unread.
//!
//! ```no_run
//! use std::collections::BTreeMap;
//! use std::ops::ControlFlow;
//! use ondine_store::{Options, Pull, Source, Store};
//!
//! let store = Store::create("models".as_ref(), Options::default())?;
//! let source = Source::parse("hf:owner/repository")?;
//! let pull = Pull { source, name: None, digest: None, key: None };
//! let pulled = store.pull(&pull, &|_| Ok(BTreeMap::new()), &mut |_| ControlFlow::Continue(()))?;
//! let held = store.open(&pulled.name)?;
//! println!("{}", held.path().display());
//! # Ok::<(), ondine_store::StoreError>(())
//! ```

mod channel;
mod copy;
mod digest;
mod disk;
mod error;
mod fetch;
mod garbage;
mod http;
mod layout;
mod lock;
mod manifest;
mod name;
mod part;
mod plan;
mod pull;
mod release;
mod remote;
mod source;
mod update;
mod url;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use channel::{Channel, Spare, Terms};
pub use digest::Digest;
pub use disk::{Disk, SystemDisk};
pub use error::StoreError;
pub use fetch::{ATTEMPTS_MAX, BLOB_BYTES_MAX, RESTARTS_MAX, SPACE_MARGIN_BYTES, Step, Watch};
pub use garbage::{PART_KEPT, Swept};
pub use http::{LISTING_BYTES_MAX, Patience, REDIRECTS_MAX};
pub use manifest::{MANIFEST_BYTES_MAX, Manifest};
pub use name::{ModelName, NAME_CHARS_MAX};
pub use pull::{Check, Pull, Pulled};
pub use release::{Key, NOTES_BYTES_MAX, RELEASE_BYTES_MAX, SIGNATURE_BYTES_MAX, VERSION_MAX};
pub use source::Source;
pub use update::Updated;
pub use url::{URL_BYTES_MAX, Url};

use error::io_at;
use http::Client;
use layout::{Entry, Layout};
use lock::Share;

/// The hub that `hf:` means where nobody says otherwise.
pub const HUB: &str = "https://huggingface.co";
/// The registry that `ollama:` means where nobody says otherwise.
pub const REGISTRY: &str = "https://registry.ollama.ai";
/// Connections of one download where nobody says otherwise.
pub const CONNECTIONS: usize = 4;

/// How a store fetches.
#[derive(Clone)]
pub struct Options {
    /// What `hf:` means.
    pub hub: Url,
    /// What `ollama:` means.
    pub registry: Url,
    /// A secret for the hub, and for no other server.
    pub hub_token: Option<String>,
    /// Connections of one download, where the server sends parts.
    pub connections: usize,
    /// How long a server may be silent.
    pub patience: Patience,
    /// The first pause before another attempt.
    pub pause: Duration,
    /// The room there is.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Options {
        let known = |text: &str| match text.parse() {
            Ok(url) => url,
            Err(error) => unreachable!("an address of this program: {error}"),
        };
        Options {
            hub: known(HUB),
            registry: known(REGISTRY),
            hub_token: None,
            connections: CONNECTIONS,
            patience: Patience::default(),
            pause: Duration::from_millis(500),
            disk: Arc::new(SystemDisk),
        }
    }
}

/// A folder of models.
pub struct Store {
    layout: Layout,
    options: Options,
    client: Arc<Client>,
}

impl Store {
    /// Opens a store, and makes its folder where there is none, for its owner alone.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn create(root: &Path, options: Options) -> Result<Store, StoreError> {
        let client = Arc::new(Client::new(options.patience));
        Ok(Store { layout: Layout::create(root)?, options, client })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// All models that have a name. One whose manifest cannot be read is an error in its place.
    ///
    /// # Errors
    /// The folder cannot be read.
    #[expect(clippy::type_complexity, reason = "a list of names, each with what came of it")]
    pub fn list(&self) -> Result<Vec<(ModelName, Result<Manifest, StoreError>)>, StoreError> {
        let mut models = Vec::new();
        for name in self.layout.all_names()? {
            match Manifest::read(&self.layout, &name) {
                Ok(Some(manifest)) => models.push((name, Ok(manifest))),
                // Somebody removed it just now.
                Ok(None) => {}
                Err(error) => models.push((name, Err(error))),
            }
        }
        Ok(models)
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// There is no such name, or its manifest cannot be read.
    pub fn get(&self, name: &ModelName) -> Result<Manifest, StoreError> {
        match Manifest::read(&self.layout, name)? {
            Some(manifest) => Ok(manifest),
            None => Err(self.unknown(name)),
        }
    }

    /// Opens a model. While the result lives, its content stays, whatever happens to its name.
    ///
    /// # Errors
    /// There is no such name, or its content cannot be opened.
    pub fn open(&self, name: &ModelName) -> Result<Held, StoreError> {
        loop {
            let manifest = self.get(name)?;
            let path = self.layout.path(Entry::Blob(manifest.blob));
            let file = match File::open(&path) {
                Ok(file) => file,
                // Between the two lines above, the name may have been given another content.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.get(name)? != manifest {
                        continue;
                    }
                    return Err(io_at(&path, "open")(error));
                }
                Err(error) => return Err(io_at(&path, "open")(error)),
            };
            // Alone it is locked only by who removes it, at this moment.
            if lock::take(&file, Share::Shared).map_err(io_at(&path, "lock"))? {
                return Ok(Held { manifest, path, file });
            }
        }
    }

    /// Takes a name away, and its content where no other name needs it and nobody has it open.
    ///
    /// # Errors
    /// There is no such name, or the disk refuses.
    pub fn remove(&self, name: &ModelName) -> Result<Swept, StoreError> {
        {
            let _names = self.lock_names()?;
            let path = self.layout.path(Entry::Name(name));
            if !path.exists() {
                return Err(self.unknown(name));
            }
            layout::remove(&path)?;
            layout::sync_folder(&self.layout.names())?;
        }
        self.sweep()
    }

    /// Takes away what nobody needs: content without a name, and old parts.
    ///
    /// # Errors
    /// The disk refuses, or a name cannot be read: then nothing goes.
    pub fn sweep(&self) -> Result<Swept, StoreError> {
        garbage::sweep(&self.layout)
    }

    fn unknown(&self, name: &ModelName) -> StoreError {
        let known = self.layout.all_names().unwrap_or_default();
        StoreError::Unknown { name: name.clone(), known }
    }
}

/// A model that is open.
#[derive(Debug)]
pub struct Held {
    manifest: Manifest,
    path: PathBuf,
    file: File,
}

impl Held {
    /// What its name stood for when it was opened.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }
}
