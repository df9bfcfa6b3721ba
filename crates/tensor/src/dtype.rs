//! Every ggml tensor type, by number, name and size: one table.
//!
//! A type that is known here can be listed and skipped over in a file; only those with a file of
//! their own under `quant/` can be computed with.

/// How the weights of a tensor are stored.
///
/// The names are ggml's, so that a type reads the same here and in other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the rows of the table below")]
#[rustfmt::skip]
pub enum DType {
    F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K,
    Iq2Xxs, Iq2Xs, Iq3Xxs, Iq1S, Iq4Nl, Iq3S, Iq2S, Iq4Xs, I8, I16, I32, I64, F64, Iq1M,
    Bf16, Tq1_0, Tq2_0, Mxfp4, Nvfp4, Q1_0,
}

struct Entry {
    dtype: DType,
    ggml: u32,
    name: &'static str,
    /// Weights in a block.
    block: usize,
    /// Bytes in a block.
    bytes: usize,
    /// Whether this program decodes it and computes with it.
    computes: bool,
}

const fn entry(
    dtype: DType,
    ggml: u32,
    name: &'static str,
    block: usize,
    bytes: usize,
    computes: bool,
) -> Entry {
    Entry { dtype, ggml, name, block, bytes, computes }
}

// Numbers that ggml has retired (4, 5, 31..=33, 36..=38) are absent on purpose: a file that
// names one is refused as unknown.
const TABLE: &[Entry] = &[
    entry(DType::F32, 0, "F32", 1, 4, true),
    entry(DType::F16, 1, "F16", 1, 2, true),
    entry(DType::Q4_0, 2, "Q4_0", 32, 18, true),
    entry(DType::Q4_1, 3, "Q4_1", 32, 20, true),
    entry(DType::Q5_0, 6, "Q5_0", 32, 22, true),
    entry(DType::Q5_1, 7, "Q5_1", 32, 24, true),
    entry(DType::Q8_0, 8, "Q8_0", 32, 34, true),
    entry(DType::Q8_1, 9, "Q8_1", 32, 36, false),
    entry(DType::Q2K, 10, "Q2_K", 256, 84, true),
    entry(DType::Q3K, 11, "Q3_K", 256, 110, true),
    entry(DType::Q4K, 12, "Q4_K", 256, 144, true),
    entry(DType::Q5K, 13, "Q5_K", 256, 176, true),
    entry(DType::Q6K, 14, "Q6_K", 256, 210, true),
    entry(DType::Q8K, 15, "Q8_K", 256, 292, false),
    entry(DType::Iq2Xxs, 16, "IQ2_XXS", 256, 66, false),
    entry(DType::Iq2Xs, 17, "IQ2_XS", 256, 74, false),
    entry(DType::Iq3Xxs, 18, "IQ3_XXS", 256, 98, false),
    entry(DType::Iq1S, 19, "IQ1_S", 256, 50, false),
    entry(DType::Iq4Nl, 20, "IQ4_NL", 32, 18, true),
    entry(DType::Iq3S, 21, "IQ3_S", 256, 110, false),
    entry(DType::Iq2S, 22, "IQ2_S", 256, 82, false),
    entry(DType::Iq4Xs, 23, "IQ4_XS", 256, 136, false),
    entry(DType::I8, 24, "I8", 1, 1, false),
    entry(DType::I16, 25, "I16", 1, 2, false),
    entry(DType::I32, 26, "I32", 1, 4, false),
    entry(DType::I64, 27, "I64", 1, 8, false),
    entry(DType::F64, 28, "F64", 1, 8, false),
    entry(DType::Iq1M, 29, "IQ1_M", 256, 56, false),
    entry(DType::Bf16, 30, "BF16", 1, 2, true),
    entry(DType::Tq1_0, 34, "TQ1_0", 256, 54, false),
    entry(DType::Tq2_0, 35, "TQ2_0", 256, 66, false),
    entry(DType::Mxfp4, 39, "MXFP4", 32, 17, false),
    entry(DType::Nvfp4, 40, "NVFP4", 64, 36, false),
    entry(DType::Q1_0, 41, "Q1_0", 128, 18, false),
];

impl DType {
    fn row(self) -> &'static Entry {
        TABLE.iter().find(|e| e.dtype == self).expect("every type has a row: tested below")
    }

    /// Every known type, in ggml's order.
    pub fn all() -> impl Iterator<Item = DType> {
        TABLE.iter().map(|e| e.dtype)
    }

    /// The type that ggml writes as `number`, if it is known.
    pub fn from_ggml(number: u32) -> Option<DType> {
        TABLE.iter().find(|e| e.ggml == number).map(|e| e.dtype)
    }

    /// The type of this name (ggml's, any case), if it is known.
    pub fn from_name(name: &str) -> Option<DType> {
        TABLE.iter().find(|e| e.name.eq_ignore_ascii_case(name)).map(|e| e.dtype)
    }

    /// ggml's number for it, as files hold it.
    pub fn ggml(self) -> u32 {
        self.row().ggml
    }

    /// ggml's name for it, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Weights in one block.
    pub fn block(self) -> usize {
        self.row().block
    }

    /// Bytes in one block.
    pub fn block_bytes(self) -> usize {
        self.row().bytes
    }

    /// Whether this program decodes it and computes with it.
    pub fn computes(self) -> bool {
        self.row().computes
    }

    /// Bytes in a row of `width` weights; `None` where `width` is not whole blocks, or where the
    /// size does not fit.
    pub fn row_bytes(self, width: usize) -> Option<usize> {
        let e = self.row();
        if !width.is_multiple_of(e.block) {
            return None;
        }
        (width / e.block).checked_mul(e.bytes)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_a_bijection() {
        for (i, a) in TABLE.iter().enumerate() {
            assert_eq!(DType::from_ggml(a.ggml), Some(a.dtype));
            assert_eq!(DType::from_name(a.name), Some(a.dtype));
            assert_eq!(a.dtype.row().name, a.name);
            for b in &TABLE[i + 1..] {
                assert!(a.dtype != b.dtype && a.ggml != b.ggml && a.name != b.name);
            }
        }
        for retired in [4, 5, 31, 32, 33, 36, 37, 38, 42, u32::MAX] {
            assert_eq!(DType::from_ggml(retired), None);
        }
    }

    #[test]
    fn rows_are_whole_blocks() {
        assert_eq!(DType::Q4_0.row_bytes(64), Some(36));
        assert_eq!(DType::Q4_0.row_bytes(33), None);
        assert_eq!(DType::Q6K.row_bytes(512), Some(420));
        assert_eq!(DType::F64.row_bytes(usize::MAX), None);
    }
}
