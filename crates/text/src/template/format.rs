//! `'%s' % value` and `'{}'.format(value)`: numbers and padding as Python prints them. `%c` is not
//! offered, because it could write a character that no string of the template or its input holds.

use minijinja::{Error, Value};

use super::ops::{Args, item};
use super::text::{Str, Text};
use super::value::{Dict, Kind, List, Number, Run, print, repr_into, type_name, wrong};

/// Where padding does not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    Center,
}

/// How one value is laid out.
#[derive(Clone, Copy, Debug)]
struct Layout {
    fill: char,
    align: Option<Align>,
    plus: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    thousands: Option<char>,
    precision: Option<usize>,
    kind: char,
}

impl Layout {
    const PLAIN: Layout = Layout {
        fill: ' ',
        align: None,
        plus: None,
        alternate: false,
        zero: false,
        width: 0,
        thousands: None,
        precision: None,
        kind: 's',
    };
}

/// Pads to a width in characters.
pub(crate) fn pad(
    run: &Run,
    s: Str<'_>,
    width: i64,
    fill: char,
    align: Align,
) -> Result<Text, Error> {
    let width = usize::try_from(width).unwrap_or(0);
    let missing = width.saturating_sub(s.s.chars().count());
    run.charge(s.s.len().saturating_add(missing.saturating_mul(fill.len_utf8())))?;
    let left = match align {
        Align::Left => 0,
        Align::Right => missing,
        // Python puts the odd one left only when the width is odd as well.
        Align::Center => missing / 2 + (missing & width & 1),
    };
    let mut out = Text::default();
    for _ in 0..left {
        out.push_char(fill, false);
    }
    out.push_str(s);
    for _ in left..missing {
        out.push_char(fill, false);
    }
    Ok(out)
}

/// `str.zfill`: zeros after the sign.
pub(crate) fn zero_fill(run: &Run, s: Str<'_>, width: i64) -> Result<Text, Error> {
    let sign = usize::from(s.s.starts_with(['+', '-']));
    let digits = s.slice(sign..s.s.len());
    let mut out = s.slice(0..sign);
    out.push_str(pad(run, digits.as_str(), width - sign as i64, '0', Align::Right)?.as_str());
    Ok(out)
}

/// `pattern % value`.
pub(crate) fn percent(run: &Run, pattern: Str<'_>, value: &Value) -> Result<Value, Error> {
    let tuple = List::of(value).filter(|list| list.kind == Kind::Tuple);
    let mut values = match tuple {
        Some(list) => list.items.clone(),
        None => vec![value.clone()],
    }
    .into_iter();
    let mut named = false;
    let mut out = Text::default();
    let mut rest = pattern.s;
    while let Some(at) = rest.find('%') {
        out.push_str(pattern.part(&rest[..at]).as_str());
        let mut scan = Scan(&rest[at + 1..]);
        let key = scan.key()?;
        let mut layout = Layout::PLAIN;
        loop {
            match scan.peek() {
                Some('-') => layout.align = Some(Align::Left),
                Some('+') => layout.plus = Some('+'),
                Some(' ') if layout.plus.is_none() => layout.plus = Some(' '),
                Some(' ') => {}
                Some('0') => layout.zero = true,
                Some('#') => layout.alternate = true,
                _ => break,
            }
            scan.next();
        }
        layout.width = scan.number()?.unwrap_or(0);
        if scan.take('.') {
            layout.precision = Some(scan.number()?.unwrap_or(0));
        }
        let kind = scan.next().ok_or_else(|| wrong("incomplete format"))?;
        rest = scan.0;
        if kind == '%' {
            out.push("%");
            continue;
        }
        let value = match key {
            Some(key) => {
                named = true;
                let dict = Dict::of(value).ok_or_else(|| wrong("format requires a mapping"))?;
                dict.get_str(key).cloned().ok_or_else(|| wrong(format!("KeyError: '{key}'")))?
            }
            None => values.next().ok_or_else(|| wrong("not enough arguments for format string"))?,
        };
        let text = match kind {
            's' => print(run, &value)?,
            'r' | 'a' => repr(run, &value)?,
            'd' | 'i' | 'u' | 'f' | 'F' | 'e' | 'E' | 'g' | 'G' | 'x' | 'X' | 'o' => {
                layout.kind = if "iu".contains(kind) { 'd' } else { kind };
                let number = Number::of(&value).ok_or_else(|| {
                    let other = type_name(&value);
                    wrong(format!("%{kind} format: a number is required, not {other}"))
                })?;
                let number = match (layout.kind, number) {
                    ('d', Number::Float(f)) => Number::Int(f.trunc() as i128),
                    (_, number) => number,
                };
                layout.align = layout.align.or(Some(Align::Right));
                out.push_str(self::number(run, number, layout)?.as_str());
                continue;
            }
            other => return Err(wrong(format!("unsupported format character '{other}'"))),
        };
        let text = clip(text, layout.precision);
        let align = layout.align.unwrap_or(Align::Right);
        out.push_str(pad(run, text.as_str(), layout.width as i64, ' ', align)?.as_str());
    }
    out.push_str(pattern.part(rest).as_str());
    if !named && tuple.is_some() && values.next().is_some()
        || tuple.is_none() && !named && values.next().is_some() && Dict::of(value).is_none()
    {
        return Err(wrong("not all arguments converted during string formatting"));
    }
    run.text(out)
}

