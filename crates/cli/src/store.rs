//! The model store, as the command line sees it: where its folder is, which servers it asks, and
//! what makes a file a model.
//!
//! It knows the environment and the model format; how something is fetched and kept is the store's.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use ondine_format::{ModelFile, gguf};
use ondine_store::{Held, ModelName, Options, Store, StoreError, Url};
use ondine_tensor::Bytes;

use crate::commands::inspect;
use crate::failure::Failure;

/// Where everything of this program lies.
const HOME: &str = "ONDINE_HOME";
/// The store inside it.
const MODELS: &str = "models";
/// What `hf:` means: the hub's own tools read the same.
const HUB: &str = "HF_ENDPOINT";
/// A secret for the hub: the hub's own tools read the same.
const HUB_TOKEN: &str = "HF_TOKEN";
/// What `ollama:` means.
const REGISTRY: &str = "ONDINE_REGISTRY";

/// What a check writes down about a model, and `ondine ls` shows.
pub(crate) const ARCHITECTURE: &str = "architecture";
/// The type of most of its bytes.
pub(crate) const QUANTISATION: &str = "quantisation";

/// The store's folder, whether it is there or not.
fn folder() -> Result<PathBuf, Failure> {
    Ok(home()?.join(MODELS))
}

/// The folder of everything that this program keeps, whether it is there or not.
pub(crate) fn home() -> Result<PathBuf, Failure> {
    // An empty variable is one that is not set, as everywhere.
    let variable =
        |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(home) = variable(HOME) {
        return Ok(home);
    }
    let home = if cfg!(windows) {
        variable("LOCALAPPDATA").map(|folder| folder.join("ondine"))
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Application Support/ondine"))
    } else {
        // The convention takes whole paths only.
        let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let data = data.or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("ondine"))
    };
    home.ok_or_else(|| {
        Failure::new("there is no place for models: no home folder is set")
            .hint(format!("{HOME} names a folder"))
    })
}

/// The store, made where there is none. `server` is asked instead of the usual one.
pub(crate) fn create(server: Option<&str>) -> Result<Store, Failure> {
    let mut options = Options::default();
    let url = |text: &str| text.parse::<Url>().map_err(|error| Failure::usage(error.to_string()));
    if let Some(text) = server.map(str::to_string).or_else(|| env::var(HUB).ok()) {
        options.hub = url(&text)?;
    }
    if let Some(text) = server.map(str::to_string).or_else(|| env::var(REGISTRY).ok()) {
        options.registry = url(&text)?;
    }
    options.hub_token = env::var(HUB_TOKEN).ok().filter(|token| !token.is_empty());
    Ok(Store::create(&folder()?, options)?)
}

/// The store, where there is one.
pub(crate) fn existing() -> Result<Option<Store>, Failure> {
    let folder = folder()?;
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(Some(Store::create(&folder, Options::default())?))
}

/// The model that a name of the store stands for; `None` where the store has no such name.
pub(crate) fn find(name: &Path) -> Result<Option<Held>, Failure> {
    let Some(Ok(name)) = name.to_str().map(str::parse::<ModelName>) else { return Ok(None) };
    // Without a home there are no names, and that is no failure of whoever asks for a file.
    let Ok(Some(store)) = existing() else { return Ok(None) };
    match store.open(&name) {
        Ok(held) => Ok(Some(held)),
        Err(StoreError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A name that a user typed.
pub(crate) fn name(text: &str) -> Result<ModelName, Failure> {
    text.parse().map_err(|error: StoreError| Failure::usage(error.to_string()))
}

/// Makes sure that a file is a whole model, and says what is worth knowing about it.
pub(crate) fn check(path: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error + Send + Sync>> {
    Ok(about(&read(path)?))
}

/// A whole model file.
pub(crate) fn read(path: &Path) -> Result<ModelFile, Box<dyn Error + Send + Sync>> {
    let file = gguf::read(Bytes::map(&File::open(path)?)?)?;
    if file.metadata.u64("split.count")?.is_some_and(|count| count > 1) {
        return Err("it is one of several files that only together are a model".into());
    }
    Ok(file)
}

/// What is worth knowing about a model.
pub(crate) fn about(file: &ModelFile) -> BTreeMap<String, String> {
    let architecture = file.metadata.string("general.architecture").ok().flatten();
    let most = inspect::shares(file).into_iter().max_by_key(|(_, share)| share.bytes);
    let facts = [
        (ARCHITECTURE, architecture.map(str::to_string)),
        (QUANTISATION, most.map(|(name, _)| name.to_uppercase())),
    ];
    facts.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
}
