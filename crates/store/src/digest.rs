//! SHA-256 digests: the one way from text to a digest, and from content to one.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use sha2::Digest as _;

use crate::error::StoreError;

/// Hexadecimal digits of a digest.
const HEX: usize = 64;
/// What stands before the digits in registries.
const PREFIX: &str = "sha256:";
/// Bytes read at once when a file is hashed.
const BUFFER_BYTES: usize = 1 << 18;

/// The SHA-256 of some content.
///
/// Text becomes one only as exactly 64 lower-case hexadecimal digits, so that a digest can be part
/// of a file's name: there is no other spelling of the same one, and none that leads elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest as registries write it: `sha256:` and 64 digits.
    ///
    /// # Errors
    /// Every other text, other algorithms too.
    pub fn from_registry(text: &str) -> Result<Digest, StoreError> {
        let Some(hex) = text.strip_prefix(PREFIX) else {
            let reason = "expected sha256: and 64 lower-case hexadecimal digits";
            return Err(StoreError::Digest { text: text.to_string(), reason });
        };
        hex.parse()
    }
}

impl FromStr for Digest {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Digest, StoreError> {
        let wrong = || StoreError::Digest {
            text: text.to_string(),
            reason: "expected 64 lower-case hexadecimal digits",
        };
        if text.len() != HEX {
            return Err(wrong());
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(wrong());
            };
            *byte = high << 4 | low;
        }
        Ok(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Content on its way to a digest.
#[derive(Clone)]
pub(crate) struct Hasher(sha2::Sha256);

impl Hasher {
    /// Nothing yet.
    pub(crate) fn new() -> Hasher {
        Hasher(sha2::Sha256::new())
    }

    /// More content.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// All of it was there.
    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }

    /// Takes `bytes` bytes from a reader.
    pub(crate) fn read(&mut self, reader: impl Read, bytes: u64) -> std::io::Result<()> {
        let mut reader = reader.take(bytes);
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut left = bytes;
        while left > 0 {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            self.update(&buffer[..read]);
            left -= read as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_is_a_digest() {
        let good = "a".repeat(64);
        let rows = [
            (format!("sha256:{good}"), true),
            (good.clone(), false),
            ("sha256:../../../etc/x".to_string(), false),
            (format!("sha256:../{}", "a".repeat(61)), false),
            (format!("sha256:{}", "a".repeat(63)), false),
            (format!("sha256:{}", "a".repeat(65)), false),
            (format!("sha256:{}", "A".repeat(64)), false),
            (format!("sha256:aa\\bb{}", "a".repeat(59)), false),
            (format!("sha256:+f{}", "a".repeat(62)), false),
            (format!("sha256-{good}"), false),
            (format!("SHA256:{good}"), false),
            (format!("md5:{}", "a".repeat(32)), false),
            (String::new(), false),
            ("sha256:".to_string(), false),
            // Arabic digits, 64 characters and 128 bytes; and 64 bytes of them.
            (format!("sha256:{}", "٣".repeat(64)), false),
            (format!("sha256:{}", "٣".repeat(32)), false),
        ];
        for (text, expected) in rows {
            assert_eq!(Digest::from_registry(&text).is_ok(), expected, "{text}");
        }
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
    }

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), expected);
        let mut hasher = Hasher::new();
        hasher.read(&b"abcdef"[..], 3).unwrap();
        assert_eq!(hasher.finish().to_string(), expected);
        assert!(Hasher::new().read(&b"ab"[..], 3).is_err());
    }
}
