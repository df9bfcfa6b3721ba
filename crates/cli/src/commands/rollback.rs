//! `ondine rollback`: a model is what it was before its last update.

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::Answer;
use crate::store;

/// Goes back to the version before.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let name = store::name(&arguments.text("name").unwrap_or_default())?;
    let store = store::create(None)?;
    let from = store.get(&name)?.channel.map_or(0, |channel| channel.version);
    let version = store.rollback(&name)?.channel.map_or(0, |channel| channel.version);
    Answer::new().line(format_args!("{name}  {from} -> {version}"))
}
