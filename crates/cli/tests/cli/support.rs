//! What the tests share: running the binary, folders of their own, a tiny model of their own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use ondine_format::{Array, GgufWriter, Metadata, TensorLayout, Value};
use ondine_tensor::DType;

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The output, of a run that must succeed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "it failed: {}", self.err);
        self.out
    }

    /// The output as JSON, of a run that must succeed.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The complaint, of a run that must end with `code`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "out: {} err: {}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        self.err
    }
}

/// The binary, not yet started.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ondine"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the binary with nothing on standard input.
pub(crate) fn ondine(arguments: &[&str]) -> Ran {
    finish(command(arguments).output().expect("the binary starts"))
}

/// Runs the binary with `input` on standard input.
pub(crate) fn ondine_with(input: &str, arguments: &[&str]) -> Ran {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().expect("the binary starts");
    // It may end without reading all of it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    finish(child.wait_with_output().expect("the binary ends"))
}

/// What a process that has ended left behind.
pub(crate) fn finish(output: std::process::Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("output is text"),
        err: String::from_utf8(output.stderr).expect("complaints are text"),
    }
}

/// A folder that is removed with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("ondine-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    /// The path of an entry.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_string()
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a file for the test");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of the data beside the repository, or `None` after saying why a test skips.
pub(crate) fn shared(path: &str) -> Option<String> {
    let full = format!("{}/../../../shared/{path}", env!("CARGO_MANIFEST_DIR"));
    if Path::new(&full).exists() {
        return Some(full);
    }
    eprintln!("skipped: there is no {full}");
    None
}

/// A chat template as plain as they come.
pub(crate) const TEMPLATE: &str = "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]\
    {% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";

/// Tokens before the 256 single bytes of the tiny model's vocabulary.
const MARKS: &[&str] = &["<unk>", "<s>", "[end]", "[pre]", "[suf]", "[mid]", "▁"];

const WIDTH: usize = 32;
const FF: usize = 64;
const LAYERS: usize = 2;
/// Positions of the tiny model: enough to be busy with for a while.
pub(crate) const CONTEXT: u32 = 1 << 20;

/// Writes a llama of a few thousand random weights that says nonsense, always the same. It never
/// ends by itself.
pub(crate) fn tiny_model(folder: &Folder) -> String {
    model(folder, "tiny.gguf", Some(TEMPLATE))
}

/// The same without a chat template.
pub(crate) fn plain_model(folder: &Folder) -> String {
    model(folder, "plain.gguf", None)
}

