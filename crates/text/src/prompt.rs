//! A prompt: text, and which of its bytes a user or a tool wrote. Knows neither tokens nor templates.

use std::ops::Range;

/// Text with byte ranges that a user or a tool wrote.
///
/// A tokenizer reads special tokens only where they touch no quoted byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The whole prompt.
    pub text: String,
    /// Ranges of `text` in bytes, in order and apart, that must stay plain text.
    pub quoted: Vec<Range<usize>>,
}

impl Prompt {
    /// Whether any byte of `range` is quoted.
    pub fn touches_quoted(&self, range: Range<usize>) -> bool {
        let first = self.quoted.partition_point(|quoted| quoted.end <= range.start);
        self.quoted.get(first).is_some_and(|quoted| quoted.start < range.end)
    }

    /// The same prompt with only those quotes that matter where `tokens` are the special tokens:
    /// the parts of quoted ranges that lie inside an occurrence of one of them.
    ///
    /// Nothing changes for these tokens: an occurrence that touched a quoted byte still touches
    /// that byte. For all other text there is nothing left to be careful about.
    pub fn narrowed(mut self, tokens: &[&str]) -> Prompt {
        let mut spans: Vec<Range<usize>> = Vec::new();
        let by_first_byte = {
            let mut table: Vec<Vec<&[u8]>> = vec![Vec::new(); 256];
            for token in tokens {
                if let Some(&first) = token.as_bytes().first() {
                    table[usize::from(first)].push(token.as_bytes());
                }
            }
            table
        };
        let bytes = self.text.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            for token in &by_first_byte[usize::from(byte)] {
                if bytes[at..].starts_with(token) {
                    let span = at..at + token.len();
                    match spans.last_mut() {
                        Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                        _ => spans.push(span),
                    }
                }
            }
        }
        let mut kept: Vec<Range<usize>> = Vec::new();
        for span in spans {
            let first = self.quoted.partition_point(|quoted| quoted.end <= span.start);
            for quoted in self.quoted[first..].iter().take_while(|q| q.start < span.end) {
                kept.push(quoted.start.max(span.start)..quoted.end.min(span.end));
            }
        }
        self.quoted = kept;
        self
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_keeps_what_touches_a_token() {
        let prompt = Prompt { text: "<s>ab<s>c<s>".into(), quoted: vec![1..7, 9..10] };
        let narrow = prompt.clone().narrowed(&["<s>", "zz", ""]);
        assert_eq!(narrow.quoted, vec![1..3, 5..7, 9..10]);
        for at in [0, 5, 9] {
            assert!(prompt.touches_quoted(at..at + 3) == narrow.touches_quoted(at..at + 3));
        }
        assert!(prompt.clone().narrowed(&["b<"]).quoted == vec![4..6]);
        assert!(prompt.narrowed(&[]).quoted.is_empty());
    }
}
