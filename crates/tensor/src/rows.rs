//! Activations: a row of 32-bit floats for each position.
//!
//! The only mutable tensor of the house. It has no strides and no views: a row is contiguous and
//! the rows follow one another.

/// `(count, width)` floats, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    data: Vec<f32>,
    width: usize,
}

impl Rows {
    /// `count` rows of `width` zeros.
    pub fn new(count: usize, width: usize) -> Rows {
        Rows { data: vec![0.0; count * width], width }
    }

    /// Takes floats that already lie row by row.
    ///
    /// # Panics
    /// Where they are not whole rows.
    pub fn from_vec(data: Vec<f32>, width: usize) -> Rows {
        assert!(
            if width == 0 { data.is_empty() } else { data.len().is_multiple_of(width) },
            "{} floats are not rows of {width}",
            data.len()
        );
        Rows { data, width }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// Floats in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    /// Row `i`, to write.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.width..(i + 1) * self.width]
    }

    /// All floats, row by row.
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// All floats, row by row, to write.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Changes the number of rows; new ones are zeros. Memory is kept for the next growth.
    pub fn resize(&mut self, count: usize) {
        self.data.resize(count * self.width, 0.0);
    }

    /// Gives the floats back.
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }
}
