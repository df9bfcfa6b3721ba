//! `ondine app add|ls|rm`: who may ask the service.

use jiff::Timestamp;

use crate::apps;
use crate::commands::serve;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::Answer;
use crate::usage::{self, Ledger};

/// Adds, lists or removes.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let action = arguments.text("action").unwrap_or_default();
    let name = arguments.text("name");
    let background = arguments.text("priority").as_deref() == Some("background");
    let needed = || {
        name.clone().ok_or_else(|| Failure::usage(format!("`ondine app {action}` needs a NAME")))
    };
    let mut answer = Answer::new();
    match action.as_str() {
        "add" => {
            let tokens_per_day = arguments.large("tokens-per-day");
            answer.row(apps::add(&needed()?, background, tokens_per_day)?)?;
        }
        "rm" => {
            let name = needed()?;
            apps::remove(&name)?;
            // A later app of this name is another one.
            serve::forget(&name)?;
        }
        "ls" => {
            let (ledger, now) = (Ledger::open(usage::path()?)?, Timestamp::now());
            for app in apps::all()? {
                let priority = if app.background { "background" } else { "interactive" };
                let used = ledger.used(&app.name, now);
                let quota = app.tokens_per_day.map_or("-".to_owned(), |quota| quota.to_string());
                answer.row(format_args!("{}\t{priority}\t{used}\t{quota}", app.name))?;
            }
        }
        other => {
            return Err(Failure::usage(format!("`ondine app {other}`: it is add, ls or rm")));
        }
    }
    answer.done()
}
