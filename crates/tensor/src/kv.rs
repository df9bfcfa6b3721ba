//! What keys and values are stored as, and how much a page of them takes.
//!
//! How they lie inside a page stands with the kernels that read them (`kernel/attend/`). Knows no
//! timeline and no sharing of pages: that is the cache's.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;

use memmap2::MmapMut;

use crate::kernel::attend;

/// How keys and values lie in the lines of a page. It changes with every change of that order, and
/// is another one where numbers lie with their upper byte first: bytes that were kept under another
/// number are not keys and values.
pub const KV_LAYOUT: u32 = if cfg!(target_endian = "big") { 1 << 31 | 1 } else { 1 };

/// What a key or a value is stored as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KvType {
    /// 32-bit floats, as they are computed: exact, and slow.
    F32,
    /// 16-bit floats.
    #[default]
    F16,
    /// Signed bytes, with one 32-bit scale for the key and one for the value of each head of a
    /// token: half the memory, and at great depth half of what attention reads.
    Int8,
}

const ALL: [(KvType, &str); 3] =
    [(KvType::F32, "f32"), (KvType::F16, "f16"), (KvType::Int8, "int8")];

impl KvType {
    /// All, the exact one first.
    pub fn all() -> impl Iterator<Item = KvType> {
        ALL.iter().map(|(kv, _)| *kv)
    }

    /// Its name, as the command line takes it.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(kv, _)| *kv == self).map_or("?", |(_, name)| name)
    }

    /// Lines that the keys (or the values) of one layer take in a page; `None` where that is no
    /// number.
    pub fn lines(self, kv_heads: usize, head_dim: usize) -> Option<usize> {
        match self {
            KvType::F32 => KvType::plain(kv_heads, head_dim, size_of::<f32>()),
            KvType::F16 => KvType::plain(kv_heads, head_dim, size_of::<half::f16>()),
            KvType::Int8 => kv_heads.checked_mul(attend::bytes::lines(head_dim)?),
        }
    }
}

impl KvType {
    /// Lines of numbers of `size` bytes.
    fn plain(kv_heads: usize, head_dim: usize, size: usize) -> Option<usize> {
        let numbers = kv_heads.checked_mul(head_dim)?.checked_mul(attend::PAGE)?;
        Some(numbers.div_ceil(size_of::<KvLine>() / size))
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no type of keys and values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no type of keys and values; expected f32, f16 or int8")]
pub struct KvTypeError(String);

impl FromStr for KvType {
    type Err = KvTypeError;

    fn from_str(name: &str) -> Result<KvType, KvTypeError> {
        let found = ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name));
        found.map(|(kv, _)| *kv).ok_or_else(|| KvTypeError(name.to_owned()))
    }
}

/// What pages are made of: 64 bytes that begin where a line of memory does, so that no load of a
/// vector touches two.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub struct KvLine([u8; 64]);

impl KvLine {
    /// Of zeros.
    pub const ZERO: KvLine = KvLine([0; 64]);

    pub(crate) fn bytes<const N: usize>(&self) -> &[[i8; N]] {
        bytemuck::cast_ref::<[u8; 64], [i8; 64]>(&self.0).as_chunks().0
    }

    pub(crate) fn quads_mut(&mut self) -> &mut [[i8; 4]; 16] {
        bytemuck::cast_mut(self)
    }

    pub(crate) fn floats(&self) -> &[f32; 16] {
        bytemuck::cast_ref(self)
    }

    pub(crate) fn floats_mut(&mut self) -> &mut [f32; 16] {
        bytemuck::cast_mut(self)
    }
}

/// Lines of a page; zeros at first.
///
/// Large ones are mappings of their own, which the system has back at once when they go. An allocator
/// keeps what large pieces leave, the more so where one thread takes and another one frees, and a
/// budget of bytes would then be kept on paper alone.
#[derive(Debug)]
pub struct KvMemory(Place);

