//! JSON that is still being written: what is known of a value so far. The text comes from a model, or
//! from whoever says to be one, so that depth and length have limits and nonsense is an error.
//!
//! A snapshot never has to be taken back: a text only grows, a list only gets longer, and a number, whose
//! next digit would change it, is not shown before it has ended.

use serde_json::{Map, Number, Value};

/// Lists and objects within one another.
const DEPTH_MAX: usize = 64;
/// Characters of a number.
const NUMBER_CHARS_MAX: usize = 400;

/// A value, as far as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Draft {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, ended.
    Number(Number),
    /// A text, or the beginning of one.
    Text {
        /// Its characters so far.
        text: String,
        /// Whether it has ended.
        whole: bool,
    },
    /// A list; its last item may be a draft itself.
    List {
        /// Its items so far.
        items: Vec<Draft>,
        /// Whether it has ended.
        whole: bool,
    },
    /// An object; its last value may be a draft itself.
    Record {
        /// Names and values so far, in their order. A name stands twice where it is written twice.
        fields: Vec<(String, Draft)>,
        /// Whether it has ended.
        whole: bool,
    },
}

impl Draft {
    /// A text that has ended.
    pub fn whole_text(&self) -> Option<&str> {
        match self {
            Draft::Text { text, whole: true } => Some(text),
            _ => None,
        }
    }

    /// Whether it is an object.
    pub fn is_record(&self) -> bool {
        matches!(self, Draft::Record { .. })
    }

