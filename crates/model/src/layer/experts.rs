//! A mixture of experts: a router gives each token a few of many feed-forward parts.
//!
//! ```text
//! scores = softmax(router h)
//! chosen = the `used` greatest, their scores divided by their sum
//! h      = sum over chosen of score * expert(h)
//! ```
//!
//! The tokens of a batch are put in the order of their experts, so that an expert's weights are
//! read once for all that visit it. Dividing by the sum cancels the rest of the softmax: it is
//! taken over the chosen alone.

use ondine_tensor::Rows;

use crate::error::ModelError;
use crate::layer::{Gated, Linear, Opening};
use crate::run::Run;
use crate::shape::Shape;
use crate::weights::Weights;

/// The router and its experts.
#[derive(Debug)]
pub(crate) struct Experts {
    /// (experts, width)
    router: Linear,
    experts: Vec<Gated>,
    /// How many work on a token: at least one, at most all.
    used: usize,
}

/// A token at an expert.
#[derive(Clone, Copy, Debug)]
struct Visit {
    expert: u32,
    row: u32,
    weight: f32,
}

/// What experts work with, kept from batch to batch.
#[derive(Debug)]
pub(crate) struct Routing {
    /// (rows, experts)
    scores: Rows,
    /// The rows that visit one expert: (visitors, width)
    given: Rows,
    /// What it makes of them.
    made: Rows,
    /// What all made: (rows, width)
    sum: Rows,
    visits: Vec<Visit>,
    /// Experts, best first, of one row.
    order: Vec<u32>,
    rows: Vec<u32>,
    weights: Vec<f32>,
}

impl Routing {
    /// Room for no rows yet; none ever where a model has no experts.
    pub(crate) fn new(shape: &Shape) -> Routing {
        let (count, width) = shape.experts.map_or((0, 0), |experts| (experts.count, shape.width));
        Routing {
            scores: Rows::new(0, count),
            given: Rows::new(0, width),
            made: Rows::new(0, width),
            sum: Rows::new(0, width),
            visits: Vec::new(),
            order: Vec::new(),
            rows: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Floats that a row takes; `None` where that is no number.
    pub(crate) fn floats_per_row(shape: &Shape) -> Option<usize> {
        match shape.experts {
            Some(experts) => shape.width.checked_mul(3)?.checked_add(experts.count),
            None => Some(0),
        }
    }

    /// Writes down who visits whom: by expert, then by row.
    fn choose(&mut self, used: usize) {
        self.visits.clear();
        for row in 0..self.scores.count() {
            let scores = self.scores.row(row);
            let score = |expert: u32| scores[expert as usize];
            self.order.clear();
            self.order.extend(0..scores.len() as u32);
            // Of equals the first: the same choice every time, whatever the numbers are.
            self.order.sort_unstable_by(|a, b| score(*b).total_cmp(&score(*a)).then(a.cmp(b)));
            let chosen = &self.order[..used];
            let most = score(chosen[0]);
            let sum: f32 = chosen.iter().map(|expert| (score(*expert) - most).exp()).sum();
            self.visits.extend(chosen.iter().map(|&expert| Visit {
                expert,
                row: row as u32,
                weight: (score(expert) - most).exp() / sum,
            }));
        }
        self.visits.sort_unstable_by_key(|visit| (visit.expert, visit.row));
    }
}

impl Experts {
    /// Those of the block of this name, with gates that open by silu.
    pub(crate) fn read(w: &Weights<'_>, block: &str) -> Result<Experts, ModelError> {
        let Shape { width, ff, experts, .. } = w.shape;
        let Some(ondine_format::Experts { count, used, .. }) = experts else {
            return Err(w.unsupported("no experts"));
        };
        let read = |part: &str, rows, cols| {
            w.experts(&format!("{block}.ffn_{part}_exps"), count, rows, cols)
        };
        let (gates, ups, downs) =
            (read("gate", ff, width)?, read("up", ff, width)?, read("down", width, ff)?);
        let experts = (gates.into_iter().zip(ups).zip(downs))
            .map(|((gate, up), down)| Gated { opening: Opening::Silu, gate, up, down })
            .collect();
        let router = w.linear(&format!("{block}.ffn_gate_inp"), count, width)?;
        Ok(Experts { router, experts, used })
    }

    /// h = the weighted sum of what the chosen experts make of h
    pub(crate) fn apply(&self, run: &mut Run<'_>) {
        let (cpu, s) = (run.cpu, &mut *run.scratch);
        let r = &mut s.routing;
        let count = s.h.count();
        r.scores.resize(count);
        self.router.apply(cpu, &s.h, &mut r.scores);
        r.choose(self.used);
        r.sum.resize(count);
        r.sum.as_mut_slice().fill(0.0);
        for visits in r.visits.chunk_by(|a, b| a.expert == b.expert) {
            for rows in [&mut r.given, &mut r.made, &mut s.gate, &mut s.up] {
                rows.resize(visits.len());
            }
            r.rows.clear();
            r.weights.clear();
            for (i, visit) in visits.iter().enumerate() {
                r.rows.push(visit.row);
                r.weights.push(visit.weight);
                r.given.row_mut(i).copy_from_slice(s.h.row(visit.row as usize));
            }
            let expert = &self.experts[visits[0].expert as usize];
            expert.apply_to(cpu, &r.given, &mut s.gate, &mut s.up, &mut r.made);
            cpu.add_to_rows(&mut r.sum, &r.rows, &r.weights, &r.made);
        }
        std::mem::swap(&mut s.h, &mut r.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(scores: &[f32], count: usize) -> Routing {
        let scores = Rows::from_vec(scores.to_vec(), count);
        let shape = [0; 3].map(|width| Rows::new(0, width));
        let [given, made, sum] = shape;
        let (visits, order, rows, weights) = (vec![], vec![], vec![], vec![]);
        Routing { scores, given, made, sum, visits, order, rows, weights }
    }

    #[test]
    fn visits_go_by_expert_and_weigh_one_together() {
        let mut r = routing(&[0.0, 2.0, 1.0, 5.0, 5.0, 5.0], 3);
        r.choose(2);
        let got: Vec<(u32, u32)> = r.visits.iter().map(|v| (v.expert, v.row)).collect();
        // Equals go to the first experts.
        assert_eq!(got, [(0, 1), (1, 0), (1, 1), (2, 0)]);
        let weight = 1.0 / (1.0 + (-1f32).exp());
        for (visit, wanted) in r.visits.iter().zip([0.5, weight, 0.5, 1.0 - weight]) {
            assert!((visit.weight - wanted).abs() < 1e-6, "{visit:?}");
        }
    }

    #[test]
    fn scores_that_are_not_numbers_choose_somebody() {
        let mut r = routing(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN], 4);
        r.choose(3);
        assert_eq!(r.visits.len(), 3);
        assert!(r.visits.iter().all(|visit| visit.expert < 4));
    }
}
