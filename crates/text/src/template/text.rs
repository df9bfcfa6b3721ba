//! A string that remembers which of its bytes came from outside the template. Knows no template
//! language; every operation here keeps the marks of the bytes it keeps.

use std::ops::Range;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, ObjectRepr};

/// Owned text with its quoted byte ranges: in order, apart, none empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text {
    s: String,
    quoted: Vec<Range<usize>>,
    /// Went through `safe` or `escape`: what is added to it is escaped. Jinja's `Markup`.
    is_markup: bool,
}

/// Borrowed text. A plain template string is one with no quoted range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Str<'a> {
    pub(crate) s: &'a str,
    quoted: &'a [Range<usize>],
    pub(crate) is_markup: bool,
}

impl Text {
    /// Text that came from outside, every byte of it.
    pub(crate) fn outside(s: String) -> Text {
        let end = s.len();
        let mut text = Text { s, ..Text::default() };
        if end > 0 {
            text.quote(0..end);
        }
        text
    }

    pub(crate) fn len(&self) -> usize {
        self.s.len()
    }

    pub(crate) fn as_str(&self) -> Str<'_> {
        Str { s: &self.s, quoted: &self.quoted, is_markup: self.is_markup }
    }

    pub(crate) fn into_parts(self) -> (String, Vec<Range<usize>>) {
        (self.s, self.quoted)
    }

    /// Appends what the template wrote.
    pub(crate) fn push(&mut self, s: &str) {
        self.s.push_str(s);
    }

    /// Appends `s`, all of it quoted or none of it.
    pub(crate) fn push_piece(&mut self, s: &str, quoted: bool) {
        let start = self.s.len();
        self.s.push_str(s);
        if quoted && !s.is_empty() {
            self.quote(start..self.s.len());
        }
    }

    pub(crate) fn push_char(&mut self, c: char, quoted: bool) {
        self.push_piece(c.encode_utf8(&mut [0; 4]), quoted);
    }

    /// Appends text with its marks.
    pub(crate) fn push_str(&mut self, text: Str<'_>) {
        let start = self.s.len();
        self.s.push_str(text.s);
        for range in text.quoted {
            self.quote(range.start + start..range.end + start);
        }
    }

    fn quote(&mut self, range: Range<usize>) {
        match self.quoted.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.quoted.push(range),
        }
    }

    /// The same text, escaped already or exempt.
    pub(crate) fn into_markup(self) -> Text {
        Text { is_markup: true, ..self }
    }

    /// The same text without that distinction.
    pub(crate) fn into_plain(self) -> Text {
        Text { is_markup: false, ..self }
    }

    /// A template value: a plain string unless there is more to know about it.
    pub(crate) fn into_value(self) -> Value {
        if self.quoted.is_empty() && !self.is_markup {
            Value::from(self.s)
        } else {
            Value::from_object(self)
        }
    }
}

impl From<&str> for Text {
    fn from(s: &str) -> Text {
        Text { s: s.to_owned(), ..Text::default() }
    }
}

impl Object for Text {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.s.is_empty()
    }

    fn render(self: &Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.s)
    }
}

impl<'a> Str<'a> {
    /// Text that the template wrote.
    pub(crate) fn plain(s: &'a str) -> Str<'a> {
        Str { s, quoted: &[], is_markup: false }
    }

    /// The text in a value, if it is a string.
    pub(crate) fn of(value: &'a Value) -> Option<Str<'a>> {
        match value.as_str() {
            Some(s) => Some(Str::plain(s)),
            None => value.downcast_object_ref::<Text>().map(Text::as_str),
        }
    }

    /// Runs of bytes that are all quoted or all not, within `range`.
    pub(crate) fn pieces(self, range: Range<usize>) -> impl Iterator<Item = (&'a str, bool)> {
        let first = self.quoted.partition_point(|q| q.end <= range.start);
        let mut marks = self.quoted[first..].iter();
        let mut next = marks.next();
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let (end, quoted) = match next {
                Some(q) if q.start <= at => (q.end.min(range.end), true),
                Some(q) => (q.start.min(range.end), false),
                None => (range.end, false),
            };
            if quoted {
                next = marks.next();
            }
            let piece = &self.s[at..end];
            at = end;
            Some((piece, quoted))
        })
    }

    /// All characters, each with whether it is quoted.
    pub(crate) fn chars(self) -> impl Iterator<Item = (char, bool)> {
        self.pieces(0..self.s.len()).flat_map(|(s, quoted)| s.chars().map(move |c| (c, quoted)))
    }

    /// A part of the text; `range` lies on character boundaries.
    pub(crate) fn slice(self, range: Range<usize>) -> Text {
        let mut out = Text { is_markup: self.is_markup, ..Text::default() };
        for (piece, quoted) in self.pieces(range) {
            out.push_piece(piece, quoted);
        }
        out
    }

    pub(crate) fn to_text(self) -> Text {
        Text { s: self.s.to_owned(), quoted: self.quoted.to_vec(), is_markup: self.is_markup }
    }

    /// The part that `part`, a subslice of this text, covers.
    pub(crate) fn part(self, part: &str) -> Text {
        let start = part.as_ptr().addr() - self.s.as_ptr().addr();
        self.slice(start..start + part.len())
    }

    /// Maps each character to zero or more; what comes of a quoted one stays quoted.
    pub(crate) fn map_chars<I: IntoIterator<Item = char>>(
        self,
        mut map: impl FnMut(char) -> I,
    ) -> Text {
        let mut out = Text { is_markup: self.is_markup, ..Text::default() };
        for (c, quoted) in self.chars() {
            for mapped in map(c) {
                out.push_char(mapped, quoted);
            }
        }
        out
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    fn sample() -> Text {
        let mut text = Text::from("ab");
        text.push_piece("cd", true);
        text.push_piece("ef", true);
        text.push("gh");
        text
    }

    #[test]
    fn adjacent_marks_join_and_slices_keep_them() {
        let text = sample();
        assert_eq!(text.clone().into_parts(), ("abcdefgh".into(), vec![2..6]));
        assert_eq!(text.as_str().slice(3..7).into_parts(), ("defg".into(), vec![0..3]));
        assert_eq!(text.as_str().slice(0..2).into_parts(), ("ab".into(), vec![]));
        assert_eq!(text.as_str().slice(4..4).into_parts(), (String::new(), vec![]));
        assert_eq!(
            text.as_str().part(&text.as_str().s[1..3]).into_parts(),
            ("bc".into(), vec![1..2])
        );
    }

    #[test]
    fn mapped_characters_stay_quoted() {
        let upper = sample().as_str().map_chars(char::to_uppercase).into_parts();
        assert_eq!(upper, ("ABCDEFGH".into(), vec![2..6]));
        let doubled = sample().as_str().map_chars(|c| [c, c]).into_parts();
        assert_eq!(doubled.1, vec![4..12]);
    }
}
