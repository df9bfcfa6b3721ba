//! Dates, times of the day and durations as people say them, in English and Chinese: what droplet takes
//! out of a request are the user's own words. It is told what day it is, and has no clock.

use jiff::civil::{Date, Time, Weekday, time};
use jiff::{SignedDuration, Span, ToSpan};

/// Characters that are looked at: nobody says a date in more.
const CHARS_MAX: usize = 80;

/// Words of a text in lower case: digits, letters, single Chinese characters, signs.
fn pieces(text: &str) -> Option<Vec<String>> {
    if text.chars().count() > CHARS_MAX {
        return None;
    }
    let mut pieces: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in text.to_lowercase().chars() {
        // Full width digits and signs.
        let c = match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            c => c,
        };
        let class = |c: char| match c {
            c if c.is_ascii_digit() => 1,
            'a'..='z' => 2,
            c if c.is_whitespace() || matches!(c, ',' | '\'' | '，') => 0,
            _ => 3,
        };
        match class(c) {
            0 => {}
            kind if kind < 3 && kind == class(last) => {
                if let Some(piece) = pieces.last_mut() {
                    piece.push(c);
                }
            }
            _ => pieces.push(c.to_string()),
        }
        last = c;
    }
    Some(pieces)
}

fn small_number(word: &str) -> Option<i64> {
    const WORDS: &[&str] = &[
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: &[&str] = &["twenty", "thirty", "forty", "fifty", "sixty", "ninety"];
    if word.len() <= 9
        && let Ok(number) = word.parse()
    {
        return Some(number);
    }
    if let Some(at) = WORDS.iter().position(|known| *known == word) {
        return i64::try_from(at).ok();
    }
    match TENS.iter().position(|known| *known == word)? {
        5 => Some(90),
        at => i64::try_from(20 + 10 * at).ok(),
    }
}

/// A number at the beginning of some pieces, and how many of them it takes.
fn number(pieces: &[String]) -> Option<(i64, usize)> {
    let first = pieces.first()?;
    if let Some(number) = small_number(first) {
        let unit = pieces.get(1).filter(|word| *word != "-").or_else(|| pieces.get(2));
        let joined = 1 + usize::from(pieces.get(1).is_some_and(|word| word == "-"));
        let unit = unit.and_then(|word| small_number(word)).filter(|unit| (1..10).contains(unit));
        let spelled = first.chars().all(char::is_alphabetic);
        return Some(match unit {
            Some(unit) if spelled && number >= 20 && number % 10 == 0 => {
                (number + unit, joined + 1)
            }
            _ => (number, 1),
        });
    }
    let chars: Vec<char> = pieces
        .iter()
        .map_while(|piece| {
            let mut chars = piece.chars();
            chars.next().filter(|_| chars.next().is_none())
        })
        .collect();
    crate::calculator::chinese(&chars).filter(|(_, used)| *used > 0)
}

/// The pieces without leading ones that say nothing.
fn after<'a>(mut pieces: &'a [String], skipped: &[&str]) -> &'a [String] {
    while let Some(first) = pieces.first() {
        if !skipped.contains(&first.as_str()) {
            break;
        }
        pieces = &pieces[1..];
    }
    pieces
}

fn starts(pieces: &[String], words: &[&str]) -> bool {
    pieces.len() >= words.len() && pieces.iter().zip(words).all(|(piece, word)| piece == word)
}

