//! `ondine inspect`: what a model file holds, and what memory it would take.

use std::collections::BTreeMap;

use ondine_engine::KvType;
use ondine_format::{Array, Metadata, ModelFile, Value};
use ondine_model::{MemoryPlan, ModelError};
use serde_json::{Map, json};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::model::{self, Opened};
use crate::output::{self, Answer, Shown};

/// A long array is shown by its first elements to a person.
const ELEMENTS_SHOWN: usize = 6;
/// Longer text is cut for a person.
const CHARS_SHOWN: usize = 72;

/// Shows a file.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let opened = model::open(arguments.path_needed("file")?)?;
    let context = arguments.count("ctx");
    let memory = Memory::plan(&opened, context, arguments.kv());
    if arguments.on("json") { as_json(&opened, &memory) } else { as_table(&opened, &memory) }
}

/// What a context takes, or why nobody knows.
struct Memory {
    context: usize,
    plan: Result<MemoryPlan, ModelError>,
}

impl Memory {
    /// For the asked context, or the whole one of the model.
    fn plan(opened: &Opened, context: Option<usize>, kv: KvType) -> Memory {
        let metadata = &opened.file.metadata;
        let architecture = metadata.string("general.architecture").ok().flatten().unwrap_or("");
        let own = metadata.u64(&format!("{architecture}.context_length")).ok().flatten();
        let own = own.and_then(|own| usize::try_from(own).ok()).unwrap_or(0);
        let context = context.unwrap_or(own);
        Memory { context, plan: ondine_model::plan(&opened.file, context, kv) }
    }
}

/// Weights and bytes of one tensor type.
#[derive(Default)]
pub(crate) struct Share {
    tensors: u64,
    parameters: u64,
    /// Bytes of all tensors of the type.
    pub(crate) bytes: u64,
}

/// The types of a model's weights.
pub(crate) fn shares(file: &ModelFile) -> BTreeMap<&'static str, Share> {
    let mut shares: BTreeMap<&'static str, Share> = BTreeMap::new();
    for tensor in &file.tensors {
        let share = shares.entry(tensor.dtype.name()).or_default();
        share.tensors += 1;
        share.parameters += tensor.elements() as u64;
        share.bytes += tensor.data.len() as u64;
    }
    shares
}

fn as_json(opened: &Opened, memory: &Memory) -> Result<(), Failure> {
    let file = &opened.file;
    let metadata: Map<String, serde_json::Value> =
        file.metadata.iter().map(|(key, value)| (key.to_string(), value_json(value))).collect();
    let tensors: Vec<serde_json::Value> = file
        .tensors
        .iter()
        .map(|tensor| {
            json!({
                "name": tensor.name,
                "type": tensor.dtype.name(),
                "dims": tensor.dims,
                "bytes": tensor.data.len(),
            })
        })
        .collect();
    let shares = shares(file);
    let bytes_by_type: Map<String, serde_json::Value> =
        shares.iter().map(|(name, share)| (name.to_string(), share.bytes.into())).collect();
    let memory = match &memory.plan {
        Ok(plan) => json!({
            "ctx": memory.context,
            "weights_bytes": plan.weights_bytes,
            "kv_bytes": plan.kv_bytes,
            "scratch_bytes": plan.scratch_bytes,
            "total_bytes": plan.total(),
        }),
        Err(error) => json!({ "ctx": memory.context, "error": error.to_string() }),
    };
    Answer::new().line(json!({
        "file_bytes": opened.bytes,
        "metadata": metadata,
        "tensors": tensors,
        "parameters": shares.values().map(|share| share.parameters).sum::<u64>(),
        "bytes_by_type": bytes_by_type,
        "memory": memory,
    }))
}

