"""The frozen questions, asked in Python: words (BM25), vectors, and both, over plain chunks. The bars themselves are
`crates/rag/tests/bars.rs`, over the real index; this is the quick look while a table is being made."""
import argparse
import collections
import gzip
import json
import math
import os
import pathlib
import re

import numpy as np

from common import DATA, HELD_OUT, WORK, Splitter

QUESTIONS = HELD_OUT.parent
SIZE = 800


def corpora(data, registry):
    out = collections.defaultdict(dict)
    rows = {(r["source"], r["path"]): r for r in map(json.loads, open(HELD_OUT, encoding="utf-8"))}
    for name in ("general-en", "general-zh"):
        for row in map(json.loads, gzip.open(pathlib.Path(data) / "text" / f"{name}.jsonl.gz", "rt", encoding="utf-8")):
            held = rows.get((row["source"], row["path"]))
            if held and held["use"] != "translation":
                out[held["use"]][held["as"]] = row["text"]
    for name, folder in (("minijinja", "minijinja-3.0.5"), ("ureq", "ureq-3.5.2")):
        root = next(pathlib.Path(registry).glob(f"*/{folder}"))
        for path in root.glob("src/**/*.rs"):
            out["code"][f"{name}/{path.relative_to(root)}"] = path.read_text()
    return out


def chunks(path, text):
    """(path, first line, last line, text): paragraphs put together up to a size, headings first."""
    lines, start, size, limit = text.split("\n"), 0, 0, SIZE if not re.search("[\u4e00-\u9fff]", text[:3000]) else SIZE // 2
    for i, line in enumerate(lines):
        new = line.startswith("#") and path.endswith(".md")
        if size and (new or (size > limit and not line.strip()) or size > 2 * limit):
            yield path, start + 1, i, "\n".join(lines[start:i])
            start, size = i, 0
        size += len(line) + 1
    yield path, start + 1, len(lines), "\n".join(lines[start:])


def answers(answer, text):
    """Spans of lines that hold the answer: the section of a heading, the line of anything else."""
    lines, anchor = text.split("\n"), answer["anchor"]
    if anchor.startswith("#"):
        fence = False
        heads = []
        for i, line in enumerate(lines):
            if line.lstrip().startswith("```"):
                fence = not fence
            elif not fence and re.match("#{1,6} ", line):
                heads.append(i)
        for k, i in enumerate(heads):
            if re.sub(r"\s*\{[/#].*\}$", "", lines[i]) == anchor:
                yield i + 1, heads[k + 1] if k + 1 < len(heads) else len(lines)
    else:
        for i, line in enumerate(lines):
            if anchor in line:
                yield i + 1, i + 1


def words(text):
    for run in re.findall("[\u4e00-\u9fff]+|[a-z]+|[0-9]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", text).lower()):
        if run[0] > "\u3000":
            yield from (run[i:i + 2] for i in range(max(1, len(run) - 1)))
        else:
            yield re.sub("(?<=...)(ing|ed|es|s|e)$", "", run)


class Bm25:
    def __init__(self, texts, k1=1.2, b=0.75):
        self.tf = collections.defaultdict(dict)
        n = []
        for i, t in enumerate(texts):
            counts = collections.Counter(words(t))
            n.append(sum(counts.values()))
            for w, c in counts.items():
                self.tf[w][i] = c
        self.n, self.mean, self.k1, self.b = n, sum(n) / len(n), k1, b

    def ask(self, question):
        scores = np.zeros(len(self.n))
        for w in words(question):
            hits = self.tf.get(w, {})
            idf = math.log(1 + (len(self.n) - len(hits) + 0.5) / (len(hits) + 0.5))
            for i, c in hits.items():
                scores[i] += idf * c * (self.k1 + 1) / (c + self.k1 * (1 - self.b + self.b * self.n[i] / self.mean))
        return scores