/// The day that some words mean, seen from today. A weekday is the next of its name, today excluded.
pub(crate) fn day(text: &str, today: Date) -> Option<Date> {
    let all = pieces(text)?;
    let mut pieces = after(&all, &["on", "the", "this", "在"]);
    // 星期 and 礼拜 are 周.
    let joined: String = pieces.concat();
    let days: Option<i64> = match joined.as_str() {
        "today" | "tonight" | "thismorning" | "thisevening" | "今天" | "今晚" | "今日" => {
            Some(0)
        }
        "tomorrow" | "明天" | "明日" | "明早" | "明晚" => Some(1),
        "dayaftertomorrow" | "后天" => Some(2),
        "大后天" => Some(3),
        "yesterday" | "昨天" | "昨日" => Some(-1),
        "daybeforeyesterday" | "前天" => Some(-2),
        _ => None,
    };
    if let Some(days) = days {
        return today.checked_add(days.days()).ok();
    }
    let next = starts(pieces, &["next"]) || starts(pieces, &["下"]);
    if next || starts(pieces, &["last"]) || starts(pieces, &["coming"]) {
        if starts(pieces, &["last"]) {
            return None;
        }
        pieces = after(&pieces[1..], &["个", "week"]);
    }
    if let Some(weekday) = weekday(pieces) {
        let mut ahead = i64::from(today.weekday().until(weekday));
        if ahead == 0 {
            ahead = 7;
        }
        // 下周五 is Friday of the week that begins next Monday.
        if starts(&all, &["下"]) {
            let to_monday = i64::from(today.weekday().until(Weekday::Monday));
            let to_monday = if to_monday == 0 { 7 } else { to_monday };
            ahead = to_monday + i64::from(weekday.to_monday_zero_offset());
        }
        return today.checked_add(ahead.days()).ok();
    }
    calendar(pieces, today)
}

fn weekday(pieces: &[String]) -> Option<Weekday> {
    const NAMES: [(&str, &str); 7] = [
        ("monday", "一"),
        ("tuesday", "二"),
        ("wednesday", "三"),
        ("thursday", "四"),
        ("friday", "五"),
        ("saturday", "六"),
        ("sunday", "日"),
    ];
    let at = match pieces {
        [name] => {
            NAMES.iter().position(|(known, _)| name.len() >= 3 && known.starts_with(name.as_str()))
        }
        [a, b, name] if matches!((a.as_str(), b.as_str()), ("星", "期") | ("礼", "拜")) => {
            NAMES.iter().position(|(_, known)| name == known || (name == "天" && *known == "日"))
        }
        [week, name] if week == "周" => {
            NAMES.iter().position(|(_, known)| name == known || (name == "天" && *known == "日"))
        }
        _ => None,
    };
    Weekday::from_monday_zero_offset(i8::try_from(at?).ok()?).ok()
}

fn calendar(pieces: &[String], today: Date) -> Option<Date> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let month_of = |name: &String| {
        MONTHS.iter().position(|known| name.len() >= 3 && known.starts_with(name.as_str()))
    };
    let digits = |piece: &String| piece.parse::<i64>().ok().filter(|_| piece.len() <= 4);
    let (mut year, mut month, mut dom) = (None, None, None);
    let whole: Vec<&str> = pieces.iter().map(String::as_str).collect();
    if let [y, a, m, b, d] = whole[..]
        && a == b
        && matches!(a, "-" | "/" | ".")
    {
        if y.len() != 4 {
            return None;
        }
        (year, month, dom) = (y.parse().ok(), m.parse().ok(), d.parse().ok());
    } else if whole.contains(&"月") {
        let mut rest = pieces;
        while let Some((value, used)) = number(rest) {
            match rest.get(used).map(String::as_str) {
                Some("年") => year = Some(value),
                Some("月") => month = Some(value),
                Some("日" | "号") => dom = Some(value),
                _ => return None,
            }
            rest = &rest[used + 1..];
        }
        if !rest.is_empty() {
            return None;
        }
    } else {
        for piece in pieces {
            match (month_of(piece), digits(piece)) {
                (Some(at), _) if month.is_none() => month = i64::try_from(at + 1).ok(),
                (None, Some(value)) if dom.is_none() && value <= 31 => dom = Some(value),
                (None, Some(value)) if year.is_none() && value >= 1000 => year = Some(value),
                _ if matches!(piece.as_str(), "of" | "the" | "th" | "st" | "nd" | "rd") => {}
                _ => return None,
            }
        }
    }
    let (month, dom) = (i8::try_from(month?).ok()?, i8::try_from(dom?).ok()?);
    match year {
        Some(year) => Date::new(i16::try_from(year).ok()?, month, dom).ok(),
        // Without a year it is the next one.
        None => {
            let this = Date::new(today.year(), month, dom).ok();
            match this.filter(|day| *day >= today) {
                Some(day) => Some(day),
                None => Date::new(today.year() + 1, month, dom).ok(),
            }
        }
    }
}

