#!/usr/bin/env python3
"""Writes a checkpoint's averaged weights as a GGUF file: llama architecture, Q8_0 matrices (or f32, for tests).

  export.py [--checkpoint work/droplet.pt] [--out work/droplet.gguf] [--type q8_0|f32]
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer

from common import CONTEXT, DATA, FIM_PREFIX, FIM_SUFFIX, WORK, Wire, load_functions

TENSORS = {"attn_norm.weight": "attn_norm.weight", "ffn_norm.weight": "ffn_norm.weight", "q.weight": "attn_q.weight",
           "k.weight": "attn_k.weight", "v.weight": "attn_v.weight", "o.weight": "attn_output.weight",
           "gate.weight": "ffn_gate.weight", "up.weight": "ffn_up.weight", "down.weight": "ffn_down.weight"}


def gguf_name(name):
    if name == "embed.weight":
        return "token_embd.weight"
    if name == "norm.weight":
        return "output_norm.weight"
    _, layer, rest = name.split(".", 2)
    return f"blk.{layer}.{TENSORS[rest]}"


def export(state, tokenizer_path, functions, out, kind):
    config, tokenizer = state["config"], Tokenizer.from_file(str(tokenizer_path))
    wire = Wire(tokenizer, functions)
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_name("droplet")
    writer.add_license("CC-BY-4.0")
    writer.add_description("Turns a request, in English or Chinese, into one call of a closed set of device functions. "
                           "It does not chat.")
    writer.add_languages(["en", "zh"])
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config["width"])
    writer.add_block_count(config["layers"])
    writer.add_feed_forward_length(config["ff"])
    writer.add_head_count(config["heads"])
    writer.add_head_count_kv(config["kv_heads"])
    writer.add_layer_norm_rms_eps(config["eps"])
    writer.add_rope_dimension_count(config["width"] // config["heads"])
    writer.add_rope_freq_base(config["rope_base"])
    writer.add_vocab_size(config["vocab"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if kind == "q8_0" else gguf.LlamaFileType.ALL_F32)
    writer.add_quantization_version(2)

    model = json.loads(tokenizer_path.read_text(encoding="utf-8"))
    pieces = [tokenizer.id_to_token(i) for i in range(config["vocab"])]
    special = {t["id"] for t in model["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    # A vocabulary that fell short of its size is filled with entries that nothing encodes to.
    writer.add_token_list([p if p is not None else f"<|unused:{i}|>" for i, p in enumerate(pieces)])
    writer.add_token_types([int(gguf.TokenType.UNUSED if p is None else gguf.TokenType.CONTROL if i in special else gguf.TokenType.NORMAL)
                            for i, p in enumerate(pieces)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["model"]["merges"]])
    # There is no token for a text's beginning: it is never added, and its id is the end's, as GPT-2 has it.
    writer.add_bos_token_id(wire.end)
    writer.add_eos_token_id(wire.end)
    writer.add_pad_token_id(wire.pad)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    for name, token in zip(("pre", "suf", "mid"), wire.fim):
        writer.add_uint32(f"tokenizer.ggml.fim_{name}_token_id", token)
    # What stands around a gap is given as in training (Wire.gap).
    writer.add_string("ondine.fim.order", "spm")
    writer.add_uint32("ondine.fim.prefix_tokens", FIM_PREFIX)
    writer.add_uint32("ondine.fim.suffix_tokens", FIM_SUFFIX)
    # Three gaps of four end with their line, and behind it the model does not know where it is.
    writer.add_string("ondine.fim.stop", "\n")

    q8 = gguf.GGMLQuantizationType.Q8_0
    for name, tensor in state["average"].items():
        array = np.ascontiguousarray(tensor.float().numpy())
        if kind == "q8_0" and array.ndim == 2:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(array, q8), raw_dtype=q8)
        else:
            writer.add_tensor(gguf_name(name), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=WORK / "droplet.pt")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=WORK / "tokenizer.json")
    parser.add_argument("--out", type=pathlib.Path, default=WORK / "droplet.gguf")
    parser.add_argument("--type", choices=("q8_0", "f32"), default="q8_0")
    args = parser.parse_args()
    state = torch.load(args.checkpoint, map_location="cpu")
    export(state, args.tokenizer, load_functions(args.data), args.out, args.type)
    print(f"{args.out}: step {state['step']}, {args.out.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
