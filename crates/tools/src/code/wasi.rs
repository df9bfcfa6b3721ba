//! As much of WASI (`wasi_snapshot_preview1`) as a program needs that reads its arguments and its input and
//! writes. Every place in memory that a program names is checked; what is not here answers `ENOSYS`.

use wasmi::{Caller, Error, Extern, FuncType, Linker, Memory, StoreLimits, Val};

/// Errors by WASI's numbers.
const SUCCESS: i32 = 0;
const BADF: i32 = 8;
const INVAL: i32 = 28;
const FAULT: i32 = 21;
const NOSYS: i32 = 52;
const SPIPE: i32 = 70;

/// Pieces of one read or write at most.
const PIECES_MAX: u32 = 1024;
/// Random bytes of one call at most.
const RANDOM_MAX: u32 = 64 << 10;
/// What its clock shows first, in nanoseconds: the beginning of 2026. It goes on by a microsecond a look.
const CLOCK_NS: u64 = 1_767_225_600_000_000_000;

/// What a program sees of the world.
pub(super) struct Host {
    limits: StoreLimits,
    input: Vec<u8>,
    read: usize,
    arguments: Vec<String>,
    output: Vec<u8>,
    errors: Vec<u8>,
    output_bytes: usize,
    clock_ns: u64,
    seed: u64,
}

impl Host {
    pub(super) fn new(
        limits: StoreLimits,
        input: Vec<u8>,
        arguments: Vec<String>,
        output_bytes: usize,
    ) -> Host {
        Host {
            limits,
            input,
            read: 0,
            arguments: [vec!["program".to_owned()], arguments].concat(),
            output: Vec::new(),
            errors: Vec::new(),
            output_bytes,
            clock_ns: CLOCK_NS,
            seed: 0,
        }
    }

    pub(super) fn limits(&mut self) -> &mut StoreLimits {
        &mut self.limits
    }

    pub(super) fn output(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    pub(super) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors).into_owned()
    }

    /// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Offers a function of WASI, whichever.
pub(super) fn define(
    linker: &mut Linker<Host>,
    name: &str,
    ty: FuncType,
) -> Result<(), wasmi::errors::LinkerError> {
    let known = name.to_owned();
    linker.func_new("wasi_snapshot_preview1", name, ty, move |caller, given, results| {
        let number = serve(&known, caller, given)?;
        // A program may declare any type; what has no place for the number does not get it.
        if let [result @ Val::I32(_)] = results {
            *result = Val::I32(number);
        }
        Ok(())
    })?;
    Ok(())
}

/// The program's memory and what it sees, while one function serves it.
struct World<'a> {
    memory: &'a mut [u8],
    host: &'a mut Host,
}