fn as_table(opened: &Opened, memory: &Memory) -> Result<(), Failure> {
    let mut answer = Answer::new();
    let file = &opened.file;
    answer.row(format_args!("file        {}", Shown(&opened.name)))?;
    answer.row(format_args!("size        {}", output::bytes(opened.bytes)))?;
    let shares = shares(file);
    let parameters = shares.values().map(|share| share.parameters).sum();
    answer.row(format_args!("parameters  {}", output::count(parameters)))?;

    answer.row("\nmetadata")?;
    for line in metadata_lines(&file.metadata) {
        answer.row(format_args!("  {line}"))?;
    }

    answer.row(format_args!("\ntensors ({})", file.tensors.len()))?;
    let longest = file.tensors.iter().map(|tensor| Shown(&tensor.name).to_string().chars().count());
    let name_width = longest.max().unwrap_or(0).min(CHARS_SHOWN);
    for tensor in &file.tensors {
        let name = Shown(&tensor.name).to_string();
        let dims: Vec<String> = tensor.dims.iter().map(usize::to_string).collect();
        let bytes = output::bytes(tensor.data.len() as u64);
        answer.row(format_args!(
            "  {name:<name_width$}  {:<8} {:<20} {bytes:>12}",
            tensor.dtype.name(),
            dims.join(" x "),
        ))?;
    }

    answer.row("\ntype       tensors      parameters         bytes")?;
    for (name, Share { tensors, parameters, bytes }) in &shares {
        let (parameters, bytes) = (output::count(*parameters), output::bytes(*bytes));
        answer.row(format_args!("{name:<10} {tensors:>7} {parameters:>15} {bytes:>13}"))?;
    }

    answer.row(format_args!("\nmemory for a context of {} tokens", memory.context))?;
    match &memory.plan {
        Ok(plan) => {
            let mut row = |name: &str, bytes: Option<usize>| {
                let size = bytes.map_or("?".to_string(), |bytes| output::bytes(bytes as u64));
                answer.row(format_args!("  {name:<20} {size:>12}"))
            };
            row("weights", Some(plan.weights_bytes))?;
            row("keys and values", Some(plan.kv_bytes))?;
            row("activations", Some(plan.scratch_bytes))?;
            row("together", plan.total())?;
        }
        Err(error) => answer.row(format_args!("  unknown: {}", Shown(&error.to_string())))?,
    }
    answer.done()
}

/// One line a key; names and values come from a stranger and are shown escaped.
fn metadata_lines(metadata: &Metadata) -> Vec<String> {
    let width = metadata.iter().map(|(key, _)| Shown(key).to_string().chars().count()).max();
    let width = width.unwrap_or(0).min(CHARS_SHOWN);
    let line = |(key, value): (&str, &Value)| {
        let key = Shown(key).to_string();
        format!("{key:<width$}  {}", value_short(value))
    };
    metadata.iter().map(line).collect()
}

/// Calls a generic function with the scalar or the array inside a value.
macro_rules! each_kind {
    ($kind:ident, $value:expr, $inner:ident => $result:expr, $($special:pat => $other:expr),* $(,)?) => {
        match $value {
            $($special => $other,)*
            $kind::U8($inner) => $result,
            $kind::I8($inner) => $result,
            $kind::U16($inner) => $result,
            $kind::I16($inner) => $result,
            $kind::U32($inner) => $result,
            $kind::I32($inner) => $result,
            $kind::F32($inner) => $result,
            $kind::U64($inner) => $result,
            $kind::I64($inner) => $result,
            $kind::F64($inner) => $result,
            $kind::Bool($inner) => $result,
        }
    };
}

fn value_short(value: &Value) -> String {
    each_kind!(Value, value, scalar => scalar.to_string(),
        Value::String(text) => text_short(text),
        Value::Array(array) => array_short(array),
    )
}

fn text_short(text: &str) -> String {
    let shown: String = text.chars().take(CHARS_SHOWN).collect();
    let more = text.chars().count() - shown.chars().count();
    let rest = if more > 0 { format!("… ({more} characters more)") } else { String::new() };
    format!("\"{}\"{rest}", Shown(&shown))
}

fn array_short(array: &Array) -> String {
    fn words<T>(items: &[T], word: impl Fn(&T) -> String) -> (usize, Vec<String>) {
        (items.len(), items.iter().take(ELEMENTS_SHOWN).map(word).collect())
    }
    let (length, first) = each_kind!(Array, array, items => words(items, ToString::to_string),
        Array::String(items) => {
            (items.len(), items.iter().take(ELEMENTS_SHOWN).map(text_short).collect())
        },
    );
    let rest =
        if length > first.len() { format!(", … ({length} elements)") } else { String::new() };
    format!("[{}{rest}]", first.join(", "))
}

fn value_json(value: &Value) -> serde_json::Value {
    each_kind!(Value, value, scalar => json!(scalar),
        Value::String(text) => json!(text),
        Value::Array(array) => each_kind!(Array, array, items => json!(items),
            Array::String(items) => json!(items.iter().collect::<Vec<_>>()),
        ),
    )
}
