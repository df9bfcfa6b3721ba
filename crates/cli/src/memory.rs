//! What fits the memory that the system can still give: a conversation, and weights laid out anew.
//!
//! Linux says how much that is; elsewhere nothing is known, and nothing is refused beforehand.
//! It knows no model, only how much a position takes.

use std::fs;

use ondine_cache::CacheShape;
use ondine_engine::Memory;

use crate::failure::Failure;

/// Refuses a context that was asked for where its keys and values cannot fit.
pub(crate) fn check(shape: CacheShape, context: usize) -> Result<(), Failure> {
    against(available(), shape, context)
}

fn against(available: Option<u64>, shape: CacheShape, context: usize) -> Result<(), Failure> {
    // What is no number does not fit either.
    let needed = shape.bytes_for(context).map_or(u64::MAX, |bytes| bytes as u64);
    let Some(available) = available.filter(|available| needed > *available) else { return Ok(()) };
    let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
    let position = shape.bytes_for(16).map_or(u64::MAX, |page| (page as u64 / 16).max(1));
    let message = format!(
        "a context of {context} tokens takes {:.1} GiB of keys and values, {:.1} GiB of memory is free",
        gib(needed),
        gib(available)
    );
    Err(Failure::new(message).hint(format!("about {} tokens fit", available / position)))
}

/// Where weights may stay, as `--memory` takes it.
pub(crate) const HOW: &[&str] = &["auto", "fast", "lean"];

/// Where a model's weights stay: what was asked, or what free memory allows. Laid out anew they are
/// memory that the system cannot take back, so they leave a quarter of what is free to others.
pub(crate) fn placement(asked: Option<&str>, weights: u64) -> Memory {
    placed(asked, weights, available())
}

fn placed(asked: Option<&str>, weights: u64, available: Option<u64>) -> Memory {
    match asked {
        Some("fast") => Memory::Fast,
        Some("lean") => Memory::Lean,
        _ if available.is_some_and(|free| weights > free / 4 * 3) => Memory::Lean,
        _ => Memory::Fast,
    }
}

/// Bytes that can still be had: of the machine, and of the control group where it has a limit.
pub(crate) fn available() -> Option<u64> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let number = |name: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse().ok()
    };
    let group = number("memory.max").zip(number("memory.current"));
    Some(group.map_or(machine, |(most, taken)| machine.min(most.saturating_sub(taken))))
}

/// The line `MemAvailable:  12345 kB` in bytes.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use ondine_engine::KvType;

    use super::*;

    #[test]
    fn a_context_larger_than_memory_is_refused() {
        let shape = CacheShape { layers: 16, kv_heads: 8, head_dim: 64, kv: KvType::F16 };
        // 32 KiB a position.
        assert!(against(Some(1 << 30), shape, 32768).is_ok());
        assert!(against(None, shape, usize::MAX).is_ok());
        let failure = against(Some(1 << 30), shape, 40000).unwrap_err();
        let said =
            "a context of 40000 tokens takes 1.2 GiB of keys and values, 1.0 GiB of memory is free";
        assert_eq!(failure.message, said);
        assert_eq!(failure.hint.as_deref(), Some("about 32768 tokens fit"));
        assert!(against(Some(1 << 30), shape, usize::MAX).is_err());
        // As bytes it takes little more than half.
        let bytes = CacheShape { kv: KvType::Int8, ..shape };
        assert!(against(Some(1 << 30), bytes, 40000).is_ok());
        assert!(against(Some(1 << 30), bytes, 64000).is_err());
    }

    #[test]
    fn weights_are_laid_out_where_they_leave_room() {
        assert_eq!(placed(None, 3 << 30, Some(4 << 30)), Memory::Fast);
        assert_eq!(placed(Some("auto"), (3 << 30) + 1, Some(4 << 30)), Memory::Lean);
        assert_eq!(placed(Some("fast"), 9 << 30, Some(4 << 30)), Memory::Fast);
        assert_eq!(placed(Some("lean"), 1, Some(4 << 30)), Memory::Lean);
        assert_eq!(placed(None, 9 << 30, None), Memory::Fast);
    }

    #[test]
    fn free_memory_is_read() {
        assert_eq!(meminfo("MemTotal: 9 kB\nMemAvailable:   12 kB\n"), Some(12 << 10));
        assert_eq!(meminfo("MemAvailable: 12\n"), None);
    }
}
