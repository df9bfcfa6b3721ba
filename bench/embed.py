#!/usr/bin/env python3
"""Do vectors agree? Ours, those of sentence-transformers from the folder a file was imported from, and
llama.cpp's from the file itself.

  embed.py reference FOLDER --out FILE [--text FILE ...] [--count 200]
      picks texts of mixed lengths and writes one JSON object a line: a text, its tokens and its vector by
      sentence-transformers. The folder is data: nothing in it is run. Needs sentence-transformers.
  embed.py compare MODEL REFERENCE [--ondine PATH] [--peer]
      embeds the same texts with `ondine embed` (and with llama.cpp, where asked) and prints the cosines.
      Needs numpy; --peer needs llama-cpp-python.

Texts come from plain files (a paragraph a line) or from .jsonl.gz files whose rows have a "text". Those with
more tokens than the reference reads at once are not picked: it would cut them without a word.
"""
import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys

import numpy as np

# Tokens a text has, from and to, and which part of the texts should.
LENGTHS = [(3, 12, 0.25), (12, 30, 0.25), (30, 100, 0.25), (100, 250, 0.25)]


def texts_of(path):
    if str(path).endswith(".gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                text = row.get("text") or row.get("prompt") or row.get("request")
                if isinstance(text, str):
                    yield text
    else:
        yield from pathlib.Path(path).read_text(encoding="utf-8").splitlines()


def reference(arguments):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(arguments.folder, device="cpu", trust_remote_code=False, local_files_only=True)
    longest = model.max_seq_length
    pool = sorted({" ".join(text.split()) for path in arguments.text for text in texts_of(path)} - {""})
    random.Random(0).shuffle(pool)
    picked = []
    for low, high, part in LENGTHS:
        high, want = min(high, longest), round(arguments.count * part)
        count = lambda text: len(model.tokenizer(text, truncation=False)["input_ids"])
        for text in pool:
            if want and len(text) < 8 * high and low <= (tokens := count(text)) < high:
                picked.append((text, tokens))
                want -= 1
    vectors = model.encode([text for text, _ in picked], batch_size=1, normalize_embeddings=True)
    with open(arguments.out, "w", encoding="utf-8") as out:
        for (text, tokens), vector in zip(picked, vectors):
            row = {"text": text, "tokens": tokens, "embedding": [float(x) for x in vector]}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    tokens = [tokens for _, tokens in picked]
    print(f"{len(picked)} texts of {min(tokens)} to {max(tokens)} tokens, {sum(t > 100 for t in tokens)} above 100")


def cosines(name, ours, wanted):
    norm = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)
    values = (norm(np.array(ours, dtype=np.float64)) * norm(np.array(wanted, dtype=np.float64))).sum(1)
    print(f"| {name} | {len(values)} | {values.min():.7f} | {values.mean():.7f} | {np.argmin(values)} |")


def compare(arguments):
    rows = [json.loads(line) for line in open(arguments.reference, encoding="utf-8")]
    wanted = [row["embedding"] for row in rows]
    command = [arguments.ondine, "embed", "-m", arguments.model, "--json"]
    text = "".join(row["text"] + "\n" for row in rows)
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    ours = [json.loads(line) for line in done.stdout.splitlines()]
    other = [i for i, (a, b) in enumerate(zip(ours, rows)) if a["tokens"] != b["tokens"]]
    print(f"texts with another number of tokens: {len(other)} {other[:8]}")
    print("| pair | texts | least cosine | mean cosine | the least is text |")
    print("|---|---|---|---|---|")
    cosines("ondine, reference", [row["embedding"] for row in ours], wanted)
    if arguments.peer:
        from llama_cpp import Llama

        peer = Llama(arguments.model, embedding=True, verbose=False, n_ctx=512, n_batch=512, n_ubatch=512)
        theirs = [peer.embed(row["text"]) for row in rows]
        cosines("llama.cpp, reference", theirs, wanted)
        cosines("ondine, llama.cpp", [row["embedding"] for row in ours], theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("reference")
    command.add_argument("folder")
    command.add_argument("--out", required=True)
    command.add_argument("--text", action="append", required=True)
    command.add_argument("--count", type=int, default=200)
    command.set_defaults(run=reference)
    command = commands.add_parser("compare")
    command.add_argument("model")
    command.add_argument("reference")
    command.add_argument("--ondine", default="ondine")
    command.add_argument("--peer", action="store_true")
    command.set_defaults(run=compare)
    arguments = parser.parse_args()
    return arguments.run(arguments)


if __name__ == "__main__":
    sys.exit(main())
