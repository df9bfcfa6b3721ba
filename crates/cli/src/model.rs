//! From what a user names to a model: droplet, a GGUF file, a Hugging Face folder, or a name of
//! the store. Where several have the name, the first of these is meant: what lies in the user's
//! folder is nearer than what lies in the store.
//!
//! It opens files and hands their bytes down; it knows no format.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use ondine_engine::{Embedder, Engine, EngineError, EngineOptions, Memory};
use ondine_format::hf::pooling::{self, Modules};
use ondine_format::hf::vocab::{self, Files};
use ondine_format::{ModelFile, gguf, hf};
use ondine_model::{Model, ModelError};
use ondine_store::Held;
use ondine_tensor::{Bytes, Cpu};
use ondine_text::Tokenizer;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::{input, memory, output, progress, store};

/// The name of the embedded model.
pub(crate) const DROPLET: &str = "droplet";

/// A model file that has been read and found sound.
pub(crate) struct Opened {
    /// What the user named.
    pub(crate) name: String,
    /// Bytes on disk, or inside this program.
    pub(crate) bytes: u64,
    /// Its content.
    pub(crate) file: ModelFile,
    /// What keeps its content in the store, where it is from there.
    held: Option<Held>,
}

/// Opens what the user named.
pub(crate) fn open(path: &Path) -> Result<Opened, Failure> {
    progress::during("opening the model", || {
        let name = path.display().to_string();
        let mut held = None;
        let (bytes, file) = if is_droplet(path) {
            (ondine_droplet::bytes().len(), ondine_droplet::file()?)
        } else if path.is_dir() {
            let Folder { bytes, file, .. } = folder(path)?;
            (bytes, file)
        } else {
            let bytes = match stored(path)? {
                Some(model) => {
                    let bytes = Bytes::map(held.insert(model).file());
                    bytes.map_err(|error| Failure::from_error(&error).at(&name))?
                }
                None => input::map(path)?,
            };
            (bytes.len(), gguf::read(bytes).map_err(|error| Failure::from(error).at(&name))?)
        };
        Ok(Opened { name, bytes: bytes as u64, file, held })
    })
}

/// The model of the store that is meant, where no file has the name.
fn stored(path: &Path) -> Result<Option<Held>, Failure> {
    // Also a link that leads nowhere is what the user sees under this name.
    if fs::symlink_metadata(path).is_ok() { Ok(None) } else { store::find(path) }
}

/// Whether the embedded model is meant. A file of that name is reached as `./droplet`.
pub(crate) fn is_droplet(path: &Path) -> bool {
    path == Path::new(DROPLET)
}

impl Opened {
    /// The digest of its content, where it is from the store.
    pub(crate) fn sha256(&self) -> Option<String> {
        self.held.as_ref().map(|held| held.manifest().blob.to_string())
    }

    /// The tokenizer alone: a file without weights serves.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer, Failure> {
        ondine_engine::tokenizer(&self.file.metadata)
            .map_err(|error| Failure::from(error).at(&self.name))
    }

    /// The model alone: a file without a tokenizer serves.
    fn model(&self, cpu: &Cpu, memory: Memory) -> Result<Box<dyn Model>, Failure> {
        match memory {
            Memory::Fast => ondine_model::load_for(&self.file, cpu),
            Memory::Lean => ondine_model::load(&self.file),
        }
        .map_err(|error| self.refused(error.into()))
    }

    /// What computes and where the weights stay, as the user asked.
    pub(crate) fn options(&self, arguments: &Arguments<'_>) -> EngineOptions {
        let (threads, isa) = (arguments.threads(), arguments.isa());
        EngineOptions { threads, isa, memory: self.memory(arguments), ..EngineOptions::default() }
    }

    fn memory(&self, arguments: &Arguments<'_>) -> Memory {
        memory::placement(arguments.text("memory").as_deref(), self.bytes)
    }

    /// The model with everything that text needs.
    pub(crate) fn engine(&self, options: EngineOptions) -> Result<Arc<Engine>, Failure> {
        progress::during("loading the model", || Engine::load(&self.file, options))
            .map_err(|error| self.refused(error))
    }

    /// The encoder with everything that text needs.
    pub(crate) fn embedder(&self, options: EngineOptions) -> Result<Embedder, Failure> {
        progress::during("loading the model", || Embedder::load(&self.file, options))
            .map_err(|error| self.refused(error))
    }

    fn refused(&self, error: EngineError) -> Failure {
        // The wrong kind of model is no unknown one: its own advice is the better one.
        let kind = matches!(
            error,
            EngineError::Model(ModelError::Encoder { .. } | ModelError::Decoder { .. })
        );
        let failure = Failure::from(error);
        if kind {
            return failure.at(&self.name);
        }
        let families = ondine_model::architectures().collect::<Vec<_>>().join(", ");
        failure.at(&self.name).hint(format!("the families are {families}; see `ondine inspect`"))
    }
}

/// Opens the model that the user named and loads it for `cpu`, without a tokenizer.
pub(crate) fn model(arguments: &Arguments<'_>, cpu: &Cpu) -> Result<Box<dyn Model>, Failure> {
    let opened = open(arguments.path_needed("model")?)?;
    let memory = opened.memory(arguments);
    progress::during("loading the model", || opened.model(cpu, memory))
}

