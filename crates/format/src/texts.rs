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
    /// None yet, with room for `count` texts; `None` where there is no memory for that.
    pub fn with_room(count: usize) -> Option<Texts> {
        let mut ends = Vec::new();
        ends.try_reserve_exact(count).ok()?;
        Some(Texts { all: String::new(), ends })
    }

    /// Adds a text; `false`, and nothing is added, where there is no memory for it.
    #[must_use]
    pub fn push(&mut self, text: &str) -> bool {
        let room = self.all.try_reserve(text.len()).is_ok() && self.ends.try_reserve(1).is_ok();
        if room {
            self.all.push_str(text);
            self.ends.push(self.all.len());
        }
        room
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text at `place`.
    pub fn get(&self, place: usize) -> Option<&str> {
        let end = *self.ends.get(place)?;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before));
        self.all.get(start.copied().unwrap_or(0)..end)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|place| self.get(place).unwrap_or_default())
    }
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
    }
}
