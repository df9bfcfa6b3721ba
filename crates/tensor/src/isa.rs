//! The instruction sets this build can choose from at run time.
//!
//! One binary runs everywhere: the choice is made once, when a [`crate::Cpu`] is made, and a
//! value of [`Isa`] is passed down. Naming one that the machine lacks is refused there.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// An instruction set with kernels of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust; runs everywhere and judges the others.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C (most laptops since 2013).
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
    Avx512,
    /// 64-bit Arm with the dot-product instructions (most phones since 2018).
    Neon,
}

const ALL: [(Isa, &str); 4] =
    [(Isa::Scalar, "scalar"), (Isa::Avx2, "avx2"), (Isa::Avx512, "avx512"), (Isa::Neon, "neon")];

impl Isa {
    /// Every instruction set that this machine runs, the best last. Tests walk all of them.
    pub fn available() -> impl Iterator<Item = Isa> {
        ALL.iter().map(|(isa, _)| *isa).filter(|isa| isa.is_available())
    }

    /// The best one of this machine.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available().last().unwrap_or(Isa::Scalar))
    }

    /// Whether this machine runs it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => {
                std::arch::is_aarch64_feature_detected!("neon")
                    && std::arch::is_aarch64_feature_detected!("dotprod")
            }
            _ => false,
        }
    }

    /// Its name, as the command line takes it.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(isa, _)| *isa == self).map_or("?", |(_, name)| name)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no instruction set of this program, or one that the machine lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// No such name.
    #[error("`{0}` is not an instruction set; expected scalar, avx2, avx512 or neon")]
    Unknown(String),
    /// This machine cannot run it.
    #[error("this machine does not run {0}; its best is {best}", best = Isa::best())]
    Missing(Isa),
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Isa, IsaError> {
        let (isa, _) = ALL
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| IsaError::Unknown(name.to_owned()))?;
        if isa.is_available() { Ok(*isa) } else { Err(IsaError::Missing(*isa)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_is_everywhere_and_names_come_back() {
        assert_eq!(Isa::available().next(), Some(Isa::Scalar));
        assert!(Isa::best().is_available());
        for isa in Isa::available() {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        assert!(matches!("mmx".parse::<Isa>(), Err(IsaError::Unknown(_))));
    }
}
