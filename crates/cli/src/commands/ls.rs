//! `ondine ls`: the models of the store.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ondine_store::{Manifest, ModelName, StoreError};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::{self, Answer, Shown};
use crate::store::{self, ARCHITECTURE, QUANTISATION};

/// Lists the models.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let models = match store::existing()? {
        Some(store) => store.list()?,
        None => Vec::new(),
    };
    if arguments.on("json") {
        let rows: Vec<Value> = models.iter().map(|(name, model)| as_json(name, model)).collect();
        return Answer::new().line(Value::from(rows));
    }
    if models.is_empty() {
        output::remark("there are no models yet; `ondine pull` brings some");
        return Ok(());
    }
    let width = models.iter().map(|(name, _)| name.as_str().len()).max().unwrap_or(0).max(4);
    let mut answer = Answer::new();
    answer.row(format_args!(
        "{:<width$}  {:>10}  {:<8} {:<12} {:<10}  VERSION",
        "NAME", "SIZE", "TYPE", "FAMILY", "DATE"
    ))?;
    for (name, model) in &models {
        match model {
            Ok(manifest) => answer.row(format_args!(
                "{:<width$}  {:>10}  {:<8} {:<12} {:<10}  {}",
                name.as_str(),
                output::bytes(manifest.bytes),
                known(manifest, QUANTISATION),
                known(manifest, ARCHITECTURE),
                date(manifest.created_s),
                version(manifest),
            ))?,
            Err(error) => {
                let reason = error.to_string();
                answer.row(format_args!(
                    "{:<width$}  damaged: {}",
                    name.as_str(),
                    Shown(&reason)
                ))?
            }
        }
    }
    answer.done()
}

/// A fact about a model, as it may be shown: it comes from the model's author.
fn known(manifest: &Manifest, key: &str) -> String {
    manifest.about.get(key).map_or("?".to_string(), |value| Shown(value).to_string())
}

/// The version, of what has some, and the one that `ondine rollback` would go to.
fn version(manifest: &Manifest) -> String {
    let Some(channel) = &manifest.channel else { return "-".to_string() };
    let back = channel.rollback().map(|spare| format!(" (back: {})", spare.version));
    format!("{}{}", channel.version, back.unwrap_or_default())
}

/// The day, where this machine is.
fn date(created_s: u64) -> String {
    let time = i64::try_from(created_s).ok().and_then(|s| Timestamp::from_second(s).ok());
    time.map_or("?".to_string(), |time| {
        time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string()
    })
}

fn as_json(name: &ModelName, model: &Result<Manifest, StoreError>) -> Value {
    match model {
        Ok(manifest) => json!({
            "name": name.as_str(),
            "bytes": manifest.bytes,
            "quantisation": manifest.about.get(QUANTISATION),
            "family": manifest.about.get(ARCHITECTURE),
            "created_s": manifest.created_s,
            "sha256": manifest.blob.to_string(),
            "source": manifest.source,
            "revision": manifest.revision,
            "version": manifest.channel.as_ref().map(|channel| channel.version),
            "rollback": manifest.channel.as_ref().and_then(|channel| channel.rollback()).map(|spare| spare.version),
        }),
        Err(error) => json!({ "name": name.as_str(), "error": error.to_string() }),
    }
}
