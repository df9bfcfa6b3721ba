//! Many short texts in one: a vocabulary's tokens, or its merges.
//!
//! A text of its own takes some fifty bytes beside what it says, which for the four hundred
//! thousand of a large vocabulary is a fifth of a small model. It knows nothing of what they say.

/// Texts, one after another, and where each ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all of them together.
    pub fn bytes(&self) -> usize {
        self.all.len()
    }

    /// The text at `place`.
    pub fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before));
        self.all.get(start.copied().unwrap_or(0)..end)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let text = self.all.get(start..end).unwrap_or_default();
            start = end;
            text
        })
    }
}

/// Bytes that are to become texts, one after another.
pub(crate) struct TextsBuilder {
    all: Vec<u8>,
    ends: Vec<usize>,
}

/// Bytes that are no text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    /// Whose bytes.
    pub(crate) place: usize,
    /// Where in the bytes of all the first fault is.
    pub(crate) at: usize,
}

impl TextsBuilder {
    /// None yet, with room for `count` texts; `None` where there is no memory for that.
    pub(crate) fn with_room(count: usize) -> Option<TextsBuilder> {
        let mut ends = Vec::new();
        ends.try_reserve_exact(count).ok()?;
        Some(TextsBuilder { all: Vec::new(), ends })
    }

    /// Adds the bytes of a text; `false`, and nothing is added, where there is no memory for them.
    #[must_use]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let room = self.all.try_reserve(bytes.len()).is_ok() && self.ends.try_reserve(1).is_ok();
        if room {
            self.all.extend_from_slice(bytes);
            self.ends.push(self.all.len());
        }
        room
    }

    /// The texts; or the first that is none.
    pub(crate) fn finish(self) -> Result<Texts, NotText> {
        let TextsBuilder { all, ends } = self;
        let all = String::from_utf8(all).map_err(|error| first_fault(error.as_bytes(), &ends))?;
        // All together are a text: then each is one that ends where a character does.
        if ends.iter().all(|&end| all.is_char_boundary(end)) {
            Ok(Texts { all, ends })
        } else {
            Err(first_fault(all.as_bytes(), &ends))
        }
    }
}

/// The first of these texts that is none, of which there is one.
fn first_fault(all: &[u8], ends: &[usize]) -> NotText {
    let mut start = 0;
    for (place, &end) in ends.iter().enumerate() {
        if let Err(error) = std::str::from_utf8(all.get(start..end).unwrap_or_default()) {
            return NotText { place, at: start.saturating_add(error.valid_up_to()) };
        }
        start = end;
    }
    NotText { place: ends.len(), at: start }
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Texts {
        let mut all = Texts::default();
        for text in texts {
            all.all.push_str(text.as_ref());
            all.ends.push(all.all.len());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        let words = ["", "水", "a b", "", "\u{10ffff}"];
        let texts: Texts = words.iter().collect();
        assert_eq!(texts.len(), 5);
        assert_eq!(texts.iter().collect::<Vec<_>>(), words);
        assert_eq!((texts.get(1), texts.get(5)), (Some("水"), None));
        assert!(Texts::default().is_empty());
        assert_eq!((texts.bytes(), Texts::default().bytes()), (10, 0));
    }

    /// What two texts are together says nothing about each of them.
    #[test]
    fn the_first_that_is_no_text_is_told() {
        type Row<'a> = (&'a [&'a [u8]], Result<&'a [&'a str], (usize, usize)>);
        let rows: [Row<'_>; 7] = [
            (&[], Ok(&[])),
            (&[b"", "水".as_bytes(), b"a", b""], Ok(&["", "水", "a", ""])),
            (&[b"ab", b"c\xff", b"\xff"], Err((1, 3))),
            // A character cut in two: the halves are no texts.
            (&[b"a", b"b\xe6\xb0", b"\xb4"], Err((1, 2))),
            (&[b"", b"\xe6\xb0", b"\xb4", b"\xff"], Err((1, 0))),
            (&["é".as_bytes(), b"\xb4"], Err((1, 2))),
            (&[b"a", b"\xe6"], Err((1, 1))),
        ];
        for (pieces, expected) in rows {
            let mut builder = TextsBuilder::with_room(pieces.len()).expect("memory");
            assert!(pieces.iter().all(|piece| builder.push(piece)));
            let found = builder.finish();
            let found = found.as_ref().map(|texts| texts.iter().collect::<Vec<_>>());
            let expected = expected.map(<[&str]>::to_vec);
            assert_eq!(found.map_err(|e| (e.place, e.at)), expected, "{pieces:?}");
        }
    }
}