    /// A value of an object: the last of that name, as JSON is mostly read.
    pub fn get(&self, name: &str) -> Option<&Draft> {
        match self {
            Draft::Record { fields, .. } => {
                fields.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// What is written, as JSON of its own.
    pub fn value(&self) -> Value {
        match self {
            Draft::Null => Value::Null,
            Draft::Bool(value) => Value::Bool(*value),
            Draft::Number(number) => Value::Number(number.clone()),
            Draft::Text { text, .. } => Value::String(text.clone()),
            Draft::List { items, .. } => items.iter().map(Draft::value).collect(),
            Draft::Record { fields, .. } => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), value.value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

/// What is wrong with a text that should be JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the answer: expected {wanted}")]
pub struct Broken {
    /// The byte.
    pub at: usize,
    /// What may stand there.
    pub wanted: &'static str,
}

/// A list or an object that is not closed yet.
#[derive(Clone, Debug)]
enum Open {
    List(Vec<Draft>),
    Record(Vec<(String, Draft)>, Option<String>),
}

/// What may come next.
#[derive(Clone, Debug, PartialEq)]
enum State {
    /// A value; the end of a list as well where it has just begun.
    Value { may_close: bool },
    /// A name; the end of an object as well where it has just begun.
    Name { may_close: bool },
    /// What stands between a name and its value.
    Colon,
    /// A comma, or the end of what is open.
    After,
    /// Nothing but blanks.
    End,
    /// The inside of a text.
    Text { text: String, escape: Escape, is_name: bool },
    /// The inside of a number.
    Number(String),
    /// The inside of `true`, `false` or `null`.
    Word { word: &'static str, read: usize },
}

/// How far an escape within a text has come.
#[derive(Clone, Debug, PartialEq)]
enum Escape {
    None,
    /// Behind a backslash; after the first half of a pair where there is one.
    Begun {
        high: Option<u32>,
    },
    /// Behind `\u` and some digits.
    Digits {
        code: u32,
        read: u8,
        high: Option<u32>,
    },
    /// Between the halves of a pair.
    Between {
        high: u32,
    },
}

/// Reads JSON as it comes.
#[derive(Clone, Debug)]
pub struct Drafting {
    open: Vec<Open>,
    state: State,
    root: Option<Draft>,
    at: usize,
    bytes_max: usize,
}

impl Drafting {
    /// Of a text of at most so many bytes.
    pub fn new(bytes_max: usize) -> Drafting {
        let state = State::Value { may_close: false };
        Drafting { open: Vec::new(), state, root: None, at: 0, bytes_max }
    }

    /// Reads more. After an error it is of no use any more.
    ///
    /// # Errors
    /// What cannot be the beginning of JSON, or goes too far.
    pub fn push(&mut self, piece: &str) -> Result<(), Broken> {
        for letter in piece.chars() {
            self.letter(letter)?;
            self.at += letter.len_utf8();
            if self.at > self.bytes_max {
                return Err(self.broken("the end: it is longer than any answer of this type"));
            }
        }
        Ok(())
    }

    /// What is known so far; `None` before anything is.
    pub fn draft(&self) -> Option<Draft> {
        let mut inner = match &self.state {
            State::Text { text, is_name: false, .. } => {
                Some(Draft::Text { text: text.clone(), whole: false })
            }
            _ => self.root.clone(),
        };
        for open in self.open.iter().rev() {
            inner = Some(match open {
                Open::List(items) => {
                    let items = items.iter().cloned().chain(inner).collect();
                    Draft::List { items, whole: false }
                }
                Open::Record(fields, name) => {
                    let last = name.clone().zip(inner);
                    let fields = fields.iter().cloned().chain(last).collect();
                    Draft::Record { fields, whole: false }
                }
            });
        }
        inner
    }

    /// The value, at the end of the text.
    ///
    /// # Errors
    /// The text ends before the value does.
    pub fn finish(mut self) -> Result<Draft, Broken> {
        if let State::Number(_) = self.state {
            self.number()?;
        }
        match self.root.take() {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err(self.broken("more: it ends here")),
        }
    }

    fn broken(&self, wanted: &'static str) -> Broken {
        Broken { at: self.at, wanted }
    }

    fn letter(&mut self, letter: char) -> Result<(), Broken> {
        if let State::Number(text) = &mut self.state {
            if matches!(letter, '0'..='9' | '+' | '-' | '.' | 'e' | 'E') {
                text.push(letter);
                let far = text.len() > NUMBER_CHARS_MAX;
                return if far { Err(self.broken("a shorter number")) } else { Ok(()) };
            }
            self.number()?;
        }
        if let State::Text { .. } = self.state {
            return self.inside(letter);
        }
        if let State::Word { word, read } = self.state {
            if !word[read..].starts_with(letter) {
                return Err(self.broken("true, false or null"));
            }
            match read + 1 == word.len() {
                false => self.state = State::Word { word, read: read + 1 },
                true => self.give(match word {
                    "null" => Draft::Null,
                    word => Draft::Bool(word == "true"),
                }),
            }
            return Ok(());
        }
        if matches!(letter, ' ' | '\n' | '\r' | '\t') {
            return Ok(());
        }
        match (&self.state, letter) {
            (State::Value { may_close: true }, ']') => self.close(),
            (State::Name { may_close: true }, '}') => self.close(),
            (State::Value { .. }, letter) => self.begin(letter)?,
            (State::Name { .. }, '"') => self.state = text(true),
            (State::Name { .. }, _) => return Err(self.broken("a name in quotes")),
            (State::Colon, ':') => self.state = State::Value { may_close: false },
            (State::Colon, _) => return Err(self.broken("a colon")),
            (State::After, letter) => match (letter, self.open.last()) {
                (',', Some(Open::List(_))) => self.state = State::Value { may_close: false },
                (',', Some(Open::Record(..))) => self.state = State::Name { may_close: false },
                (']', Some(Open::List(_))) | ('}', Some(Open::Record(..))) => self.close(),
                (_, Some(Open::List(_))) => return Err(self.broken("a comma or ]")),
                _ => return Err(self.broken("a comma or }")),
            },
            _ => return Err(self.broken("nothing more")),
        }
        Ok(())
    }

    /// The first character of a value.
    fn begin(&mut self, letter: char) -> Result<(), Broken> {
        self.state = match letter {
            '"' => text(false),
            '-' | '0'..='9' => State::Number(letter.into()),
            't' => State::Word { word: "true", read: 1 },
            'f' => State::Word { word: "false", read: 1 },
            'n' => State::Word { word: "null", read: 1 },
            '[' | '{' if self.open.len() == DEPTH_MAX => {
                return Err(self.broken("less depth"));
            }
            '[' => {
                self.open.push(Open::List(Vec::new()));
                State::Value { may_close: true }
            }
            '{' => {
                self.open.push(Open::Record(Vec::new(), None));
                State::Name { may_close: true }
            }
            _ => return Err(self.broken("a value")),
        };
        Ok(())
    }

    /// The end of what was opened last.
    fn close(&mut self) {
        let whole = true;
        match self.open.pop() {
            Some(Open::List(items)) => self.give(Draft::List { items, whole }),
            Some(Open::Record(fields, _)) => self.give(Draft::Record { fields, whole }),
            None => {}
        }
    }

    /// A value that has ended goes where it belongs.
    fn give(&mut self, value: Draft) {
        self.state = State::After;
        match self.open.last_mut() {
            Some(Open::List(items)) => items.push(value),
            Some(Open::Record(fields, name)) => {
                fields.extend(name.take().map(|name| (name, value)));
            }
            None => {
                self.root = Some(value);
                self.state = State::End;
            }
        }
    }

    fn number(&mut self) -> Result<(), Broken> {
        if let State::Number(text) = &self.state {
            let number = serde_json::from_str(text);
            let number = number.map_err(|_| self.broken("a number"))?;
            self.give(Draft::Number(number));
        }
        Ok(())
    }

    /// A character of a text.
    fn inside(&mut self, letter: char) -> Result<(), Broken> {
        let at = self.at;
        let broken = |wanted| Err(Broken { at, wanted });
        let State::Text { text, escape, is_name } = &mut self.state else { return Ok(()) };
        match escape {
            Escape::None => match letter {
                '"' => {
                    let (text, is_name) = (std::mem::take(text), *is_name);
                    match (is_name, self.open.last_mut()) {
                        (true, Some(Open::Record(_, name))) => {
                            *name = Some(text);
                            self.state = State::Colon;
                        }
                        _ => self.give(Draft::Text { text, whole: true }),
                    }
                }
                '\\' => *escape = Escape::Begun { high: None },
                '\0'..='\u{1f}' => return broken("an escape for this character"),
                letter => text.push(letter),
            },
            Escape::Begun { high } => {
                let plain = match letter {
                    'u' => {
                        *escape = Escape::Digits { code: 0, read: 0, high: *high };
                        return Ok(());
                    }
                    _ if high.is_some() => return broken("the other half of a pair"),
                    '"' | '\\' | '/' => letter,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    _ => return broken("an escape"),
                };
                text.push(plain);
                *escape = Escape::None;
            }
            Escape::Between { high } => match letter {
                '\\' => *escape = Escape::Begun { high: Some(*high) },
                _ => return broken("the other half of a pair"),
            },
            Escape::Digits { code, read, high } => {
                let Some(digit) = letter.to_digit(16) else { return broken("a digit") };
                *code = *code * 16 + digit;
                *read += 1;
                if *read < 4 {
                    return Ok(());
                }
                let (code, high) = (*code, *high);
                let whole = match (high, code) {
                    (None, 0xd800..=0xdbff) => {
                        *escape = Escape::Between { high: code };
                        return Ok(());
                    }
                    (Some(high), 0xdc00..=0xdfff) => {
                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00))
                    }
                    (Some(_), _) => None,
                    (None, code) => char::from_u32(code),
                };
                let Some(whole) = whole else { return broken("a whole character") };
                text.push(whole);
                *escape = Escape::None;
            }
        }
        Ok(())
    }
}

fn text(is_name: bool) -> State {
    State::Text { text: String::new(), escape: Escape::None, is_name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, Broken> {
        let mut drafting = Drafting::new(1 << 20);
        drafting.push(text)?;
        Ok(drafting.finish()?.value())
    }

    /// Whether nothing of a snapshot would have to be taken back to get to the whole.
    fn grows_to(part: &Draft, whole: &Value) -> bool {
        match (part, whole) {
            (Draft::Text { text, whole: false }, Value::String(whole)) => whole.starts_with(text),
            (Draft::List { items, whole: ended }, Value::Array(whole)) => {
                items.len() <= whole.len()
                    && (!ended || items.len() == whole.len())
                    && items.iter().zip(whole).all(|(part, whole)| grows_to(part, whole))
            }
            (Draft::Record { fields, whole: ended }, Value::Object(whole)) => {
                (!ended || fields.len() == whole.len())
                    && fields
                        .iter()
                        .all(|(name, part)| whole.get(name).is_some_and(|w| grows_to(part, w)))
            }
            (part, whole) => part.value() == *whole,
        }
    }

    const TEXTS: &[&str] = &[
        r#"{"name":"Ada","age":36,"likes":["sums","\u00e9\ud83d\ude00"],"at":{"x":-1.5e3,"y":0}}"#,
        " [ ] ",
        "[[],{},[{}],null,true,false]",
        r#""a \"quoted\" 字 \\ \/ \b\f\n\r\t""#,
        "-0.25",
        "{\n  \"a\" : [ 1 , 2.0 ]\n}",
    ];

    #[test]
    fn every_beginning_of_a_value_is_a_part_of_it() {
        for text in TEXTS {
            let whole: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text).unwrap(), whole, "{text}");
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            for end in ends {
                let mut drafting = Drafting::new(1 << 20);
                drafting.push(&text[..end]).unwrap_or_else(|e| panic!("{:?}: {e}", &text[..end]));
                if let Some(draft) = drafting.draft() {
                    assert!(grows_to(&draft, &whole), "{:?} gave {draft:?}", &text[..end]);
                }
            }
        }
    }

    #[test]
    fn what_was_shown_stays() {
        let draft = |text: &str| {
            let mut drafting = Drafting::new(1 << 20);
            drafting.push(text).unwrap();
            drafting.draft().map(|draft| draft.value().to_string())
        };
        let rows = [
            ("", None),
            ("  ", None),
            ("12", None),
            ("tru", None),
            ("[12", Some("[]")),
            ("[12,", Some("[12]")),
            (r#"{"na"#, Some("{}")),
            (r#"{"name""#, Some("{}")),
            (r#"{"name": "A"#, Some(r#"{"name":"A"}"#)),
            (r#"{"name": "A\u00"#, Some(r#"{"name":"A"}"#)),
            (r#"{"name": "A\ud83d\ude"#, Some(r#"{"name":"A"}"#)),
            (r#"{"a": {"b": [{"c": "d"#, Some(r#"{"a":{"b":[{"c":"d"}]}}"#)),
        ];
        for (text, wanted) in rows {
            assert_eq!(draft(text).as_deref(), wanted, "{text:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_where_it_stands() {
        let rows = [
            ("}", 0, "a value"),
            ("[1 2]", 3, "a comma or ]"),
            ("{1:2}", 1, "a name in quotes"),
            (r#"{"a" 1}"#, 5, "a colon"),
            (r#"{"a":1,}"#, 7, "a name in quotes"),
            ("[1,]", 3, "a value"),
            ("nul!", 3, "true, false or null"),
            ("1 1", 2, "nothing more"),
            ("01,", 2, "a number"),
            ("\"\u{1}\"", 1, "an escape for this character"),
            (r#""\x""#, 2, "an escape"),
            (r#""\ud83dx""#, 7, "the other half of a pair"),
            (r#""\ud83d\n""#, 8, "the other half of a pair"),
            (r#""\udc00""#, 6, "a whole character"),
            (r#""\u00g0""#, 5, "a digit"),
            ("[1", 2, "more: it ends here"),
            ("", 0, "more: it ends here"),
        ];
        for (text, at, wanted) in rows {
            assert_eq!(read(text), Err(Broken { at, wanted }), "{text:?}");
        }
        assert!(read(&"[".repeat(DEPTH_MAX + 1)).is_err());
        assert!(read(&format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX))).is_ok());
        assert!(read(&"9".repeat(NUMBER_CHARS_MAX + 1)).is_err());
        let mut short = Drafting::new(4);
        assert!(short.push("[1,2,3]").is_err());
    }

    /// Mutilated JSON, cut into pieces anywhere: the answer is that of a reader of whole texts.
    #[test]
    fn it_agrees_with_a_reader_of_whole_texts() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut chance = move |most: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % most as u64) as usize
        };
        let odd: Vec<char> = "{}[]\",:\\u0123456789-+.eEtfn \n\u{1}字😀x".chars().collect();
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let mut letters: Vec<char> = TEXTS[chance(TEXTS.len())].chars().collect();
            for _ in 0..chance(3) {
                let (at, with) = (chance(letters.len().max(1)), odd[chance(odd.len())]);
                match chance(3) {
                    0 if !letters.is_empty() => _ = letters.remove(at),
                    1 if !letters.is_empty() => letters[at] = with,
                    _ => letters.insert(at, with),
                }
            }
            let text: String = letters.iter().collect();
            let mut drafting = Drafting::new(1 << 20);
            let mut drafted = Ok(());
            for piece in letters.chunks(1 + chance(7)) {
                drafted = drafted.and_then(|()| drafting.push(&piece.iter().collect::<String>()));
                if drafted.is_ok() {
                    drafting.draft();
                }
            }
            let ours = drafted.and_then(|()| drafting.finish()).map(|draft| draft.value()).ok();
            let theirs = serde_json::from_str::<Value>(&text).ok();
            assert_eq!(ours, theirs, "{text:?}");
            if ours.is_some() { good += 1 } else { bad += 1 }
        }
        assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
    }
}
