//! Arithmetic with days: a day and a span, the days between two, the weekday of one. What is no such
//! question is left to the arithmetic of numbers.

use jiff::civil::{Date, Weekday};
use jiff::{Span, Unit};

use super::Fault;
use crate::when;

/// The answer, where the text asks about days.
pub(super) fn answer(text: &str, today: Date) -> Option<Result<String, Fault>> {
    let text = text.trim();
    // Cuts by bytes below need the same lengths in both.
    let lower = text.to_ascii_lowercase();
    between(&lower, today)
        .or_else(|| weekday(&lower, today))
        .or_else(|| moved(&lower, today).map(|moved| moved.map(day_text)))
        .or_else(|| iso(&lower).map(|day| Ok(day_text(day))))
}

fn weekday_name(day: Date) -> &'static str {
    match day.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn day_text(day: Date) -> String {
    format!("{day} ({})", weekday_name(day))
}

/// A day that is written as one; words such as `may` and `sun` are not looked for here.
fn iso(text: &str) -> Option<Date> {
    let plain = text.trim();
    plain.starts_with(|c: char| c.is_ascii_digit()).then(|| when::day(plain, Date::MIN)).flatten()
}

/// `days from A to B`, `weeks until B`, `从A到B有多少天`, `A - B`.
fn between(text: &str, today: Date) -> Option<Result<String, Fault>> {
    const UNITS: &[(&str, Unit, &str)] = &[
        ("days", Unit::Day, "days"),
        ("weeks", Unit::Week, "weeks"),
        ("months", Unit::Month, "months"),
        ("years", Unit::Year, "years"),
    ];
    let mut text = text;
    for lead in ["how many ", "number of ", "the "] {
        text = text.strip_prefix(lead).unwrap_or(text);
    }
    for (name, unit, written) in UNITS {
        let Some(rest) = text.strip_prefix(name) else { continue };
        let mut rest = rest.trim_start();
        for lead in ["are there ", "is it ", "have passed ", "left "] {
            rest = rest.strip_prefix(lead).unwrap_or(rest);
        }
        let pairs =
            [("from ", " to "), ("between ", " and "), ("from ", " until "), ("from ", " till ")];
        for (lead, middle) in pairs {
            if let Some((a, b)) = rest.strip_prefix(lead).and_then(|rest| rest.split_once(middle)) {
                let (a, b) = (when::day(a, today)?, when::day(b, today)?);
                return Some(count(a, b, *unit, written));
            }
        }
        for lead in ["until ", "till ", "to ", "before "] {
            if let Some(day) = rest.strip_prefix(lead).and_then(|day| when::day(day, today)) {
                return Some(count(today, day, *unit, written));
            }
        }
        if let Some(day) = rest.strip_prefix("since ").and_then(|day| when::day(day, today)) {
            return Some(count(day, today, *unit, written));
        }
    }
    // 从A到B有多少天, 距离B还有几天
    for (ends, unit, written) in [
        (["多少天", "几天"], Unit::Day, "days"),
        (["多少周", "几周"], Unit::Week, "weeks"),
        (["多少个月", "几个月"], Unit::Month, "months"),
    ] {
        let Some(rest) = ends.iter().find_map(|end| text.strip_suffix(end)) else { continue };
        let rest = rest.trim_end_matches("有").trim_end_matches("还").trim_end_matches("一共");
        if let Some(day) = rest.strip_prefix("距离").or_else(|| rest.strip_prefix("离")) {
            return Some(count(today, when::day(day, today)?, unit, written));
        }
        let (a, b) = rest.trim_start_matches('从').split_once('到')?;
        return Some(count(when::day(a, today)?, when::day(b, today)?, unit, written));
    }
    let (at, _) = text.match_indices('-').find(|(at, _)| iso(&text[..*at]).is_some())?;
    let (a, b) = (iso(&text[..at])?, iso(&text[at + 1..])?);
    Some(count(b, a, Unit::Day, "days"))
}

