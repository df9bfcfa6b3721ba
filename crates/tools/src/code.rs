//! Programs in WebAssembly, as text or bytes, run by an interpreter without the host: no files, no network,
//! no clock, no randomness. Steps, memory and output are bounded; the same program gives the same every
//! time. A program for `wasm32-wasip1` finds its arguments, its input and two outputs; the rest of WASI
//! says that it is not there. It touches nothing.

mod wasi;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ondine_app::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};
use wasmi::{
    Config, Engine, Error, ExternType, Func, Linker, Module, ResumableCall, Store,
    StoreLimitsBuilder, TrapCode, Val, ValType,
};

use crate::arguments::{Arguments, kind};
use wasi::Host;

/// Bytes of a program at most, as text and as bytes.
const TEXT_BYTES_MAX: usize = 256 << 10;
const MODULE_BYTES_MAX: usize = 2 << 20;
/// Bytes of input at most.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Steps between two looks at whether anybody still waits.
const SLICE: u64 = 5_000_000;

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLimits {
    /// Steps, as `wasmi` counts fuel.
    pub steps: u64,
    /// Bytes of memory.
    pub memory_bytes: usize,
    /// Bytes of each output.
    pub output_bytes: usize,
}

impl Default for CodeLimits {
    fn default() -> CodeLimits {
        CodeLimits { steps: 400_000_000, memory_bytes: 64 << 20, output_bytes: 32 << 10 }
    }
}

/// The tool `run_wasm`.
pub fn code_runner(limits: CodeLimits) -> Arc<dyn Tool> {
    let spec = ToolSpec {
        name: "run_wasm".into(),
        description: "Run a WebAssembly program in a sandbox: `wat` is its text, e.g. (module (func (export \"f\") \
            (param i64) (result i64) local.get 0 local.get 0 i64.mul)); `call` is the exported function, \
            `args` its arguments. Without `call`, `_start` of a WASI program is run. 运行程序"
            .into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "wat": {"type": "string", "description": "the program as WebAssembly text"},
                "wasm": {"type": "string", "description": "or its bytes, in base64"},
                "call": {"type": "string", "description": "an exported function"},
                "args": {"type": "array", "description": "numbers for `call`, texts for a WASI program"},
                "stdin": {"type": "string"},
            },
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        timeout: Duration::from_secs(30),
    };
    Arc::new(FnTool::new(spec, move |arguments: Value, context: &Context| {
        run(arguments, context, limits)
    }))
}

fn wrong(what: impl Into<String>) -> ToolError {
    ToolError::Arguments(what.into())
}

fn run(arguments: Value, context: &Context, limits: CodeLimits) -> Result<Value, ToolError> {
    let mut arguments = Arguments::of(arguments, &["wat", "wasm", "call", "args", "stdin"])?;
    let bytes = match (
        arguments.text_if("wat", TEXT_BYTES_MAX)?,
        arguments.text_if("wasm", MODULE_BYTES_MAX * 4 / 3 + 4)?,
    ) {
        (Some(text), None) => wat::parse_str(&text).map_err(|error| wrong(error.to_string()))?,
        (None, Some(text)) => {
            BASE64.decode(text.trim()).map_err(|error| wrong(format!("`wasm`: {error}")))?
        }
        _ => return Err(wrong("expected one of `wat` and `wasm`")),
    };
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(wrong(format!("the program has more than {MODULE_BYTES_MAX} bytes")));
    }
    let name = arguments.text_if("call", 200)?;
    let given = arguments.list_if("args", 64)?.unwrap_or_default();
    let input = arguments.text_if("stdin", INPUT_BYTES_MAX)?.unwrap_or_default();

    let mut config = Config::default();
    config.consume_fuel(true).set_max_recursion_depth(2_000).set_max_cached_stacks(1);
    let engine = Engine::new(&config);
    let module =
        Module::new(&engine, &bytes).map_err(|error| wrong(format!("the program: {error}")))?;
    let memory = StoreLimitsBuilder::new()
        .memory_size(limits.memory_bytes)
        .table_elements(100_000)
        .instances(1)
        .memories(1)
        .tables(8)
        .build();
    let texts = match &name {
        Some(_) => Vec::new(),
        None => given.iter().map(argument).collect::<Result<Vec<_>, _>>()?,
    };
    let host = Host::new(memory, input.into_bytes(), texts, limits.output_bytes);
    let mut store = Store::new(&engine, host);
    store.limiter(|host| host.limits());
    store.set_fuel(SLICE.min(limits.steps)).map_err(internal)?;
    let mut linker = Linker::new(&engine);
    for import in module.imports() {
        let (from, what) = (import.module(), import.name());
        match import.ty() {
            ExternType::Func(ty) if from == "wasi_snapshot_preview1" => {
                wasi::define(&mut linker, what, ty.clone())
                    .map_err(|error| wrong(error.to_string()))?;
            }
            _ => {
                let shown: String = format!("{from}.{what}").chars().take(80).collect();
                return Err(wrong(format!("the program wants {shown:?}, which is not offered")));
            }
        }
    }
    let instance = linker
        .instantiate_and_start(&mut store, &module)
        .map_err(|error| ended(&error, &store, limits))?;

    let wanted = name.as_deref().unwrap_or("_start");
    let Some(function) = instance.get_func(&store, wanted) else {
        let functions =
            module.exports().filter(|export| matches!(export.ty(), ExternType::Func(_)));
        let names: Vec<String> =
            functions.take(20).map(|export| export.name().chars().take(40).collect()).collect();
        return Err(wrong(format!(
            "there is no function {wanted:?}; there are: {}",
            names.join(", ")
        )));
    };
    let ty = function.ty(&store);
    let values = if name.is_some() { numbers(&given, ty.params())? } else { Vec::new() };
    if values.len() != ty.params().len() {
        let count = ty.params().len();
        return Err(wrong(format!("{wanted} takes {count} numbers, not {}", values.len())));
    }
    let mut results: Vec<Val> = ty.results().iter().map(|ty| Val::default_for_ty(*ty)).collect();
    let exit = match drive(&mut store, &function, &values, &mut results, context, limits) {
        Ok(()) => 0,
        Err(Stop::Error(error)) => match error.i32_exit_status() {
            Some(status) => status,
            None => return Err(ended(&error, &store, limits)),
        },
        Err(Stop::Tool(error)) => return Err(error),
    };
    let host = store.data();
    let mut value = json!({"exit": exit, "stdout": host.output(), "stderr": host.errors()});
    if name.is_some() {
        value["results"] = results.iter().map(number).collect();
    }
    Ok(value)
}

