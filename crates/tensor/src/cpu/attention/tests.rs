//! Attention of every type of keys and values, on every instruction set and several thread counts,
//! against its definition in double precision.

use half::f16;

use super::*;
use crate::cpu::tests::{Random, within};
use crate::isa::Isa;

/// No number, whatever it is read as.
fn nan() -> KvLine {
    bytemuck::cast([0xffu8; 64])
}

/// Pages of both, which begin with what is no number: it must not matter what lies behind the last
/// token.
struct Kv {
    kv: KvType,
    heads: usize,
    dim: usize,
    keys: Vec<Vec<KvLine>>,
    values: Vec<Vec<KvLine>>,
}

impl Kv {
    fn new(kv: KvType, heads: usize, dim: usize, tokens: usize) -> Kv {
        let pages = vec![vec![nan(); kv.lines(heads, dim).unwrap()]; tokens.div_ceil(PAGE)];
        Kv { kv, heads, dim, keys: pages.clone(), values: pages }
    }
    fn since_page(&mut self, page: usize) -> KvPagesMut<'_> {
        KvPagesMut {
            kv: self.kv,
            keys: self.keys[page..].iter_mut().map(|p| &mut p[..]).collect(),
            values: self.values[page..].iter_mut().map(|p| &mut p[..]).collect(),
            page_tokens: PAGE,
            kv_heads: self.heads,
            head_dim: self.dim,
        }
    }
    fn view(&self) -> KvPages<'_> {
        KvPages {
            kv: self.kv,
            keys: self.keys.iter().map(|p| &p[..]).collect(),
            values: self.values.iter().map(|p| &p[..]).collect(),
            page_tokens: PAGE,
            kv_heads: self.heads,
            head_dim: self.dim,
        }
    }
}

/// A head's row of keys or values as it comes back from its page.
fn stored(kv: KvType, x: &[f32]) -> Vec<f64> {
    let largest = x.iter().fold(0f32, |m, x| m.max(x.abs()));
    let of = |x: &f32| match kv {
        KvType::F32 => f64::from(*x),
        KvType::F16 => f64::from(f16::from_f32(*x).to_f32()),
        KvType::Int8 => {
            let byte = (x * (127.0 / largest)).round_ties_even();
            f64::from(byte) * f64::from(largest / 127.0)
        }
    };
    x.iter().map(of).collect()
}

fn slow_attend(
    kv: KvType,
    q: &Rows,
    k: &Rows,
    v: &Rows,
    dim: usize,
    first: usize,
    window: Option<usize>,
) -> Vec<f64> {
    let sees = |r| {
        let end: usize = first + r + 1;
        window.map_or(0, |window| end.saturating_sub(window))..end
    };
    slow_attend_seeing(kv, q, k, v, dim, sees)
}

fn slow_attend_seeing(
    kv: KvType,
    q: &Rows,
    k: &Rows,
    v: &Rows,
    dim: usize,
    sees: impl Fn(usize) -> Range<usize>,
) -> Vec<f64> {
    let scale = 0.3;
    let (heads, kv_heads) = (q.width() / dim, k.width() / dim);
    let stored = |rows: &Rows| -> Vec<Vec<f64>> {
        let heads = |r| rows.row(r).chunks_exact(dim).flat_map(|head| stored(kv, head));
        (0..rows.count()).map(|r| heads(r).collect()).collect()
    };
    let (k, v) = (stored(k), stored(v));
    let mut out = Vec::new();
    for r in 0..q.count() {
        for h in 0..heads {
            let shared = h / (heads / kv_heads) * dim;
            let q = &q.row(r)[h * dim..(h + 1) * dim];
            let seen = sees(r);
            let start = seen.start;
            let scores: Vec<f64> = seen
                .map(|t| {
                    let k = &k[t][shared..shared + dim];
                    q.iter().zip(k).map(|(q, k)| f64::from(q * scale) * k).sum()
                })
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|s| (s - most).exp()).sum();
            out.extend((0..dim).map(|d| {
                (scores.iter().enumerate())
                    .map(|(t, s)| (s - most).exp() / total * v[start + t][shared + d])
                    .sum::<f64>()
            }));
        }
    }
    out
}

