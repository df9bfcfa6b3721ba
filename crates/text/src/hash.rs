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
}

impl BuildHasher for Quick {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        *self
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.write_u64(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let rest = chunks.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length keeps apart what the zeros would make equal.
        last[7] = bytes.len() as u8;
        self.write_u64(u64::from_le_bytes(last));
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
        self.state
    }
}