class Vectors:
    def __init__(self, table, splitter):
        self.table, self.splitter = table, splitter

    def of(self, texts):
        out = np.zeros((len(texts), self.table.shape[1]), dtype=np.float32)
        for i, t in enumerate(texts):
            ids, n = np.unique(self.splitter.ids(t), return_counts=True)
            if len(ids):
                v = (self.table[ids] * np.sqrt(n)[:, None]).sum(0)
                out[i] = v / max(np.linalg.norm(v), 1e-9)
        return out


def metrics(order_of, questions, pieces, spans):
    r1 = r5 = mrr = 0
    for q in questions:
        order = order_of(q)[:20]
        rank = next((k for k, i in enumerate(order, 1)
                     if any(pieces[i][0] == p and pieces[i][1] <= e and s <= pieces[i][2] for p, s, e in spans[q["id"]])), None)
        if rank:
            r1, r5, mrr = r1 + (rank == 1), r5 + (rank <= 5), mrr + 1 / rank
    n = len(questions)
    return r5 / n, r1 / n, mrr / n


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", default=DATA)
    args.add_argument("--registry", default=pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry" / "src")
    args.add_argument("--table", default="table")
    args.add_argument("--weights", default="0.3,0.5,1.0")
    args = args.parse_args()
    table = np.load(WORK / f"{args.table}.npy")
    scale = np.abs(table).max(1, keepdims=True) / 127 + 1e-12
    table = (np.round(table / scale) * scale).astype(np.float32)
    model = Vectors(table, Splitter(json.load(open(WORK / "entries.json"))))
    texts = corpora(args.data, args.registry)
    asked = {n: [json.loads(l) for l in open(QUESTIONS / f"{n}.jsonl", encoding="utf-8")] for n in ("en", "zh", "code", "cross")}
    whole = {p: t for c in texts.values() for p, t in c.items()}
    spans = {q["id"]: [(a["path"], s, e) for a in q["answers"] for s, e in answers(a, whole[a["path"]])]
             for qs in asked.values() for q in qs}
    assert all(spans.values()), [k for k, v in spans.items() if not v]
    cut = {n: [c for p in sorted(t) for c in chunks(p, t[p]) if c[3].strip()] for n, t in texts.items()}
    cut["mixed"] = sum(cut.values(), [])
    asked["mixed"] = sum(asked.values(), [])
    for name in ("en", "zh", "code", "mixed"):
        pieces, questions = cut[name], asked[name]
        bm, vec = Bm25([p[0] + "\n" + p[3] for p in pieces]), model.of([p[3] for p in pieces])
        q = model.of([x["question"] for x in questions])
        at = {x["id"]: i for i, x in enumerate(questions)}
        by_word = {x["id"]: bm.ask(x["question"]) for x in questions}
        by_vec = {x["id"]: vec @ q[at[x["id"]]] for x in questions}
        rank = lambda s: np.argsort(-s, kind="stable")[:100]
        rows = [("words", lambda x: rank(by_word[x["id"]])), ("vectors", lambda x: rank(by_vec[x["id"]]))]
        for w in map(float, args.weights.split(",")):
            def fused(x, w=w):
                s = collections.defaultdict(float)
                for weight, order in ((1, [i for i in rank(by_word[x["id"]]) if by_word[x["id"]][i] > 0]), (w, rank(by_vec[x["id"]]))):
                    for k, i in enumerate(order):
                        s[i] += weight / (60 + k + 1)
                return sorted(s, key=lambda i: -s[i])
            rows.append((f"fused {w}", fused))
        for what, order in rows:
            r5, r1, mrr = metrics(order, questions, pieces, spans)
            line = f"{name:6} {len(pieces):5} chunks {what:10} recall@5 {r5:.3f}  recall@1 {r1:.3f}  MRR {mrr:.3f}"
            if name == "mixed":
                line += "  cross recall@5 %.3f" % metrics(order, asked["cross"], pieces, spans)[0]
            print(line)


if __name__ == "__main__":
    main()
