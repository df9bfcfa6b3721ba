//! What tells a model's weights from all others: SHA-256 of their file, known at once or later.

use std::sync::{Arc, OnceLock};

/// The SHA-256 of a model's file. Reading a large file takes longer than beginning to serve it, so it
/// may be told later; until then nothing of the model is put on the disk, or looked for there.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(Arc<OnceLock<[u8; 32]>>);

impl Fingerprint {
    /// One that is written down: 64 hexadecimal digits. What is none stays unknown.
    pub fn of_hex(text: &str) -> Fingerprint {
        let fingerprint = Fingerprint::default();
        let digits: Option<Vec<u8>> =
            text.bytes().map(|c| (c as char).to_digit(16)).map(|d| d.map(|d| d as u8)).collect();
        let bytes = digits.filter(|digits| digits.len() == 64).map(|digits| {
            let mut bytes = [0; 32];
            for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
                *byte = pair[0] << 4 | pair[1];
            }
            bytes
        });
        if let Some(bytes) = bytes {
            fingerprint.set(bytes);
        }
        fingerprint
    }

    /// Says it. It is said once: what is known stays.
    pub fn set(&self, sha256: [u8; 32]) {
        let _ = self.0.set(sha256);
    }

    /// What it is, where it is known.
    pub fn get(&self) -> Option<[u8; 32]> {
        self.0.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_64_digits_or_unknown() {
        let text = "00ff".to_owned() + &"a1".repeat(30);
        let known = Fingerprint::of_hex(&text).get().unwrap();
        assert_eq!(known[..3], [0, 0xff, 0xa1]);
        for bad in ["", &text[1..], &(text.clone() + "0"), &text.replace('f', "g"), &"é".repeat(32)]
        {
            assert_eq!(Fingerprint::of_hex(bad).get(), None, "{bad}");
        }
        let later = Fingerprint::default();
        later.clone().set([1; 32]);
        later.set([2; 32]);
        assert_eq!(later.get(), Some([1; 32]));
    }
}