/// How far a result may be off, as a part of its size. With 16-bit floats what is left is the order
/// of sums. Beside bytes a query is rounded to a 16,000th of its largest number and a weight to a
/// 16,000th of its piece's largest: over five hundred values that nearly cancel that can be 2e-3 of
/// what is left, where the rounding of the values themselves (the reference has it too) is 4e-2.
fn bound(kv: KvType) -> f64 {
    match kv {
        KvType::F32 | KvType::F16 => 2e-5,
        KvType::Int8 => 4e-3,
    }
}

fn part(rows: &Rows, range: Range<usize>) -> Rows {
    let w = rows.width();
    Rows::from_vec(rows.as_slice()[range.start * w..range.end * w].to_vec(), w)
}

#[test]
fn attention_over_pages() {
    let mut random = Random(4);
    for round in 0..40 {
        let dim = [4, 8, 12, 16, 32, 64, 80, 96, 128, 256][random.below(10)];
        let kv_heads = 1 + random.below(3);
        let group = 1 + random.below(5);
        // Some see several pieces.
        let far = attend::PIECE * PAGE;
        let first = [0, 1, 15, 16, 17, random.below(100), far - 1, far, random.below(3 * far)]
            [random.below(9)];
        let count = 1 + random.below(if round % 2 == 0 { 1 } else { 40 });
        let (k, v) = (
            random.rows(first + count, kv_heads * dim),
            random.rows(first + count, kv_heads * dim),
        );
        let mut q = random.rows(count, kv_heads * group * dim);
        q.as_mut_slice().iter_mut().for_each(|q| *q *= 4.0);
        let window = [None, Some(1 + random.below(50))][round % 2 * random.below(2)];
        for kv in KvType::all() {
            let want = slow_attend(kv, &q, &k, &v, dim, first, window);
            for isa in Isa::available() {
                for threads in [1, 2] {
                    let cpu = Cpu::new(threads, isa);
                    let mut pages = Kv::new(kv, kv_heads, dim, first + count);
                    // In two parts, as a conversation would.
                    let (ka, va) = (part(&k, 0..first), part(&v, 0..first));
                    cpu.store_kv(&ka, &va, &mut pages.since_page(0), 0);
                    let new = first..first + count;
                    let (kb, vb) = (part(&k, new.clone()), part(&v, new));
                    cpu.store_kv(&kb, &vb, &mut pages.since_page(first / PAGE), first);
                    let mut out = Rows::new(count, q.width());
                    cpu.attend(&q, &pages.view(), first, 0.3, window, &mut out);
                    within(bound(kv), out.as_slice(), &want, || {
                        format!("{kv} {isa} dim {dim} first {first} x{count} window {window:?}")
                    });
                }
            }
        }
    }
}

#[test]
fn attention_does_not_depend_on_who_computes_which_piece() {
    let mut random = Random(14);
    for (kv_heads, group, count) in [(1, 1, 1), (3, 3, 1), (2, 7, 2), (1, 4, 30), (3, 12, 1)] {
        let (dim, tokens) = (32, 3 * attend::PIECE * PAGE + 70);
        let [k, v] = [(); 2].map(|_| random.rows(tokens, kv_heads * dim));
        let q = random.rows(count, kv_heads * group * dim);
        let sets = Isa::available().flat_map(|isa| KvType::all().map(move |kv| (isa, kv)));
        for (isa, kv) in sets {
            for window in [None, Some(attend::PIECE * PAGE + 9)] {
                let results: Vec<Rows> = [1, 2, 5, 16]
                    .map(|threads| {
                        let cpu = Cpu::new(threads, isa);
                        let mut pages = Kv::new(kv, kv_heads, dim, tokens);
                        cpu.store_kv(&k, &v, &mut pages.since_page(0), 0);
                        let mut out = Rows::new(count, q.width());
                        cpu.attend(&q, &pages.view(), tokens - count, 0.3, window, &mut out);
                        // A row is the same alone.
                        let last = Rows::from_vec(q.row(count - 1).to_vec(), q.width());
                        let mut alone = Rows::new(1, q.width());
                        cpu.attend(&last, &pages.view(), tokens - 1, 0.3, window, &mut alone);
                        assert_eq!(alone.row(0), out.row(count - 1), "{kv} {isa} {threads}");
                        out
                    })
                    .into();
                let same = results.iter().all(|r| *r == results[0]);
                assert!(same, "{kv} {isa} {kv_heads} x {group}");
            }
        }
    }
}

