//! `strftime_now`: C's `strftime` over a moment that the caller gives. Reads no clock; the moment
//! has no zone, so `%Z` and `%z` are empty, as they are of Python's `datetime.now()`.

use jiff::civil::DateTime;
use minijinja::Error;

use super::value::wrong;

/// Directives whose meaning is the same here and in the C locale.
const DIRECTIVES: &str = "aAbBCdeDFgGhHIjklmMnpPRsStTuUVwWxXyYcr";

/// Formats `now`. A directive that C does not know is left as it is.
pub(crate) fn strftime(now: DateTime, format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let directive = &rest[at..];
        let flags = directive[1..].find(|c: char| !"-_0^#".contains(c)).unwrap_or(0);
        let Some(letter) = directive[1 + flags..].chars().next() else {
            out.push_str(directive);
            return Ok(out);
        };
        let end = 1 + flags + letter.len_utf8();
        let directive = &directive[..end];
        match letter {
            '%' => out.push('%'),
            'Z' | 'z' => {}
            'f' => out.push_str(&format!("{:06}", now.subsec_nanosecond() / 1000)),
            'c' => out.push_str(&one(now, "%a %b %e %H:%M:%S %Y")?),
            'x' => out.push_str(&one(now, "%m/%d/%y")?),
            'X' => out.push_str(&one(now, "%H:%M:%S")?),
            'r' => out.push_str(&one(now, "%I:%M:%S %p")?),
            's' => return Err(wrong("%s needs a time zone, and there is none")),
            _ if DIRECTIVES.contains(letter) => out.push_str(&one(now, directive)?),
            _ => out.push_str(directive),
        }
        rest = &rest[at + end..];
    }
    out.push_str(rest);
    Ok(out)
}

fn one(now: DateTime, directive: &str) -> Result<String, Error> {
    let broken = |error: jiff::Error| wrong(format!("strftime_now {directive}: {error}"));
    jiff::fmt::strtime::format(directive, now).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_read_as_in_the_c_locale() {
        let now = DateTime::constant(2026, 11, 2, 9, 5, 7, 1_500_000);
        for (format, want) in [
            ("%d %b %Y", "02 Nov 2026"),
            ("%A, %B %-d, %Y %H:%M", "Monday, November 2, 2026 09:05"),
            ("%Y-%m-%dT%H:%M:%S.%f%z%Z|", "2026-11-02T09:05:07.001500|"),
            ("%I:%M %p %j %y %u %w %%", "09:05 AM 306 26 1 1 %"),
            ("%c", "Mon Nov  2 09:05:07 2026"),
            ("%Q %é %", "%Q %é %"),
            ("", ""),
        ] {
            assert_eq!(strftime(now, format).unwrap(), want);
        }
    }
}
