//! Device functions: the table, a device that can nothing, and a desktop.

use std::sync::{Mutex, mpsc};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ondine_app::Effect;

use super::*;
use crate::testing::{Folder, called, hostile};

/// The table says what the project's list of functions says. The example `ready-tools` compares it with
/// droplet's own, which this crate must not know.
#[test]
fn the_table_agrees_with_the_list() {
    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/assistant/functions.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: {path} is not here");
        return;
    };
    let list: Value = serde_json::from_str(&text).unwrap();
    let list = list["functions"].as_array().unwrap();
    let list = list.iter().filter(|entry| entry["name"] != "cloud" && entry["name"] != "none");
    let mut count = 0;
    for (entry, function) in list.zip(FUNCTIONS) {
        count += 1;
        assert_eq!(entry["name"], function.name);
        assert_eq!(entry["description"]["en"], function.about);
        assert_eq!(entry["description"]["zh"], function.about_zh);
    }
    assert_eq!(count, 37);
    let rest: Vec<_> = FUNCTIONS[37..].iter().map(|function| function.name).collect();
    assert_eq!(rest, ["clipboard_read", "clipboard_write"]);
}

/// A phone that can make calls, and nothing else.
struct Phone(Mutex<Vec<Call>>);

impl Device for Phone {
    fn call(&self, asked: Call, _: &Context) -> Result<Value, ToolError> {
        self.0.lock().unwrap().push(asked);
        Ok(json!("ringing"))
    }
}

/// Every function with all of its parameters, and with those alone that it must have.
fn every(tool: &Arc<dyn Tool>, function: &Function) -> [Value; 2] {
    assert_eq!(tool.spec().name, function.name);
    let with = |all: bool| {
        let fields = function.parameters.iter().filter(|parameter| all || parameter.required);
        let values = fields.map(|parameter| {
            (parameter.name.to_owned(), json!(parameter.words.first().unwrap_or(&"5")))
        });
        Value::Object(values.collect())
    };
    [with(true), with(false)]
}

#[test]
fn what_a_device_cannot_do_is_a_refusal() {
    let phone = Arc::new(Phone(Mutex::default()));
    let tools = device_tools(phone.clone());
    assert_eq!(tools.len(), 39);
    for (tool, function) in tools.iter().zip(FUNCTIONS) {
        for arguments in every(tool, function) {
            let done = called(tool, arguments.clone());
            match function.name {
                "call_make" => assert_eq!(done, Ok(json!("ringing"))),
                // It got as far as the device: its values were understood.
                name => assert!(
                    matches!(&done, Err(ToolError::Refused(what)) if what.starts_with("this device cannot")),
                    "{name} {arguments}: {done:?}"
                ),
            }
        }
        hostile(tool);
    }
    assert_eq!(phone.0.lock().unwrap()[0], Call::Make { person: "5".into() });
    let effect =
        |name: &str| tools.iter().find(|tool| tool.spec().name == name).unwrap().spec().effect;
    for name in ["message_send", "email_send", "call_make"] {
        assert_eq!(effect(name), Effect::Irreversible);
    }
    assert_eq!((effect("alarm_query"), effect("alarm_set")), (Effect::Read, Effect::Write));
}

/// Starts nothing, and keeps what it was asked.
#[derive(Default)]
struct Desk(Mutex<Vec<String>>);

impl Launch for Desk {
    fn open(&self, url: &str) -> Result<(), ToolError> {
        self.0.lock().unwrap().push(format!("open {url}"));
        Ok(())
    }

    fn start(&self, app: &str) -> Result<(), ToolError> {
        self.0.lock().unwrap().push(format!("start {app}"));
        Ok(())
    }

    fn paste(&self) -> Result<String, ToolError> {
        Ok(self.0.lock().unwrap().last().cloned().unwrap_or_default())
    }

    fn copy(&self, text: &str) -> Result<(), ToolError> {
        self.0.lock().unwrap().push(text.to_owned());
        Ok(())
    }
}

fn utc(text: &str) -> Zoned {
    format!("{text}Z").parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC)
}

struct Set {
    tools: Vec<Arc<dyn Tool>>,
    desk: Arc<Desk>,
    now: Arc<Mutex<Zoned>>,
    rung: mpsc::Receiver<Notice>,
    folder: Folder,
}

