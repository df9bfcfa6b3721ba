//! A desktop as a device: alarms, timers and reminders while the program runs, a calendar, lists and notes in
//! a folder, the calculator, the clipboard, and opening. What a desktop has no hand for, lights and calls,
//! it refuses. It touches its folder, the clock, one thread, and the programs of `launch`.

use std::path::Path;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::{Timestamp, Zoned};
use ondine_app::{Context, ToolError};
use serde_json::{Value, json};

use super::book::{Book, Due, Event, Kind, Notice, Repeat};
use super::functions::Group;
use super::launch::{Launch, SystemLaunch};
use super::ring::{Notify, Ring};
use super::{Alarm, App, Calendar, Clipboard, Clock, Compute, Device, List, Note, Reminder, Timer};
use crate::calculator::calculate;
use crate::kept::Kept;
use crate::notes::Notes;
use crate::{clock, when};

/// What is due at most, events at most, and items of all lists at most.
const DUE_MAX: usize = 500;
const EVENTS_MAX: usize = 5_000;
const ITEMS_MAX: usize = 5_000;
/// The list that is meant where none is named.
const LIST: &str = "list";

/// What a desktop has a hand for: the methods of [`Device`] that stand below.
pub(super) const DOES: &[Group] = &[
    Group::Alarm,
    Group::Timer,
    Group::Reminder,
    Group::Calendar,
    Group::Clock,
    Group::List,
    Group::Note,
    Group::App,
    Group::Compute,
    Group::Clipboard,
];

type Done = Result<Value, ToolError>;
type Now = Arc<dyn Fn() -> Zoned + Send + Sync>;

/// A desktop. Its alarms ring as long as it is there, and are in its folder when it is not.
pub struct Desktop {
    book: Arc<Kept>,
    notes: Notes,
    launch: Arc<dyn Launch>,
    now: Now,
    ring: Ring,
}

fn wrong(what: impl Into<String>) -> ToolError {
    ToolError::Arguments(what.into())
}

