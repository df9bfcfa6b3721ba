//! What the machine can do at this moment: the limits beside which speeds are printed.
//!
//! Both probes use the pool's own threads and take some tens of milliseconds. They return work
//! done; the caller holds the clock, since this crate has none.

use crate::bytes::{Arena, Bytes};
use crate::cpu::Cpu;
use crate::isa::Isa;
use crate::kernel::interleaved::AHEAD;
use crate::kernel::panel;
use crate::simd::{on, vectors};
use std::hint::black_box;
use std::sync::Mutex;

/// Memory to read sequentially, more than caches hold: on huge pages and asked for ahead, as the
/// kernels read weights, so that it is the limit of what they could reach.
pub struct ReadProbe {
    data: Bytes,
}

/// Shares are whole pieces, and a piece is whole lines of every set.
const PIECE: usize = 4096;

impl ReadProbe {
    /// Fills `bytes` of memory.
    pub fn new(bytes: usize) -> ReadProbe {
        let whole = bytes.next_multiple_of(PIECE);
        let Ok(mut arena) = Arena::new(whole) else {
            return ReadProbe { data: Bytes::from_vec(vec![1; whole]) };
        };
        let mut blank = arena.take(whole).expect("an arena of this size");
        blank.as_mut_slice().fill(1);
        let mut settling = blank.settling();
        let data = blank.filled();
        while settling.left() > 0 && settling.step() {}
        ReadProbe { data }
    }

    /// Reads all of it once, each thread its share, and returns how many bytes that was.
    pub fn run(&self, cpu: &Cpu) -> usize {
        let share = self.data.len().div_ceil(cpu.threads()).next_multiple_of(PIECE).max(1);
        let shares: Vec<&[u8]> = self.data.chunks(share).collect();
        cpu.pool().run_all(&|thread| {
            if let Some(share) = shares.get(thread) {
                black_box(on!(cpu.isa(), read(share)));
            }
        });
        self.data.len()
    }
}

/// Runs byte products out of registers and first-level cache on all threads; returns how many
/// multiply-adds that was.
pub fn int8_probe(cpu: &Cpu, rounds: usize) -> u64 {
    let total = Mutex::new(0u64);
    cpu.pool().run_all(&|_| {
        let done = int8_alone(cpu.isa(), rounds);
        *total.lock().unwrap_or_else(|e| e.into_inner()) += done;
    });
    total.into_inner().unwrap_or_else(|e| e.into_inner())
}

/// The same on the calling thread alone.
///
/// # Panics
/// Where the machine does not have the set.
pub fn int8_alone(isa: Isa, rounds: usize) -> u64 {
    assert!(isa.is_available(), "{isa} on this machine");
    let line = vec![3i8; 4 * panel::lanes(isa) * 16];
    let quads = vec![[1i8, -2, 3, -4]; 16 * 12];
    on!(isa, multiply(&line, &quads, rounds))
}

vectors! {
    pub(super) fn read(data: &[u8]) -> f32 {
        let (lines, _) = data.as_chunks::<{ 4 * v::LANES }>();
        let mut sums = [v::isplat(0); 8];
        for eight in lines.as_chunks::<8>().0 {
            for i in 0..8 {
                v::prefetch(eight[i].as_ptr().wrapping_add(AHEAD));
                sums[i] = v::dot4(sums[i], v::biased(&eight[i]), [1; 4]);
            }
        }
        sums.into_iter().map(|sum| v::sum(v::to_f32(sum))).sum()
    }

    pub(super) fn multiply(lines: &[i8], quads: &[[i8; 4]], rounds: usize) -> u64 {
        let (lines, _) = lines.as_chunks::<{ 4 * v::LANES }>();
        let (quads, _) = quads.as_chunks::<{ v::COLS }>();
        let mut sums = [v::isplat(0); v::COLS];
        let mut done = 0;
        for _ in 0..rounds {
            for (line, quads) in lines.iter().zip(quads) {
                let line = v::line(line);
                for j in 0..v::COLS {
                    sums[j] = v::dot4(sums[j], line, quads[j]);
                }
                done += (4 * v::LANES * v::COLS) as u64;
            }
        }
        for sum in sums {
            black_box(v::sum(v::to_f32(sum)));
        }
        done
    }
}

/// The instruction set a probe ran with, for the report.
pub fn isa(cpu: &Cpu) -> Isa {
    cpu.isa()
}
