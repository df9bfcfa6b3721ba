//! `ondine app add|ls|rm`: who may ask the service.

use crate::apps;
use crate::commands::serve;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::output::Answer;

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
        "add" => answer.row(apps::add(&needed()?, background)?)?,
        "rm" => {
            let name = needed()?;
            apps::remove(&name)?;
            // What its conversations left: a later app of this name is another one.
            if let Ok(folder) = serve::spilled() {
                folder.forget_app(&name);
            }
        }
        "ls" => {
            for app in apps::all()? {
                let priority = if app.background { "background" } else { "interactive" };
                answer.row(format_args!("{}\t{priority}", app.name))?;
            }
        }
        other => {
            return Err(Failure::usage(format!("`ondine app {other}`: it is add, ls or rm")));
        }
    }
    answer.done()
}
