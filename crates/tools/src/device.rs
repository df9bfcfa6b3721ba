//! The functions of a device, droplet's thirty-seven and the clipboard, as tools: a trait with a method for
//! each group of them, which a phone implements, and an implementation for a desktop. What a device cannot
//! do is a refusal that says so. The trait touches nothing; what the desktop touches stands in its file.
//!
//! | module | what it holds |
//! |---|---|
//! | `asked` | what a device is asked, by groups |
//! | `functions` | the table of functions |
//! | `desktop` | a desktop: timers, notes, lists, a calendar, the clipboard, opening |
//! | `book` | what a desktop keeps |
//! | `ring` | the thread that says when it is time |
//! | `launch` | programs that a desktop starts |

mod asked;
mod book;
mod desktop;
mod functions;
mod launch;
mod ring;

use std::sync::Arc;
use std::time::Duration;

use ondine_app::{Context, FnTool, Tool, ToolError, ToolSpec};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use asked::{
    Alarm, App, Calendar, Call, Camera, Clipboard, Clock, Compute, Contact, Home, List, Media,
    Message, Navigate, Note, Reminder, Setting, Timer, Volume, Weather,
};
pub use book::{Kind, Notice};
pub use desktop::Desktop;
pub use launch::{Launch, SystemLaunch};
pub use ring::Notify;

use crate::arguments::Arguments;
use functions::{FUNCTIONS, Function, Group};

/// Bytes of one value at most.
const VALUE_BYTES_MAX: usize = 2_000;

type Done = Result<Value, ToolError>;

/// What a device cannot do, as a model is told.
fn cannot(what: &str) -> Done {
    Err(ToolError::Refused(format!("this device cannot: {what}")))
}

/// A device. What it has no method for, it refuses. The key of the context is the same for every try of the
/// same call: what must happen once goes by it.
pub trait Device: Send + Sync {
    /// Alarms.
    ///
    /// # Errors
    /// It cannot, or it did not work. The same holds for all methods.
    fn alarm(&self, _: Alarm, _: &Context) -> Done {
        cannot("alarms")
    }

    /// Countdowns.
    fn timer(&self, _: Timer, _: &Context) -> Done {
        cannot("timers")
    }

    /// Reminders.
    fn reminder(&self, _: Reminder, _: &Context) -> Done {
        cannot("reminders")
    }

    /// Events of a calendar.
    fn calendar(&self, _: Calendar, _: &Context) -> Done {
        cannot("the calendar")
    }

    /// The time and the date.
    fn clock(&self, _: Clock, _: &Context) -> Done {
        cannot("the clock")
    }

    /// The weather.
    fn weather(&self, _: Weather, _: &Context) -> Done {
        cannot("the weather")
    }

    /// Lists of things.
    fn list(&self, _: List, _: &Context) -> Done {
        cannot("lists")
    }

    /// Notes.
    fn note(&self, _: Note, _: &Context) -> Done {
        cannot("notes")
    }

    /// Music, radio, podcasts.
    fn media(&self, _: Media, _: &Context) -> Done {
        cannot("music and other media")
    }

    /// How loud it is.
    fn volume(&self, _: Volume, _: &Context) -> Done {
        cannot("the volume")
    }

    /// Lights and devices of a home.
    fn home(&self, _: Home, _: &Context) -> Done {
        cannot("lights and devices of a home")
    }

    /// Messages and e-mail.
    fn message(&self, _: Message, _: &Context) -> Done {
        cannot("messages and e-mail")
    }

    /// Telephone calls.
    fn call(&self, _: Call, _: &Context) -> Done {
        cannot("telephone calls")
    }

    /// People and their details.
    fn contact(&self, _: Contact, _: &Context) -> Done {
        cannot("contacts")
    }

    /// Applications.
    fn app(&self, _: App, _: &Context) -> Done {
        cannot("opening applications")
    }

    /// Settings.
    fn setting(&self, _: Setting, _: &Context) -> Done {
        cannot("settings")
    }

    /// The camera.
    fn camera(&self, _: Camera, _: &Context) -> Done {
        cannot("the camera")
    }

    /// Ways to places.
    fn navigate(&self, _: Navigate, _: &Context) -> Done {
        cannot("navigation")
    }

    /// Arithmetic and units.
    fn compute(&self, _: Compute, _: &Context) -> Done {
        cannot("arithmetic")
    }

    /// The clipboard.
    fn clipboard(&self, _: Clipboard, _: &Context) -> Done {
        cannot("the clipboard")
    }
}

