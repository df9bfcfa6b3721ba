//! A quick hash with a secret: one multiplication for each eight bytes. Knows only bytes.
//!
//! The standard hash costs more than the look-up it serves here, and vocabularies come from
//! strangers: the secret keeps a file from choosing strings that collide.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The state of a hash, and what builds one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quick {
    factor: u64,
    state: u64,
}

impl Quick {
    /// A hash with a new secret.
    pub(crate) fn new() -> Quick {
        let secret = RandomState::new();
        Quick { factor: secret.hash_one(0u8) | 1, state: secret.hash_one(1u8) }
    }

    /// One whose factor has these low bits, as a secret may happen to have.
    #[cfg(test)]
    pub(crate) fn with_low_bits(self, bits: u64) -> Quick {
        Quick { factor: self.factor >> 20 << 20 | bits, ..self }
    }
}

/// At most eight bytes as a number, another one for each other text of the same length. The pieces
/// it is put together from overlap: to copy as many bytes as there are would cost more than the hash.
pub(crate) fn up_to_eight(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => {
            let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or_default());
            byte(0) | byte(1) << 8 | byte(2) << 16
        }
    }
}

impl BuildHasher for Quick {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        *self
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        // The length keeps apart texts whose last eight bytes read the same. Times a secret, no
        // file can make up for it in the bytes.
        self.state ^= (bytes.len() as u64).wrapping_mul(self.factor);
        let mut rest = bytes;
        while rest.len() > 8
            && let Some((chunk, more)) = rest.split_first_chunk()
        {
            self.write_u64(u64::from_le_bytes(*chunk));
            rest = more;
        }
        self.write_u64(up_to_eight(rest));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.state ^ number) * u128::from(self.factor);
        self.state = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        // Numbers in a row times a factor whose low bits happen to be small fill slots in a row; what
        // stands above them does not.
        let mixed = (self.state ^ self.state >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 32
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Whoever compares two short texts by their numbers must be right.
    #[test]
    fn texts_of_one_length_have_numbers_of_their_own() {
        for length in 0..=8usize {
            let mut seen = HashSet::new();
            let zeros = vec![0u8; length];
            assert!(seen.insert(up_to_eight(&zeros)));
            for at in 0..length {
                for byte in 1..=255 {
                    let mut text = zeros.clone();
                    text[at] = byte;
                    assert!(seen.insert(up_to_eight(&text)), "{text:?}");
                }
            }
        }
    }

    /// Zeros at either end count, and so does where one text ends and the next begins.
    #[test]
    fn zeros_count() {
        let quick = Quick::new();
        let hash = |text: &[u8]| {
            let mut hasher = quick;
            hasher.write(text);
            hasher.finish()
        };
        let zeros = [0u8; 40];
        let hashes: HashSet<u64> = (0..=40).map(|length| hash(&zeros[..length])).collect();
        assert_eq!(hashes.len(), 41);
    }
}
