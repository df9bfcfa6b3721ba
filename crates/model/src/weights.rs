//! Taking tensors out of a file by name, each with the shape it must have.
//!
//! Every tensor is taken through here, so that at the end we know which were not: a family that
//! ignores a tensor computes something else than its author did.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ondine_format::{Hparams, ModelFile, Scales};
use ondine_tensor::{Arena, Cpu, Matrix};

use crate::encoder::Pooling;
use crate::error::ModelError;
use crate::layer::{Linear, Norm, Rms};
use crate::shape::Shape;

/// Tensors that change nothing in the result: tables of a frequency that is computed here, which
/// old converters wrote.
const IGNORED: &[&str] = &["attn_rot_embd", "rotary_emb.inv_freq"];

/// The tensors of a file, and which of them were taken.
pub(crate) struct Weights<'a> {
    file: &'a ModelFile,
    /// The checked hyperparameters.
    pub(crate) hparams: &'a Hparams,
    /// The sizes that follow from them.
    pub(crate) shape: Shape,
    taken: RefCell<BTreeSet<String>>,
    /// Where matrices go that are multiplied with, and what lays them out; `None` where they stay
    /// in the file's bytes.
    place: Option<(&'a Cpu, RefCell<Arena>)>,
    /// The embedding where it is the output head too: one matrix, not two.
    tied: RefCell<Option<Matrix>>,
}