#[test]
fn attention_in_both_directions() {
    let mut random = Random(7);
    for _ in 0..25 {
        let dim = [4, 8, 12, 32, 64, 80][random.below(6)];
        let (kv_heads, group) = (1 + random.below(3), 1 + random.below(2));
        let count = [1, 2, 15, 16, 17, 1 + random.below(60)][random.below(6)];
        let [k, v] = [(); 2].map(|_| random.rows(count, kv_heads * dim));
        let mut q = random.rows(count, kv_heads * group * dim);
        q.as_mut_slice().iter_mut().for_each(|q| *q *= 4.0);
        for kv in KvType::all() {
            let want = slow_attend_seeing(kv, &q, &k, &v, dim, |_| 0..count);
            for isa in Isa::available() {
                for threads in [1, 2] {
                    let cpu = Cpu::new(threads, isa);
                    let mut pages = Kv::new(kv, kv_heads, dim, count);
                    cpu.store_kv(&k, &v, &mut pages.since_page(0), 0);
                    let mut out = Rows::new(count, q.width());
                    cpu.attend_all(&q, &pages.view(), 0.3, &mut out);
                    let what = || format!("{kv} {isa} dim {dim} x{count}");
                    within(bound(kv), out.as_slice(), &want, what);
                }
            }
        }
    }
}

#[test]
fn pages_out_of_sight_are_not_read() {
    let mut random = Random(9);
    let (dim, tokens, window) = (8, 100, 20);
    let (k, v, q) = (random.rows(tokens, dim), random.rows(tokens, dim), random.rows(1, dim));
    let first = tokens - 1;
    for kv in KvType::all() {
        let want = slow_attend(kv, &q, &k, &v, dim, first, Some(window));
        for isa in Isa::available() {
            let cpu = Cpu::new(1, isa);
            let mut pages = Kv::new(kv, 1, dim, tokens);
            cpu.store_kv(&k, &v, &mut pages.since_page(0), 0);
            // A number read from here would show.
            for page in 0..(tokens - window) / PAGE {
                pages.keys[page].fill(nan());
                pages.values[page].fill(nan());
            }
            let mut out = Rows::new(1, dim);
            cpu.attend(&q, &pages.view(), first, 0.3, Some(window), &mut out);
            within(bound(kv), out.as_slice(), &want, || format!("{kv} {isa}"));
        }
    }
}

/// What lies in the pages, read by the layout that `kernel/attend/bytes.rs` draws.
fn read_bytes(pages: &Kv, token: usize, head: usize) -> (Vec<f32>, Vec<f32>) {
    let dim = pages.dim.next_multiple_of(16);
    let (page, slot) = (token / PAGE, token % PAGE);
    let size = dim / 4 + 1;
    let [keys, values] = [&pages.keys[page], &pages.values[page]].map(|lines| {
        let lines = &lines[head * size..(head + 1) * size];
        let scale = bytemuck::cast_slice::<KvLine, f32>(&lines[size - 1..])[slot];
        (bytemuck::cast_slice::<KvLine, i8>(lines), scale)
    });
    let key = |d: usize| f32::from(keys.0[d / 4 * 64 + slot * 4 + d % 4]) * keys.1;
    let strip = |d: usize| d / 16 * 256 + slot / 4 * 64;
    let value = |d: usize| f32::from(values.0[strip(d) + d % 16 * 4 + slot % 4]) * values.1;
    ((0..dim).map(key).collect(), (0..dim).map(value).collect())
}

