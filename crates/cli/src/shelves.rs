//! Where the service finds its models: what was named when it began, the store, and droplet. A client's
//! name is looked up in these and never opened as a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ondine_chat::{ChatError, Model};
use ondine_engine::EngineOptions;
use ondine_format::{ModelFile, gguf};
use ondine_runtime::{Happened, Loader, Source};
use ondine_server::Log;
use ondine_store::{Manifest, ModelName, Store};
use ondine_tensor::{Bytes, Isa};
use serde_json::json;

use crate::commands::inspect;
use crate::failure::Failure;
use crate::fingerprint::{self, Seen};
use crate::model::{self, DROPLET};
use crate::{memory, store};

/// All models that the service may load.
pub(crate) struct Shelves {
    named: Vec<Named>,
    /// Whether there is nothing else.
    only: bool,
    threads: usize,
    isa: Isa,
    log: Arc<dyn Log>,
    /// The store, once there is one.
    store: Mutex<Option<Arc<Store>>>,
    /// What was found out about contents, by digest: a name's content is looked into once.
    facts: Mutex<BTreeMap<String, Model>>,
    droplet: OnceLock<Option<Model>>,
}

/// What was named when the service began.
struct Named {
    /// What requests call it.
    name: String,
    /// Where it lies; nowhere in particular where the store has it.
    path: Option<(PathBuf, Model)>,
}

impl Shelves {
    /// Finds what `names` name.
    ///
    /// # Errors
    /// One of them is no model, or not there.
    pub(crate) fn new(
        names: &[String],
        only: bool,
        (threads, isa): (usize, Isa),
        log: Arc<dyn Log>,
    ) -> Result<Shelves, Failure> {
        let mut shelves = Shelves {
            named: Vec::new(),
            only,
            threads,
            isa,
            log,
            store: Mutex::new(None),
            facts: Mutex::default(),
            droplet: OnceLock::new(),
        };
        for name in names {
            let named = shelves.locate(name)?;
            if shelves.named.iter().any(|other| other.name == named.name) {
                return Err(Failure::usage(format!("two models are called {:?}", named.name)));
            }
            shelves.named.push(named);
        }
        Ok(shelves)
    }

    /// The names of what was named, in order.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| named.name.as_str())
    }

    /// Whether droplet may be asked for.
    pub(crate) fn has_droplet(&self) -> bool {
        !self.only || self.named().any(|name| name == DROPLET)
    }

    fn locate(&self, name: &str) -> Result<Named, Failure> {
        let path = Path::new(name);
        let of_store = std::fs::symlink_metadata(path).is_err()
            && name.parse::<ModelName>().is_ok_and(|name| self.manifest(&name).is_some());
        if of_store || model::is_droplet(path) {
            return Ok(Named { name: name.to_owned(), path: None });
        }
        let opened = model::open(path)?;
        let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let came = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let since = came.unwrap_or_else(SystemTime::now).duration_since(UNIX_EPOCH);
        let about = Model {
            name: stem.clone(),
            bytes: opened.bytes,
            created_s: since.map_or(0, |since| since.as_secs()),
            ..Model::default()
        };
        let source = self.source(about, opened.file);
        let about = source.map_err(|why| Failure::new(why).at(name))?.about().clone();
        Ok(Named { name: stem, path: Some((path.to_owned(), about)) })
    }

    fn store(&self) -> Option<Arc<Store>> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if store.is_none() {
            // Without a home there is no store, and that is no failure of whoever asks.
            *store = store::existing().ok().flatten().map(Arc::new);
        }
        store.clone()
    }

    fn manifest(&self, name: &ModelName) -> Option<Manifest> {
        self.store()?.get(name).ok()
    }

    /// A model that is open, with what its content says about it.
    fn source(&self, mut about: Model, file: ModelFile) -> Result<Source, String> {
        let most = inspect::shares(&file).into_iter().max_by_key(|(_, share)| share.bytes);
        about.quantisation = most.map(|(name, _)| name.to_uppercase()).unwrap_or_default();
        let memory = memory::placement(None, about.bytes);
        let options = EngineOptions {
            threads: self.threads,
            isa: self.isa,
            memory,
            steady: true,
            ..EngineOptions::default()
        };
        Source::new(about, file, options).map_err(|error| error.to_string())
    }

    fn of_store(&self, name: &ModelName, manifest: &Manifest) -> Model {
        let digest = manifest.blob.to_string();
        let known = {
            let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            facts.get(&digest).cloned()
        };
        let (name, created_s) = (name.as_str().to_owned(), manifest.created_s);
        let about = known.unwrap_or_else(|| {
            let about = self.open_of_store(&name).map(|source| source.about().clone());
            // What cannot be opened has a name all the same: whoever asks for it is told why.
            let about = about.unwrap_or_else(|_| Model {
                bytes: manifest.bytes,
                chats: true,
                sha256: Some(digest.clone()),
                ..Model::default()
            });
            let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            facts.insert(digest, about.clone());
            about
        });
        Model { name, created_s, ..about }
    }

    fn open_of_store(&self, name: &str) -> Result<Source, String> {
        let name: ModelName = name.parse().map_err(|error| format!("{error}"))?;
        let store = self.store().ok_or("there is no store")?;
        let held = store.open(&name).map_err(|error| error.to_string())?;
        let manifest = held.manifest();
        let about = Model {
            name: name.as_str().to_owned(),
            bytes: manifest.bytes,
            created_s: manifest.created_s,
            sha256: Some(manifest.blob.to_string()),
            ..Model::default()
        };
        let bytes = Bytes::map(held.file()).map_err(|error| error.to_string())?;
        let file = gguf::read(bytes).map_err(|error| error.to_string())?;
        Ok(self.source(about, file)?.holding(held))
    }

    fn open_droplet(&self) -> Result<Source, String> {
        let file = ondine_droplet::file().map_err(|error| error.to_string())?;
        let bytes = ondine_droplet::bytes().len() as u64;
        self.source(Model { name: DROPLET.into(), bytes, ..Model::default() }, file)
    }
}