impl<'a> Weights<'a> {
    pub(crate) fn new(
        file: &'a ModelFile,
        hparams: &'a Hparams,
        layout: Option<&'a Cpu>,
    ) -> Result<Weights<'a>, ModelError> {
        let shape = Shape::new(hparams)?;
        // Where the system has no room, the weights stay where they lie: slower, and as right.
        let place = layout.and_then(|cpu| {
            // A tensor may come in parts, such as experts, and each begins a line.
            let all = (file.tensors.iter())
                .map(|tensor| {
                    let parts = 8 + tensor.dims.get(2).copied().unwrap_or(1);
                    tensor.data.len().saturating_add(parts.saturating_mul(Arena::LINE))
                })
                .fold(0, usize::saturating_add);
            Some((cpu, RefCell::new(Arena::new(all).ok()?)))
        });
        let (taken, tied) = (RefCell::default(), RefCell::default());
        Ok(Weights { file, hparams, shape, taken, place, tied })
    }

    /// A matrix to multiply with, laid out for the machine.
    fn placed(&self, matrix: Matrix) -> Matrix {
        let interleaved = (self.place.as_ref())
            .and_then(|(cpu, arena)| cpu.place(&matrix, &mut arena.borrow_mut()));
        interleaved.unwrap_or(matrix)
    }

    /// The matrix to the vocabulary, laid out so that the likeliest tokens are found quickly.
    fn placed_head(&self, matrix: Matrix) -> Matrix {
        let placed = (self.place.as_ref())
            .and_then(|(cpu, arena)| cpu.place_head(&matrix, &mut arena.borrow_mut()));
        placed.unwrap_or(matrix)
    }

    /// The error for a part of this model that its family does not do here.
    pub(crate) fn unsupported(&self, what: impl Into<String>) -> ModelError {
        ModelError::Unsupported { architecture: self.shape.architecture.clone(), what: what.into() }
    }

    /// Refuses a model whose experts its family does not know.
    pub(crate) fn without_experts(&self) -> Result<(), ModelError> {
        if self.shape.experts.is_some() { Err(self.unsupported("experts")) } else { Ok(()) }
    }

    /// Refuses a model with a window that its family does not know.
    pub(crate) fn without_window(&self) -> Result<(), ModelError> {
        match self.window() {
            Some(window) => Err(self.unsupported(format!("a sliding window of {window}"))),
            None => Ok(()),
        }
    }

    /// Refuses a model with factors or bounds that its family does not know.
    pub(crate) fn without_scales(&self) -> Result<(), ModelError> {
        if self.hparams.scales != Scales::default() || self.hparams.logit_cap.is_some() {
            return Err(self.unsupported("scaled or bounded parts"));
        }
        Ok(())
    }

    /// The sliding window, where it is narrower than the context.
    pub(crate) fn window(&self) -> Option<usize> {
        self.hparams.sliding_window.filter(|window| *window < self.shape.context)
    }

    /// Whether the file has the tensor.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.file.has(name)
    }

    /// `rows × cols` weights, as the file has them.
    pub(crate) fn matrix(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Matrix, ModelError> {
        let matrix = self.file.matrix(name)?;
        if (matrix.rows(), matrix.cols()) != (rows, cols) {
            return Err(ModelError::TensorShape {
                name: name.into(),
                wanted: format!("[{cols}, {rows}]"),
                found: format!("[{}, {}]", matrix.cols(), matrix.rows()),
            });
        }
        self.taken.borrow_mut().insert(name.into());
        Ok(matrix)
    }

    /// `count` matrices of `rows × cols` weights, none with a bias: one for each expert.
    pub(crate) fn experts(
        &self,
        name: &str,
        count: usize,
        rows: usize,
        cols: usize,
    ) -> Result<Vec<Linear>, ModelError> {
        let name = format!("{name}.weight");
        let matrices = self.file.matrices(&name)?;
        let found = matrices.first().map_or((0, 0), |matrix| (matrix.rows(), matrix.cols()));
        if (matrices.len(), found) != (count, (rows, cols)) {
            return Err(ModelError::TensorShape {
                name,
                wanted: format!("[{cols}, {rows}, {count}]"),
                found: format!("[{}, {}, {}]", found.1, found.0, matrices.len()),
            });
        }
        self.taken.borrow_mut().insert(name);
        let placed = matrices.into_iter().map(|weight| self.placed(weight));
        Ok(placed.map(|weight| Linear { weight, bias: None }).collect())
    }

    /// `len` floats.
    pub(crate) fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, ModelError> {
        let vector = self.file.vector(name)?;
        if vector.len() != len {
            return Err(ModelError::TensorShape {
                name: name.into(),
                wanted: format!("[{len}]"),
                found: format!("[{}]", vector.len()),
            });
        }
        self.taken.borrow_mut().insert(name.into());
        Ok(vector)
    }

    /// `len` floats, if the file has them.
    pub(crate) fn optional_vector(
        &self,
        name: &str,
        len: usize,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        self.has(name).then(|| self.vector(name, len)).transpose()
    }

    /// The first row of a table of any height, if the file has it.
    pub(crate) fn first_row(
        &self,
        name: &str,
        width: usize,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        if !self.has(name) {
            return Ok(None);
        }
        let rows = self.file.matrix(name)?.rows();
        let mut row = vec![0.0; width];
        self.matrix(name, rows, width)?.decode_row(0, &mut row);
        Ok(Some(row))
    }

    /// How the file wants an encoder's rows to become a vector; `None` where it does not say.
    pub(crate) fn pooling(&self) -> Result<Option<Pooling>, ModelError> {
        match self.hparams.pooling {
            None | Some(0) => Ok(None),
            Some(number) => Pooling::from_number(number)
                .map(Some)
                .ok_or_else(|| self.unsupported(format!("pooling of type {number}"))),
        }
    }

    /// `name.weight`, and `name.bias` where the file has one.
    pub(crate) fn linear(
        &self,
        name: &str,
        out: usize,
        width: usize,
    ) -> Result<Linear, ModelError> {
        let weight = self.placed(self.matrix(&format!("{name}.weight"), out, width)?);
        Ok(Linear { weight, bias: self.optional_vector(&format!("{name}.bias"), out)? })
    }

    /// One matrix of a file, and its bias where it has one, as several of so many rows each:
    /// queries, keys and values, say.
    pub(crate) fn fused<const N: usize>(
        &self,
        name: &str,
        rows: [usize; N],
        width: usize,
    ) -> Result<[Linear; N], ModelError> {
        let whole = self.matrix(&format!("{name}.weight"), rows.iter().sum(), width)?;
        let bias = self.optional_vector(&format!("{name}.bias"), whole.rows())?;
        let mut first = 0;
        Ok(rows.map(|rows| {
            let part = first..first + rows;
            first = part.end;
            let weight = whole.part(part.clone()).expect("rows of the whole");
            let bias = bias.as_ref().map(|bias| bias[part].to_vec());
            Linear { weight: self.placed(weight), bias }
        }))
    }

    /// `name.weight` and `name.bias`, both of which must be there.
    pub(crate) fn biased(
        &self,
        name: &str,
        out: usize,
        width: usize,
    ) -> Result<Linear, ModelError> {
        let weight = self.placed(self.matrix(&format!("{name}.weight"), out, width)?);
        Ok(Linear { weight, bias: Some(self.vector(&format!("{name}.bias"), out)?) })
    }

    /// A root-mean-square norm over pieces of `width`.
    pub(crate) fn rms_norm(&self, name: &str, width: usize) -> Result<Norm, ModelError> {
        self.rms(name, width).map(Norm::Rms)
    }

    /// The same, as itself.
    pub(crate) fn rms(&self, name: &str, width: usize) -> Result<Rms, ModelError> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        Ok(Rms { weight, eps: self.hparams.norm_eps })
    }

    /// A layer norm with a bias.
    pub(crate) fn layer_norm(&self, name: &str, width: usize) -> Result<Norm, ModelError> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        let bias = self.vector(&format!("{name}.bias"), width)?;
        Ok(Norm::Layer { weight, bias, eps: self.hparams.norm_eps })
    }

    /// The table of tokens. Where the file ties it to the output head, it is laid out as that.
    pub(crate) fn embedding(&self) -> Result<Matrix, ModelError> {
        let Shape { vocab, width, .. } = self.shape;
        let table = self.matrix("token_embd.weight", vocab, width)?;
        if self.has("output.weight") {
            return Ok(table);
        }
        let mut tied = self.tied.borrow_mut();
        Ok(tied.get_or_insert_with(|| self.placed_head(table)).clone())
    }

    /// The output head: its own matrix, or the embedding again where the file ties the two.
    pub(crate) fn head(&self) -> Result<Linear, ModelError> {
        let Shape { vocab, width, .. } = self.shape;
        if self.has("output.weight") {
            let weight = self.placed_head(self.matrix("output.weight", vocab, width)?);
            return Ok(Linear { weight, bias: self.optional_vector("output.bias", vocab)? });
        }
        let bias = self.optional_vector("token_embd.bias", vocab)?;
        Ok(Linear { weight: self.embedding()?, bias })
    }

    /// Refuses a file with tensors that nobody took.
    pub(crate) fn finish(self) -> Result<Shape, ModelError> {
        let taken = self.taken.into_inner();
        let strangers: Vec<&str> = (self.file.tensors.iter().map(|tensor| tensor.name.as_str()))
            .filter(|name| !taken.contains(*name))
            .filter(|name| !IGNORED.iter().any(|part| name.contains(part)))
            .collect();
        match strangers.first() {
            None => Ok(self.shape),
            Some(example) => Err(ModelError::Strangers {
                architecture: self.shape.architecture,
                count: strangers.len(),
                example: (*example).into(),
            }),
        }
    }
}
