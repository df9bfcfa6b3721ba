//! The closed set of device functions that droplet calls, and the two ways out of it.
//!
//! The order of the parameters is the order of the answer. The table knows no tokens.

/// Something a device can do.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, as programs know it.
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// What it takes, in the order of the answer.
    pub parameters: &'static [Parameter],
}

/// One parameter of a function.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Whether every call has it.
    pub required: bool,
    /// The words it may have; none where it is a piece of the request itself.
    pub words: &'static [&'static str],
}

const fn function(
    name: &'static str,
    about: &'static str,
    parameters: &'static [Parameter],
) -> Function {
    Function { name, about, parameters }
}

const fn required(name: &'static str) -> Parameter {
    Parameter { name, required: true, words: &[] }
}

const fn optional(name: &'static str) -> Parameter {
    Parameter { name, required: false, words: &[] }
}

const fn required_of(name: &'static str, words: &'static [&'static str]) -> Parameter {
    Parameter { name, required: true, words }
}

const fn optional_of(name: &'static str, words: &'static [&'static str]) -> Parameter {
    Parameter { name, required: false, words }
}

/// The name of the way out to a larger model.
pub const CLOUD: &str = "cloud";
/// The name of the answer to what is no request.
pub const NONE: &str = "none";

/// Every function, `cloud` and `none` last.
pub const FUNCTIONS: &[Function] = &[
    function(
        "alarm_set",
        "Set an alarm",
        &[required("time"), optional("date"), optional("label"), optional("repeat")],
    ),
    function("alarm_query", "List or ask about alarms", &[optional("date"), optional("time")]),
    function("alarm_cancel", "Cancel an alarm", &[optional("time"), optional("date")]),
    function("timer_set", "Start a countdown timer", &[required("duration"), optional("label")]),
    function(
        "reminder_set",
        "Remind the user of something",
        &[required("text"), optional("time"), optional("date")],
    ),
    function(
        "calendar_add",
        "Put an event into the calendar",
        &[
            required("event"),
            optional("date"),
            optional("time"),
            optional("person"),
            optional("place"),
        ],
    ),
    function(
        "calendar_query",
        "Ask about events",
        &[optional("date"), optional("event"), optional("time")],
    ),
    function(
        "calendar_remove",
        "Delete an event",
        &[optional("event"), optional("date"), optional("time")],
    ),
    function(
        "clock_query",
        "Ask for the time or the date, here or elsewhere",
        &[optional("place"), optional("date")],
    ),
    function(
        "weather_query",
        "Ask about the weather",
        &[optional("place"), optional("date"), optional("condition")],
    ),
    function(
        "list_add",
        "Add an item to a list, or make a list",
        &[optional("item"), optional("list")],
    ),
    function("list_query", "Read a list", &[optional("list")]),
    function("list_remove", "Remove an item or a list", &[optional("item"), optional("list")]),
    function("note_create", "Write a note", &[required("text")]),
    function(
        "music_play",
        "Play music",
        &[
            optional("song"),
            optional("artist"),
            optional("genre"),
            optional("playlist"),
            optional("album"),
            optional("service"),
        ],
    ),
    function(
        "playlist_add",
        "Add to a playlist",
        &[required("playlist"), optional("song"), optional("artist")],
    ),
    function(
        "media_control",
        "Pause, resume, skip, stop, shuffle or repeat what plays",
        &[required_of(
            "action",
            &["pause", "resume", "next", "previous", "stop", "shuffle", "repeat"],
        )],
    ),
    function("radio_play", "Play a radio station", &[optional("station")]),
    function("podcast_play", "Play a podcast", &[optional("name"), optional("topic")]),
    function(
        "audiobook_play",
        "Play or resume an audiobook",
        &[optional("title"), optional("author")],
    ),
    function(
        "volume_set",
        "Change the volume",
        &[optional_of("direction", &["up", "down", "mute", "unmute"]), optional("level")],
    ),
    function(
        "light_set",
        "Switch, dim or colour lights",
        &[
            optional("place"),
            optional_of("state", &["on", "off"]),
            optional("brightness"),
            optional("color"),
        ],
    ),
    function(
        "device_switch",
        "Switch a device on or off, open or close it",
        &[required("device"), required_of("state", &["on", "off"]), optional("place")],
    ),
    function(
        "climate_set",
        "Set the heating or cooling",
        &[required("temperature"), optional("place")],
    ),
    function("vacuum_start", "Start the vacuum cleaner", &[optional("place")]),
    function("message_send", "Send a text message", &[required("person"), optional("text")]),
    function("email_send", "Write or send an e-mail", &[optional("person"), optional("subject")]),
    function("email_query", "Ask about e-mail received", &[optional("person"), optional("date")]),
    function("call_make", "Call a person or number", &[required("person")]),
    function(
        "contact_query",
        "Look up a contact's details",
        &[required("person"), optional("field")],
    ),
    function("contact_add", "Add a contact", &[optional("person"), optional("address")]),
    function("app_open", "Open an app or a game", &[required("app")]),
    function(
        "setting_set",
        "Change a setting of the device (Wi-Fi, Bluetooth, do not disturb, flashlight ...)",
        &[required("setting"), optional_of("state", &["on", "off"])],
    ),
    function(
        "camera_capture",
        "Take a photo or video",
        &[required_of("mode", &["photo", "video"])],
    ),
    function(
        "navigate",
        "Directions or traffic to a place",
        &[optional("destination"), optional("mode")],
    ),
    function("calculate", "Work out arithmetic", &[required("expression")]),
    function(
        "unit_convert",
        "Convert between units of measure",
        &[required("value"), optional("unit_from"), required("unit_to")],
    ),
    function("cloud", "The request needs knowledge or a service that is not on the device", &[]),
    function("none", "No request: chat, thanks, noise", &[]),
];

impl Function {
    /// The function of this name.
    pub fn named(name: &str) -> Option<&'static Function> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let plain = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        for (at, function) in FUNCTIONS.iter().enumerate() {
            assert!(plain(function.name) && !function.about.is_empty(), "{}", function.name);
            let first = FUNCTIONS.iter().position(|other| other.name == function.name);
            assert_eq!(first, Some(at), "{} is there twice", function.name);
            for (at, parameter) in function.parameters.iter().enumerate() {
                let same = |other: &Parameter| other.name == parameter.name;
                assert!(plain(parameter.name), "{}", parameter.name);
                assert_eq!(function.parameters.iter().position(same), Some(at));
            }
        }
    }

    /// The table says what the project's list of functions says.
    #[test]
    fn the_table_agrees_with_the_list() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/assistant/functions.json");
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: {path} is not here");
            return;
        };
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        let list = list["functions"].as_array().unwrap();
        assert_eq!(list.len(), FUNCTIONS.len());
        for (entry, function) in list.iter().zip(FUNCTIONS) {
            assert_eq!(entry["name"], function.name);
            assert_eq!(entry["description"]["en"], function.about);
            let parameters = entry["parameters"].as_object().unwrap();
            assert_eq!(parameters.len(), function.parameters.len(), "{}", function.name);
            for ((name, kind), parameter) in parameters.iter().zip(function.parameters) {
                let kind = kind.as_str().unwrap();
                let place = format!("{} {name}", function.name);
                assert_eq!(name, parameter.name, "{place}");
                assert_eq!(!kind.ends_with('?'), parameter.required, "{place}");
                let words: Vec<&str> = match kind.trim_end_matches('?') {
                    text if text.starts_with("string") => vec![],
                    words => words.split('|').collect(),
                };
                assert_eq!(words, parameter.words, "{place}");
            }
        }
    }
}