/// `pattern.format(...)`.
pub(crate) fn braces(run: &Run, pattern: Str<'_>, args: &Args) -> Result<Value, Error> {
    let mut out = Text::default();
    let mut next = 0;
    let mut rest = pattern.s;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(pattern.part(&rest[..at]).as_str());
        let brace = &rest[at..at + 1];
        let after = &rest[at + 1..];
        if after.starts_with(brace) {
            out.push_str(pattern.part(brace).as_str());
            rest = &after[1..];
            continue;
        }
        if brace == "}" {
            return Err(wrong("single '}' encountered in format string"));
        }
        let Some((field, tail)) = after.split_once('}') else {
            return Err(wrong("expected '}' before end of string"));
        };
        rest = tail;
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        if spec.contains('{') {
            return Err(wrong("a format within a format is not supported"));
        }
        let (field, conversion) = match field.split_once('!') {
            Some((field, conversion)) => (field, Some(conversion)),
            None => (field, None),
        };
        let value = lookup(run, field, &mut next, args)?;
        let value = match conversion {
            None => value,
            Some("s") => run.text(print(run, &value)?)?,
            Some("r") => run.text(repr(run, &value)?)?,
            Some(other) => return Err(wrong(format!("unknown conversion '{other}'"))),
        };
        out.push_str(lay_out(run, &value, spec)?.as_str());
    }
    out.push_str(pattern.part(rest).as_str());
    run.text(out)
}

/// The value that `name.attr[key]` of a replacement field means.
fn lookup(run: &Run, field: &str, next: &mut usize, args: &Args) -> Result<Value, Error> {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    let (first, mut path) = field.split_at(end);
    let index = if first.is_empty() {
        *next += 1;
        Some(*next - 1)
    } else {
        first.parse().ok()
    };
    let mut value = match index {
        Some(at) => args.values.get(at).cloned(),
        None => args.named.iter().find(|(key, _)| key == first).map(|(_, value)| value.clone()),
    }
    .ok_or_else(|| wrong(format!("format: no argument '{first}'")))?;
    while !path.is_empty() {
        let (key, tail) = match path.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or_else(|| wrong("missing ']' in format"))?,
            None => {
                let inner = path.trim_start_matches('.');
                inner.split_at(inner.find(['.', '[']).unwrap_or(inner.len()))
            }
        };
        let key = key.parse::<i64>().map_or_else(|_| Value::from(key), Value::from);
        value = item(run, &value, &key)?;
        path = tail;
    }
    Ok(value)
}

/// `format(value, spec)`.
fn lay_out(run: &Run, value: &Value, spec: &str) -> Result<Text, Error> {
    if spec.is_empty() {
        return print(run, value);
    }
    let align = |c| match c {
        '<' => Some(Align::Left),
        '>' | '=' => Some(Align::Right),
        '^' => Some(Align::Center),
        _ => None,
    };
    let mut layout = Layout::PLAIN;
    let mut scan = Scan(spec);
    let mut chars = spec.chars();
    match (chars.next(), chars.next().and_then(align)) {
        (Some(fill), Some(found)) => {
            layout.fill = fill;
            layout.align = Some(found);
            scan.next();
            scan.next();
        }
        (Some(c), _) if align(c).is_some() => {
            layout.align = align(c);
            scan.next();
        }
        _ => {}
    }
    if let Some(sign) = scan.peek().filter(|c| "+- ".contains(*c)) {
        layout.plus = Some(sign).filter(|c| *c != '-');
        scan.next();
    }
    layout.alternate = scan.take('#');
    layout.zero = scan.take('0');
    layout.width = scan.number()?.unwrap_or(0);
    layout.thousands = scan.peek().filter(|c| ",_".contains(*c));
    if layout.thousands.is_some() {
        scan.next();
    }
    if scan.take('.') {
        layout.precision = scan.number()?;
    }
    let kind = scan.next();
    if scan.next().is_some() {
        return Err(wrong("invalid format specifier"));
    }
    match (Number::of(value), kind) {
        (Some(found), Some(kind)) if "dfFeEgGxXobn%".contains(kind) => {
            layout.kind = kind;
            layout.align = layout.align.or(Some(Align::Right));
            number(run, found, layout)
        }
        (Some(found), None) if value.is_number() => {
            layout.kind = match found {
                Number::Int(_) => 'd',
                Number::Float(_) if layout.precision.is_some() => 'g',
                Number::Float(_) => 'r',
            };
            layout.align = layout.align.or(Some(Align::Right));
            number(run, found, layout)
        }
        (_, None | Some('s')) => {
            let text = clip(print(run, value)?, layout.precision);
            let align = layout.align.unwrap_or(Align::Left);
            pad(run, text.as_str(), layout.width as i64, layout.fill, align)
        }
        (_, Some(kind)) => {
            let other = type_name(value);
            Err(wrong(format!("unknown format code '{kind}' for object of type '{other}'")))
        }
    }
}

