//! A model that programs of the framework ask, wherever it is: droplet, a file, the daemon, a recording.

use std::env;
use std::path::Path;
use std::sync::Arc;

use ondine_app::Recording;
use ondine_chat::{Chat, Model};
use ondine_client::Client;
use ondine_engine::EngineOptions;
use ondine_runtime::{Limits, Runtime};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::model;

/// Who answers: what `--model` names. `bound` says that words are to keep to a schema, which droplet does
/// as an ordinary model alone.
pub(crate) fn open(arguments: &Arguments<'_>, bound: bool) -> Result<Arc<dyn Chat>, Failure> {
    let path = arguments.path_needed("model")?;
    let name = path.to_string_lossy();
    if name.starts_with("http://") || name.starts_with("https://") {
        return daemon(&name);
    }
    if path.extension().is_some_and(|extension| extension == "jsonl") {
        return recording(path);
    }
    if model::is_droplet(path) && !bound {
        return Ok(Arc::new(ondine_droplet::open(arguments.threads(), arguments.isa())?));
    }
    let opened = model::open(path)?;
    let options = EngineOptions { steady: true, ..opened.options(arguments) };
    let engine = opened.engine(options)?;
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let about = Model { name: stem, bytes: opened.bytes, ..Model::default() };
    let mut runtime = Runtime::new(Limits::default());
    runtime.add(about, engine).map_err(|error| Failure::from_error(&error).at(&name))?;
    Ok(Arc::new(runtime))
}

/// What was recorded.
pub(crate) fn recording(path: &Path) -> Result<Arc<dyn Chat>, Failure> {
    let recording = Recording::open(path).map_err(|error| {
        Failure::from_error(&error).hint("a recording is made by `ondine eval … --record FILE`")
    })?;
    Ok(recording)
}

fn daemon(url: &str) -> Result<Arc<dyn Chat>, Failure> {
    let token = env::var("ONDINE_TOKEN").unwrap_or_default();
    if token.is_empty() {
        return Err(Failure::new("there is no token in ONDINE_TOKEN")
            .at(url)
            .hint("`ondine app add NAME` prints one"));
    }
    let asked = Client::new(url, &token).and_then(|client| {
        client.known_models()?;
        Ok(client)
    });
    let client = asked.map_err(|error| {
        Failure::from_error(&error).hint("`ondine serve` starts the service of this device")
    })?;
    Ok(Arc::new(client))
}
