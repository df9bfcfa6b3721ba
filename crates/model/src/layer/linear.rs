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
}
