//! What a device is asked, by groups: an enumeration each, with the words of the request as its values.

use serde::{Deserialize, Serialize};

/// Alarms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Alarm {
    /// Set an alarm.
    #[serde(rename = "alarm_set")]
    Set {
        /// `time`.
        time: String,
        /// `date`, where it was said.
        date: Option<String>,
        /// `label`, where it was said.
        label: Option<String>,
        /// `repeat`, where it was said.
        repeat: Option<String>,
    },
    /// List or ask about alarms.
    #[serde(rename = "alarm_query")]
    Query {
        /// `date`, where it was said.
        date: Option<String>,
        /// `time`, where it was said.
        time: Option<String>,
    },
    /// Cancel an alarm.
    #[serde(rename = "alarm_cancel")]
    Cancel {
        /// `time`, where it was said.
        time: Option<String>,
        /// `date`, where it was said.
        date: Option<String>,
    },
}

/// Countdowns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Timer {
    /// Start a countdown timer.
    #[serde(rename = "timer_set")]
    Set {
        /// `duration`.
        duration: String,
        /// `label`, where it was said.
        label: Option<String>,
    },
}

/// Reminders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Reminder {
    /// Remind the user of something.
    #[serde(rename = "reminder_set")]
    Set {
        /// `text`.
        text: String,
        /// `time`, where it was said.
        time: Option<String>,
        /// `date`, where it was said.
        date: Option<String>,
    },
}

/// Events of a calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Calendar {
    /// Put an event into the calendar.
    #[serde(rename = "calendar_add")]
    Add {
        /// `event`.
        event: String,
        /// `date`, where it was said.
        date: Option<String>,
        /// `time`, where it was said.
        time: Option<String>,
        /// `person`, where it was said.
        person: Option<String>,
        /// `place`, where it was said.
        place: Option<String>,
    },
    /// Ask about events.
    #[serde(rename = "calendar_query")]
    Query {
        /// `date`, where it was said.
        date: Option<String>,
        /// `event`, where it was said.
        event: Option<String>,
        /// `time`, where it was said.
        time: Option<String>,
    },
    /// Delete an event.
    #[serde(rename = "calendar_remove")]
    Remove {
        /// `event`, where it was said.
        event: Option<String>,
        /// `date`, where it was said.
        date: Option<String>,
        /// `time`, where it was said.
        time: Option<String>,
    },
}

/// The time and the date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Clock {
    /// Ask for the time or the date, here or elsewhere.
    #[serde(rename = "clock_query")]
    Query {
        /// `place`, where it was said.
        place: Option<String>,
        /// `date`, where it was said.
        date: Option<String>,
    },
}

/// The weather.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Weather {
    /// Ask about the weather.
    #[serde(rename = "weather_query")]
    Query {
        /// `place`, where it was said.
        place: Option<String>,
        /// `date`, where it was said.
        date: Option<String>,
        /// `condition`, where it was said.
        condition: Option<String>,
    },
}

/// Lists of things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum List {
    /// Add an item to a list, or make a list.
    #[serde(rename = "list_add")]
    Add {
        /// `item`, where it was said.
        item: Option<String>,
        /// `list`, where it was said.
        list: Option<String>,
    },
    /// Read a list.
    #[serde(rename = "list_query")]
    Query {
        /// `list`, where it was said.
        list: Option<String>,
    },
    /// Remove an item or a list.
    #[serde(rename = "list_remove")]
    Remove {
        /// `item`, where it was said.
        item: Option<String>,
        /// `list`, where it was said.
        list: Option<String>,
    },
}

/// Notes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Note {
    /// Write a note.
    #[serde(rename = "note_create")]
    Create {
        /// `text`.
        text: String,
    },
}

/// Music, radio, podcasts, books that are read aloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Media {
    /// Play music.
    #[serde(rename = "music_play")]
    MusicPlay {
        /// `song`, where it was said.
        song: Option<String>,
        /// `artist`, where it was said.
        artist: Option<String>,
        /// `genre`, where it was said.
        genre: Option<String>,
        /// `playlist`, where it was said.
        playlist: Option<String>,
        /// `album`, where it was said.
        album: Option<String>,
        /// `service`, where it was said.
        service: Option<String>,
    },
    /// Add to a playlist.
    #[serde(rename = "playlist_add")]
    PlaylistAdd {
        /// `playlist`.
        playlist: String,
        /// `song`, where it was said.
        song: Option<String>,
        /// `artist`, where it was said.
        artist: Option<String>,
    },
    /// Pause, resume, skip, stop, shuffle or repeat what plays.
    #[serde(rename = "media_control")]
    MediaControl {
        /// `action`.
        action: String,
    },
    /// Play a radio station.
    #[serde(rename = "radio_play")]
    RadioPlay {
        /// `station`, where it was said.
        station: Option<String>,
    },
    /// Play a podcast.
    #[serde(rename = "podcast_play")]
    PodcastPlay {
        /// `name`, where it was said.
        name: Option<String>,
        /// `topic`, where it was said.
        topic: Option<String>,
    },
    /// Play or resume an audiobook.
    #[serde(rename = "audiobook_play")]
    AudiobookPlay {
        /// `title`, where it was said.
        title: Option<String>,
        /// `author`, where it was said.
        author: Option<String>,
    },
}

