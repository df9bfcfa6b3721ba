//! Names of models: the one way from text to a name.

use std::fmt;
use std::str::FromStr;

use crate::error::StoreError;

/// Characters a name may have: with what the store puts around it, it fits every file system.
pub const NAME_CHARS_MAX: usize = 100;

/// Names that mean something else: the embedded model, and the devices of Windows.
const RESERVED: &[&str] = &["droplet", "con", "prn", "aux", "nul"];
/// Devices of Windows that a digit follows.
const RESERVED_NUMBERED: &[&str] = &["com", "lpt"];

/// A name of the store: lower-case letters, digits, `.`, `-` and `_`.
///
/// It is a file's name on every system, and no two names are one file where letters' case does not
/// count. Unicode is refused: names that look the same would not be the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(String);

impl ModelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name made from what a file or a repository is called.
    ///
    /// # Errors
    /// Nothing of the text can be part of a name.
    pub fn derived(text: &str) -> Result<ModelName, StoreError> {
        let mut name = String::new();
        for c in text.chars().map(|c| c.to_ascii_lowercase()) {
            let c = if is_plain(c) || matches!(c, '.' | '-' | '_') { c } else { '-' };
            let doubled = !is_plain(c) && name.chars().next_back().is_none_or(|c| !is_plain(c));
            if !doubled && name.len() < NAME_CHARS_MAX {
                name.push(c);
            }
        }
        name.trim_end_matches(|c| !is_plain(c)).parse()
    }
}

impl FromStr for ModelName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<ModelName, StoreError> {
        let wrong = |reason| Err(StoreError::Name { text: text.to_string(), reason });
        if text.is_empty() || text.len() > NAME_CHARS_MAX {
            return wrong("expected 1 to 100 characters");
        }
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            return wrong("expected lower-case letters, as not every disk tells the cases apart");
        }
        if !text.chars().all(|c| is_plain(c) || matches!(c, '.' | '-' | '_')) {
            return wrong("expected letters a to z, digits, and the signs . - _");
        }
        if !text.starts_with(is_plain) || !text.ends_with(is_plain) || text.contains("..") {
            return wrong("expected a letter or digit at both ends, and no two dots in a row");
        }
        let stem = text.split('.').next().unwrap_or_default();
        let numbered = RESERVED_NUMBERED.iter().filter_map(|device| stem.strip_prefix(device));
        let is_device =
            |rest: &str| rest.len() == 1 && rest.starts_with(|c: char| c.is_ascii_digit());
        if RESERVED.contains(&stem) || numbered.into_iter().any(is_device) {
            return wrong("it is reserved: for the embedded model, or for a device of Windows");
        }
        Ok(ModelName(text.to_string()))
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere() {
        let long = "a".repeat(NAME_CHARS_MAX);
        let longer = "a".repeat(300);
        let rows = [
            ("qwen3-0.6b-q4_k_m", true),
            ("a", true),
            ("7b", true),
            (&long, true),
            (&longer, false),
            ("", false),
            (".", false),
            ("..", false),
            ("../x", false),
            ("..\\..\\x", false),
            ("a..b", false),
            ("a/b", false),
            ("/etc/passwd", false),
            ("C:\\x", false),
            ("a:b", false),
            ("CON", false),
            ("con", false),
            ("con.gguf", false),
            ("com1", false),
            ("com10", true),
            ("console", true),
            ("lpt9.x", false),
            ("x.", false),
            ("-x", false),
            ("x ", false),
            ("a\0b", false),
            ("a\nb", false),
            ("a\u{202e}b", false),
            ("模型", false),
            ("é", false),
            ("Qwen", false),
            ("droplet", false),
            ("droplet-2", true),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<ModelName>().is_ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn names_are_made_from_what_there_is() {
        let long = "x".repeat(300);
        let cut = "x".repeat(NAME_CHARS_MAX);
        let rows = [
            ("Qwen3-0.6B-Q4_K_M", Some("qwen3-0.6b-q4_k_m")),
            ("qwen3:0.6b", Some("qwen3-0.6b")),
            ("../../x", Some("x")),
            ("a..b", Some("a.b")),
            ("my model (1)", Some("my-model-1")),
            ("模型 7b", Some("7b")),
            ("模型", None),
            ("con", None),
            (&long, Some(&cut)),
        ];
        for (text, expected) in rows {
            let name = ModelName::derived(text).ok();
            assert_eq!(name.as_ref().map(ModelName::as_str), expected, "{text:?}");
        }
    }
}