fn count(from: Date, to: Date, unit: Unit, written: &str) -> Result<String, Fault> {
    let fault = |error: jiff::Error| Fault { at: 1, what: error.to_string() };
    let span = from.until((unit, to)).map_err(fault)?;
    let whole = match unit {
        Unit::Week => i64::from(span.get_weeks()),
        Unit::Month => i64::from(span.get_months()),
        Unit::Year => i64::from(span.get_years()),
        _ => i64::from(span.get_days()),
    };
    let reached = match unit {
        Unit::Week => Span::new().try_weeks(whole),
        Unit::Month => Span::new().try_months(whole),
        Unit::Year => Span::new().try_years(whole),
        _ => Span::new().try_days(whole),
    };
    let reached = reached.and_then(|span| from.checked_add(span)).map_err(fault)?;
    let left = reached.until((Unit::Day, to)).map_err(fault)?.get_days();
    Ok(match left {
        0 => format!("{whole} {written}"),
        left => format!("{whole} {written} and {left} days"),
    })
}

/// `what day is A`, `weekday of A`, `A是星期几`.
fn weekday(text: &str, today: Date) -> Option<Result<String, Fault>> {
    let text = text.trim_end_matches('?').trim();
    let leads = [
        "what day of the week is ",
        "what day of the week was ",
        "which weekday is ",
        "what weekday is ",
        "what day is ",
        "weekday of ",
        "weekday on ",
        "weekday ",
        "day of the week of ",
    ];
    let ends = ["是星期几", "星期几", "是周几", "周几", "是礼拜几"];
    let day = leads.iter().find_map(|lead| text.strip_prefix(lead));
    let day = day.or_else(|| ends.iter().find_map(|end| text.strip_suffix(end)))?;
    Some(Ok(day_text(when::day(day, today)?)))
}

/// `A + 3 weeks`, `3 weeks after A`, `A之后3周`.
fn moved(text: &str, today: Date) -> Option<Result<Date, Fault>> {
    let by = |day: Date, span: &str, back: bool, at: usize| -> Result<Date, Fault> {
        let fault = |what: &str| Fault { at: text[..at].chars().count() + 1, what: what.into() };
        let span = when::span(span).filter(|span| span.get_seconds() == 0);
        let span = span.ok_or_else(|| fault("expected days, weeks, months or years"))?;
        let moved = if back { day.checked_sub(span) } else { day.checked_add(span) };
        moved.map_err(|_| fault("there is no such day"))
    };
    for (at, sign) in text.match_indices(['+', '-']) {
        let Some(mut day) = when::day(&text[..at], today) else { continue };
        // A + 1 month - 1 day: from the left.
        let mut rest = &text[at..];
        let mut back = sign == "-";
        loop {
            let begin = text.len() - rest.len() + 1;
            let end = rest[1..].find(['+', '-']).map_or(rest.len(), |end| end + 1);
            match by(day, &rest[1..end], back, begin) {
                Ok(moved) => day = moved,
                Err(fault) => return Some(Err(fault)),
            }
            rest = &rest[end..];
            if rest.is_empty() {
                return Some(Ok(day));
            }
            back = rest.starts_with('-');
        }
    }
    for (middle, back) in [(" after ", false), (" from ", false), (" before ", true)] {
        if let Some((span, day)) = text.split_once(middle)
            && when::span(span).is_some()
        {
            let day = if day == "now" { today } else { when::day(day, today)? };
            return Some(by(day, span, back, 0));
        }
    }
    if let Some(span) = text.strip_suffix(" ago").filter(|span| when::span(span).is_some()) {
        return Some(by(today, span, true, 0));
    }
    for (middle, back) in [
        ("之后", false),
        ("以后", false),
        ("之前", true),
        ("以前", true),
        ("后", false),
        ("前", true),
    ] {
        let Some((first, rest)) = text.split_once(middle) else { continue };
        if rest.is_empty() && when::span(first).is_some() {
            return Some(by(today, first, back, 0));
        }
        if let Some(day) = when::day(first, today).filter(|_| !rest.is_empty()) {
            return Some(by(day, rest, back, text.len() - rest.len()));
        }
    }
    None
}
