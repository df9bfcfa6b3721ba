//! Model files from strangers: GGUF and safetensors, read with suspicion, and a GGUF writer.