fn model(folder: &Folder, name: &str, template: Option<&str>) -> String {
    let bytes = (0..=255).map(|byte| format!("<0x{byte:02X}>"));
    let tokens: Vec<String> = MARKS.iter().map(|mark| mark.to_string()).chain(bytes).collect();
    let vocab = tokens.len();
    let kinds: Vec<i32> = (0..vocab as i32)
        .map(|id| match id {
            0 => 2,
            1..=5 => 3,
            6 => 1,
            _ => 6,
        })
        .collect();
    let mut metadata = Metadata::new();
    let mut set = |key: &str, value: Value| {
        metadata.insert(key, value).expect("keys are unique");
    };
    set("general.architecture", Value::String("llama".into()));
    set("general.name", Value::String("tiny \u{1b}[31mred".into()));
    for (key, value) in [
        ("context_length", CONTEXT),
        ("embedding_length", WIDTH as u32),
        ("block_count", LAYERS as u32),
        ("feed_forward_length", FF as u32),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("vocab_size", vocab as u32),
    ] {
        set(&format!("llama.{key}"), Value::U32(value));
    }
    set("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5));
    set("tokenizer.ggml.model", Value::String("llama".into()));
    set("tokenizer.ggml.scores", Value::Array(Array::F32(vec![0.0; vocab])));
    set("tokenizer.ggml.tokens", Value::from(tokens));
    set("tokenizer.ggml.token_type", Value::Array(Array::I32(kinds)));
    for (key, id) in [
        ("bos_token_id", 1),
        ("unknown_token_id", 0),
        ("eos_token_id", 0),
        ("fim_pre_token_id", 3),
        ("fim_suf_token_id", 4),
        ("fim_mid_token_id", 5),
    ] {
        set(&format!("tokenizer.ggml.{key}"), Value::U32(id));
    }
    if let Some(template) = template {
        set("tokenizer.chat_template", Value::String(template.into()));
    }

    let mut shapes = vec![("token_embd.weight".to_string(), vec![WIDTH, vocab])];
    shapes.push(("output_norm.weight".to_string(), vec![WIDTH]));
    for layer in 0..LAYERS {
        for (name, dims) in [
            ("attn_norm", vec![WIDTH]),
            ("attn_q", vec![WIDTH, WIDTH]),
            ("attn_k", vec![WIDTH, WIDTH / 2]),
            ("attn_v", vec![WIDTH, WIDTH / 2]),
            ("attn_output", vec![WIDTH, WIDTH]),
            ("ffn_norm", vec![WIDTH]),
            ("ffn_gate", vec![WIDTH, FF]),
            ("ffn_up", vec![WIDTH, FF]),
            ("ffn_down", vec![FF, WIDTH]),
        ] {
            shapes.push((format!("blk.{layer}.{name}.weight"), dims));
        }
    }
    let layouts = shapes
        .iter()
        .map(|(name, dims)| {
            TensorLayout::new(name, dims.clone(), DType::F32).expect("a sound shape")
        })
        .collect();
    let mut writer = GgufWriter::new(Vec::new(), &metadata, layouts).expect("a sound file");
    let mut chance = Chance(1);
    for (name, dims) in &shapes {
        // The marks are made unlikely: their rows, which are also those of the output, are small.
        // Nothing then ends an answer but a limit.
        let rare = if name == "token_embd.weight" { MARKS.len() * WIDTH } else { 0 };
        writer.tensor(&chance.weights(dims, rare)).expect("data of the shape");
    }
    folder.file(name, writer.finish().expect("a whole file"))
}

/// Numbers that look random and are always the same.
struct Chance(u32);

impl Chance {
    /// Weights of a shape as bytes: ones for a vector, else random, the first `rare` of them small.
    fn weights(&mut self, dims: &[usize], rare: usize) -> Vec<u8> {
        let weight = |at: usize| {
            // Numerical Recipes' generator: any will do.
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = self.0 as f32 / u32::MAX as f32 - 0.5;
            let weight = if dims.len() == 1 { 1.0 } else { random };
            if at < rare { weight * 1e-3 } else { weight }
        };
        (0..dims.iter().product()).map(weight).flat_map(f32::to_le_bytes).collect()
    }
}

/// Tokens of the Hugging Face model.
pub(crate) const FOLDER_VOCAB: usize = 50;

/// Writes a folder as Hugging Face has them: a configuration and weights, in two files.
pub(crate) fn model_folder(folder: &Folder) -> String {
    let home = folder.path("folder");
    fs::create_dir(&home).expect("a folder");
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": FF,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": FOLDER_VOCAB,
        "tie_word_embeddings": true,
        "hidden_act": "silu",
    });
    folder.file("folder/config.json", config.to_string());
    let mut chance = Chance(2);
    let mut map = serde_json::Map::new();
    let outer = [("model.embed_tokens", vec![FOLDER_VOCAB, WIDTH]), ("model.norm", vec![WIDTH])];
    let outer = outer.map(|(name, dims)| (format!("{name}.weight"), dims));
    let parts = [
        ("input_layernorm", vec![WIDTH]),
        ("self_attn.q_proj", vec![WIDTH, WIDTH]),
        ("self_attn.k_proj", vec![WIDTH / 2, WIDTH]),
        ("self_attn.v_proj", vec![WIDTH / 2, WIDTH]),
        ("self_attn.o_proj", vec![WIDTH, WIDTH]),
        ("post_attention_layernorm", vec![WIDTH]),
        ("mlp.gate_proj", vec![FF, WIDTH]),
        ("mlp.up_proj", vec![FF, WIDTH]),
        ("mlp.down_proj", vec![WIDTH, FF]),
    ];
    let inner: Vec<(String, Vec<usize>)> = (0..LAYERS)
        .flat_map(|layer| {
            let name = move |part: &str| format!("model.layers.{layer}.{part}.weight");
            parts.iter().map(move |(part, dims)| (name(part), dims.clone()))
        })
        .collect();
    for (file, tensors) in [("a.safetensors", &outer[..]), ("b.safetensors", &inner[..])] {
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (name, dims) in tensors {
            let begin = data.len();
            data.extend(chance.weights(dims, 0));
            let offsets = [begin, data.len()];
            let entry =
                serde_json::json!({ "dtype": "F32", "shape": dims, "data_offsets": offsets });
            header.insert(name.clone(), entry);
            map.insert(name.clone(), file.into());
        }
        let header = serde_json::Value::Object(header).to_string();
        let mut content = (header.len() as u64).to_le_bytes().to_vec();
        content.extend(header.as_bytes());
        content.extend(data);
        folder.file(&format!("folder/{file}"), content);
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    folder.file("folder/model.safetensors.index.json", index.to_string());
    home
}