impl Desktop {
    /// A desktop that keeps what it must in a folder that is there, and tells `notify` when it is time.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn open(folder: impl AsRef<Path>, notify: Arc<dyn Notify>) -> std::io::Result<Desktop> {
        Desktop::with(folder, notify, Arc::new(SystemLaunch), Arc::new(Zoned::now))
    }

    /// The same, with another way to start programs and another clock.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn with(
        folder: impl AsRef<Path>,
        notify: Arc<dyn Notify>,
        launch: Arc<dyn Launch>,
        now: Arc<dyn Fn() -> Zoned + Send + Sync>,
    ) -> std::io::Result<Desktop> {
        let folder = folder.as_ref();
        let book = Arc::new(Kept::at(folder.join("device.json")));
        let notes = Notes::at(folder.join("notes.json"));
        let ring = Ring::start(book.clone(), notify, now.clone())?;
        Ok(Desktop { book, notes, launch, now, ring })
    }

    /// The notes, for tools of their own.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    fn day(&self, text: &str) -> Result<Date, ToolError> {
        when::day(text, (self.now)().date()).ok_or_else(|| {
            wrong(format!("no day is understood in {text:?}; say one as 2026-11-22"))
        })
    }

    fn hour(text: &str) -> Result<Time, ToolError> {
        when::hour(text)
            .ok_or_else(|| wrong(format!("no time is understood in {text:?}; say one as 18:30")))
    }

    /// The moment that a time and perhaps a day mean: the next such time where no day is said.
    fn moment(&self, time: Option<&str>, date: Option<&str>) -> Result<Zoned, ToolError> {
        let now = (self.now)();
        let time = match time {
            Some(time) => Desktop::hour(time)?,
            // A reminder for tomorrow is for the morning.
            None => Time::constant(9, 0, 0, 0),
        };
        let zone = now.time_zone().clone();
        let at = |day: Date| {
            day.to_datetime(time).to_zoned(zone.clone()).map_err(|error| wrong(error.to_string()))
        };
        if let Some(date) = date {
            let at = at(self.day(date)?)?;
            if at <= now {
                return Err(wrong(format!("{} is past", at.strftime("%Y-%m-%d %H:%M"))));
            }
            return Ok(at);
        }
        let today = at(now.date())?;
        if today > now {
            return Ok(today);
        }
        at(now.date().tomorrow().map_err(|error| wrong(error.to_string()))?)
    }

    fn set(
        &self,
        kind: Kind,
        at: &Zoned,
        text: String,
        repeat: Option<Repeat>,
        context: &Context,
    ) -> Done {
        let due = self.book.change(|book: &mut Book| {
            let same = |due: &&Due| !context.key.is_empty() && due.key == context.key;
            if let Some(due) = book.due.iter().find(same) {
                return Ok(due.clone());
            }
            if book.due.len() >= DUE_MAX {
                return Err(ToolError::Failed(format!("{DUE_MAX} are set; cancel some first")));
            }
            let notice = Notice { id: book.id(), kind, at_s: at.timestamp().as_second(), text };
            let due = Due { notice, repeat, key: context.key.clone() };
            book.due.push(due.clone());
            Ok(due)
        })?;
        self.ring.changed();
        Ok(self.shown(&due))
    }

    fn local(&self, at_s: i64) -> Option<Zoned> {
        Some(Timestamp::from_second(at_s).ok()?.to_zoned((self.now)().time_zone().clone()))
    }

    fn shown(&self, due: &Due) -> Value {
        let at = self.local(due.notice.at_s);
        json!({
            "id": due.notice.id,
            "at": at.map(|at| at.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            "text": due.notice.text,
            "repeat": due.repeat,
        })
    }

    /// The alarms that a day and a time fit; all where neither is said.
    fn alarms(
        &self,
        book: &Book,
        date: Option<&str>,
        time: Option<&str>,
    ) -> Result<Vec<u64>, ToolError> {
        let date = date.map(|date| self.day(date)).transpose()?;
        let time = time.map(Desktop::hour).transpose()?;
        let fits = |due: &&Due| {
            let at = self.local(due.notice.at_s);
            due.notice.kind == Kind::Alarm
                && date.is_none_or(|date| at.as_ref().is_some_and(|at| at.date() == date))
                && time.is_none_or(|time| {
                    at.as_ref()
                        .is_some_and(|at| (at.hour(), at.minute()) == (time.hour(), time.minute()))
                })
        };
        Ok(book.due.iter().filter(fits).map(|due| due.notice.id).collect())
    }

    fn events(&self, book: &Book, asked: &Calendar) -> Result<Vec<Event>, ToolError> {
        let (Calendar::Query { event, date, time } | Calendar::Remove { event, date, time }) =
            asked
        else {
            return Ok(Vec::new());
        };
        let day =
            date.as_deref().map(|date| self.day(date)).transpose()?.map(|day| day.to_string());
        let hour = time.as_deref().map(Desktop::hour).transpose()?;
        let hour = hour.map(|hour| hour.strftime("%H:%M").to_string());
        let word = event.as_ref().map(|event| event.to_lowercase());
        let fits = |event: &&Event| {
            day.as_ref().is_none_or(|day| event.date == *day)
                && hour.as_ref().is_none_or(|hour| event.time.as_ref() == Some(hour))
                && word.as_ref().is_none_or(|word| event.event.to_lowercase().contains(word))
        };
        let mut found: Vec<Event> = book.events.iter().filter(fits).cloned().collect();
        found.sort_by(|a, b| (&a.date, &a.time).cmp(&(&b.date, &b.time)));
        Ok(found)
    }
}

impl Device for Desktop {
    fn alarm(&self, asked: Alarm, context: &Context) -> Done {
        match asked {
            Alarm::Set { time, date, label, repeat } => {
                let repeat = match repeat {
                    Some(text) => Some(Repeat::of(&text).ok_or_else(|| {
                        wrong(format!(
                            "no repetition is understood in {text:?}; say daily, weekdays or weekly"
                        ))
                    })?),
                    None => None,
                };
                let at = self.moment(Some(&time), date.as_deref())?;
                self.set(Kind::Alarm, &at, label.unwrap_or_default(), repeat, context)
            }
            Alarm::Query { date, time } => {
                let book: Book = self.book.read()?;
                let ids = self.alarms(&book, date.as_deref(), time.as_deref())?;
                let due = book.due.iter().filter(|due| ids.contains(&due.notice.id));
                Ok(json!({"alarms": due.take(50).map(|due| self.shown(due)).collect::<Vec<_>>()}))
            }
            Alarm::Cancel { time, date } => {
                let gone = self.book.change(|book: &mut Book| {
                    let ids = self.alarms(book, date.as_deref(), time.as_deref())?;
                    // Nothing said, and several set: which one is the user's to say.
                    if ids.len() > 1 && time.is_none() && date.is_none() {
                        return Err(wrong(format!(
                            "{} alarms are set; say which by its time",
                            ids.len()
                        )));
                    }
                    book.due.retain(|due| !ids.contains(&due.notice.id));
                    Ok(ids.len())
                })?;
                self.ring.changed();
                Ok(json!({"cancelled": gone}))
            }
        }
    }

