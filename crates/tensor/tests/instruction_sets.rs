//! Every instruction set of this machine against the scalar one, on the same inputs, through the
//! public operations, with one thread and no test harness.
//!
//! A plain program, because this is also how NEON is checked on machines that are not Arm: under
//! user-mode emulation, where starting a thread hangs (`scripts/neon`). The definitions
//! themselves are judged by the tests inside the crate.

use ondine_tensor::{
    Arena, Bytes, Cpu, DType, Isa, KvLine, KvPages, KvPagesMut, KvType, Matrix, Rope, RopeStyle,
    Rows,
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
    fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
    fn rows(&mut self, count: usize, width: usize) -> Rows {
        Rows::from_vec((0..count * width).map(|_| self.float()).collect(), width)
    }
    fn matrix(&mut self, dtype: DType, rows: usize, cols: usize) -> Matrix {
        let count = dtype.row_bytes(cols).expect("whole blocks") * rows;
        let mut bytes: Vec<u8> = (0..count).map(|_| (self.next() >> 20) as u8).collect();
        if matches!(dtype, DType::F32 | DType::F16 | DType::Bf16) {
            let floats = self.rows(rows, cols);
            bytes = ondine_tensor::quantize(dtype, floats.as_slice(), cols).expect("written");
        } else {
            // Ordinary scales: exponents of random halves would span thirty powers of two.
            for block in bytes.chunks_exact_mut(dtype.block_bytes()) {
                let end = block.len();
                for at in [0, 2, end - 4, end - 2] {
                    block[at + 1] = block[at + 1] & 0x83 | 0x24;
                }
            }
        }
        Matrix::new(dtype, rows, cols, Bytes::from_vec(bytes)).expect("sound")
    }
}

/// Largest difference over the size of what is compared.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let size = (a.iter().map(|x| x * x).sum::<f32>() / a.len().max(1) as f32).sqrt();
    let most = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(!a.iter().chain(b).any(|x| x.is_nan()), "not a number");
    most / size.max(1e-12)
}

fn main() {
    let scalar = Cpu::new(1, Isa::Scalar);
    let sets: Vec<Isa> = Isa::available().filter(|isa| *isa != Isa::Scalar).collect();
    for isa in &sets {
        let cpu = Cpu::new(1, *isa);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (products, worst) = check_products(&scalar, &cpu, &mut random);
        println!("{isa}: {products} products, largest difference {worst:.1e}");
        let (spans, worst) = check_attention(&scalar, &cpu, &mut random);
        println!("{isa}: {spans} attentions, largest difference {worst:.1e}");
        let (elements, worst) = check_elements(&scalar, &cpu, &mut random);
        println!("{isa}: {elements} norms, gates and rotations, largest difference {worst:.1e}");
    }
    let names: Vec<&str> = sets.iter().map(|isa| isa.name()).collect();
    println!(
        "checked against scalar: {}",
        if names.is_empty() { "none".into() } else { names.join(", ") }
    );
    println!("{} passed, 0 failed", sets.len() * 3);
}

fn check_products(scalar: &Cpu, cpu: &Cpu, random: &mut Random) -> (usize, f32) {
    let (mut count, mut worst) = (0, 0f32);
    for dtype in DType::all().filter(|d| d.computes()) {
        for columns in [1, 2, 3, 4, 5, 8, 13, 29] {
            let block = if dtype.block() == 1 { 1 + random.below(67) } else { dtype.block() };
            let cols = block * (1 + random.below(if block == 256 { 2 } else { 7 }));
            let rows = 1 + random.below(41);
            let x = random.rows(columns, cols);
            let mut check = |plain: &Matrix, other: &Matrix, how: &str| {
                let [mut a, mut b] = [(); 2].map(|()| Rows::new(columns, plain.rows()));
                scalar.matmul(&x, &mut [(plain, &mut a)]);
                cpu.matmul(&x, &mut [(other, &mut b)]);
                let d = distance(a.as_slice(), b.as_slice());
                let (rows, isa) = (plain.rows(), cpu.isa());
                assert!(d < 2e-5, "{dtype}{how} {rows}x{cols} by {columns} on {isa}: {d}");
                worst = worst.max(d);
                count += 1;
            };
            let w = random.matrix(dtype, rows, cols);
            check(&w, &w, "");
            // Rows in whole groups, for the types that interleave.
            let rows = 16 * (1 + random.below(3));
            let w = random.matrix(dtype, rows, cols);
            let mut arena = Arena::new(w.bytes().len()).expect("address space");
            if let Some(grouped) = cpu.interleave(&w, &mut arena) {
                check(&w, &grouped, " interleaved");
            }
        }
    }
    (count, worst)
}

