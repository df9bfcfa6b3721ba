//! The cores that this process may use, one by one: a phone's and a laptop's are not all alike.
//!
//! [`allowed`] says which there are and [`on`] runs something on one of them. What is done with
//! the difference is up to who measures it: this file has no clock.

/// The numbers of the cores that this process may run on; empty where the system does not say.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn allowed() -> Vec<usize> {
    // SAFETY: a set of cores is an array of integers, for which all zeros is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a set of the length that is said; 0 is the calling thread.
    let done = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if done != 0 {
        return Vec::new();
    }
    // SAFETY: the numbers are below the bits of a set.
    (0..SET_BITS).filter(|&core| unsafe { libc::CPU_ISSET(core, &set) }).collect()
}

/// Runs `work` on a thread of its own that stays on `core`; `None` where it may not be there.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn on<T: Send>(core: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if core >= SET_BITS {
        return None;
    }
    let there = move || {
        // SAFETY: as in `allowed`; `core` is below the bits of a set.
        let done = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(core, &mut set);
            libc::sched_setaffinity(0, size_of_val(&set), &raw const set)
        };
        (done == 0).then(work)
    };
    std::thread::scope(|scope| scope.spawn(there).join().ok().flatten())
}

/// Cores that a set has room for.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SET_BITS: usize = 8 * size_of::<libc::cpu_set_t>();

/// The numbers of the cores that this process may run on; empty where the system does not say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn allowed() -> Vec<usize> {
    Vec::new()
}

/// Runs `work` on a thread of its own that stays on `core`; `None` where it may not be there.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn on<T: Send>(_core: usize, _work: impl FnOnce() -> T + Send) -> Option<T> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_on_the_core_that_was_asked_for() {
        let cores = allowed();
        assert!(!cores.is_empty());
        for &core in &cores {
            assert_eq!(on(core, allowed), Some(vec![core]), "a thread that stays there");
        }
        assert_eq!(allowed(), cores, "the caller is as free as before");
        assert_eq!(on(usize::MAX, || ()), None);
        assert_eq!(on(SET_BITS - 1, || ()), None, "a core that is not there");
    }
}