    fn timer(&self, Timer::Set { duration, label }: Timer, context: &Context) -> Done {
        let length = when::duration(&duration).filter(|length| length.is_positive());
        let length = length.ok_or_else(|| {
            wrong(format!("no duration is understood in {duration:?}; say one as 10 minutes"))
        })?;
        let at = (self.now)().checked_add(length).map_err(|error| wrong(error.to_string()))?;
        self.set(Kind::Timer, &at, label.unwrap_or_default(), None, context)
    }

    fn reminder(&self, Reminder::Set { text, time, date }: Reminder, context: &Context) -> Done {
        let after = time.as_deref().and_then(when::duration).filter(|length| length.is_positive());
        let at = match after {
            // In ten minutes.
            Some(length) if date.is_none() => {
                (self.now)().checked_add(length).map_err(|error| wrong(error.to_string()))?
            }
            _ if time.is_none() && date.is_none() => {
                return Err(wrong("say when: `time` or `date`"));
            }
            _ => self.moment(time.as_deref(), date.as_deref())?,
        };
        self.set(Kind::Reminder, &at, text, None, context)
    }

    fn calendar(&self, asked: Calendar, context: &Context) -> Done {
        match asked {
            Calendar::Add { event, date, time, person, place } => {
                let day = match date {
                    Some(date) => self.day(&date)?,
                    None => (self.now)().date(),
                };
                let time = time.as_deref().map(Desktop::hour).transpose()?;
                let time = time.map(|time| time.strftime("%H:%M").to_string());
                let added = self.book.change(|book: &mut Book| {
                    let same = |event: &&Event| !context.key.is_empty() && event.key == context.key;
                    if let Some(event) = book.events.iter().find(same) {
                        return Ok(event.id);
                    }
                    if book.events.len() >= EVENTS_MAX {
                        return Err(ToolError::Failed("the calendar is full".into()));
                    }
                    let (id, key) = (book.id(), context.key.clone());
                    book.events.push(Event {
                        id,
                        event,
                        date: day.to_string(),
                        time,
                        person,
                        place,
                        key,
                    });
                    Ok(id)
                })?;
                Ok(json!({"id": added, "date": day.to_string()}))
            }
            Calendar::Query { .. } => {
                let book: Book = self.book.read()?;
                let events = self.events(&book, &asked)?;
                let shown = events.iter().take(50).map(|event| {
                    json!({
                        "event": event.event, "date": event.date, "time": event.time,
                        "person": event.person, "place": event.place,
                    })
                });
                Ok(json!({"events": shown.collect::<Vec<_>>(), "of": events.len()}))
            }
            Calendar::Remove { event: None, date: None, time: None } => {
                Err(wrong("say which: `event`, `date` or `time`"))
            }
            Calendar::Remove { .. } => self.book.change(|book: &mut Book| {
                let gone: Vec<u64> =
                    self.events(book, &asked)?.iter().map(|event| event.id).collect();
                book.events.retain(|event| !gone.contains(&event.id));
                Ok(json!({"removed": gone.len()}))
            }),
        }
    }

    fn clock(&self, Clock::Query { place, date }: Clock, _: &Context) -> Done {
        let now = match place {
            Some(place) => (self.now)().with_time_zone(clock::zone(&place)?),
            None => (self.now)(),
        };
        match date {
            None => Ok(clock::face(&now)),
            Some(date) => {
                let day = self.day(&date)?;
                Ok(json!({"date": day.to_string(), "weekday": day.strftime("%A").to_string()}))
            }
        }
    }

