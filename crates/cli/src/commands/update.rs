//! `ondine update`: models that follow signed releases are switched to the newest.

use std::sync::Arc;

use ondine_store::{ModelName, Store, Terms, Updated};
use serde_json::{Value, json};

use crate::failure::{Failure, Kind};
use crate::flags::Arguments;
use crate::output::{self, Answer, Shown};
use crate::{store, transfer, trial};

/// Updates one model, or all that can be.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let named = arguments.text("name").map(|text| store::name(&text)).transpose()?;
    let downgrade = arguments.on("allow-downgrade");
    if downgrade && named.is_none() {
        return Err(Failure::usage("--allow-downgrade needs the NAME of a model"));
    }
    let store = Arc::new(store::create(None)?);
    // Whoever types a name means it, also where the version on offer was declined before.
    let terms = Terms { downgrade, declined: named.is_some() };
    let names = match &named {
        Some(name) => vec![name.clone()],
        None => followers(&store)?,
    };
    if names.is_empty() {
        output::remark("no model follows signed releases; `ondine pull --help` says how one does");
    }
    let mut rows = Vec::new();
    let mut failed = None;
    for name in names {
        match update(&store, &name, terms) {
            Ok(updated) => rows.push((name, updated)),
            Err(failure) if failure.kind == Kind::Failed && named.is_none() => {
                // One publisher's fault keeps nobody else's models from being updated.
                let failure = failure.at(&name);
                if let Some(before) = failed.replace(failure) {
                    output::complain(&before);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    if rows.is_empty() && failed.is_none() {
        output::note(
            "no model here follows signed releases; `ondine pull signed:… --key …` takes one",
        );
    }
    let mut answer = Answer::new();
    if arguments.on("json") {
        let rows: Vec<Value> = rows.iter().map(|(name, updated)| as_json(name, updated)).collect();
        answer.row(Value::from(rows))?;
    } else {
        for (name, updated) in &rows {
            answer.row(said(name, updated))?;
        }
    }
    answer.done()?;
    failed.map_or(Ok(()), Err)
}

/// The names that follow signed releases. One that cannot be read is `ls`'s affair.
fn followers(store: &Store) -> Result<Vec<ModelName>, Failure> {
    let follows = |(name, manifest): (ModelName, Result<ondine_store::Manifest, _>)| {
        manifest.ok()?.channel.map(|_| name)
    };
    Ok(store.list()?.into_iter().filter_map(follows).collect())
}

fn update(store: &Arc<Store>, name: &ModelName, terms: Terms) -> Result<Updated, Failure> {
    let (store, name) = (store.clone(), name.clone());
    transfer::run(move |watch| store.update(&name, terms, &trial::check, watch))
}

/// What came of it, for a person and for `cut`.
fn said(name: &ModelName, updated: &Updated) -> String {
    let Updated { from, version, offered, notes, .. } = updated;
    if version != from {
        let notes = notes.as_ref().map_or(String::new(), |notes| format!("  {}", Shown(notes)));
        format!("{name}  {from} -> {version}{notes}")
    } else if offered != version {
        format!("{name}  {version}  {offered} was declined; `ondine update {name}` takes it")
    } else {
        format!("{name}  {version}  newest")
    }
}

fn as_json(name: &ModelName, updated: &Updated) -> Value {
    json!({
        "name": name.as_str(),
        "from": updated.from,
        "version": updated.version,
        "offered": updated.offered,
        "sha256": updated.manifest.blob.to_string(),
        "notes": updated.notes,
    })
}