/// The time of the day that some words mean. Without a part of the day, hours are as they are said.
pub(crate) fn hour(text: &str) -> Option<Time> {
    let all = pieces(text)?;
    let pieces = after(&all, &["at", "by", "around", "about", "the", "在"]);
    match pieces.concat().as_str() {
        "noon" | "midday" | "中午" | "正午" => return Some(time(12, 0, 0, 0)),
        "midnight" | "午夜" | "半夜" => return Some(time(0, 0, 0, 0)),
        _ => {}
    }
    let has = |words: &[&str]| {
        let joined = pieces.join(" ");
        words.iter().any(|word| joined.split(' ').any(|piece| piece == *word))
    };
    let pairs = |word: &str| pieces.concat().contains(word);
    let afternoon = has(&["pm", "afternoon", "evening", "tonight", "night"])
        || starts_pm(pieces)
        || ["下午", "晚上", "傍晚", "今晚", "明晚", "中午"].iter().any(|word| pairs(word));
    let morning = has(&["am", "morning"])
        || starts_am(pieces)
        || ["早上", "上午", "早晨", "凌晨", "清晨", "明早"].iter().any(|word| pairs(word));
    const AROUND: &[&str] = &[
        "下", "午", "晚", "上", "傍", "早", "晨", "凌", "清", "中", "今", "明", "天", "的",
        "quarter", "half", "past", "to",
    ];
    let mut rest = pieces;
    let mut shift = 0_i64;
    if starts(rest, &["half", "past"]) {
        (rest, shift) = (&rest[2..], 30);
    } else if starts(rest, &["quarter", "past"]) {
        (rest, shift) = (&rest[2..], 15);
    } else if starts(rest, &["quarter", "to"]) {
        (rest, shift) = (&rest[2..], -15);
    } else if let Some((minutes, used)) = number(rest)
        && matches!(rest.get(used).map(String::as_str), Some("past" | "to"))
    {
        shift = if rest[used] == "past" { minutes } else { -minutes };
        rest = &rest[used + 1..];
    }
    rest = after(rest, AROUND);
    let (mut hours, used) = number(rest)?;
    rest = &rest[used..];
    let mut minutes = 0;
    if let Some(first) = rest.first() {
        match first.as_str() {
            ":" | "." | "点" | "时" | "h" => {
                rest = after(&rest[1..], &["钟", "整"]);
                if starts(rest, &["半"]) {
                    (minutes, rest) = (30, &rest[1..]);
                } else if let Some((value, used)) = number(rest) {
                    rest = &rest[used..];
                    if starts(rest, &["刻"]) {
                        (minutes, rest) = (value * 15, &rest[1..]);
                    } else {
                        minutes = value;
                    }
                }
                rest = after(rest, &["分", "钟"]);
            }
            // seven thirty
            _ => {
                if let Some((value, used)) =
                    number(rest).filter(|(value, _)| (10..60).contains(value))
                {
                    (minutes, rest) = (value, &rest[used..]);
                }
            }
        }
    }
    const BEHIND: &[&str] = &[
        "o",
        "clock",
        "in",
        "the",
        "at",
        "morning",
        "afternoon",
        "evening",
        "night",
        "am",
        "pm",
        "a",
        "p",
        "m",
        ".",
        "sharp",
        "tonight",
        "today",
        "tomorrow",
    ];
    if !after(rest, BEHIND).is_empty() || !(0..=24).contains(&hours) || !(0..60).contains(&minutes)
    {
        return None;
    }
    if afternoon && hours < 12 {
        // 中午一点, and eleven at noon.
        hours += if pairs("中午") && hours >= 10 { 0 } else { 12 };
    } else if morning && hours == 12 {
        hours = 0;
    }
    let all = (hours * 60 + minutes + shift).rem_euclid(24 * 60);
    let part = |value: i64| i8::try_from(value).ok();
    Time::new(part(all / 60)?, part(all % 60)?, 0, 0).ok()
}

