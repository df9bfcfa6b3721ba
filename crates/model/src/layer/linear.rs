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

    /// Cuts a fused matrix into parts of so many rows: queries, keys and values of one matrix.
    ///
    /// # Panics
    /// Where the parts are not the whole.
    pub(crate) fn split<const N: usize>(&self, rows: [usize; N]) -> [Linear; N] {
        assert_eq!(rows.iter().sum::<usize>(), self.weight.rows(), "parts that are the whole");
        let (dtype, cols, bytes) = (self.weight.dtype(), self.weight.cols(), self.weight.bytes());
        let row_bytes = self.weight.row_bytes();
        let mut first = 0;
        rows.map(|rows| {
            let part = first..first + rows;
            first = part.end;
            let bytes = bytes
                .slice(part.start * row_bytes..part.end * row_bytes)
                .expect("inside the whole");
            let weight = Matrix::new(dtype, rows, cols, bytes).expect("whole rows of whole blocks");
            Linear { weight, bias: self.bias.as_ref().map(|bias| bias[part].to_vec()) }
        })
    }
}
