//! The clock: the date and the time, here or in another zone. It reads the system's clock and its table of
//! time zones, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use ondine_app::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};

use crate::arguments::Arguments;

/// Places that the table of zones has under another name.
const PLACES: &[(&str, &str)] = &[
    ("beijing", "Asia/Shanghai"),
    ("shenzhen", "Asia/Shanghai"),
    ("guangzhou", "Asia/Shanghai"),
    ("china", "Asia/Shanghai"),
    ("japan", "Asia/Tokyo"),
    ("korea", "Asia/Seoul"),
    ("india", "Asia/Kolkata"),
    ("delhi", "Asia/Kolkata"),
    ("mumbai", "Asia/Kolkata"),
    ("germany", "Europe/Berlin"),
    ("munich", "Europe/Berlin"),
    ("france", "Europe/Paris"),
    ("uk", "Europe/London"),
    ("england", "Europe/London"),
    ("geneva", "Europe/Zurich"),
    ("san francisco", "America/Los_Angeles"),
    ("seattle", "America/Los_Angeles"),
    ("boston", "America/New_York"),
    ("washington", "America/New_York"),
    ("北京", "Asia/Shanghai"),
    ("上海", "Asia/Shanghai"),
    ("深圳", "Asia/Shanghai"),
    ("中国", "Asia/Shanghai"),
    ("香港", "Asia/Hong_Kong"),
    ("台北", "Asia/Taipei"),
    ("东京", "Asia/Tokyo"),
    ("首尔", "Asia/Seoul"),
    ("新加坡", "Asia/Singapore"),
    ("伦敦", "Europe/London"),
    ("巴黎", "Europe/Paris"),
    ("柏林", "Europe/Berlin"),
    ("莫斯科", "Europe/Moscow"),
    ("纽约", "America/New_York"),
    ("洛杉矶", "America/Los_Angeles"),
    ("旧金山", "America/Los_Angeles"),
    ("悉尼", "Australia/Sydney"),
];

/// The zone of a place: a name of the table, or the last part of one, as in `Europe/Oslo`.
pub(crate) fn zone(place: &str) -> Result<TimeZone, ToolError> {
    let place = place.trim();
    let lower = place.to_lowercase();
    // Known without any table.
    if matches!(lower.as_str(), "utc" | "gmt") {
        return Ok(TimeZone::UTC);
    }
    let known = PLACES.iter().find(|(name, _)| *name == lower).map(|(_, zone)| *zone);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    if let Some(found) = known.or(place.chars().all(plain).then_some(place))
        && let Ok(zone) = TimeZone::get(found)
    {
        return Ok(zone);
    }
    let wanted = lower.replace(' ', "_");
    let found = jiff::tz::db().available().find(|name| {
        let name = name.to_string().to_lowercase();
        name.rsplit('/').next() == Some(&wanted)
    });
    found.and_then(|name| TimeZone::get(&name.to_string()).ok()).ok_or_else(|| {
        let place: String = place.chars().take(40).flat_map(char::escape_debug).collect();
        ToolError::Arguments(format!(
            "no time zone is known for {place:?}; expected one such as Europe/Oslo"
        ))
    })
}

/// What a clock shows.
pub(crate) fn face(now: &Zoned) -> Value {
    json!({
        "date": now.date().to_string(),
        "time": now.strftime("%H:%M:%S").to_string(),
        "weekday": now.strftime("%A").to_string(),
        "zone": now.time_zone().iana_name().unwrap_or("local"),
        "utc_offset": now.strftime("%:z").to_string(),
        "unix_s": now.timestamp().as_second(),
    })
}

/// The tool `clock`, with the system's clock.
pub fn clock() -> Arc<dyn Tool> {
    clock_of(Timestamp::now)
}

/// The tool `clock` of whoever says what time it is.
pub fn clock_of(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Arc<dyn Tool> {
    let spec = ToolSpec {
        name: "clock".into(),
        description:
            "Tell the date, the time and the weekday now, here or in a place or time zone. \
            当前时间和日期"
                .into(),
        parameters: json!({
            "type": "object",
            "properties": {"zone": {
                "type": "string", "maxLength": 80,
                "description": "a zone such as Europe/Oslo, or a large city; left out for here"
            }},
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        timeout: Duration::from_secs(5),
    };
    Arc::new(FnTool::new(spec, move |arguments: Value, _: &Context| {
        let place = Arguments::of(arguments, &["zone"])?.text_if("zone", 80)?;
        let zone = match place.filter(|place| !place.trim().is_empty()) {
            Some(place) => zone(&place)?,
            None => TimeZone::system(),
        };
        Ok(face(&now().to_zoned(zone)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{called, hostile};

    #[test]
    fn the_clock_shows_the_time_of_places() {
        let clock = clock_of(|| "2026-11-22T22:30:00Z".parse().unwrap());
        if TimeZone::get("Asia/Shanghai").is_err() {
            eprintln!("skipped: this system has no table of time zones");
            return;
        }
        for place in ["Asia/Shanghai", "北京", "beijing", "Shanghai"] {
            let face = called(&clock, json!({"zone": place})).unwrap();
            assert_eq!((&face["date"], &face["time"]), (&json!("2026-11-23"), &json!("06:30:00")));
            assert_eq!(
                (&face["weekday"], &face["utc_offset"]),
                (&json!("Monday"), &json!("+08:00"))
            );
        }
        let utc = called(&clock, json!({"zone": "new york"})).unwrap();
        assert_eq!(utc["time"], "17:30:00");
        assert_eq!(called(&clock, json!({})).unwrap()["unix_s"], 1_795_386_600);
        for place in ["Atlantis", "../../etc/passwd", "/etc/localtime"] {
            assert!(called(&clock, json!({"zone": place})).is_err(), "{place}");
        }
        hostile(&clock);
    }
}
