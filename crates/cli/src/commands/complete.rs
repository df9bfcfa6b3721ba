//! `ondine complete`: fills the gap between a beginning and an end.

use std::time::Instant;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::model;
use crate::output::Answer;
use crate::sampling::Wishes;
use crate::speaker::Speaker;

/// Completes.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let prefix = arguments.text("prefix").unwrap_or_default();
    let suffix = arguments.text("suffix").unwrap_or_default();
    let path = arguments.path_needed("model")?;
    let begun = Instant::now();
    let opened = model::open(path)?;
    let engine = opened.engine(opened.options(arguments))?;
    let load_s = begun.elapsed().as_secs_f64();
    let prompt = engine
        .fim_prompt(&prefix, &suffix)
        .map_err(|error| Failure::from(error).at(path.display()))?;
    let mut wishes = Wishes::read(arguments);
    wishes.stop_at(engine.fim_stop()?);
    let mut speaker = Speaker::new(&engine, arguments, wishes, load_s)?;
    let mut answer = Answer::new();
    let json = arguments.on("json");
    let spoken = speaker.answer(&prompt, |text| if json { Ok(()) } else { answer.piece(text) })?;
    if spoken.interrupted {
        return Err(Failure::interrupt());
    }
    if json {
        answer.line(spoken.json())?
    } else {
        answer.line("")?
    }
    spoken.tell_cut();
    Ok(())
}
