#!/usr/bin/env python3
"""Writes a small model file of random weights for each family and rope scaling: what agree.py compares.

  families.py FOLDER [--type f32|q8_0] [--only NAME] [--vocab FOLDER]

The tokenizers are real ones, from `shared/data/vocab` beside the checkout. Windows and original contexts are
small, so that 512 tokens of text go far beyond them. Where llama.cpp does not read a key that we read, NAME.peer.gguf
says the same to it in other words. Needs numpy and gguf.
"""
import argparse
import gzip
import pathlib
import tempfile

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
VOCAB = HERE.parent.parent / "shared/data/vocab"

# What a model is unless its row says otherwise.
PLAIN = dict(arch="llama", vocab="llama-spm", layers=4, width=256, heads=4, kv=2, head=64, ff=512, base=1e4, context=4096,
             embedding=0.3, tied=False, experts=None, keys={}, lists={}, peer=None)
LLAMA3 = [1 + 7 * i / 31 for i in range(32)]
SHORT, LONG = [1 + i / 60 for i in range(32)], [1 + i / 4 for i in range(32)]


def yarn(factor, original):
    return {"rope.scaling.type": "yarn", "rope.scaling.factor": factor, "rope.scaling.original_context_length": original}


def longrope(original):
    return dict(arch="phi3", vocab="phi-3", lists={"rope_factors_short": SHORT, "rope_factors_long": LONG},
                keys={"rope.scaling.original_context_length": original, "rope.scaling.attn_factor": 1.19})


