//! Server-sent events as they come, from a stranger: a line, an event and all of them together have
//! limits. It knows bytes and lines, and nothing of what events mean.

use std::io::{self, BufRead, BufReader, Read};

/// The longest event. What waits in a daemon is at most a mebibyte, which escapes make longer.
const EVENT_BYTES_MAX: usize = 8 << 20;
/// The longest answer, signs of life and all.
const STREAM_BYTES_MAX: u64 = 1 << 30;

/// One event, or a sign of life between two.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Its name, empty where it has none, and its data.
    Event(String, String),
    /// A comment: somebody is still there.
    Alive,
}

/// Why there is no next event.
#[derive(Debug)]
pub(crate) enum Broken {
    /// More bytes than this.
    TooLong(u64),
    /// No text.
    NoText,
    /// The connection.
    Io(io::Error),
}

/// The events of a stream.
pub(crate) struct Events<R> {
    bytes: BufReader<io::Take<R>>,
}

impl<R: Read> Events<R> {
    pub(crate) fn new(bytes: R) -> Events<R> {
        Events { bytes: BufReader::new(bytes.take(STREAM_BYTES_MAX)) }
    }

    /// The next event or sign of life; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Result<Option<Line>, Broken> {
        let (mut name, mut data) = (String::new(), String::new());
        while let Some(line) = self.line(EVENT_BYTES_MAX.saturating_sub(name.len() + data.len()))? {
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if !line.is_empty() => return Ok(Some(Line::Alive)),
                "" if !data.is_empty() => return Ok(Some(Line::Event(name, data))),
                "" => name.clear(),
                "event" => value.clone_into(&mut name),
                "data" if data.is_empty() => value.clone_into(&mut data),
                "data" => {
                    data.push('\n');
                    data.push_str(value);
                }
                // `id` and `retry`: nobody asks again for the same answer.
                _ => {}
            }
        }
        if self.bytes.get_ref().limit() == 0 {
            return Err(Broken::TooLong(STREAM_BYTES_MAX));
        }
        Ok(None)
    }

    /// A line without its end, of at most so many bytes. What stands after the last end is no line.
    fn line(&mut self, most: usize) -> Result<Option<String>, Broken> {
        let mut line = Vec::new();
        let limit = most as u64 + 2;
        (&mut self.bytes).take(limit).read_until(b'\n', &mut line).map_err(Broken::Io)?;
        if line.pop() != Some(b'\n') {
            let full = line.len() as u64 + 1 == limit;
            return if full { Err(Broken::TooLong(EVENT_BYTES_MAX as u64)) } else { Ok(None) };
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|_| Broken::NoText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<Line> {
        let mut events = Events::new(text);
        std::iter::from_fn(|| events.next().unwrap()).collect()
    }

    fn event(name: &str, data: &str) -> Line {
        Line::Event(name.into(), data.into())
    }

    #[test]
    fn events_are_read_as_the_standard_has_them() {
        let rows: &[(&str, Vec<Line>)] = &[
            ("data: a\n\ndata: b\n\n", vec![event("", "a"), event("", "b")]),
            ("event: text\r\ndata: {}\r\n\r\n", vec![event("text", "{}")]),
            ("data:a\ndata: b\n\n", vec![event("", "a\nb")]),
            (": still here\n\ndata: a\n\n", vec![Line::Alive, event("", "a")]),
            ("id: 1\nretry: 5\nother\ndata: a: b\n\n", vec![event("", "a: b")]),
            ("event: left over\n\ndata: a\n\n", vec![event("", "a")]),
            ("data: cut off\n", vec![]),
            ("data: cut of", vec![]),
            ("", vec![]),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text.as_bytes()), *expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_and_bytes_that_are_no_text_are_refused() {
        let endless = io::repeat(b'x');
        assert!(matches!(Events::new(endless).next(), Err(Broken::TooLong(_))));
        let many = b"data: xxxxxxxx\n".repeat(EVENT_BYTES_MAX / 8 + 1);
        assert!(matches!(Events::new(&many[..]).next(), Err(Broken::TooLong(_))));
        assert!(matches!(Events::new(&b"data: \xff\n\n"[..]).next(), Err(Broken::NoText)));
    }
}
