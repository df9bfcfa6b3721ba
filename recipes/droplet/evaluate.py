#!/usr/bin/env python3
"""Measures a checkpoint (its averaged weights) or an exported GGUF file, in PyTorch and in f32.

  evaluate.py [--checkpoint work/droplet.pt | --gguf work/droplet.gguf] [--no-linear] [--calls 1814] [--failures 0]

Function accuracy: argmax over the 39 function tokens. Call accuracy: greedy decoding over the whole vocabulary with
nothing forced; the function and every argument as annotated (case and outer blanks apart). Intervals: Wilson, 95 %.
"""
import argparse
import collections
import json
import math
import pathlib
import random

import torch
from tokenizers import Tokenizer

from common import CONTEXT, DATA, HERE, WORK, Llama, Wire, function_scores, load_devel, load_functions, load_rows


def wilson(right, n, z=1.96):
    if not n:
        return 0.0, 0.0, 0.0
    p, d = right / n, 1 + z * z / n
    middle, half = (p + z * z / (2 * n)) / d, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return p, middle - half, middle + half


def show(label, flags):
    p, low, high = wilson(sum(flags), len(flags))
    print(f"{label:52s} {100 * p:5.1f} %  [{100 * low:4.1f}, {100 * high:4.1f}]  of {len(flags)}", flush=True)


def load_model(args):
    if args.gguf:
        return model_of_gguf(args.gguf)
    state = torch.load(args.checkpoint, map_location="cpu")
    model = Llama(state["config"])
    model.load_state_dict(state["average"])
    return model.eval()


def model_of_gguf(path):
    """The model as the file has it, its Q8_0 blocks decoded."""
    import gguf
    from export import gguf_name
    reader = gguf.GGUFReader(str(path))
    field = lambda key: reader.fields[key].contents()
    config = dict(vocab=field("llama.vocab_size"), width=field("llama.embedding_length"), layers=field("llama.block_count"),
                  heads=field("llama.attention.head_count"), kv_heads=field("llama.attention.head_count_kv"),
                  ff=field("llama.feed_forward_length"), rope_base=field("llama.rope.freq_base"),
                  eps=field("llama.attention.layer_norm_rms_epsilon"))
    model = Llama(config)
    tensors = {t.name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).copy()) for t in reader.tensors}
    model.load_state_dict({n: tensors[gguf_name(n)].view_as(p) for n, p in model.state_dict().items()})
    return model.eval()


@torch.no_grad()
def greedy(model, wire, prompts, limit=48, batch=64):
    """Greedy continuations, prompts of one length at a time so that nothing is padded."""
    groups = collections.defaultdict(list)
    for i, p in enumerate(prompts):
        groups[len(p)].append(i)
    out = [None] * len(prompts)
    for index in groups.values():
        for start in range(0, len(index), batch):
            part = index[start:start + batch]
            ids = torch.tensor([prompts[i] for i in part])
            width = ids.shape[1]
            live = torch.ones(len(part), dtype=torch.bool)
            for _ in range(limit):
                logits = torch.nn.functional.linear(model.hidden(ids)[:, -1], model.embed.weight)
                ids = torch.cat([ids, torch.where(live, logits.argmax(-1), torch.tensor(wire.end))[:, None]], 1)
                live &= ids[:, -1] != wire.end
                if not live.any() or ids.shape[1] >= CONTEXT:
                    break
            for row, i in enumerate(part):
                tail = ids[row, width:].tolist()
                out[i] = tail[: tail.index(wire.end) + 1] if wire.end in tail else tail
    return out


def same(got, row, functions):
    clean = lambda v: v.strip().lower()
    return got is not None and got[0] == row["fn"] and ({p: clean(v) for p, v in got[1].items()} == {p: clean(v) for p, v in row["args"].items()})


