#!/usr/bin/env python3
"""How many rows of an output head a coarse copy would leave to be computed exactly.

  head.py --ondine PATH [--text FILE] MODEL ...     GGUF files whose output head is Q8_0

A head's bytes are rounded to their upper 4, 5 or 6 bits. A row's logit then lies within a bound of the coarse one:
block by block, the scale times the norm of what was rounded off times the norm of the activations (Cauchy and Schwarz).
A row whose upper bound lies below the best lower bound cannot be chosen by greedy decoding. The activations are
those of a text: the logits of each position are solved for them. Weights drawn at random are printed beside, since flat
logits are the worst case. Behind the semicolon: the share of groups of 16 rows that hold one that is left, since
interleaved rows are read sixteen at a time. Needs numpy and gguf.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from gguf import GGUFReader

POSITIONS = 100
# Rows that lie interleaved: one of them is read at the price of all.
GROUP = 16


def head(path):
    tensors = {t.name: t for t in GGUFReader(path).tensors}
    tensor = tensors.get("output.weight", tensors.get("token_embd.weight"))
    if tensor.tensor_type.name != "Q8_0":
        raise SystemExit(f"{path}: the output head is {tensor.tensor_type.name}, not Q8_0")
    width, rows = int(tensor.shape[0]), int(tensor.shape[1])
    blocks = np.frombuffer(tensor.data.tobytes(), np.uint8).reshape(rows, width // 32, 34)
    scales = blocks[:, :, :2].copy().view(np.float16).astype(np.float32)[:, :, 0]
    return scales, blocks[:, :, 2:].view(np.int8).astype(np.float32)


def survivors(scales, q, activations, bits):
    step = 256 / 2**bits
    coarse = np.clip(np.round(q / step) * step, -128, 127)
    flat = lambda q: (scales[:, :, None] * q).reshape(len(scales), -1)
    whole, rough, off = flat(q), flat(coarse), scales * np.linalg.norm(q - coarse, axis=2)
    shares, groups = [], []
    for x in activations:
        about, bound = rough @ x, off @ np.linalg.norm(x.reshape(-1, 32), axis=1)
        assert (np.abs(whole @ x - about) <= bound * 1.0001 + 1e-5).all(), "the bound is one"
        left = about + bound >= (about - bound).max()
        shares.append(left.mean())
        groups.append(left[: len(left) // GROUP * GROUP].reshape(-1, GROUP).any(1).mean())
    return np.median(shares), min(shares), max(shares), np.median(groups)


def show(name, scales, q, activations):
    found = [survivors(scales, q, activations, bits) for bits in (4, 5, 6)]
    cells = " | ".join(f"{100 * m:.1f} % ({100 * a:.1f} to {100 * b:.1f}); {100 * g:.0f} %" for m, a, b, g in found)
    print(f"| {name}, {q.shape[1] * 32} wide, {len(q)} rows | {cells} |", flush=True)


def activations(ondine, model, text, scales, q):
    run = lambda *a, **k: subprocess.run([ondine, *a], check=True, capture_output=True, text=True, **k).stdout
    ids = json.loads(run("tokenize", "-m", model, "--json", input=text))[:POSITIONS + 5]
    with tempfile.NamedTemporaryFile() as file:
        run("logits", "-m", model, "--tokens", ",".join(map(str, ids)), "--every", file.name)
        logits = np.fromfile(file.name, "<f4").reshape(len(ids), -1)
    weights = (scales[:, :, None] * q).reshape(len(q), -1)
    # The first few positions of a text are like no others.
    return np.linalg.lstsq(weights, logits.T, rcond=None)[0].T[5:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ondine", required=True)
    parser.add_argument("--text", type=pathlib.Path, default=pathlib.Path(__file__).parents[2] / "shared/data/text/wikitext2-valid.txt")
    parser.add_argument("models", nargs="*")
    args = parser.parse_args()
    print("| head | upper 4 bits | 5 bits | 6 bits |\n|---|---|---|---|")
    text = args.text.read_text(encoding="utf-8")[2000:4000]
    for model in args.models:
        scales, q = head(model)
        show(pathlib.Path(model).stem, scales, q, activations(args.ondine, model, text, scales, q))
    random = np.random.default_rng(0)
    for width in (576, 2048):
        weights = random.standard_normal((8192, width // 32, 32)).astype(np.float32)
        scales = np.abs(weights).max(2) / 127
        x = random.standard_normal((10, width)).astype(np.float32)
        show("random weights", scales, np.round(weights / scales[:, :, None]), x)


if __name__ == "__main__":
    main()