/// Why a program ended before its end.
enum Stop {
    Error(Error),
    Tool(ToolError),
}

/// Runs in slices, with a look between them at whether anybody still waits.
fn drive(
    store: &mut Store<Host>,
    function: &Func,
    values: &[Val],
    results: &mut [Val],
    context: &Context,
    limits: CodeLimits,
) -> Result<(), Stop> {
    let mut left = limits.steps.saturating_sub(SLICE);
    let mut state = function.call_resumable(&mut *store, values, results).map_err(Stop::Error)?;
    loop {
        state = match state {
            ResumableCall::Finished => return Ok(()),
            ResumableCall::HostTrap(trap) => return Err(Stop::Error(trap.into_host_error())),
            ResumableCall::OutOfFuel(pause) => {
                if context.cancel.is_set() {
                    return Err(Stop::Tool(ToolError::Cancelled));
                }
                let slice = SLICE.max(pause.required_fuel()).min(left);
                if slice < pause.required_fuel() || slice == 0 {
                    let what = format!("it did not end within {} steps", limits.steps);
                    return Err(Stop::Tool(ToolError::Failed(with_output(what, store))));
                }
                left -= slice;
                store.set_fuel(slice).map_err(Stop::Error)?;
                pause.resume(&mut *store, results).map_err(Stop::Error)?
            }
        };
    }
}

fn internal(error: Error) -> ToolError {
    ToolError::Failed(error.to_string())
}

/// What a model is told of a program that trapped, with what it said before.
fn ended(error: &Error, store: &Store<Host>, limits: CodeLimits) -> ToolError {
    let what = match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => format!("it did not end within {} steps", limits.steps),
        _ => format!("it ended early: {error}"),
    };
    ToolError::Failed(with_output(what, store))
}

fn with_output(what: String, store: &Store<Host>) -> String {
    let said = |name: &str, text: String| match text.is_empty() {
        true => String::new(),
        false => format!("; {name}: {}", text.chars().take(1_000).collect::<String>()),
    };
    let host = store.data();
    format!("{what}{}{}", said("stdout", host.output()), said("stderr", host.errors()))
}

fn argument(value: &Value) -> Result<String, ToolError> {
    match value {
        Value::String(text) if text.len() <= 4096 && !text.contains('\0') => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(wrong(format!("expected short texts in `args`, not {}", kind(other)))),
    }
}

fn numbers(given: &[Value], types: &[ValType]) -> Result<Vec<Val>, ToolError> {
    let read = |(value, ty): (&Value, &ValType)| {
        let found = match ty {
            ValType::I32 => {
                let signed = value.as_i64().and_then(|n| i32::try_from(n).ok());
                let unsigned = || value.as_u64().and_then(|n| u32::try_from(n).ok());
                signed.or_else(|| unsigned().map(u32::cast_signed)).map(Val::I32)
            }
            ValType::I64 => {
                value.as_i64().or_else(|| value.as_u64().map(u64::cast_signed)).map(Val::I64)
            }
            ValType::F32 => value.as_f64().map(|n| Val::F32((n as f32).into())),
            ValType::F64 => value.as_f64().map(|n| Val::F64(n.into())),
            _ => None,
        };
        found.ok_or_else(|| wrong(format!("expected numbers of the types {types:?} in `args`")))
    };
    given.iter().zip(types).map(read).collect::<Result<Vec<_>, _>>().and_then(|values| {
        let all = given.len() == types.len();
        all.then_some(values)
            .ok_or_else(|| wrong(format!("expected {} numbers in `args`", types.len())))
    })
}

fn number(value: &Val) -> Value {
    match value {
        Val::I32(number) => json!(number),
        Val::I64(number) => json!(number),
        // Infinities and what is no number have no JSON.
        Val::F32(number) => finite(f64::from(f32::from(*number))),
        Val::F64(number) => finite(f64::from(*number)),
        other => json!(format!("{other:?}")),
    }
}

fn finite(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

#[cfg(test)]
mod tests;
