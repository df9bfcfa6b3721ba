//! Files and streams that a user names: text, JSON, and model files, each with its limit.
//!
//! It refuses what is not a regular file where a model is expected: a pipe would hang, a device
//! would never end. It knows no format.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use ondine_tensor::Bytes;

use crate::failure::Failure;
use crate::output;

/// The longest text that is read into memory: far above any prompt, far below any machine.
pub(crate) const TEXT_BYTES_MAX: u64 = 1 << 30;

/// Maps a model file.
pub(crate) fn map(path: &Path) -> Result<Bytes, Failure> {
    let place = path.display();
    // Asked before opening: opening a pipe would wait for its other end.
    let meta = fs::metadata(path).map_err(|error| {
        let failure = Failure::from_error(&error).at(place.to_string());
        failure.hint("give the path of a GGUF file or of a Hugging Face folder, `droplet`, or a name of `ondine ls`")
    })?;
    if !meta.is_file() {
        let kind = if meta.is_dir() { "a folder" } else { "neither a file nor a folder" };
        return Err(Failure::new(format!("is {kind}; expected a regular file"))
            .at(place)
            .hint("a model is read from a regular file, never from a pipe or a device"));
    }
    let file = File::open(path).map_err(|error| Failure::from_error(&error).at(path.display()))?;
    Bytes::map(&file).map_err(|error| Failure::from_error(&error).at(path.display()))
}

/// Reads a text file.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let read = || -> Result<String, Failure> { limited(File::open(path)?) };
    read().map_err(|failure| {
        failure.at(path.display()).or_hint("a readable text file is expected here")
    })
}

/// Reads standard input to its end, or says what is missing where that is a keyboard.
pub(crate) fn piped(missing: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage(missing));
    }
    limited(io::stdin().lock()).map_err(|failure| failure.at("standard input"))
}

/// Whether a person sits at both ends.
pub(crate) fn is_conversation() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn limited(reader: impl Read) -> Result<String, Failure> {
    let mut data = Vec::new();
    reader.take(TEXT_BYTES_MAX + 1).read_to_end(&mut data)?;
    if data.len() as u64 > TEXT_BYTES_MAX {
        let limit = output::bytes(TEXT_BYTES_MAX);
        return Err(Failure::new(format!("holds more than {limit} of text")));
    }
    String::from_utf8(data).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(format!("is not UTF-8 text: byte {at} begins no character"))
            .hint("convert the text to UTF-8 first")
    })
}
