//! A model in this process: its file is mapped, its engine loaded, and a runtime of its own answers.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ondine_chat::{Memory, Model};
use ondine_engine::{Embedder, Engine, EngineError, EngineOptions};
use ondine_format::{ModelFile, gguf};
use ondine_model::ModelError;
use ondine_runtime::{Limits, Runtime};
use ondine_tensor::Bytes;

use crate::{Device, Error};

/// The model inside this program.
const DROPLET: &str = "droplet";

/// Brings a GGUF file, or `droplet`, into this process: all cores compute, and memory is bounded by the
/// machine alone. Its sessions last as long as the device that is given; those of a daemon outlive it.
///
/// ```
/// let device = ondine::open("droplet")?;
/// assert_eq!(device.chat().models()[0].name, "droplet");
/// # Ok::<(), ondine::Error>(())
/// ```
///
/// # Errors
/// No such file, none that is a model, or one of a family that is not known.
pub fn open(path: impl AsRef<Path>) -> Result<Device, Error> {
    let path = path.as_ref();
    let at = || path.to_path_buf();
    let (file, bytes) = read(path)?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let about = Model { name, bytes, ..Model::default() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let options = EngineOptions { threads, steady: true, ..EngineOptions::default() };
    let refused = |error| Error::Engine { path: at(), source: Box::new(error) };

    let mut runtime = Runtime::new(Limits::default());
    match Engine::load(&file, options) {
        Ok(engine) => {
            engine.tokenizer().map_err(refused)?;
            runtime.add(about, engine)?;
        }
        Err(EngineError::Model(ModelError::Encoder { .. })) => {
            runtime.add_embedder(about, Embedder::load(&file, options).map_err(refused)?)?;
        }
        Err(error) => return Err(refused(error)),
    }
    let runtime = Arc::new(runtime);
    let sessions = Arc::new(Memory::new(runtime.clone(), now_s));
    Ok(Device::new(runtime.clone(), runtime, sessions))
}

/// The file and its length.
fn read(path: &Path) -> Result<(ModelFile, u64), Error> {
    let wrong = |error| Error::Format { path: path.to_path_buf(), source: Box::new(error) };
    // A file of that name is reached as ./droplet.
    if path == Path::new(DROPLET) {
        let file = ondine_droplet::file().map_err(wrong)?;
        return Ok((file, ondine_droplet::bytes().len() as u64));
    }
    let failed = |source| Error::File { path: path.to_path_buf(), source };
    // What is no regular file may never end.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(std::io::Error::other("is no regular file; name a GGUF file")));
    }
    let bytes = Bytes::map(&File::open(path).map_err(failed)?).map_err(failed)?;
    let length = bytes.len() as u64;
    Ok((gguf::read(bytes).map_err(wrong)?, length))
}

/// Seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