    fn list(&self, asked: List, _: &Context) -> Done {
        let named = |list: Option<String>| {
            list.map_or_else(|| LIST.to_owned(), |list| list.trim().to_lowercase())
        };
        match asked {
            List::Add { item, list } => {
                let name = named(list);
                self.book.change(|book: &mut Book| {
                    if book.lists.values().map(|items| items.len() + 1).sum::<usize>() >= ITEMS_MAX
                    {
                        return Err(ToolError::Failed("the lists are full".into()));
                    }
                    let items = book.lists.entry(name.clone()).or_default();
                    // Once is enough, and makes a second try harmless.
                    if let Some(item) = item.filter(|item| !items.contains(item)) {
                        items.push(item);
                    }
                    Ok(json!({"list": name, "items": items.len()}))
                })
            }
            List::Query { list } => {
                let book: Book = self.book.read()?;
                match list {
                    None if book.lists.len() != 1 => {
                        let lists: Vec<_> = book
                            .lists
                            .iter()
                            .map(|(name, items)| json!({"list": name, "items": items.len()}))
                            .collect();
                        Ok(json!({"lists": lists}))
                    }
                    list => {
                        let only = book.lists.keys().next().cloned();
                        let name =
                            if list.is_some() { named(list) } else { only.unwrap_or_default() };
                        let items = book.lists.get(&name);
                        let items = items.ok_or_else(|| {
                            ToolError::Failed(format!("there is no list {name:?}"))
                        })?;
                        Ok(json!({"list": name, "items": items}))
                    }
                }
            }
            List::Remove { item: None, list: None } => Err(wrong("say which: `item` or `list`")),
            List::Remove { item: None, list } => {
                let name = named(list);
                self.book.change(|book: &mut Book| match book.lists.remove(&name) {
                    Some(items) => Ok(json!({"list": name, "removed": items.len()})),
                    None => Err(ToolError::Failed(format!("there is no list {name:?}"))),
                })
            }
            List::Remove { item: Some(item), list } => {
                let name = list.map(|list| named(Some(list)));
                let wanted = item.to_lowercase();
                self.book.change(|book: &mut Book| {
                    let mut gone = 0;
                    for (list, items) in &mut book.lists {
                        if name.as_ref().is_none_or(|name| name == list) {
                            let before = items.len();
                            items.retain(|item| item.to_lowercase() != wanted);
                            gone += before - items.len();
                        }
                    }
                    match gone {
                        0 => Err(ToolError::Failed(format!("{item:?} is on no such list"))),
                        gone => Ok(json!({"removed": gone})),
                    }
                })
            }
        }
    }

    fn note(&self, Note::Create { text }: Note, context: &Context) -> Done {
        Ok(json!({"id": self.notes.add(text.trim(), &context.key)?}))
    }

    fn app(&self, App::Open { app }: App, _: &Context) -> Done {
        let app = app.trim();
        if app.chars().any(char::is_control) || app.starts_with('-') || app.len() > 1_000 {
            return Err(ToolError::Refused("that is no name of an application".into()));
        }
        if app.starts_with("https://") || app.starts_with("http://") {
            self.launch.open(app)?;
        } else if app.contains(['/', '\\', ':']) {
            // Files and other schemes may start anything.
            let what = "only applications by their names, and addresses of the web, are opened";
            return Err(ToolError::Refused(what.into()));
        } else {
            self.launch.start(app)?;
        }
        Ok(json!({"opened": app}))
    }

    fn compute(&self, asked: Compute, _: &Context) -> Done {
        let text = match asked {
            Compute::Calculate { expression } => expression,
            Compute::UnitConvert { value, unit_from, unit_to } => {
                format!("{value} {} to {unit_to}", unit_from.unwrap_or_default())
            }
        };
        let worth =
            calculate(&text, (self.now)().date()).map_err(|fault| wrong(fault.to_string()))?;
        Ok(json!({"result": worth.text, "exact": worth.exact}))
    }

    fn clipboard(&self, asked: Clipboard, _: &Context) -> Done {
        match asked {
            Clipboard::Read {} => Ok(json!({"text": self.launch.paste()?})),
            Clipboard::Write { text } => {
                self.launch.copy(&text)?;
                Ok(json!({"copied": text.len()}))
            }
        }
    }
}