def measure(name, model, wire, rows, calls, failures):
    scores = function_scores(model, wire, [r["text"] for r in rows])
    picked = [wire.fn_names[i] for i in scores.argmax(-1).tolist()]
    flags = [p == r["fn"] for p, r in zip(picked, rows)]
    show(f"{name}: function", flags)
    sample = rows if len(rows) <= calls else random.Random(1).sample(rows, calls)
    answers = [wire.parse(a) for a in greedy(model, wire, [wire.prompt(r["text"]) for r in sample])]
    full = [(a, r) for a, r in zip(answers, sample) if r.get("full", True)]
    show(f"{name}: well-formed answer, nothing forced", [a is not None for a in answers])
    show(f"{name}: full call, nothing forced", [same(a, r, wire.functions) for a, r in full])
    grounded = [all(v in r["text"] for p, v in a[1].items() if wire.functions[a[0]].get(p, "string").startswith("string"))
                for a, r in zip(answers, sample) if a]
    show(f"{name}: every string value a substring of the request", grounded)
    confident = torch.softmax(scores, -1).max(-1).values
    for cut in (0.5, 0.8):
        keep = [f for f, c in zip(flags, confident.tolist()) if c >= cut]
        show(f"{name}: function, where its probability >= {cut}", keep)
    wrong = collections.Counter((r["fn"], p) for r, p, f in zip(rows, picked, flags) if not f)
    print("  most confused (wanted, got):", ", ".join(f"{a}>{b} {n}" for (a, b), n in wrong.most_common(12)))
    for r, p in [(r, p) for r, p, f in zip(rows, picked, flags) if not f][:failures]:
        print(f"    {r['text']} | wanted {r['fn']}, got {p}")
    return flags


def chinese_rows(functions):
    path = HERE / "validation-zh.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in open(path, encoding="utf-8") if line.strip()]
    return [{**r, "fn": r.get("fn") or r.get("function"), "args": r.get("args") or r.get("arguments") or {}, "full": True} for r in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--checkpoint", type=pathlib.Path, default=WORK / "droplet.pt")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=WORK / "tokenizer.json")
    parser.add_argument("--gguf", type=pathlib.Path)
    parser.add_argument("--calls", type=int, default=1814, help="rows decoded greedily, at most")
    parser.add_argument("--failures", type=int, default=0, help="print so many wrong rows a set")
    parser.add_argument("--no-linear", action="store_true")
    args = parser.parse_args()
    functions = load_functions(args.data)
    wire = Wire(Tokenizer.from_file(str(args.tokenizer)), functions)
    model = load_model(args)
    devel = load_devel(args.work)
    new = [not r["seen"] for r in devel]
    flags = measure("slurp-devel (en)", model, wire, devel, args.calls, args.failures)
    show("slurp-devel (en), words not in training: function", [f for f, n in zip(flags, new) if n])
    if not args.no_linear:
        from linear import classifier, texts_of
        human = load_rows("human", args.work)
        linear = classifier().fit(texts_of(human), [r["fn"] for r in human])
        theirs = [p == r["fn"] for p, r in zip(linear.predict(texts_of(devel)), devel)]
        show("slurp-devel (en): function, linear classifier", theirs)
        show("  words not in training: function, linear", [f for f, n in zip(theirs, new) if n])
        better, worse = sum(a and not b for a, b in zip(flags, theirs)), sum(b and not a for a, b in zip(flags, theirs))
        print(f"  right where the linear one is wrong: {better}; wrong where it is right: {worse}")
    chinese = chinese_rows(functions)
    if chinese:
        flags = measure("validation (zh)", model, wire, chinese, args.calls, args.failures)
        by = collections.defaultdict(list)
        for r, f in zip(chinese, flags):
            by[r["fn"]].append(f)
        print("  by function:", ", ".join(f"{n} {sum(f)}/{len(f)}" for n, f in sorted(by.items(), key=lambda x: sum(x[1]) / len(x[1]))))


if __name__ == "__main__":
    main()
