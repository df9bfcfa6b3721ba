#!/usr/bin/env python3
"""Do Ondine and llama.cpp agree? The logits of every position of one text, from one file, on both sides.

  agree.py MODEL [MODEL ...] [--ondine PATH] [--text FILE] [--tokens 512] [--threads 2] [--kv f16]

Prints a Markdown row a model: positions with the same top token, mean KL divergence (llama.cpp's distribution
against ours), and the largest difference of logits over their spread (largest less smallest). Where a top token
differs, `by` says how far llama.cpp has the two apart, at most, over the spread. Beside it the same figures of
llama.cpp against itself, with its weights laid out the other way (`repack` off) and with the same text
evaluated token by token: what two ways through one program differ by. `--kv f32` keeps keys and values in 32
bits on all sides, so that none of them can tip. Where NAME.peer.gguf stands beside NAME.gguf, llama.cpp reads
that one (see families.py). Needs llama-cpp-python and numpy (see peer.py).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent


def softmax(x):
    e = np.exp((x - x.max(-1, keepdims=True)).astype(np.float64))
    return e / e.sum(-1, keepdims=True)


def compare(a, b):
    """(share of equal top tokens, mean KL, largest difference over the spread, largest gap between top tokens that
    differ) of two (positions, vocab)."""
    same = kl = worst = gap = 0.0
    for x, y in zip(a, b):
        p, q = softmax(x), softmax(y)
        same += int(x.argmax() == y.argmax())
        kl += float((p * (np.log(p + 1e-300) - np.log(q + 1e-300))).sum())
        spread = x.max() - x.min()
        worst = max(worst, float(np.abs(x - y).max() / spread))
        gap = max(gap, float((x.max() - x[y.argmax()]) / spread))
    return same / len(a), kl / len(a), worst, gap


def peer(model, tokens, out, threads, *flags):
    command = [sys.executable, HERE / "peer.py", "logits", model, "--tokens", tokens, "--out", out, "-t", str(threads), *flags]
    vocab = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["vocab"]
    return np.fromfile(out, "<f4").reshape(-1, vocab)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--ondine", default=HERE.parent / "target/release/ondine")
    parser.add_argument("--text", default=HERE.parent / "README.md")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kv", choices=("f32", "f16"), default="f16")
    args = parser.parse_args()
    print("| model | same top token | KL divergence | largest difference / spread | llama.cpp, as filed | llama.cpp, token by token |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        ids, theirs, other, ours = (f"{folder}/{name}" for name in ("ids", "theirs", "other", "ours"))
        for model in args.models:
            run = subprocess.run([args.ondine, "tokenize", "-m", model, "--file", args.text, "--json"], check=True, capture_output=True)
            tokens = json.loads(run.stdout)[: args.tokens]
            json.dump(tokens, open(ids, "w"))
            twin = pathlib.Path(model).with_suffix(".peer.gguf")
            twin = str(twin) if twin.exists() else model
            kv = ("--kv", args.kv)
            a = peer(twin, ids, theirs, args.threads, *kv)
            b = peer(twin, ids, other, args.threads, "--no-repack", *kv)
            subprocess.run([args.ondine, "logits", "-m", model, "--tokens", ",".join(map(str, tokens)), "--every", ours,
                            "--threads", str(args.threads), *kv], check=True)
            c = np.fromfile(ours, "<f4").reshape(a.shape)
            same, kl, worst, gap = compare(a, c)
            by = f" (by {gap:.0e})" if gap else ""
            itself = [compare(a, x) for x in (b, peer(twin, ids, other, args.threads, "--singly", *kv))]
            print(f"| {pathlib.Path(model).stem} | {same:.2%} of {len(tokens)}{by} | {kl:.2e} | {worst:.2e} | "
                  + " | ".join(f"{s:.2%}, {k:.1e}, {w:.1e}" for s, k, w, _ in itself) + " |", flush=True)


if __name__ == "__main__":
    main()
