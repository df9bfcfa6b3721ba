//! `ondine template`: renders a chat template, exactly.

use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use ondine_text::template::Template;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::input;
use crate::output::Answer;

/// Renders one input.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let template_path = arguments.path_needed("template")?;
    let input_path = arguments.path_needed("input")?;
    let now = match arguments.text("now") {
        Some(text) => moment(&text)?,
        None => Zoned::now().datetime(),
    };
    let source = input::text(template_path)?;
    let values: serde_json::Value = serde_json::from_str(&input::text(input_path)?)
        .map_err(|error| Failure::from(error).at(input_path.display()))?;
    if !values.is_object() {
        return Err(Failure::new("is not a JSON object")
            .at(input_path.display())
            .hint("the template's variables are the object's fields: {\"messages\": [...]}"));
    }
    let render = || Ok(Template::new(&source)?.render(&values, Some(now))?);
    let rendered = render().map_err(|failure: Failure| failure.at(template_path.display()))?;
    Answer::new().exact(&rendered)
}

/// The civil time of an RFC 3339 moment, as it is written.
fn moment(text: &str) -> Result<DateTime, Failure> {
    let pieces = Pieces::parse(text).map_err(|error| {
        Failure::usage(format!("--now: {error}")).hint("write it like 2026-11-22T09:30:00Z")
    })?;
    Ok(pieces.date().to_datetime(pieces.time().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_sees_the_time_that_is_written() {
        let rows = [
            ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00"),
            ("2026-11-22T09:30:00+08:00", "2026-11-22T09:30:00"),
            ("2026-11-22T09:30:00-03:30", "2026-11-22T09:30:00"),
        ];
        for (text, civil) in rows {
            assert_eq!(moment(text).unwrap().to_string(), civil);
        }
        assert!(moment("yesterday").is_err());
    }
}