#[test]
fn bytes_come_back_within_half_a_step() {
    let mut random = Random(21);
    for (heads, dim) in [(1, 64), (3, 80), (2, 12), (1, 1), (2, 128)] {
        let tokens = 37;
        let [mut k, mut v] = [(); 2].map(|_| random.rows(tokens, heads * dim));
        // Large, small, and nothing at all.
        k.row_mut(1).iter_mut().for_each(|x| *x *= 1e30);
        v.row_mut(2).iter_mut().for_each(|x| *x *= 1e-30);
        v.row_mut(3).fill(0.0);
        k.row_mut(4).fill(1e-44);
        let mut scalar = None;
        for isa in Isa::available() {
            let mut pages = Kv::new(KvType::Int8, heads, dim, tokens);
            let cpu = Cpu::new(1, isa);
            cpu.store_kv(&part(&k, 0..21), &part(&v, 0..21), &mut pages.since_page(0), 0);
            cpu.store_kv(&part(&k, 21..37), &part(&v, 21..37), &mut pages.since_page(1), 21);
            for (token, head) in (0..tokens).flat_map(|t| (0..heads).map(move |h| (t, h))) {
                let got = read_bytes(&pages, token, head);
                for (got, rows) in [(got.0, &k), (got.1, &v)] {
                    let want = &rows.row(token)[head * dim..(head + 1) * dim];
                    let largest = want.iter().fold(0f32, |m, x| m.max(x.abs()));
                    // Below the smallest scale there is nothing to come back.
                    let half_a_step = largest / 254.0 * 1.00001 + 2e-44;
                    for (got, want) in got.iter().zip(want) {
                        let what = format!("{isa} {heads} x {dim}, {token}: {got} for {want}");
                        assert!((got - want).abs() <= half_a_step, "{what}");
                    }
                    assert!(got[dim..].iter().all(|x| *x == 0.0), "{isa} {dim}: the filling");
                }
            }
            let bits = [&pages.keys, &pages.values].map(|all| {
                all.iter().map(|page| bytemuck::cast_slice::<KvLine, u8>(page).to_vec()).collect()
            });
            let scalar: &[Vec<Vec<u8>>; 2] = scalar.get_or_insert(bits.clone());
            assert_eq!(*scalar, bits, "{isa}: bytes differ from those of plain Rust");
        }
    }
}

#[test]
fn what_is_no_number_is_no_number_to_whoever_sees_it() {
    let mut random = Random(22);
    for (isa, kv) in Isa::available().flat_map(|isa| KvType::all().map(move |kv| (isa, kv))) {
        for (of_keys, bad) in [(true, f32::NAN), (false, f32::NAN), (false, f32::INFINITY)] {
            for dim in [16, 36] {
                let [mut k, mut v] = [(); 2].map(|_| random.rows(40, dim));
                let q = random.rows(40, dim);
                (if of_keys { &mut k } else { &mut v }).row_mut(20)[dim - 1] = bad;
                let mut pages = Kv::new(kv, 1, dim, 40);
                let cpu = Cpu::new(1, isa);
                cpu.store_kv(&k, &v, &mut pages.since_page(0), 0);
                let mut out = Rows::new(40, dim);
                cpu.attend(&q, &pages.view(), 0, 0.3, Some(10), &mut out);
                for r in 0..40 {
                    let sees = (20..30).contains(&r);
                    let finite = out.row(r).iter().all(|x| x.is_finite());
                    // Halves out of sight still meet a weight of zero, bytes have no NaN to give.
                    let passes = if kv == KvType::F16 { !(sees && finite) } else { finite != sees };
                    assert!(passes, "{kv} {isa} {bad} in a key: {of_keys}; row {r}: {finite}");
                }
            }
        }
    }
}