/// The index of a folder with several weight files.
const INDEX: &str = "model.safetensors.index.json";
/// The weight file of a folder with one.
const SINGLE: &str = "model.safetensors";
/// The most weight files a folder may have.
const SHARDS_MAX: usize = 4096;

/// A Hugging Face folder that has been read.
pub(crate) struct Folder {
    /// Bytes of its weights.
    pub(crate) bytes: usize,
    /// Its model, with the tokenizer where that could be converted.
    pub(crate) file: ModelFile,
    /// Why it could not. Ids can be evaluated all the same.
    pub(crate) tokenizer: Result<(), Failure>,
}

/// Reads a Hugging Face folder.
pub(crate) fn folder(path: &Path) -> Result<Folder, Failure> {
    let config = path.join("config.json");
    if !config.is_file() {
        return Err(Failure::new("is a folder without config.json")
            .at(path.display())
            .hint("name a GGUF file, or a folder with config.json and safetensors files"));
    }
    let config = input::text(&config)?;
    let shards = shards(path)?;
    let bytes = shards.iter().map(|shard| shard.len()).sum();
    let failed = |error| Failure::from(error).at(path.display());
    let mut file = hf::read(&config, shards).map_err(failed)?;
    let [tokenizer_json, vocab_txt, tokenizer_config] =
        ["tokenizer.json", "vocab.txt", "tokenizer_config.json"].map(|name| optional(path, name));
    let (tokenizer_json, vocab_txt) = (tokenizer_json?, vocab_txt?);
    let tokenizer_config = tokenizer_config?;
    let files = Files {
        tokenizer_json: tokenizer_json.as_deref(),
        vocab_txt: vocab_txt.as_deref(),
        tokenizer_config: tokenizer_config.as_deref(),
    };
    let tokenizer = vocab::describe(files, &mut file).map_err(failed);
    if let Some(modules) = optional(path, "modules.json")?
        && let Some(home) = Modules::read(&modules).map_err(failed)?.pooling()
    {
        let config = input::text(&inside(&inside(path, home)?, "config.json")?)?;
        let number = pooling::number(&config).map_err(failed)?;
        let architecture = file.metadata.string("general.architecture")?.unwrap_or_default();
        let key = format!("{architecture}.pooling_type");
        file.metadata.set(key, number).map_err(failed)?;
    }
    Ok(Folder { bytes, file, tokenizer })
}

/// The text of a file in a folder, where it is there.
fn optional(folder: &Path, name: &str) -> Result<Option<String>, Failure> {
    let path = inside(folder, name)?;
    path.is_file().then(|| input::text(&path)).transpose()
}

/// Maps the weight files that a folder names, none of them outside it.
fn shards(folder: &Path) -> Result<Vec<Bytes>, Failure> {
    let index = folder.join(INDEX);
    let names = if index.is_file() {
        let value: serde_json::Value = serde_json::from_str(&input::text(&index)?)
            .map_err(|error| Failure::from(error).at(index.display()))?;
        let map = value["weight_map"].as_object();
        let map = map.ok_or_else(|| Failure::new("has no weight_map").at(index.display()))?;
        let mut names: Vec<String> =
            map.values().map(|name| name.as_str().unwrap_or_default().to_string()).collect();
        names.sort();
        names.dedup();
        names
    } else {
        vec![SINGLE.to_string()]
    };
    if names.len() > SHARDS_MAX {
        let message = format!("names {} files, the limit is {SHARDS_MAX}", names.len());
        return Err(Failure::new(message).at(index.display()));
    }
    names.iter().map(|name| input::map(&inside(folder, name)?)).collect()
}

/// The path of a file in a folder, where it is one: the folder's author is a stranger, and its
/// index must not reach for other files of this machine.
fn inside(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let outside = || {
        Failure::new(format!(
            "the index names {}, which is not a file of the folder",
            output::Shown(name)
        ))
        .at(folder.display())
        .hint("fetch the folder again; its index must name files beside it")
    };
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !plain || name.contains('\\') {
        return Err(outside());
    }
    let path = folder.join(name);
    // A file that is missing has no real place; opening it says so.
    let (Ok(real), Ok(home)) = (fs::canonicalize(&path), fs::canonicalize(folder)) else {
        return Ok(path);
    };
    // Hugging Face's own cache keeps snapshots as links into a folder of blobs beside them.
    // The folder may be a snapshot, or one inside it.
    let blobs = home.ancestors().skip(1).take(2).find(|above| above.ends_with("snapshots"));
    let blobs = blobs.and_then(Path::parent).map(|repository| repository.join("blobs"));
    if real.starts_with(&home) || blobs.is_some_and(|blobs| real.starts_with(blobs)) {
        Ok(path)
    } else {
        Err(outside())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_cannot_leave_its_folder() {
        let folder = std::env::temp_dir().join(format!("ondine-inside-{}", std::process::id()));
        let home = folder.join("model");
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("a.safetensors"), "x").unwrap();
        fs::write(folder.join("b"), "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.join("b"), home.join("link")).unwrap();
        let rows = [
            ("a.safetensors", true),
            ("missing", true),
            ("../b", false),
            ("/etc/passwd", false),
            ("..\\b", false),
            ("", false),
            ("sub/a", false),
            #[cfg(unix)]
            ("link", false),
        ];
        for (name, expected) in rows {
            assert_eq!(inside(&home, name).is_ok(), expected, "{name}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
