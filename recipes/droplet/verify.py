#!/usr/bin/env python3
"""Holds an exported file against llama.cpp: the same token ids on texts of every kind, and the same logits.

  verify.py [--gguf work/droplet.gguf] [--peer PYTHON] [--texts 200] [--prompts 12]

PYTHON is an interpreter that has llama-cpp-python (this one, unless said). Exit status 1 where ids differ anywhere or
where the argmax of the logits differs on more than one prompt in ten (Q8_0 activations in llama.cpp round).
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys

ODD = ["", " ", "hello", "  two  spaces ", "don't stop", "I'M HERE", "9:30pm", "１２３", "你好，世界！", "把WiFi打开", "播放 周杰倫 的 稻香",
       "\n\nline\n", "tab\tseparated", "a\r\nb", "x = y[3] + 0.5 # why?", "fn main() {\n    println!(\"hi\");\n}", "émigré café", "😀👍🏽",
       "한국어", "日本語のテスト", "50% of 1,234.5", "foo_bar-baz", "C++ & Rust", "…", "«quoted»", "naïve “curly” quotes", "㐀𠀀", "ＡＢＣ", "½ cup"]


def peer():
    """Under the peer's interpreter: a JSON request on stdin, its answer on stdout."""
    import ctypes
    import llama_cpp as L
    quiet = L.llama_log_callback(lambda level, text, data: None)
    L.llama_log_set(quiet, ctypes.c_void_p(0))
    L.llama_backend_init()
    ask = json.load(sys.stdin)
    model = L.llama_model_load_from_file(ask["gguf"].encode(), L.llama_model_default_params())
    vocab, params = L.llama_model_get_vocab(model), L.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = 512, 1, 1
    tokens, logits = [], []
    for text in ask["texts"]:
        raw = text.encode()
        buffer = (L.llama_token * (len(raw) + 16))()
        n = L.llama_tokenize(vocab, raw, len(raw), buffer, len(buffer), False, False)
        tokens.append(list(buffer[:n]))
    for ids in ask["prompts"]:
        context = L.llama_init_from_model(model, params)
        held = (L.llama_token * len(ids))(*ids)
        batch = L.llama_batch_get_one(held, len(ids))
        if L.llama_decode(context, batch):
            raise SystemExit("llama_decode failed")
        out = L.llama_get_logits_ith(context, -1)
        logits.append([out[i] for i in range(L.llama_vocab_n_tokens(vocab))])
        L.llama_free(context)
    json.dump({"tokens": tokens, "logits": logits}, sys.stdout)


def main():
    from common import DATA, WORK, Wire, load_functions, load_rows
    import torch
    from tokenizers import Tokenizer
    from evaluate import model_of_gguf
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--gguf", type=pathlib.Path, default=WORK / "droplet.gguf")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=WORK / "tokenizer.json")
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=12)
    args = parser.parse_args()
    wire = Wire(Tokenizer.from_file(str(args.tokenizer)), load_functions(args.data))
    rng = random.Random(3)
    rows = [rng.choice(load_rows(name, args.work)) for name in ("human", "zh", "en", "slurp-devel") for _ in range(args.texts // 4)]
    texts = ODD + [r["text"] for r in rows]
    prompts = [wire.prompt(r["text"]) for r in rng.sample(rows, args.prompts)]
    ask = json.dumps({"gguf": str(args.gguf.resolve()), "texts": texts, "prompts": prompts})
    done = subprocess.run([args.peer, __file__, "--as-peer"], input=ask, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the peer failed: {done.stderr[-2000:]}")
    got = json.loads(done.stdout)
    differ = [t for t, ids in zip(texts, got["tokens"]) if ids != wire.encode(t)]
    print(f"token ids: {len(texts) - len(differ)} of {len(texts)} texts agree")
    for t in differ[:10]:
        print("  differs:", repr(t))
    model = model_of_gguf(args.gguf)
    agree, worst = 0, 0.0
    with torch.no_grad():
        for ids, theirs in zip(prompts, got["logits"]):
            ours, theirs = model(torch.tensor([ids]))[0, -1], torch.tensor(theirs)
            agree += int(ours.argmax() == theirs.argmax())
            worst = max(worst, ((ours - theirs).norm() / ours.norm()).item())
    print(f"logits: argmax agrees on {agree} of {len(prompts)}, largest relative difference {worst:.2e}")
    sys.exit(bool(differ) or agree < 0.9 * len(prompts))


if __name__ == "__main__":
    peer() if "--as-peer" in sys.argv else main()