impl Set {
    fn call(&self, name: &str, arguments: Value) -> Result<Value, ToolError> {
        let tool = self.tools.iter().find(|tool| tool.spec().name == name).unwrap();
        called(tool, arguments)
    }

    fn rings(&self) -> Notice {
        self.rung.recv_timeout(Duration::from_secs(20)).expect("it is time")
    }
}

/// A desktop whose clock stands where the test puts it: a Sunday evening at first.
fn desktop() -> Set {
    let folder = Folder::new("desktop");
    let now = Arc::new(Mutex::new(utc("2026-11-22T20:00:00")));
    let desk = Arc::new(Desk::default());
    let (sender, rung) = mpsc::channel();
    let sender = Mutex::new(sender);
    let tell = move |notice: &Notice| {
        let _ = sender.lock().unwrap().send(notice.clone());
    };
    let clock = now.clone();
    let clock = Arc::new(move || clock.lock().unwrap().clone());
    let desktop = Desktop::with(folder.path(), Arc::new(tell), desk.clone(), clock).unwrap();
    Set { tools: device_tools(Arc::new(desktop)), desk, now, rung, folder }
}

#[test]
fn a_desktop_rings_when_it_is_time() {
    let set = desktop();
    let at = |result: Result<Value, ToolError>| result.unwrap()["at"].as_str().unwrap().to_owned();
    let alarm = set.call(
        "alarm_set",
        json!({"time": "half past six", "date": "tomorrow", "repeat": "every day"}),
    );
    assert_eq!(at(alarm), "2026-11-23 06:30:00");
    assert_eq!(at(set.call("alarm_set", json!({"time": "早上七点"}))), "2026-11-23 07:00:00");
    assert_eq!(
        at(set.call("timer_set", json!({"duration": "十分钟", "label": "tea"}))),
        "2026-11-22 20:10:00"
    );
    let reminder = set.call("reminder_set", json!({"text": "leeks", "time": "9 pm"}));
    assert_eq!(at(reminder), "2026-11-22 21:00:00");
    for (name, odd) in [
        ("alarm_set", json!({"time": "soon"})),
        ("alarm_set", json!({"time": "7", "date": "yesterday"})),
        ("alarm_set", json!({"time": "7", "repeat": "sometimes"})),
        ("timer_set", json!({"duration": "a while"})),
        ("reminder_set", json!({"text": "x"})),
        ("alarm_cancel", json!({})),
    ] {
        assert!(
            matches!(set.call(name, odd.clone()), Err(ToolError::Arguments(_))),
            "{name} {odd}"
        );
    }
    assert_eq!(set.call("alarm_query", json!({})).unwrap()["alarms"].as_array().unwrap().len(), 2);
    assert_eq!(set.call("alarm_cancel", json!({"time": "7:00"})).unwrap()["cancelled"], 1);

    // The clock goes on; another timer wakes the thread that looks at it.
    let goes_on = |to: &str| *set.now.lock().unwrap() = utc(to);
    goes_on("2026-11-22T20:10:00");
    set.call("timer_set", json!({"duration": "5 hours"})).unwrap();
    let tea = set.rings();
    assert_eq!((tea.kind, tea.text.as_str()), (Kind::Timer, "tea"));
    goes_on("2026-11-24T06:30:00");
    set.call("timer_set", json!({"duration": "5 hours"})).unwrap();
    let kinds: Vec<Kind> = (0..3).map(|_| set.rings().kind).collect();
    assert_eq!(kinds, [Kind::Reminder, Kind::Timer, Kind::Alarm], "in order, once each");
    let left = set.call("alarm_query", json!({})).unwrap();
    assert_eq!(left["alarms"][0]["at"], "2026-11-25 06:30:00", "again tomorrow");
    let _ = set.folder.path();
}

#[test]
fn what_is_due_outlives_the_program() {
    let set = desktop();
    set.call("timer_set", json!({"duration": "1 hour", "label": "bread"})).unwrap();
    let Set { tools, folder, .. } = set;
    drop(tools);
    let (sender, rung) = mpsc::channel();
    let sender = Mutex::new(sender);
    let tell = move |notice: &Notice| sender.lock().unwrap().send(notice.clone()).unwrap();
    let later = || utc("2026-11-23T08:00:00");
    let again =
        Desktop::with(folder.path(), Arc::new(tell), Arc::new(Desk::default()), Arc::new(later));
    assert_eq!(rung.recv_timeout(Duration::from_secs(20)).unwrap().text, "bread");
    drop(again);
}