fn starts_pm(pieces: &[String]) -> bool {
    pieces.windows(3).any(|three| starts(three, &["p", ".", "m"]))
}

fn starts_am(pieces: &[String]) -> bool {
    pieces.windows(3).any(|three| starts(three, &["a", ".", "m"]))
}

/// A unit of time at the beginning of some pieces.
fn unit(pieces: &[String]) -> Option<(char, usize)> {
    let first = pieces.first()?.as_str();
    let found = match first {
        "s" | "sec" | "secs" | "second" | "seconds" => 's',
        "m" | "min" | "mins" | "minute" | "minutes" => 'm',
        "h" | "hr" | "hrs" | "hour" | "hours" => 'h',
        "d" | "day" | "days" | "天" | "日" => 'd',
        "w" | "week" | "weeks" | "周" => 'w',
        "month" | "months" | "月" => 'M',
        "y" | "year" | "years" | "年" => 'y',
        _ => {
            let chinese: &[(&[&str], char)] = &[
                (&["秒", "钟"], 's'),
                (&["秒"], 's'),
                (&["分", "钟"], 'm'),
                (&["分"], 'm'),
                (&["个", "小", "时"], 'h'),
                (&["小", "时"], 'h'),
                (&["个", "钟", "头"], 'h'),
                (&["钟", "头"], 'h'),
                (&["个", "星", "期"], 'w'),
                (&["星", "期"], 'w'),
                (&["个", "礼", "拜"], 'w'),
                (&["个", "月"], 'M'),
            ];
            let (words, found) = chinese.iter().find(|(words, _)| starts(pieces, words))?;
            return Some((*found, words.len()));
        }
    };
    Some((found, 1))
}

/// How long some words mean, as a calendar counts it: three weeks and two days, 1h30m, 一个半小时.
pub(crate) fn span(text: &str) -> Option<Span> {
    let all = pieces(text)?;
    let mut rest = after(&all, &["for", "in", "about"]);
    let mut seconds = 0_i64;
    let (mut days, mut months) = (0_i64, 0_i64);
    let mut last = None;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        rest = after(rest, &["and", "又", "零", "+", "of"]);
        let mut halves = 0;
        let count = if starts(rest, &["half", "an"]) || starts(rest, &["half", "a"]) {
            (rest, halves) = (&rest[2..], 1);
            0
        } else if starts(rest, &["a", "half"]) || starts(rest, &["half"]) || starts(rest, &["半"])
        {
            let used = if rest[0] == "a" { 2 } else { 1 };
            (rest, halves) = (&rest[used..], 1);
            0
        } else if starts(rest, &["a"]) || starts(rest, &["an"]) {
            rest = &rest[1..];
            1
        } else {
            let (value, used) = number(rest)?;
            rest = &rest[used..];
            if starts(rest, &["个", "半"]) {
                (rest, halves) = (&rest[2..], 1);
            } else if starts(rest, &["and", "a", "half"]) {
                (rest, halves) = (&rest[3..], 1);
            } else if starts(rest, &[".", "5"]) {
                (rest, halves) = (&rest[2..], 1);
            }
            value
        };
        // Two hours and a half.
        let (kind, used) = match unit(rest) {
            Some(found) => found,
            None if rest.is_empty() && halves == 1 && count == 0 => (last?, 0),
            None => return None,
        };
        rest = &rest[used..];
        last = Some(kind);
        let scale = |each: i64| {
            let whole = count.checked_mul(each)?;
            (halves == 0 || each % 2 == 0).then(|| whole.checked_add(halves * each / 2))?
        };
        match kind {
            's' => seconds = seconds.checked_add(scale(1)?)?,
            'm' => seconds = seconds.checked_add(scale(60)?)?,
            'h' => seconds = seconds.checked_add(scale(3600)?)?,
            'd' if halves == 1 => seconds = seconds.checked_add(scale(86_400)?)?,
            'd' => days = days.checked_add(count)?,
            'w' => days = days.checked_add(scale(7)?)?,
            'M' => months = months.checked_add(scale(1)?)?,
            _ => months = months.checked_add(scale(12)?)?,
        }
    }
    Span::new()
        .try_months(months)
        .and_then(|span| span.try_days(days))
        .and_then(|span| span.try_seconds(seconds))
        .ok()
}

