//! Bytes in pieces to whole characters. Knows no tokens.
//!
//! A character may be cut by the border between two tokens, so its first bytes wait for the rest.
//! Bytes that can never become a character turn into U+FFFD, in the same places as if all bytes
//! had been decoded at once.

/// Bytes that wait for the rest of their character: three at most.
#[derive(Debug, Default)]
pub(crate) struct Utf8 {
    waiting: Vec<u8>,
}

impl Utf8 {
    /// The whole characters that there are with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.waiting.extend_from_slice(bytes);
        let mut text = String::new();
        let mut done = 0;
        for chunk in self.waiting.utf8_chunks() {
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let bad = chunk.invalid();
            let at_end = done + bad.len() == self.waiting.len();
            if bad.is_empty() || (at_end && may_go_on(bad)) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            done += bad.len();
        }
        self.waiting.drain(..done);
        text
    }

    /// What waits for bytes that will not come: U+FFFD, if anything.
    pub(crate) fn flush(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned()
    }
}

/// Whether more bytes could make a character of these.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_gives_what_the_whole_gives() {
        let rows: &[&[u8]] = &[
            "plain".as_bytes(),
            "é 语 🦀 end".as_bytes(),
            b"\xff\xfe",
            b"a\xc3",
            b"a\xc3(",
            b"\xf0\x9f\xa6",
            b"\xf0\x9f\xa6\xf0\x9f\xa6\x80",
            b"\xe8\xaf\xffx",
            b"\xed\xa0\x80",
        ];
        for bytes in rows {
            let wanted = String::from_utf8_lossy(bytes);
            for a in 0..=bytes.len() {
                for b in a..=bytes.len() {
                    let mut utf8 = Utf8::default();
                    let mut text = utf8.push(&bytes[..a]);
                    text += &utf8.push(&bytes[a..b]);
                    text += &utf8.push(&bytes[b..]);
                    text += &utf8.flush();
                    assert_eq!(text, wanted, "{bytes:x?} cut at {a} and {b}");
                }
            }
        }
    }
}