impl Loader for Shelves {
    fn known(&self) -> Vec<Model> {
        let mut all: Vec<Model> = self.named().filter_map(|name| self.find(name)).collect();
        if self.only {
            return all;
        }
        let mut stored: Vec<Model> = Vec::new();
        if let Some(Ok(models)) = self.store().map(|store| store.list()) {
            for (name, manifest) in models {
                if let Ok(manifest) = manifest
                    && self.named().all(|named| named != name.as_str())
                {
                    stored.push(self.of_store(&name, &manifest));
                }
            }
        }
        stored.sort_by_key(|model| std::cmp::Reverse(model.created_s));
        all.extend(stored);
        if self.named().all(|name| name != DROPLET) {
            all.extend(self.find(DROPLET));
        }
        all
    }

    fn find(&self, name: &str) -> Option<Model> {
        let named = self.named.iter().find(|named| named.name == name);
        match named {
            Some(Named { path: Some((_, about)), .. }) => return Some(about.clone()),
            None if self.only => return None,
            _ => {}
        }
        if name == DROPLET {
            let look = || self.open_droplet().ok().map(|source| source.about().clone());
            return self.droplet.get_or_init(look).clone();
        }
        let name: ModelName = name.parse().ok()?;
        let manifest = self.manifest(&name)?;
        Some(self.of_store(&name, &manifest))
    }

    fn open(&self, name: &str) -> Result<Source, ChatError> {
        let named = self.named.iter().find(|named| named.name == name);
        let source = match named {
            Some(Named { path: Some((path, about)), .. }) => {
                let seen = Seen::at(path);
                let opened = model::open(path).map_err(|failure| failure.message);
                opened.and_then(|opened| {
                    let fingerprint = fingerprint::of(&opened, path, seen);
                    Ok(self.source(about.clone(), opened.file)?.known_by(fingerprint))
                })
            }
            _ if name == DROPLET => self.open_droplet(),
            _ => self.open_of_store(name),
        };
        source.map_err(ChatError::Internal)
    }

    fn told(&self, happened: &Happened<'_>) {
        let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        let mut line = match *happened {
            Happened::Loaded { model, sha256, took_s } => {
                json!({ "model": model, "what": "loaded", "sha256": sha256, "took_s": took_s })
            }
            Happened::Refused { model, sha256, why } => {
                json!({ "model": model, "what": "refused", "sha256": sha256, "why": why })
            }
            Happened::Left { model, sha256 } => {
                json!({ "model": model, "what": "left", "sha256": sha256 })
            }
        };
        line["event"] = "model".into();
        line["time_s"] = time_s.into();
        self.log.line(&line.to_string());
    }
}