GEMMA3 = dict(arch="gemma3", layers=6, kv=1, base=1e6, embedding=0.02, tied=True)
OLMO3 = {"attention.sliding_window": 64, **yarn(8.0, 64)}
MODELS = {
    "llama-linear": dict(keys={"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "llama-ntk": dict(keys={"rope.scaling.alpha": 4.0}, peer=dict(base=1e4 * 4 ** (64 / 62))),
    "llama-yarn": dict(keys=yarn(4.0, 128)),
    "llama3-factors": dict(base=5e5, lists={"rope_freqs": LLAMA3}),
    "qwen2-yarn": dict(arch="qwen2", base=1e6, keys=yarn(4.0, 128)),
    "mixtral": dict(experts=(8, 2), ff=256),
    "qwen3moe": dict(arch="qwen3moe", experts=(16, 4), ff=128, base=1e6, head=80),
    "gemma3": dict(GEMMA3, keys={"attention.sliding_window": 64}),
    "gemma3-linear": dict(GEMMA3, keys={"attention.sliding_window": 48, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0,
                                        "final_logit_softcapping": 5.0}),
    "phi3": dict(arch="phi3", vocab="phi-3"),
    "phi3-long": longrope(256),
    "phi3-short": longrope(2048),
    "phi4-partial": dict(arch="phi3", vocab="phi-3", keys={"rope.dimension_count": 48}),
    "olmo2": dict(arch="olmo2", base=5e5),
    "olmo3": dict(arch="olmo2", base=5e5, keys={**OLMO3, "attention.sliding_window_pattern": [True, True, True, False]}),
    "olmo3-all-windows": dict(arch="olmo2", base=5e5, keys={**OLMO3, "attention.sliding_window_pattern": [True] * 4}),
    "granite": dict(arch="granite", embedding=0.03, tied=True, keys={"embedding_scale": 12.0, "residual_scale": 0.22, "attention.scale": 0.015625,
                                                     "logit_scale": 8.0}),
}


def tokenizer(folder, name, writer):
    """Copies every key of the tokenizer; gives the number of tokens."""
    with tempfile.NamedTemporaryFile(suffix=".gguf") as plain:
        plain.write(gzip.open(folder / f"{name}.gguf.gz").read())
        plain.flush()
        fields = gguf.GGUFReader(plain.name).fields
    for field in fields.values():
        if field.name.startswith("tokenizer."):
            inner = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    return len(fields["tokenizer.ggml.tokens"].data)


def metadata(writer, m, vocab):
    arch, kind = m["arch"], gguf.GGUFValueType
    sizes = {"block_count": m["layers"], "embedding_length": m["width"], "feed_forward_length": m["ff"], "vocab_size": vocab,
             "attention.head_count": m["heads"], "attention.head_count_kv": m["kv"], "context_length": m["context"],
             "attention.key_length": m["head"], "attention.value_length": m["head"], "rope.dimension_count": m["head"]}
    if m["experts"]:
        sizes |= {"expert_count": m["experts"][0], "expert_used_count": m["experts"][1], "expert_feed_forward_length": m["ff"]}
    keys = {**sizes, "attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": float(m["base"]), **m["keys"]}
    for key, value in keys.items():
        name = f"{arch}.{key}"
        if isinstance(value, list):
            writer.add_array(name, value)
        else:
            kinds = {int: kind.UINT32, float: kind.FLOAT32, str: kind.STRING}
            writer.add_key_value(name, value, kinds[type(value)])


def tensors(m, vocab, random):
    """Name and weights of every tensor; a matrix is (out, in)."""
    arch, width, ff = m["arch"], m["width"], m["ff"]
    query, key = m["heads"] * m["head"], m["kv"] * m["head"]

    def matrix(*shape):
        return (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def near(center, length):
        return (center + 0.1 * random.standard_normal(length)).astype(np.float32)

    # Some tokens are likelier than others, as after training: among logits that are all alike, the first two
    # of 512 x 32,000 would now and then be one number but for its rounding.
    likely = np.exp(0.5 * random.standard_normal((vocab, 1)))
    yield "token_embd.weight", (m["embedding"] * likely * random.standard_normal((vocab, width))).astype(np.float32)
    yield "output_norm.weight", near(1, width)
    if not m["tied"]:
        yield "output.weight", (likely * matrix(vocab, width)).astype(np.float32)
    for name, values in m["lists"].items():
        yield f"{name}.weight", np.array(values, np.float32)
    for layer in range(m["layers"]):
        block = f"blk.{layer}"
        if arch != "olmo2":
            yield f"{block}.attn_norm.weight", near(1, width)
            yield f"{block}.ffn_norm.weight", near(1, width)
        if arch in ("olmo2", "gemma3"):
            yield f"{block}.post_attention_norm.weight", near(1, width)
            yield f"{block}.post_ffw_norm.weight", near(1, width)
        if arch == "phi3":
            yield f"{block}.attn_qkv.weight", matrix(query + 2 * key, width)
        else:
            for part, rows in (("q", query), ("k", key), ("v", key)):
                yield f"{block}.attn_{part}.weight", matrix(rows, width)
                if arch == "qwen2":
                    yield f"{block}.attn_{part}.bias", near(0, rows)
        yield f"{block}.attn_output.weight", matrix(width, query)
        if arch in ("qwen3moe", "gemma3", "olmo2"):
            for part, rows in (("q", query), ("k", key)):
                yield f"{block}.attn_{part}_norm.weight", near(1, rows if arch == "olmo2" else m["head"])
        if m["experts"]:
            count = m["experts"][0]
            yield f"{block}.ffn_gate_inp.weight", matrix(count, width)
            yield f"{block}.ffn_gate_exps.weight", matrix(count, ff, width)
            yield f"{block}.ffn_up_exps.weight", matrix(count, ff, width)
            yield f"{block}.ffn_down_exps.weight", matrix(count, width, ff)
        else:
            if arch != "phi3":
                yield f"{block}.ffn_gate.weight", matrix(ff, width)
            yield f"{block}.ffn_up.weight", matrix(2 * ff if arch == "phi3" else ff, width)
            yield f"{block}.ffn_down.weight", matrix(width, ff)


def write(path, m, dtype, vocab_folder):
    writer = gguf.GGUFWriter(path, m["arch"])
    vocab = tokenizer(vocab_folder, m["vocab"], writer)
    metadata(writer, m, vocab)
    for name, data in tensors(m, vocab, np.random.default_rng(1)):
        # Norms, biases and routers stay as they are in every real file.
        quantised = dtype != gguf.GGMLQuantizationType.F32 and data.ndim > 1 and "gate_inp" not in name
        if quantised:
            data = gguf.quants.quantize(data, dtype)
        writer.add_tensor(name, data, raw_dtype=dtype if quantised else gguf.GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--type", default="f32", choices=["f32", "q8_0"])
    parser.add_argument("--only", choices=MODELS)
    parser.add_argument("--vocab", type=pathlib.Path, default=VOCAB)
    args = parser.parse_args()
    args.folder.mkdir(exist_ok=True)
    dtype = {"f32": gguf.GGMLQuantizationType.F32, "q8_0": gguf.GGMLQuantizationType.Q8_0}[args.type]
    for name, row in MODELS.items():
        if args.only in (None, name):
            model = {**PLAIN, **row}
            write(args.folder / f"{name}-{args.type}.gguf", model, dtype, args.vocab)
            if model["peer"]:
                write(args.folder / f"{name}-{args.type}.peer.gguf", {**model, "keys": {}, **model["peer"]}, dtype, args.vocab)


if __name__ == "__main__":
    main()