/// A tool for each function of a device, those that it refuses among them.
pub fn device_tools(device: Arc<dyn Device>) -> Vec<Arc<dyn Tool>> {
    FUNCTIONS.iter().map(|function| tool(function, device.clone())).collect()
}

/// Those of them that a desktop has a hand for; the others it would only refuse.
pub fn desktop_tools(desktop: Arc<Desktop>) -> Vec<Arc<dyn Tool>> {
    let done = FUNCTIONS.iter().filter(|function| desktop::DOES.contains(&function.group));
    done.map(|function| tool(function, desktop.clone())).collect()
}

fn tool(function: &'static Function, device: Arc<dyn Device>) -> Arc<dyn Tool> {
    let fields = function.parameters.iter().map(|parameter| {
        let mut schema = json!({"type": "string"});
        if !parameter.words.is_empty() {
            schema["enum"] = json!(parameter.words);
        }
        (parameter.name.to_owned(), schema)
    });
    let required = function.parameters.iter().filter(|parameter| parameter.required);
    let spec = ToolSpec {
        name: function.name.into(),
        description: format!("{}. {}", function.about, function.about_zh),
        parameters: json!({
            "type": "object",
            "properties": fields.collect::<Map<String, Value>>(),
            "required": required.map(|parameter| parameter.name).collect::<Vec<_>>(),
            "additionalProperties": false,
        }),
        effect: function.effect,
        timeout: Duration::from_secs(15),
    };
    Arc::new(FnTool::new(spec, move |arguments: Value, context: &Context| {
        serve(&*device, function, checked(function, arguments)?, context)
    }))
}

/// Values as texts, under the names that the function has.
fn checked(function: &Function, arguments: Value) -> Result<Value, ToolError> {
    let names: Vec<&str> = function.parameters.iter().map(|parameter| parameter.name).collect();
    let arguments = match arguments {
        // A level of 5 is "5".
        Value::Object(mut fields) => {
            for value in fields.values_mut().filter(|value| value.is_number()) {
                *value = json!(value.to_string());
            }
            Value::Object(fields)
        }
        other => other,
    };
    let mut arguments = Arguments::of(arguments, &names)?;
    let mut values = Map::new();
    for parameter in function.parameters {
        let text = arguments.text_if(parameter.name, VALUE_BYTES_MAX)?;
        let text = text.filter(|text| !text.trim().is_empty());
        match text {
            Some(text) if !parameter.words.is_empty() && !parameter.words.contains(&&*text) => {
                return Err(ToolError::Arguments(format!(
                    "expected `{}` to be one of {}",
                    parameter.name,
                    parameter.words.join(", ")
                )));
            }
            Some(text) => {
                values.insert(parameter.name.to_owned(), json!(text));
            }
            None if parameter.required => {
                return Err(ToolError::Arguments(format!("`{}` is missing", parameter.name)));
            }
            None => {}
        }
    }
    Ok(json!({function.name: values}))
}

fn read<T: DeserializeOwned>(asked: Value) -> Result<T, ToolError> {
    serde_json::from_value(asked).map_err(|error| ToolError::Arguments(error.to_string()))
}

fn serve(device: &dyn Device, function: &Function, asked: Value, context: &Context) -> Done {
    match function.group {
        Group::Alarm => device.alarm(read(asked)?, context),
        Group::Timer => device.timer(read(asked)?, context),
        Group::Reminder => device.reminder(read(asked)?, context),
        Group::Calendar => device.calendar(read(asked)?, context),
        Group::Clock => device.clock(read(asked)?, context),
        Group::Weather => device.weather(read(asked)?, context),
        Group::List => device.list(read(asked)?, context),
        Group::Note => device.note(read(asked)?, context),
        Group::Media => device.media(read(asked)?, context),
        Group::Volume => device.volume(read(asked)?, context),
        Group::Home => device.home(read(asked)?, context),
        Group::Message => device.message(read(asked)?, context),
        Group::Call => device.call(read(asked)?, context),
        Group::Contact => device.contact(read(asked)?, context),
        Group::App => device.app(read(asked)?, context),
        Group::Setting => device.setting(read(asked)?, context),
        Group::Camera => device.camera(read(asked)?, context),
        Group::Navigate => device.navigate(read(asked)?, context),
        Group::Compute => device.compute(read(asked)?, context),
        Group::Clipboard => device.clipboard(read(asked)?, context),
    }
}

#[cfg(test)]
mod tests;