/// How long some words mean, where that is the same on every day.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let span = span(text)?;
    if span.get_months() != 0 {
        return None;
    }
    let days = SignedDuration::from_hours(24).checked_mul(span.get_days())?;
    days.checked_add(SignedDuration::from_secs(span.get_seconds()))
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn days_are_understood() {
        // A Sunday.
        let today = date(2026, 11, 22);
        let rows = [
            ("today", Some(date(2026, 11, 22))),
            ("Tomorrow", Some(date(2026, 11, 23))),
            ("the day after tomorrow", Some(date(2026, 11, 24))),
            ("后天", Some(date(2026, 11, 24))),
            ("on friday", Some(date(2026, 11, 27))),
            ("next Sunday", Some(date(2026, 11, 29))),
            ("周五", Some(date(2026, 11, 27))),
            ("星期天", Some(date(2026, 11, 29))),
            ("下周一", Some(date(2026, 11, 23))),
            ("2026-12-25", Some(date(2026, 12, 25))),
            ("2026/1/5", Some(date(2026, 1, 5))),
            ("2026年12月25日", Some(date(2026, 12, 25))),
            ("十二月二十五号", Some(date(2026, 12, 25))),
            ("1月5日", Some(date(2027, 1, 5))),
            ("december 25th", Some(date(2026, 12, 25))),
            ("the 25th of December 2030", Some(date(2030, 12, 25))),
            ("Feb 30", None),
            ("2026-13-01", None),
            ("some day", None),
            ("last friday", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(day(text, today), expected, "{text}");
        }
    }

    #[test]
    fn hours_are_understood() {
        let rows = [
            ("07:00", Some(time(7, 0, 0, 0))),
            ("half past six", Some(time(6, 30, 0, 0))),
            ("quarter to seven in the evening", Some(time(18, 45, 0, 0))),
            ("ten to twelve", Some(time(11, 50, 0, 0))),
            ("7pm", Some(time(19, 0, 0, 0))),
            ("7 p.m.", Some(time(19, 0, 0, 0))),
            ("12am", Some(time(0, 0, 0, 0))),
            ("12 pm", Some(time(12, 0, 0, 0))),
            ("seven thirty", Some(time(7, 30, 0, 0))),
            ("six o'clock", Some(time(6, 0, 0, 0))),
            ("noon", Some(time(12, 0, 0, 0))),
            ("早上七点", Some(time(7, 0, 0, 0))),
            ("下午三点半", Some(time(15, 30, 0, 0))),
            ("晚上8点20分", Some(time(20, 20, 0, 0))),
            ("七点一刻", Some(time(7, 15, 0, 0))),
            ("十二点", Some(time(12, 0, 0, 0))),
            ("25:00", None),
            ("7:60", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(hour(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_understood() {
        let rows = [
            ("ten minutes", Some(600)),
            ("1h30m", Some(5400)),
            ("an hour and a half", Some(5400)),
            ("half an hour", Some(1800)),
            ("2.5 hours", Some(9000)),
            ("ninety seconds", Some(90)),
            ("twenty-five minutes", Some(1500)),
            ("十分钟", Some(600)),
            ("半小时", Some(1800)),
            ("一个半小时", Some(5400)),
            ("两小时", Some(7200)),
            ("3 weeks 2 days", Some(23 * 86_400)),
            ("a month", None),
            ("half a second", None),
            ("99999999999999999999 hours", None),
            ("999999999 years", None),
            ("minutes", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(duration(text).map(|d| d.as_secs()), expected, "{text}");
        }
        assert!(duration(&"1h".repeat(1000)).is_none());
    }
}