/// How loud it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Volume {
    /// Change the volume.
    #[serde(rename = "volume_set")]
    Set {
        /// `direction`, where it was said.
        direction: Option<String>,
        /// `level`, where it was said.
        level: Option<String>,
    },
}

/// Lights, devices and heating of a home, and who cleans it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Home {
    /// Switch, dim or colour lights.
    #[serde(rename = "light_set")]
    LightSet {
        /// `place`, where it was said.
        place: Option<String>,
        /// `state`, where it was said.
        state: Option<String>,
        /// `brightness`, where it was said.
        brightness: Option<String>,
        /// `color`, where it was said.
        color: Option<String>,
    },
    /// Switch a device on or off, open or close it.
    #[serde(rename = "device_switch")]
    DeviceSwitch {
        /// `device`.
        device: String,
        /// `state`.
        state: String,
        /// `place`, where it was said.
        place: Option<String>,
    },
    /// Set the heating or cooling.
    #[serde(rename = "climate_set")]
    ClimateSet {
        /// `temperature`.
        temperature: String,
        /// `place`, where it was said.
        place: Option<String>,
    },
    /// Start the vacuum cleaner.
    #[serde(rename = "vacuum_start")]
    VacuumStart {
        /// `place`, where it was said.
        place: Option<String>,
    },
}

/// Messages and e-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Message {
    /// Send a text message.
    #[serde(rename = "message_send")]
    MessageSend {
        /// `person`.
        person: String,
        /// `text`, where it was said.
        text: Option<String>,
    },
    /// Write or send an e-mail.
    #[serde(rename = "email_send")]
    EmailSend {
        /// `person`, where it was said.
        person: Option<String>,
        /// `subject`, where it was said.
        subject: Option<String>,
    },
    /// Ask about e-mail received.
    #[serde(rename = "email_query")]
    EmailQuery {
        /// `person`, where it was said.
        person: Option<String>,
        /// `date`, where it was said.
        date: Option<String>,
    },
}

/// Telephone calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Call {
    /// Call a person or number.
    #[serde(rename = "call_make")]
    Make {
        /// `person`.
        person: String,
    },
}

/// People and their details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Contact {
    /// Look up a contact's details.
    #[serde(rename = "contact_query")]
    Query {
        /// `person`.
        person: String,
        /// `field`, where it was said.
        field: Option<String>,
    },
    /// Add a contact.
    #[serde(rename = "contact_add")]
    Add {
        /// `person`, where it was said.
        person: Option<String>,
        /// `address`, where it was said.
        address: Option<String>,
    },
}

/// Applications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum App {
    /// Open an app or a game.
    #[serde(rename = "app_open")]
    Open {
        /// `app`.
        app: String,
    },
}

/// Settings of the device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Setting {
    /// Change a setting of the device (Wi-Fi, Bluetooth, do not disturb, flashlight ...).
    #[serde(rename = "setting_set")]
    Set {
        /// `setting`.
        setting: String,
        /// `state`, where it was said.
        state: Option<String>,
    },
}

/// The camera.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Camera {
    /// Take a photo or video.
    #[serde(rename = "camera_capture")]
    Capture {
        /// `mode`.
        mode: String,
    },
}

/// Ways to places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Navigate {
    /// Directions or traffic to a place.
    #[serde(rename = "navigate")]
    Navigate {
        /// `destination`, where it was said.
        destination: Option<String>,
        /// `mode`, where it was said.
        mode: Option<String>,
    },
}

/// Arithmetic and units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Compute {
    /// Work out arithmetic.
    #[serde(rename = "calculate")]
    Calculate {
        /// `expression`.
        expression: String,
    },
    /// Convert between units of measure.
    #[serde(rename = "unit_convert")]
    UnitConvert {
        /// `value`.
        value: String,
        /// `unit_from`, where it was said.
        unit_from: Option<String>,
        /// `unit_to`.
        unit_to: String,
    },
}

/// The clipboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Clipboard {
    /// Read the text of the clipboard.
    #[serde(rename = "clipboard_read")]
    Read {},
    /// Put a text into the clipboard.
    #[serde(rename = "clipboard_write")]
    Write {
        /// `text`.
        text: String,
    },
}
