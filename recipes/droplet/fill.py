#!/usr/bin/env python3
"""Measures filling a gap in code: the rest of a line, out of sources that training never saw.

  fill.py [--gguf work/droplet.gguf] [--sources ../../crates] [--gaps 300] [--seed 1]

A gap begins inside a line, four to forty characters before its end; twelve lines before and six after are given. The
answer is greedy. Printed: gaps filled exactly, their first token right, and how much of the gap the answer begins with.
Beside it the same where the answer is the rest of the nearest line that goes on from the last word before the gap:
what looking around achieves without a model.
"""
import argparse
import pathlib
import random

from tokenizers import Tokenizer

from common import DATA, HERE, WORK, Wire, load_functions
from evaluate import greedy, load_model, show


def common_prefix(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def gaps(folder, count, seed):
    rng = random.Random(seed)
    files = [f.read_text(encoding="utf-8").splitlines() for f in sorted(folder.glob("*/src/**/*.rs"))]
    files = [lines for lines in files if len(lines) > 30]
    while count:
        lines = rng.choice(files)
        at = rng.randrange(12, len(lines) - 6)
        line = lines[at]
        if len(line.strip()) < 12 or line.strip().startswith("//"):
            continue
        cut = len(line) - rng.randrange(4, min(40, len(line.strip()) - 4) + 1)
        yield "\n".join(lines[at - 12:at] + [line[:cut]]), line[cut:], "\n" + "\n".join(lines[at + 1:at + 7])
        count -= 1


def nearby(prefix, suffix):
    """The rest of the last line around that holds the word before the gap."""
    word = prefix.split()[-1] if prefix.split() else ""
    around = prefix.splitlines()[:-1][::-1] + suffix.splitlines()
    return next((line.split(word, 1)[1] for line in around if word and word in line), "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=pathlib.Path, default=WORK / "droplet.gguf")
    parser.add_argument("--checkpoint", type=pathlib.Path, default=WORK / "droplet.pt")
    parser.add_argument("--sources", type=pathlib.Path, default=HERE.parent.parent / "crates")
    parser.add_argument("--gaps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    wire = Wire(Tokenizer.from_file(str(WORK / "tokenizer.json")), load_functions(DATA))
    rows = list(gaps(args.sources, args.gaps, args.seed))
    prompts = [wire.gap(before, after) for before, _, after in rows]
    answers = [wire.tokenizer.decode([t for t in ids if t != wire.end]).split("\n")[0]
               for ids in greedy(load_model(args), wire, prompts, limit=24)]
    first = lambda text: wire.encode(text)[:1]
    for name, said in (("droplet", answers), ("the nearest line", [nearby(before, after) for before, _, after in rows])):
        show(f"{name}: gap filled exactly", [a == gap for a, (_, gap, _) in zip(said, rows)])
        show(f"{name}: first token right", [bool(a) and first(a) == first(gap) for a, (_, gap, _) in zip(said, rows)])
        share = sum(common_prefix(a, gap) for a, (_, gap, _) in zip(said, rows)) / sum(len(gap) for _, gap, _ in rows)
        print(f"{name}: {share:.1%} of the gaps' characters before the first wrong one")


if __name__ == "__main__":
    main()