fn check_attention(scalar: &Cpu, cpu: &Cpu, random: &mut Random) -> (usize, f32) {
    let (mut count, mut worst) = (0, 0f32);
    for round in 0..72 {
        let kv_type = [KvType::F16, KvType::Int8, KvType::F32][round / 24];
        let dim = [4, 8, 12, 16, 20, 32, 64, 128][round % 8];
        let (kv_heads, group) = (1 + random.below(3), 1 + random.below(4));
        let (first, new) =
            (random.below(40), 1 + random.below(if round % 24 < 8 { 1 } else { 20 }));
        let width = kv_heads * dim;
        let [k, v] = [(); 2].map(|()| random.rows(first + new, width));
        let q = random.rows(new, width * group);
        let outs = [scalar, cpu].map(|cpu| {
            let pages = (first + new).div_ceil(16);
            let page = vec![KvLine::ZERO; kv_type.lines(kv_heads, dim).expect("a number")];
            let mut kv = [(); 2].map(|()| vec![page.clone(); pages]);
            let [keys, values] = &mut kv;
            let mut pages = KvPagesMut {
                kv: kv_type,
                keys: keys.iter_mut().map(|p| &mut p[..]).collect(),
                values: values.iter_mut().map(|p| &mut p[..]).collect(),
                page_tokens: 16,
                kv_heads,
                head_dim: dim,
            };
            cpu.store_kv(&k, &v, &mut pages, 0);
            let view = KvPages {
                kv: kv_type,
                keys: kv[0].iter().map(|p| &p[..]).collect(),
                values: kv[1].iter().map(|p| &p[..]).collect(),
                page_tokens: 16,
                kv_heads,
                head_dim: dim,
            };
            let mut out = Rows::new(new, width * group);
            let window = (round % 3 == 0).then_some(1 + round);
            cpu.attend(&q, &view, first, 0.7, window, &mut out);
            out
        });
        let d = distance(outs[0].as_slice(), outs[1].as_slice());
        // A weight that tips to another of 16,000 steps shows beside bytes.
        let bound = if kv_type == KvType::Int8 { 2e-4 } else { 2e-5 };
        assert!(d < bound, "attention dim {dim} {kv_type} on {}: {d}", cpu.isa());
        worst = worst.max(d);
        count += 1;
    }
    (count, worst)
}

fn check_elements(scalar: &Cpu, cpu: &Cpu, random: &mut Random) -> (usize, f32) {
    let (mut count, mut worst) = (0, 0f32);
    for width in [2, 6, 8, 16, 30, 64, 100, 576] {
        let mut x = random.rows(3, width);
        x.as_mut_slice().iter_mut().for_each(|x| *x *= 8.0);
        let other = random.rows(3, width);
        let weight = random.rows(1, width).into_vec();
        let rope = Rope::new(RopeStyle::Halves, width, 10_000.0, None, 1.0);
        let neighbours = Rope::new(RopeStyle::Interleaved, width, 500.0, None, 1.0);
        type Step<'a> = Box<dyn Fn(&Cpu, &mut Rows) + 'a>;
        let steps: [(&str, Step<'_>); 13] = [
            ("rms_norm", Box::new(|c, y| c.rms_norm(&x, &weight, 1e-5, y))),
            ("layer_norm", Box::new(|c, y| c.layer_norm(&x, &weight, &weight, 1e-5, y))),
            ("swiglu", Box::new(|c, y| c.swiglu(y, &other))),
            ("gelu", Box::new(|c, y| c.gelu(y))),
            ("gelu by erf", Box::new(|c, y| c.gelu_erf(y))),
            ("geglu", Box::new(|c, y| c.geglu(y, &other))),
            ("scale", Box::new(|c, y| c.scale(y, 0.3))),
            ("soft_cap", Box::new(|c, y| c.soft_cap(y, 3.0))),
            ("add_scaled", Box::new(|c, y| c.add_scaled(y, &other, 0.3))),
            ("add_rms_norm", Box::new(|c, y| c.add_rms_norm(y, &other, &weight, 1e-5))),
            ("add", Box::new(|c, y| c.add(y, &other))),
            ("rope halves", Box::new(|c, y| c.rope(y, 1, &rope, 77))),
            ("rope neighbours", Box::new(|c, y| c.rope(y, 1, &neighbours, 3))),
        ];
        for (name, step) in &steps {
            let [mut a, mut b] = [x.clone(), x.clone()];
            step(scalar, &mut a);
            step(cpu, &mut b);
            let d = distance(a.as_slice(), b.as_slice());
            assert!(d < 5e-6, "{name} of {width} on {}: {d}", cpu.isa());
            worst = worst.max(d);
            count += 1;
        }
    }
    (count, worst)
}