#[derive(Debug)]
enum Place {
    Heap(Vec<KvLine>),
    Mapped(MmapMut),
}

/// Bytes from which on memory is mapped: far more than the calls cost.
const MAPPED_BYTES: usize = 128 << 10;

impl KvMemory {
    /// So many lines, or `None` where there is no memory for them.
    pub fn zeros(lines: usize) -> Option<KvMemory> {
        let bytes = lines.checked_mul(size_of::<KvLine>())?;
        if bytes >= MAPPED_BYTES && cfg!(not(miri)) {
            return MmapMut::map_anon(bytes).ok().map(|map| KvMemory(Place::Mapped(map)));
        }
        let mut data = Vec::new();
        data.try_reserve_exact(lines).ok()?;
        data.resize(lines, KvLine::ZERO);
        Some(KvMemory(Place::Heap(data)))
    }
}

impl Deref for KvMemory {
    type Target = [KvLine];

    fn deref(&self) -> &[KvLine] {
        match &self.0 {
            Place::Heap(data) => data,
            // A mapping begins where a page of the system does.
            Place::Mapped(map) => bytemuck::cast_slice(map),
        }
    }
}

impl DerefMut for KvMemory {
    fn deref_mut(&mut self) -> &mut [KvLine] {
        match &mut self.0 {
            Place::Heap(data) => data,
            Place::Mapped(map) => bytemuck::cast_slice_mut(map),
        }
    }
}

impl Clone for KvMemory {
    fn clone(&self) -> KvMemory {
        match KvMemory::zeros(self.len()) {
            Some(mut copy) => {
                copy.copy_from_slice(self);
                copy
            }
            // As with any clone: the allocator has the last word, and it is not an error's.
            None => KvMemory(Place::Heap(self.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeros_and_copies_are_apart_whatever_its_size() {
        for lines in [0, 1, MAPPED_BYTES / 64 - 1, MAPPED_BYTES / 64, 10_000] {
            let mut memory = KvMemory::zeros(lines).unwrap();
            assert_eq!(memory.len(), lines);
            assert!(memory.iter().all(|line| *line == KvLine::ZERO));
            let Some(last) = memory.last_mut() else { continue };
            last.floats_mut()[15] = 2.5;
            let copy = memory.clone();
            memory.fill(KvLine::ZERO);
            assert_eq!(copy.last().unwrap().floats()[15], 2.5);
        }
        assert!(KvMemory::zeros(usize::MAX).is_none());
        assert!(KvMemory::zeros(usize::MAX / 64).is_none());
    }

    #[test]
    fn names_come_back_and_others_are_refused() {
        for kv in KvType::all() {
            assert_eq!(kv.name().parse(), Ok(kv));
        }
        assert_eq!(KvType::default(), KvType::F16);
        for name in ["", "int4", "f16 ", "8", "q8_0"] {
            let error = name.parse::<KvType>().unwrap_err();
            assert_eq!(error, KvTypeError(name.into()));
        }
    }

    #[test]
    fn lines_are_what_a_page_takes() {
        let rows = [
            // (heads, head_dim), lines of f32, of f16, of int8: a quarter of the width and a scale.
            ((8, 64), 512, 256, 136),
            ((3, 80), 240, 120, 63),
            ((1, 12), 12, 6, 5),
            ((1, 1), 1, 1, 5),
            ((3, 1), 3, 2, 15),
        ];
        for ((heads, dim), floats, halves, bytes) in rows {
            let got = KvType::all().map(|kv| kv.lines(heads, dim)).collect::<Vec<_>>();
            assert_eq!(got, [Some(floats), Some(halves), Some(bytes)], "{heads} x {dim}");
        }
        for kv in KvType::all() {
            assert_eq!(kv.lines(usize::MAX, 2), None);
            assert_eq!(kv.lines(8, usize::MAX), None);
        }
    }
}
