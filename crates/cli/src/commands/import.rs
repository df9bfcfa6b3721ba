//! `ondine import`: a Hugging Face folder becomes one GGUF file.
//!
//! The file is written beside its place under another name and takes the place when it is whole,
//! so that an interrupt leaves neither half a model nor an old one lost.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use ondine_format::{GgufWriter, ModelFile, TensorLayout, recode};
use ondine_model::ModelError;
use ondine_tensor::DType;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::progress::Progress;
use crate::{model, output, progress};

/// The words that `--type` takes: the names of [`recode::TYPES`], which a test compares.
pub(crate) const TYPES: &[&str] = &["f32", "f16", "bf16", "q8_0", "q4_0"];

/// Converts a folder.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let folder = arguments.path_needed("folder")?;
    let out = arguments.path_needed("out")?;
    let force = arguments.on("force");
    free(out, force)?;
    if !folder.is_dir() {
        let failure = Failure::new("is no folder; expected one with config.json and safetensors");
        return Err(failure.at(folder.display()).hint("a GGUF file needs no import"));
    }
    let wanted = arguments.text("type").and_then(|name| DType::from_name(&name));
    let read = progress::during("opening the folder", || model::folder(folder))?;
    read.tokenizer.map_err(|failure| {
        failure.hint("only WordPiece tokenizers are converted, as uncased bert models have them")
    })?;
    loads(&read.file).map_err(|failure| failure.at(folder.display()))?;

    let failed = |error| Failure::from(error).at(folder.display());
    let layouts: Vec<TensorLayout> = (read.file.tensors.iter())
        .map(|tensor| recode::layout(tensor, wanted))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    let mut part = Part::create(out)?;
    let bytes = write(&read.file, layouts, &mut part, out)?;
    // Somebody may have put a file there in the meantime.
    free(out, force)?;
    part.finish()?;
    let (tensors, bytes) = (read.file.tensors.len(), output::bytes(bytes));
    output::remark(format_args!("{tensors} tensors, {bytes}: {}", out.display()));
    Ok(())
}

/// Refuses a place that is taken, unless it may be.
fn free(out: &Path, force: bool) -> Result<(), Failure> {
    match fs::symlink_metadata(out) {
        Ok(meta) if meta.is_dir() => {
            Err(Failure::new("is a folder; expected the name of a file").at(out.display()))
        }
        Ok(_) if !force => {
            Err(Failure::new("is there already").at(out.display()).hint("--force replaces it"))
        }
        _ => Ok(()),
    }
}

/// Makes sure that what is written will be of use here: a file that loads, with words.
fn loads(file: &ModelFile) -> Result<(), Failure> {
    ondine_engine::tokenizer(&file.metadata)?;
    match ondine_model::load(file) {
        Ok(_) => Ok(()),
        Err(ModelError::Encoder { .. }) => Ok(ondine_model::load_encoder(file).map(drop)?),
        Err(error) => Err(error.into()),
    }
}

/// Writes everything, a tensor at a time; the number of bytes.
fn write(
    file: &ModelFile,
    layouts: Vec<TensorLayout>,
    part: &mut Part,
    out: &Path,
) -> Result<u64, Failure> {
    let lost = |error: ondine_format::WriteError| Failure::from_error(&error).at(out.display());
    let total = layouts.iter().map(|layout| layout.bytes() as u64).sum();
    let progress = Progress::new("bytes", total);
    let watch = Watch::new();
    let mut done = 0;
    let mut writer =
        GgufWriter::new(&mut part.file, &file.metadata, layouts.clone()).map_err(lost)?;
    for (tensor, layout) in file.tensors.iter().zip(&layouts) {
        watch.check()?;
        let data = recode::data(tensor, layout)?;
        writer.tensor(&data).map_err(lost)?;
        done += data.len() as u64;
        progress.done(done);
    }
    writer.finish().map_err(lost)?;
    Ok(total)
}

/// A file under another name until it is whole. Given up, it is removed.
struct Part {
    file: BufWriter<File>,
    path: PathBuf,
    place: PathBuf,
    whole: bool,
}

impl Part {
    fn create(place: &Path) -> Result<Part, Failure> {
        let name = place.file_name().ok_or_else(|| {
            Failure::new("names no file").at(place.display()).hint("such as model.gguf")
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", std::process::id()));
        let path = place.with_file_name(hidden);
        // Only a new file: what somebody else put there is not ours to write through.
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| Failure::from_error(&error).at(path.display()))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Part { file, path, place: place.to_path_buf(), whole: false })
    }

    /// Gives it its name.
    fn finish(mut self) -> Result<(), Failure> {
        let named = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.path, &self.place));
        named.map_err(|error| Failure::from_error(&error).at(self.place.display()))?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.whole {
            // What cannot be removed is at least hidden and named after this process.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_can_be_typed() {
        let types: Vec<Option<DType>> = TYPES.iter().map(|name| DType::from_name(name)).collect();
        let all: Vec<Option<DType>> = recode::TYPES.iter().copied().map(Some).collect();
        assert_eq!(types, all);
    }
}
