"""Trains the vectors: latent semantic analysis to begin with, then pairs against the rest of their batch.

A text's vector is the sum of its entries' vectors, each times the square root of how often it stands there, brought to
length 1; how much an entry counts is the length of its vector, which is learned too. The loss is the cross-entropy of
a pair among all pairs of the batch (InfoNCE, https://arxiv.org/abs/1807.03748), in both directions.
"""
import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F

from common import WIDTH, WORK

# How often a batch is of this kind.
SHARE = {"heading": 2.0, "cloze": 2.0, "around": 1.0, "tldr": 0.4, "command": 0.8, "novel": 0.4, "translated": 3.0,
         "translated-line": 3.0, "code-doc": 2.5, "code-prose": 0.6, "readme": 0.7}


class Texts:
    """Texts as distinct ids with weights, in one array."""

    def __init__(self, ids, ends):
        starts = np.concatenate(([0], ends[:-1]))
        rows, weights, lengths = [], [], []
        for s, e in zip(starts, ends):
            u, n = np.unique(ids[s:e], return_counts=True)
            rows.append(u)
            weights.append(np.sqrt(n))
            lengths.append(len(u))
        self.ids = torch.from_numpy(np.concatenate(rows).astype(np.int64))
        self.weights = torch.from_numpy(np.concatenate(weights).astype(np.float32))
        self.ends = np.cumsum(lengths)
        self.starts = np.concatenate(([0], self.ends[:-1]))
        self.lengths = np.array(lengths)

    def __len__(self):
        return len(self.ends)

    def take(self, index):
        """Ids, weights and offsets of some texts, for an embedding bag."""
        n = self.lengths[index]
        offsets = np.concatenate(([0], np.cumsum(n)[:-1]))
        where = torch.from_numpy(np.repeat(self.starts[index] - offsets, n) + np.arange(n.sum()))
        return self.ids[where], self.weights[where], torch.from_numpy(offsets)


def load(name):
    found = np.load(WORK / f"{name}.npz")
    kinds = sorted({k.rsplit(".", 2)[0] for k in found.files})
    out = {}
    for kind in kinds:
        a, b = (Texts(found[f"{kind}.{s}.ids"], found[f"{kind}.{s}.ends"]) for s in (0, 1))
        good = np.flatnonzero((a.lengths >= 2) & (b.lengths >= 2))
        if len(good):
            out[kind] = (a, b, good)
    return out


def vectors(table, texts, index, drop=0.0):
    ids, weights, offsets = texts.take(index)
    if drop:
        weights = weights * (torch.rand_like(weights) >= drop)
    return F.normalize(F.embedding_bag(ids, table, offsets, mode="sum", per_sample_weights=weights), dim=-1, eps=1e-6)


def first_guess(pairs, count, width, alpha, seed):
    """LSA of all pairs, each pair one document, so that translations meet; and a random part that keeps words apart."""
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd
    rows, cols, data, n = [], [], [], 0
    for kind, (a, b, good) in pairs.items():
        for side in (a, b):
            rows.append(np.repeat(np.arange(len(side)), side.lengths) + n)
            cols.append(side.ids.numpy())
            data.append(side.weights.numpy())
        n += len(a)
    rows, cols, data = map(np.concatenate, (rows, cols, data))
    m = csr_matrix((data, (rows, cols)), shape=(n, count), dtype=np.float32)
    df = np.bincount(m.indices, minlength=count)
    idf = np.log((n + 1) / (df + 1)).astype(np.float32)
    m = m.multiply(idf).tocsr()
    m = csr_matrix(m.multiply(1 / np.maximum(np.sqrt(m.multiply(m).sum(1)), 1e-6)))
    _, s, vt = randomized_svd(m, width, n_iter=2, random_state=seed)
    lsa = vt.T * np.sqrt(s)
    unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    noise = unit(np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32))
    # How common an entry is decides its length: the smooth inverse frequency of Arora et al. 2017.
    p = df / df.sum()
    sif = (1e-3 / (1e-3 + p)).astype(np.float32)
    return torch.from_numpy(unit(alpha * unit(lsa) + (1 - alpha) * noise).astype(np.float32) * sif[:, None])


def judge(table, dev):
    """Mean reciprocal rank of each kind's second halves among all of its family's (never the measured questions)."""
    out = {}
    with torch.no_grad():
        for kind, (a, b, good) in dev.items():
            good = good[:400]
            x, y = vectors(table, a, good), vectors(table, b, good)
            scores = x @ y.T
            own = scores.diagonal()[:, None]
            out[kind] = (1 / (1 + (scores > own).sum(1).float())).mean().item()
    return out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--width", type=int, default=WIDTH)
    args.add_argument("--minutes", type=float, default=12)
    args.add_argument("--steps", type=int, default=1500)
    args.add_argument("--batch", type=int, default=512)
    args.add_argument("--rate", type=float, default=4e-3)
    args.add_argument("--warmth", type=float, default=0.06)
    args.add_argument("--drop", type=float, default=0.15)
    args.add_argument("--alpha", type=float, default=0.6)
    args.add_argument("--seed", type=int, default=1)
    args.add_argument("--out", default="table")
    args.add_argument("--threads", type=int, default=1)
    args = args.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    count = len(json.load(open(WORK / "entries.json")))
    pairs, dev, started = load("pairs"), load("dev"), time.time()
    table = first_guess(pairs, count, args.width, args.alpha, args.seed)
    print(f"first guess: {time.time() - started:.0f} s")

    def show():
        found = judge(table, dev)
        print("  ".join(f"{k} {v:.3f}" for k, v in found.items()))
        print(f"mean {sum(found.values()) / len(found):.4f}", flush=True)

    show()
    table.requires_grad_(True)
    shares = {}
    for k, (_, _, good) in pairs.items():
        ends = k if k in SHARE else next((e for e in SHARE if k.endswith(e) or k.startswith(e)), "around")
        shares[k] = SHARE[ends] * len(good) ** 0.4
    kinds = list(shares)
    chance = np.array([shares[k] for k in kinds])
    chance /= chance.sum()
    adam = torch.optim.Adam([table], lr=args.rate, betas=(0.9, 0.98))
    mean, started = table.detach().clone(), time.time()
    for step in range(args.steps):
        done = max(step / args.steps, (time.time() - started) / (60 * args.minutes))
        if done >= 1:
            break
        for group in adam.param_groups:
            group["lr"] = args.rate * min(1, step / 100) * (1 - done)
        a, b, good = pairs[kinds[rng.choice(len(kinds), p=chance)]]
        index = good if len(good) <= args.batch else rng.choice(good, args.batch, replace=False)
        x, y = vectors(table, a, index, args.drop), vectors(table, b, index, args.drop)
        scores = x @ y.T / args.warmth
        target = torch.arange(len(index))
        loss = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        if step % 10 == 0:
            mean.lerp_(table.detach(), 0.02 if done > 0.2 else 1.0)
        if step % 500 == 499:
            print(f"step {step + 1}  loss {loss.item():.3f}  {time.time() - started:.0f} s", flush=True)
    table = mean
    show()
    np.save(WORK / f"{args.out}.npy", table.numpy())


if __name__ == "__main__":
    main()