impl World<'_> {
    fn bytes(&mut self, at: u32, length: u32) -> Result<&mut [u8], i32> {
        let (at, length) = (at as usize, length as usize);
        at.checked_add(length).and_then(|end| self.memory.get_mut(at..end)).ok_or(FAULT)
    }

    fn number(&mut self, at: u32) -> Result<u32, i32> {
        let bytes = self.bytes(at, 4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn put(&mut self, at: u32, bytes: &[u8]) -> Result<(), i32> {
        let length = u32::try_from(bytes.len()).map_err(|_| INVAL)?;
        self.bytes(at, length)?.copy_from_slice(bytes);
        Ok(())
    }

    fn put_number(&mut self, at: u32, number: usize) -> Result<(), i32> {
        self.put(at, &u32::try_from(number).map_err(|_| INVAL)?.to_le_bytes())
    }

    /// Place and length of each piece of a read or a write.
    fn pieces(&mut self, at: u32, count: u32) -> Result<Vec<(u32, u32)>, i32> {
        if count > PIECES_MAX {
            return Err(INVAL);
        }
        (0..count)
            .map(|n| {
                let at = at.checked_add(n * 8).ok_or(FAULT)?;
                Ok((self.number(at)?, self.number(at.checked_add(4).ok_or(FAULT)?)?))
            })
            .collect()
    }
}

fn serve(name: &str, mut caller: Caller<'_, Host>, given: &[Val]) -> Result<i32, Error> {
    let at = |n: usize| match given.get(n) {
        Some(Val::I32(number)) => number.cast_unsigned(),
        _ => u32::MAX,
    };
    if name == "proc_exit" {
        return Err(Error::i32_exit(at(0).cast_signed()));
    }
    let Some(memory) = caller.get_export("memory").and_then(Extern::into_memory) else {
        return Ok(FAULT);
    };
    if name == "random_get" {
        // Bytes cost steps, as if the program had made them.
        let fuel = caller.get_fuel()?;
        caller.set_fuel(fuel.saturating_sub(u64::from(at(1).min(RANDOM_MAX))))?;
    }
    answer(name, &memory, &mut caller, &at)
}

fn answer(
    name: &str,
    memory: &Memory,
    caller: &mut Caller<'_, Host>,
    at: &dyn Fn(usize) -> u32,
) -> Result<i32, Error> {
    let (memory, host) = memory.data_and_store_mut(caller);
    let mut world = World { memory, host };
    let done = match name {
        "fd_write" => return write(&mut world, at(0), at(1), at(2), at(3)),
        "fd_read" => read(&mut world, at(0), at(1), at(2), at(3)),
        "args_sizes_get" => {
            let bytes = world.host.arguments.iter().map(|text| text.len() + 1).sum();
            let count = world.host.arguments.len();
            world.put_number(at(0), count).and_then(|()| world.put_number(at(1), bytes))
        }
        "args_get" => arguments(&mut world, at(0), at(1)),
        "environ_sizes_get" => world.put_number(at(0), 0).and_then(|()| world.put_number(at(1), 0)),
        "environ_get" | "sched_yield" | "fd_close" => Ok(()),
        "clock_time_get" => {
            world.host.clock_ns += 1_000;
            let now = world.host.clock_ns.to_le_bytes();
            world.put(at(2), &now)
        }
        "clock_res_get" => world.put(at(1), &1_000_u64.to_le_bytes()),
        "random_get" if at(1) > RANDOM_MAX => Err(INVAL),
        "random_get" => (0..at(1)).try_for_each(|n| {
            let byte = world.host.random().to_le_bytes()[0];
            world.put(at(0).checked_add(n).ok_or(FAULT)?, &[byte])
        }),
        // A character device, which may be read and written.
        "fd_fdstat_get" if at(0) <= 2 => {
            let mut stat = [0_u8; 24];
            stat[0] = 2;
            stat[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
            world.put(at(1), &stat)
        }
        "fd_seek" | "fd_tell" if at(0) <= 2 => Err(SPIPE),
        name if name.starts_with("fd_") => Err(BADF),
        _ => Err(NOSYS),
    };
    Ok(done.err().unwrap_or(SUCCESS))
}

fn write(world: &mut World<'_>, fd: u32, at: u32, count: u32, told: u32) -> Result<i32, Error> {
    if !matches!(fd, 1 | 2) {
        return Ok(BADF);
    }
    let pieces = match world.pieces(at, count) {
        Ok(pieces) => pieces,
        Err(number) => return Ok(number),
    };
    let mut written = 0;
    for (at, length) in pieces {
        let most = world.host.output_bytes;
        let bytes = match world.bytes(at, length) {
            Ok(bytes) => &bytes[..bytes.len().min(most + 1)],
            Err(number) => return Ok(number),
        };
        let bytes = bytes.to_vec();
        let out = if fd == 1 { &mut world.host.output } else { &mut world.host.errors };
        if out.len() + bytes.len() > most {
            out.extend(&bytes[..most - out.len()]);
            return Err(Error::new(format!("more than {most} bytes of output")));
        }
        out.extend(&bytes);
        written += bytes.len();
    }
    Ok(world.put_number(told, written).err().unwrap_or(SUCCESS))
}

fn read(world: &mut World<'_>, fd: u32, at: u32, count: u32, told: u32) -> Result<(), i32> {
    if fd != 0 {
        return Err(BADF);
    }
    let mut taken = 0;
    for (at, length) in world.pieces(at, count)? {
        let from = world.host.read;
        let rest = &world.host.input[from..];
        let bytes = rest[..rest.len().min(length as usize)].to_vec();
        world.put(at, &bytes)?;
        world.host.read += bytes.len();
        taken += bytes.len();
    }
    world.put_number(told, taken)
}

fn arguments(world: &mut World<'_>, mut places: u32, mut bytes: u32) -> Result<(), i32> {
    for text in world.host.arguments.clone() {
        world.put(places, &bytes.to_le_bytes())?;
        world.put(bytes, text.as_bytes())?;
        let end = u32::try_from(text.len()).map_err(|_| INVAL)?;
        world.put(bytes.checked_add(end).ok_or(FAULT)?, &[0])?;
        bytes = bytes.checked_add(end + 1).ok_or(FAULT)?;
        places = places.checked_add(4).ok_or(FAULT)?;
    }
    Ok(())
}