#[test]
fn a_desktop_does_what_it_can() {
    let set = desktop();
    for item in ["leeks", "bread", "leeks"] {
        set.call("list_add", json!({"item": item, "list": "Shopping"})).unwrap();
    }
    assert_eq!(set.call("list_query", json!({})).unwrap()["items"], json!(["leeks", "bread"]));
    set.call("list_remove", json!({"item": "Bread"})).unwrap();
    assert_eq!(
        set.call("list_query", json!({"list": "shopping"})).unwrap()["items"],
        json!(["leeks"])
    );
    assert!(set.call("list_remove", json!({"item": "milk"})).is_err());
    set.call("list_remove", json!({"list": "shopping"})).unwrap();

    let event = json!({"event": "Dentist", "date": "next friday", "time": "3pm", "place": "town"});
    assert_eq!(set.call("calendar_add", event).unwrap()["date"], "2026-11-27");
    set.call("calendar_add", json!({"event": "开会", "date": "明天"})).unwrap();
    let found = set.call("calendar_query", json!({"date": "friday"})).unwrap();
    assert_eq!((&found["of"], &found["events"][0]["time"]), (&json!(1), &json!("15:00")));
    assert!(set.call("calendar_remove", json!({})).is_err());
    assert_eq!(set.call("calendar_remove", json!({"event": "dent"})).unwrap()["removed"], 1);
    assert_eq!(set.call("calendar_query", json!({})).unwrap()["of"], 1);

    assert_eq!(set.call("note_create", json!({"text": "hello"})).unwrap()["id"], 1);
    assert_eq!(set.call("calculate", json!({"expression": "15% of 80"})).unwrap()["result"], "12");
    let convert = json!({"value": 5, "unit_from": "km", "unit_to": "m"});
    assert_eq!(set.call("unit_convert", convert).unwrap()["result"], "5000 m");
    assert_eq!(set.call("clock_query", json!({})).unwrap()["time"], "20:00:00");
    assert_eq!(set.call("clock_query", json!({"date": "tomorrow"})).unwrap()["weekday"], "Monday");
    set.call("clipboard_write", json!({"text": "copied"})).unwrap();
    assert_eq!(set.call("clipboard_read", json!({})).unwrap()["text"], "copied");
    set.call("app_open", json!({"app": "Text Editor"})).unwrap();
    set.call("app_open", json!({"app": "https://example.org/"})).unwrap();
    for odd in ["file:///etc/passwd", "/bin/sh", "..\\x", "-rf", "a\nb", "javascript:x"] {
        assert!(
            matches!(set.call("app_open", json!({"app": odd})), Err(ToolError::Refused(_))),
            "{odd}"
        );
    }
    let asked = set.desk.0.lock().unwrap().clone();
    assert_eq!(asked, ["copied", "start Text Editor", "open https://example.org/"]);
    for (name, arguments) in
        [("light_set", json!({"state": "on"})), ("call_make", json!({"person": "Ada"}))]
    {
        assert!(matches!(set.call(name, arguments), Err(ToolError::Refused(_))), "{name}");
    }
    set.tools.iter().for_each(hostile);
}

#[test]
fn a_desktop_offers_what_it_has_a_hand_for_and_refuses_the_rest() {
    let folder = Folder::new("offered");
    let desk = Arc::new(Desk::default());
    let now = utc("2026-11-22T20:00:00");
    let clock = Arc::new(move || now.clone());
    let desktop = Desktop::with(folder.path(), Arc::new(|_: &Notice| {}), desk, clock).unwrap();
    let desktop = Arc::new(desktop);
    let offered = desktop_tools(desktop.clone());
    let names: Vec<&str> = offered.iter().map(|tool| tool.spec().name.as_str()).collect();
    for name in ["timer_set", "note_create", "calculate", "clipboard_read"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for (tool, function) in device_tools(desktop).iter().zip(FUNCTIONS) {
        for arguments in every(tool, function) {
            let done = called(tool, arguments);
            let cannot = matches!(&done, Err(ToolError::Refused(what)) if what.starts_with("this device cannot"));
            assert_eq!(cannot, !names.contains(&function.name), "{}: {done:?}", function.name);
        }
    }
}
