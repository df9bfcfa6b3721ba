//! Vectors in eight bits, and the exact search among them.
//!
//! A vector of length 1 becomes whole numbers from -127 to 127 and one scale. A question keeps sixteen
//! bits, so that its own rounding does not count. Sums of products fit 32 bits up to a width of 8,192.

use std::collections::BinaryHeap;

/// Wider vectors are refused: their sums would not fit.
pub(crate) const WIDTH_MAX: usize = 8192;
/// The largest number of a question: 127 times this, for every column, stays within 31 bits.
const QUESTION_MAX: f32 = 2047.0;

/// Many vectors of one width, a row each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vectors {
    width: usize,
    /// (rows)
    scales: Vec<f32>,
    /// (rows, width)
    codes: Vec<i8>,
}

/// A vector that is asked with.
pub(crate) struct Question {
    scale: f32,
    /// (width)
    codes: Vec<i16>,
}

impl Question {
    /// Of a vector of length 1.
    pub(crate) fn new(vector: &[f32]) -> Question {
        let largest = vector.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let scale = if largest > 0.0 { largest / QUESTION_MAX } else { 1.0 };
        // Within ±2047 by the choice of the scale.
        let codes = vector.iter().map(|x| (x / scale).round() as i16).collect();
        Question { scale, codes }
    }
}

impl Vectors {
    pub(crate) fn new(width: usize) -> Vectors {
        Vectors { width, ..Vectors::default() }
    }

    /// Of numbers as they were stored.
    pub(crate) fn of(width: usize, scales: Vec<f32>, codes: Vec<i8>) -> Vectors {
        assert_eq!(scales.len() * width, codes.len(), "rows of another width");
        Vectors { width, scales, codes }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    pub(crate) fn push(&mut self, vector: &[f32]) {
        assert_eq!(vector.len(), self.width, "a vector of another width");
        let largest = vector.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        self.scales.push(scale);
        // Within ±127 by the choice of the scale.
        self.codes.extend(vector.iter().map(|x| (x / scale).round() as i8));
    }

    /// Adds the rows of others, of the same width.
    pub(crate) fn append(&mut self, others: Vectors) {
        assert_eq!(others.width, self.width, "vectors of another width");
        self.scales.extend(others.scales);
        self.codes.extend(others.codes);
    }

    /// Adds one row of others.
    pub(crate) fn push_row(&mut self, others: &Vectors, row: usize) {
        self.scales.push(others.scales[row]);
        self.codes.extend_from_slice(others.row(row));
    }

    pub(crate) fn row(&self, row: usize) -> &[i8] {
        &self.codes[row * self.width..(row + 1) * self.width]
    }

    pub(crate) fn scales(&self) -> &[f32] {
        &self.scales
    }

    pub(crate) fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// A row as a question.
    pub(crate) fn question(&self, row: usize) -> Question {
        let codes = self.row(row).iter().map(|code| i16::from(*code)).collect();
        Question { scale: self.scales[row], codes }
    }

    /// The cosine of a question and a row.
    pub(crate) fn similarity(&self, question: &Question, row: usize) -> f32 {
        let products = question.codes.iter().zip(self.row(row));
        let sum: i32 = products.map(|(q, v)| i32::from(*q) * i32::from(i16::from(*v))).sum();
        sum as f32 * question.scale * self.scales[row]
    }

    /// The `k` nearest rows that are accepted, nearest first, by looking at all of them.
    pub(crate) fn nearest(
        &self,
        question: &Question,
        k: usize,
        accept: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        let mut best = BinaryHeap::with_capacity(k + 1);
        for row in 0..self.len() {
            if !accept(row as u32) {
                continue;
            }
            let near = Near { similarity: self.similarity(question, row), row: row as u32 };
            if best.len() < k {
                best.push(std::cmp::Reverse(near));
            } else if best.peek().is_some_and(|worst| near > worst.0) {
                best.pop();
                best.push(std::cmp::Reverse(near));
            }
        }
        best.into_sorted_vec().into_iter().map(|near| near.0).collect()
    }
}

/// A row, and how near it is. The nearer is the greater; of equals, the earlier row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Near {
    pub(crate) similarity: f32,
    pub(crate) row: u32,
}

impl Ord for Near {
    fn cmp(&self, other: &Near) -> std::cmp::Ordering {
        self.similarity.total_cmp(&other.similarity).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Near) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Near {
    fn eq(&self, other: &Near) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Near {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A stream of numbers that looks like chance and is always the same.
    pub(crate) struct Chance(pub(crate) u64);

    impl Chance {
        pub(crate) fn next(&mut self) -> u64 {
            // splitmix64 (Steele, Lea and Flood, 2014).
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        /// About normal, by the sum of uniform numbers.
        pub(crate) fn normal(&mut self) -> f32 {
            (0..6).map(|_| (self.next() >> 40) as f32 / (1u64 << 24) as f32 - 0.5).sum()
        }

        /// A vector of length 1 around a centre, as far away as `spread` says.
        pub(crate) fn around(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
            unit(centre.iter().map(|x| x + spread * self.normal()).collect())
        }
    }

    pub(crate) fn unit(vector: Vec<f32>) -> Vec<f32> {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.into_iter().map(|x| x / length).collect()
    }

    #[test]
    fn eight_bits_are_near_enough_and_the_order_is_exact() {
        let mut chance = Chance(1);
        let zero = vec![0.0; 64];
        let all: Vec<Vec<f32>> = (0..500).map(|_| chance.around(&zero, 1.0)).collect();
        let mut vectors = Vectors::new(64);
        all.iter().for_each(|vector| vectors.push(vector));
        let question = chance.around(&zero, 1.0);
        let asked = Question::new(&question);
        for (row, vector) in all.iter().enumerate() {
            let exact: f32 = vector.iter().zip(&question).map(|(a, b)| a * b).sum();
            // Half a step of 127 in each of 64 columns, most of which cancel out.
            assert!((vectors.similarity(&asked, row) - exact).abs() < 0.01);
        }
        let found = vectors.nearest(&asked, 10, |row| row % 2 == 0);
        let mut expected: Vec<Near> = (0..500)
            .filter(|row| row % 2 == 0)
            .map(|row| Near { similarity: vectors.similarity(&asked, row as usize), row })
            .collect();
        expected.sort_by(|a, b| b.cmp(a));
        assert_eq!(found, expected[..10]);
    }

    #[test]
    fn nothing_and_zeros_do_no_harm() {
        let mut vectors = Vectors::new(3);
        let asked = Question::new(&[0.0, 0.0, 0.0]);
        assert!(vectors.nearest(&asked, 5, |_| true).is_empty());
        vectors.push(&[0.0, 0.0, 0.0]);
        assert_eq!(vectors.nearest(&asked, 5, |_| true).len(), 1);
        assert!(vectors.nearest(&asked, 0, |_| true).is_empty());
        let wide = Question::new(&vec![1.0; WIDTH_MAX]);
        let largest = i64::from(wide.codes[0]) * 127 * WIDTH_MAX as i64;
        assert!(largest <= i64::from(i32::MAX), "{largest}");
    }
}
