//! `ondine pull`: a model comes into the store and gets a name.

use ondine_store::{Pull, Pulled, Source, StoreError};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::{self, Answer};
use crate::{store, transfer, trial};

/// Fetches a model.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let usage = |error: StoreError| Failure::usage(error.to_string());
    let path = arguments.path_needed("source")?;
    let source = match path.to_str() {
        Some(text) => Source::parse(text).map_err(usage)?,
        // What is no text can only be a file.
        None => Source::File(path.to_path_buf()),
    };
    let name = arguments.text("name").map(|text| store::name(&text)).transpose()?;
    let digest = arguments.text("sha256").map(|text| text.parse().map_err(usage)).transpose()?;
    let key = arguments.text("key").map(|text| text.parse().map_err(usage)).transpose()?;
    let signed = matches!(source, Source::Signed(_));
    if signed != key.is_some() {
        return Err(Failure::usage("--key and a source that begins with signed: belong together")
            .hint("the publisher's page has the key: one line that begins with RW"));
    }
    let server = arguments.text("registry");
    let store = store::create(server.as_deref())?;
    // What is switched later without anybody looking is tried from the first time on.
    let check = if signed { trial::check } else { store::check };
    let pull = Pull { source, name, digest, key };
    let Pulled { name, manifest, was_here } =
        transfer::run(move |watch| store.pull(&pull, &check, watch))?;
    let bytes = output::bytes(manifest.bytes);
    let here = if was_here { ", was here already" } else { "" };
    output::remark(format_args!("{bytes}, sha256 {}{here}", manifest.blob));
    Answer::new().line(name)
}