fn repr(run: &Run, value: &Value) -> Result<Text, Error> {
    let mut text = Text::default();
    repr_into(run, value, &mut text)?;
    Ok(text)
}

fn clip(text: Text, precision: Option<usize>) -> Text {
    let Some(precision) = precision else { return text };
    let s = text.as_str();
    let end = s.s.char_indices().nth(precision).map_or(s.s.len(), |(at, _)| at);
    s.slice(0..end)
}

/// A number with sign, grouping, zeros and padding.
fn number(run: &Run, number: Number, layout: Layout) -> Result<Text, Error> {
    if layout.precision.unwrap_or(0) > 400 {
        return Err(wrong("precision too big"));
    }
    let negative = match number {
        Number::Int(i) => i < 0,
        Number::Float(f) => f.is_sign_negative() && !f.is_nan(),
    };
    let magnitude = match number {
        Number::Int(i) => Number::Float(i.unsigned_abs() as f64),
        Number::Float(f) => Number::Float(f.abs()),
    };
    let float = magnitude.as_f64();
    let precision = layout.precision.unwrap_or(6);
    let mut digits = match (layout.kind, number) {
        ('d' | 'n', Number::Int(i)) => i.unsigned_abs().to_string(),
        ('x', Number::Int(i)) => format!("{:x}", i.unsigned_abs()),
        ('X', Number::Int(i)) => format!("{:X}", i.unsigned_abs()),
        ('o', Number::Int(i)) => format!("{:o}", i.unsigned_abs()),
        ('b', Number::Int(i)) => format!("{:b}", i.unsigned_abs()),
        ('f' | 'F', _) => format!("{float:.precision$}"),
        ('%', _) => format!("{:.precision$}%", float * 100.0),
        ('e' | 'E', _) => exponent(float, precision),
        ('g' | 'G', _) => general(float, layout.precision.unwrap_or(6), layout.alternate),
        ('r', _) => super::value::float(float),
        (kind, _) => return Err(wrong(format!("an integer is required for format '{kind}'"))),
    };
    if layout.kind.is_ascii_uppercase() {
        digits = digits.to_uppercase();
    }
    if matches!(layout.kind, 'd') && layout.precision.is_some_and(|p| p > digits.len()) {
        digits = format!("{digits:0>precision$}");
    }
    if let Some(separator) = layout.thousands {
        digits = group(&digits, separator);
    }
    let prefix = match layout.kind {
        'x' if layout.alternate => "0x",
        'X' if layout.alternate => "0X",
        'o' if layout.alternate => "0o",
        'b' if layout.alternate => "0b",
        _ => "",
    };
    let sign =
        if negative { "-".to_owned() } else { layout.plus.map(String::from).unwrap_or_default() };
    let body = format!("{prefix}{digits}");
    let width = layout.width as i64;
    if layout.zero && layout.align != Some(Align::Left) {
        return zero_fill(run, Str::plain(&format!("{sign}{body}")), width);
    }
    let align = layout.align.unwrap_or(Align::Right);
    pad(run, Str::plain(&format!("{sign}{body}")), width, layout.fill, align)
}

fn exponent(f: f64, precision: usize) -> String {
    let text = format!("{f:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, power)) => {
            let power: i32 = power.parse().unwrap_or(0);
            let sign = if power < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", power.abs())
        }
        None => text,
    }
}

fn general(f: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let rounded = exponent(f, precision - 1);
    let power: i32 = rounded.split_once('e').and_then(|(_, p)| p.parse().ok()).unwrap_or(0);
    let trim = |s: &str| match (keep_zeros, s.contains('.')) {
        (false, true) => s.trim_end_matches('0').trim_end_matches('.').to_owned(),
        _ => s.to_owned(),
    };
    if power < -4 || power >= precision as i32 {
        match rounded.split_once('e') {
            Some((mantissa, tail)) => format!("{}e{tail}", trim(mantissa)),
            None => rounded,
        }
    } else {
        let decimals = (precision as i32 - 1 - power).max(0) as usize;
        trim(&format!("{f:.decimals$}"))
    }
}

fn group(digits: &str, separator: char) -> String {
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let mut out = String::new();
    for (i, c) in digits[..end].chars().enumerate() {
        if i > 0 && (end - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    out + &digits[end..]
}

/// What is left of a format's directive.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.0 = &self.0[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, c: char) -> bool {
        match self.0.strip_prefix(c) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn number(&mut self) -> Result<Option<usize>, Error> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        if digits.is_empty() {
            return Ok(None);
        }
        digits.parse().map(Some).map_err(|_| wrong("width or precision too big"))
    }

    fn key(&mut self) -> Result<Option<&'a str>, Error> {
        match self.0.strip_prefix('(') {
            Some(rest) => {
                let (key, rest) =
                    rest.split_once(')').ok_or_else(|| wrong("incomplete format key"))?;
                self.0 = rest;
                Ok(Some(key))
            }
            None => Ok(None),
        }
    }
}
