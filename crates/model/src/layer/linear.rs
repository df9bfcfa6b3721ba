//! A matrix and, for some families, a bias. What type the weights have is the matrix's business.

use ondine_tensor::{Cpu, Matrix, Rows};

/// `y = W x + b`
#[derive(Debug)]
pub(crate) struct Linear {
    /// (out, in)
    pub(crate) weight: Matrix,
    /// (out)
    pub(crate) bias: Option<Vec<f32>>,
}

impl Linear {
    pub(crate) fn apply(&self, cpu: &Cpu, x: &Rows, out: &mut Rows) {
        Linear::apply_all(cpu, x, [(self, out)]);
    }

    /// Several of the same input, in one go.
    pub(crate) fn apply_all<const N: usize>(
        cpu: &Cpu,
        x: &Rows,
        mut parts: [(&Linear, &mut Rows); N],
    ) {
        let mut products = parts.each_mut().map(|(linear, out)| (&linear.weight, &mut **out));
        cpu.matmul(x, &mut products);
        for (linear, out) in &mut parts {
            if let Some(bias) = &linear.bias {
                cpu.add_bias(out, bias);
            }
        }
    }

    /// Cuts a fused matrix into `N` of as many rows each: queries, keys and values of one matrix.
    ///
    /// # Panics
    /// Where the rows do not divide by `N`.
    pub(crate) fn split<const N: usize>(&self) -> [Linear; N] {
        let rows = self.weight.rows() / N;
        assert_eq!(rows * N, self.weight.rows(), "{N} equal parts");
        let (dtype, cols, bytes) = (self.weight.dtype(), self.weight.cols(), self.weight.bytes());
        let part_bytes = bytes.len() / N;
        std::array::from_fn(|i| {
            let part = bytes.slice(i * part_bytes..(i + 1) * part_bytes).expect("inside the whole");
            let weight = Matrix::new(dtype, rows, cols, part).expect("whole rows of whole blocks");
            let bias = self.bias.as_ref().map(|bias| bias[i * rows..(i + 1) * rows].to_vec());
            Linear { weight, bias }
        })
    }
}
