#!/usr/bin/env python3
"""Trains droplet on CPU cores: learns the tokenizer once, then the model; checkpoints every few minutes and resumes.

  train.py [--data ../../../shared/data] [--work work] [--steps 20000] [--minutes 60] [--seed 1] [--workers 2]

The schedule runs over whichever ends first, steps or minutes. A line of log a minute: step, loss of the function
token, loss of the rest, learning rate, tokens a second, and validation accuracy of the averaged weights.
"""
import argparse
import glob
import gzip
import json
import math
import os
import pathlib
import random
import re
import sysconfig
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer

from common import CONFIG, DATA, VOCAB, WORK, Llama, Wire, accuracy, load_devel, load_functions, load_rows, train_tokenizer

# What share of the rows comes from where: in the long first phase, and in the last one (human rows and Chinese).
MIX = {"hwu64": (0.28, 0.35), "clinc150": (0.06, 0.04), "snips": (0.05, 0.04), "swap": (0.05, 0.04), "zh": (0.34, 0.35),
       "en": (0.10, 0.08), "hass": (0.02, 0.01), "code": (0.095, 0.085), "general": (0.005, 0.005)}
LAST_PHASE = 0.7
# Values that can be any words at all. In a share of the rows they become words of other texts, so that copying is
# learnt as copying and not as a list of known values.
OPEN = {"text", "item", "list", "label", "person", "song", "artist", "album", "playlist", "event", "app", "subject", "name",
        "topic", "title", "author", "place", "destination", "station", "address"}
SCRAMBLE = 0.4
FUNCTION_WEIGHT, PROMPT_WEIGHT, PROMPT_SHARE, CONTEXT_WEIGHT = 4.0, 0.15, 0.2, 0.5


def source_code(limit_mb):
    """Rust of the local cargo registry, from crates that say MIT or Apache-2.0, and the interpreter's own library."""
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    files = []
    for crate in sorted(glob.glob(f"{home}/registry/src/*/*")):
        manifest = pathlib.Path(crate) / "Cargo.toml"
        if manifest.exists() and re.search(r'^license\s*=\s*".*(MIT|Apache-2\.0).*"', manifest.read_text(errors="ignore"), re.M):
            files += glob.glob(f"{crate}/src/**/*.rs", recursive=True)
    library = sysconfig.get_paths()["stdlib"]
    python = [f for f in glob.glob(f"{library}/*.py") + glob.glob(f"{library}/*/*.py") if "test" not in f and "site-packages" not in f]
    rng = random.Random(7)
    texts = []
    for group in (files, python):
        rng.shuffle(group)
        size = 0
        for file in group:
            text = pathlib.Path(file).read_text(errors="ignore")
            if len(text) < 200_000 and max((len(line) for line in text.splitlines()), default=0) < 300:
                texts.append(text)
                size += len(text)
            if size > limit_mb * 5e5:
                break
    return texts


def general_text(data, limit_mb):
    texts = []
    for lang in ("en", "zh"):
        path = pathlib.Path(data) / "text" / f"general-{lang}.jsonl.gz"
        size = 0
        for line in gzip.open(path, "rt", encoding="utf-8"):
            texts.append(json.loads(line)["text"])
            size += len(texts[-1].encode())
            if size > limit_mb * 5e5:
                break
    return texts


def get_tokenizer(args, functions):
    path = args.work / "tokenizer.json"
    if path.exists():
        return Tokenizer.from_file(str(path))
    texts = [r["text"] for name in ("human", "zh", "en") for r in load_rows(name, args.work)]
    tokenizer = train_tokenizer(texts + general_text(args.data, 3) + source_code(2), functions, VOCAB)
    tokenizer.save(str(path))
    return tokenizer


class Rows:
    """Draws training rows by source, with augmentation, and turns them into ids with weights."""

    def __init__(self, args, functions, wire, rng):
        self.wire, self.functions, self.rng = wire, functions, rng
        human = load_rows("human", args.work)
        self.sources = {s: [r for r in human if r["src"] == s] for s in ("hwu64", "clinc150", "snips")}
        for name in ("swap", "zh", "en", "hass"):
            self.sources[name] = load_rows(name, args.work)
        self.sources["code"], self.sources["general"] = source_code(32), general_text(args.data, 6)
        chinese = re.findall("[\u4e00-\u9fff]{2,}", "".join(t for t in self.sources["general"] if re.search("[\u4e00-\u9fff]", t))[:400_000])
        english = re.findall("[a-z']+", " ".join(t for t in self.sources["general"] if not re.search("[\u4e00-\u9fff]", t))[:600_000].lower())

        def run_of_hanzi(rng):
            piece = rng.choice(chinese)
            start = rng.randrange(len(piece) - 1)
            return piece[start:start + rng.choice((2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 10, 12))]

        def run_of_words(rng):
            start = rng.randrange(len(english) - 8)
            return " ".join(english[start:start + rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 6, 8))])

        self.words = {"zh": run_of_hanzi, "en": run_of_words}
        teacher = args.work / "teacher.npz"
        if teacher.exists():
            table = np.load(teacher)["probabilities"].astype(np.float32)
            for row, p in zip(human, table):
                row["teacher"] = p
        self.known = {id(r): i for i, r in enumerate(human)}

    def draw(self, mix):
        source = self.rng.choices(list(mix), list(mix.values()))[0]
        row = self.rng.choice(self.sources[source])
        if source == "code":
            return self.code(row)
        if source == "general":
            return self.passage(row)
        if source in ("hwu64", "clinc150", "snips", "swap"):
            row = self.augment(row, source)
        if self.rng.random() < SCRAMBLE:
            row = self.scramble(row)
        return self.request(row)

    def scramble(self, row):
        """Puts words of another text in the place of one open value, in the request and in the answer."""
        open_args = [p for p, v in row["args"].items() if p in OPEN and v and row["text"].count(v) == 1] if row["full"] else []
        if not open_args:
            return row
        param = self.rng.choice(open_args)
        old = row["args"][param]
        words = self.words["zh" if re.search("[\u4e00-\u9fff]", old) else "en"](self.rng)
        # No teacher: it saw the sentence as it was.
        return {**row, "text": row["text"].replace(old, words), "args": {**row["args"], param: words}, "teacher": None}

    def augment(self, row, source):
        """Case, punctuation, a lost word, a wake word: what makes a written request look like a heard one."""
        rng, text = self.rng, row["text"]
        lower = source != "hwu64" and rng.random() < 0.8
        if lower:
            text = text.lower()
        if rng.random() < 0.7:
            text = re.sub(r"[?!.,;]+(?=\s|$)", "", text)
        words = text.split()
        if len(words) > 3 and rng.random() < 0.3:
            del words[rng.randrange(len(words))]
        if len(words) > 5 and rng.random() < 0.1:
            del words[rng.randrange(len(words))]
        if rng.random() < 0.05:
            i = rng.randrange(len(words) + 1)
            words.insert(i, rng.choice(["please", "olly", "the", "um", "can you", "hey", "now"]))
        text = " ".join(words) or row["text"]
        args = {p: (v.lower() if lower and self.functions[row["fn"]][p].startswith("string") else v) for p, v in row["args"].items()}
        kept = all(v in text for p, v in args.items() if self.functions[row["fn"]][p].startswith("string"))
        return {**row, "text": text, "args": args, "full": row["full"] and kept}

    def request(self, row):
        prompt = self.wire.prompt(row["text"])[:200]
        answer = self.wire.answer(row["fn"], row["args"] if row["full"] else {}, row["text"])
        if not row["full"]:
            answer = answer[:1]
        ids = prompt + answer
        lm = PROMPT_WEIGHT if self.rng.random() < PROMPT_SHARE else 0.0
        weights = [lm] * (len(prompt) - 2) + [0.0, FUNCTION_WEIGHT] + [1.0] * (len(answer) - 1)
        if len(prompt) >= 200 or len(weights) != len(ids) - 1:
            weights = ([lm] * len(ids))[: len(ids) - 1]
        return ids, weights, row.get("teacher")

    def passage(self, text, length=160):
        start = self.rng.randrange(max(1, len(text) - 400))
        ids = self.wire.encode(text[start:start + 500])[:length]
        return ids or [self.wire.end, self.wire.end], [0.4] * max(1, len(ids) - 1), None

    def code(self, text):
        """Fill in the middle on a window of lines; a fifth of the time nothing follows the gap."""
        rng, lines = self.rng, text.splitlines(keepends=True)
        start = rng.randrange(max(1, len(lines) - 14))
        window = "".join(lines[start:start + rng.randrange(6, 22)])[:1000]
        if len(window) < 20:
            return self.passage(text)
        # Most gaps begin late, so that there is something to go by, and end with their line: what an editor asks for.
        a = max(1, int(len(window) * rng.random() ** 0.6) - 5)
        line_end = window.find("\n", a)
        if rng.random() < 0.75 and line_end > a:
            b = line_end
        else:
            b = min(len(window), a + rng.randrange(3, 100))
        suffix = "" if rng.random() < 0.2 else window[b:]
        head = self.wire.gap(window[:a], suffix)
        tail = self.wire.encode(window[a:b])[:60] + [self.wire.end]
        return head + tail, [CONTEXT_WEIGHT] * (len(head) - 1) + [1.0] * len(tail), None


def batches(rows, progress, tokens, pad):
    """Endless batches of about `tokens` ids with padding, rows of like length together."""
    while True:
        done = progress()
        mix = {k: v[1 if done > LAST_PHASE else 0] for k, v in MIX.items()}
        pool = sorted((rows.draw(mix) for _ in range(2400)), key=lambda r: len(r[0]))
        groups, group = [], []
        for row in pool:
            if group and len(row[0]) * (len(group) + 1) > tokens:
                groups.append(group)
                group = []
            group.append(row)
        groups.append(group)
        rows.rng.shuffle(groups)
        for group in groups:
            length = max(len(r[0]) for r in group)
            ids = torch.full((len(group), length), pad)
            weights = torch.zeros(len(group), length - 1)
            for i, (row, w, _) in enumerate(group):
                ids[i, : len(row)] = torch.tensor(row)
                weights[i, : len(w)] = torch.tensor(w)
            yield ids, weights, [r[2] for r in group]


class Loss:
    """Cross-entropy of the weighted positions; the function token is smoothed over the functions only."""

    def __init__(self, wire, smoothing=0.06, teach=0.4):
        self.fn_ids = torch.tensor(wire.fn_ids)
        self.smoothing, self.teach = smoothing, teach

    def __call__(self, model, ids, weights, teachers):
        hidden = model.hidden(ids[:, :-1])
        at = weights > 0
        states, targets, w = hidden[at], ids[:, 1:][at], weights[at]
        logp = F.log_softmax(F.linear(states, model.embed.weight).float(), -1)
        loss = -logp.gather(1, targets[:, None])[:, 0]
        place = w == FUNCTION_WEIGHT
        fn_logp = logp[place][:, self.fn_ids]
        hard = loss[place]
        soft = -fn_logp.mean(-1)
        smooth = torch.full_like(hard, self.smoothing)
        if any(t is not None for t in teachers):
            row_of = at.nonzero()[:, 0][place].tolist()
            table, has = torch.zeros(len(row_of), len(self.fn_ids)), torch.zeros(len(row_of))
            for i, r in enumerate(row_of):
                if teachers[r] is not None:
                    table[i], has[i] = torch.from_numpy(teachers[r]), 1.0
            soft = torch.where(has > 0, -(table * fn_logp).sum(-1), soft)
            smooth = torch.where(has > 0, torch.full_like(hard, self.teach), smooth)
        mixed = (1 - smooth) * hard + smooth * soft
        rest = (loss * w)[~place].sum()
        total = (mixed.sum() * FUNCTION_WEIGHT + rest) / w.sum()
        return total, hard.detach().sum().item() / max(1, len(hard)), (rest / w[~place].sum().clamp(min=1e-6)).item()


class Muon:
    """Momentum whose step is brought near the closest orthogonal matrix by a few Newton-Schulz products, for the matrices
    of the layers (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon). Every process orthogonalises a share."""

    def __init__(self, matrices, rank, workers, momentum=0.95, decay=0.05):
        self.matrices, self.rank, self.workers = matrices, rank, workers
        self.momentum, self.decay = momentum, decay
        self.buffers = [torch.zeros_like(p) for p in matrices]
        # Matrices of one shape are worked on together.
        shapes = sorted({tuple(p.shape) for p in matrices}, reverse=True)
        self.groups = [[i for i, p in enumerate(matrices) if tuple(p.shape) == shape] for shape in shapes]

    @staticmethod
    def orthogonal(x):
        tall = x.shape[-2] > x.shape[-1]
        x = x.mT if tall else x
        x = (x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)).bfloat16()
        a, b, c = 3.4445, -4.7750, 2.0315
        for _ in range(5):
            square = x @ x.mT
            x = a * x + (b * square + c * (square @ square)) @ x
        return (x.mT if tall else x).float()

    @torch.no_grad()
    def step(self, lr):
        torch._foreach_lerp_(self.buffers, [p.grad for p in self.matrices], 1 - self.momentum)
        updates = [torch.zeros_like(p) for p in self.matrices]
        for group in self.groups:
            mine = group[self.rank::self.workers]
            if mine:
                # Nesterov's look ahead.
                ahead = [torch.lerp(self.matrices[i].grad, self.buffers[i], self.momentum) for i in mine]
                for i, update in zip(mine, self.orthogonal(torch.stack(ahead))):
                    updates[i] = update * max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        if self.workers > 1:
            flat = torch.cat([u.flatten() for u in updates])
            dist.all_reduce(flat)
            updates = [f.view_as(u) for f, u in zip(flat.split([u.numel() for u in updates]), updates)]
        torch._foreach_mul_(self.matrices, 1 - lr * self.decay)
        torch._foreach_add_(self.matrices, updates, alpha=-lr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--name", default="droplet")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=3072, help="ids a batch")
    parser.add_argument("--lr", type=float, default=2.5e-3, help="of AdamW: embedding and norms")
    parser.add_argument("--matrix-lr", type=float, default=0.02, help="of Muon: the layers' matrices")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each, gradients averaged every step")
    parser.add_argument("--report", type=float, default=180, help="seconds between lines of log")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--f32", action="store_true", help="no bfloat16 in the products")
    args = parser.parse_args()
    get_tokenizer(args, load_functions(args.data))
    if args.workers == 1:
        return train(0, args)
    # Processes of one thread rather than threads of one process: on a machine that others use too, a barrier after
    # every small operation waits for the slowest core, and one barrier a step does not.
    torch.multiprocessing.spawn(train, (args,), nprocs=args.workers)


def train(rank, args):
    torch.set_num_threads(1)
    torch.manual_seed(args.seed * 100 + rank)
    if args.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{args.work.resolve()}/{args.name}.rendezvous-{os.getppid()}",
                                rank=rank, world_size=args.workers)
    functions = load_functions(args.data)
    wire = Wire(get_tokenizer(args, functions), functions)
    rng = random.Random(args.seed * 100 + rank)
    rows = Rows(args, functions, wire, rng)
    model, average = Llama(CONFIG, args.dropout), Llama(CONFIG)
    if args.workers > 1:
        for p in model.parameters():
            dist.broadcast(p.data, 0)
    average.load_state_dict(model.state_dict())
    if rank == 0:
        print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {wire.tokenizer.get_vocab_size()} tokens", flush=True)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and not name.startswith("embed")]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    muon = Muon(matrices, rank, args.workers)
    optimizer = torch.optim.AdamW([{"params": [model.embed.weight], "weight_decay": 0.08}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.98), fused=True)
    step, spent = 0, 0.0
    checkpoint = args.work / f"{args.name}.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        muon.buffers = state["muon"]
        step, spent = state["step"], state["spent"]
        rng.seed((args.seed + step) * 100 + rank)
        if rank == 0:
            print(f"resumed at step {step}, {spent / 60:.1f} minutes", flush=True)
    started = time.time() - spent
    done = spent / 60 / args.minutes
    progress = lambda: done
    loss_of = Loss(wire)
    devel = load_devel(args.work)
    unseen = [r for r in devel if not r["seen"]]
    chinese_path = pathlib.Path(__file__).resolve().parent / "validation-zh.jsonl"
    log = open(args.work / f"{args.name}.log", "a", encoding="utf-8")
    logged, saved, seen = time.time(), time.time(), 0
    sums = np.zeros(3)

    def report():
        line = f"step {step} done {progress():.3f} fn {sums[0] / sums[2]:.4f} rest {sums[1] / sums[2]:.4f} lr {lr:.2e} tok/s {seen / (time.time() - logged):.0f}"
        right, new = accuracy(average, wire, devel), accuracy(average, wire, unseen)
        line += f" slurp {right:.4f} ({len(devel)}) unseen {new:.4f} ({len(unseen)})"
        if chinese_path.exists():
            chinese = [json.loads(x) for x in open(chinese_path, encoding="utf-8") if x.strip()]
            for r in chinese:
                r["fn"] = r.get("fn") or r.get("function") or r.get("call", {}).get("name")
            line += f" zh {accuracy(average, wire, chinese):.4f} ({len(chinese)})"
        print(line, flush=True)
        print(line, file=log, flush=True)

    def save():
        torch.save({"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict(), "muon": muon.buffers,
                    "step": step, "spent": time.time() - started, "config": CONFIG}, str(checkpoint) + ".new")
        os.replace(str(checkpoint) + ".new", checkpoint)

    for ids, weights, teachers in batches(rows, progress, args.tokens // args.workers, wire.pad):
        if done >= 1:
            break
        warm = min(1.0, (step + 1) / 120)
        scale = warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        lr = args.lr * scale
        for group in optimizer.param_groups:
            group["lr"] = lr
        model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not args.f32):
            loss, fn_loss, rest = loss_of(model, ids, weights, teachers)
        model.zero_grad(set_to_none=True)
        loss.backward()
        done = max(step / args.steps, (time.time() - started) / 60 / args.minutes)
        if args.workers > 1:
            grads = [p.grad for p in model.parameters()]
            flat = torch.cat([g.flatten() for g in grads] + [torch.tensor([done])])
            dist.all_reduce(flat)
            flat /= args.workers
            done = flat[-1].item()
            for g, part in zip(grads, flat[:-1].split([g.numel() for g in grads])):
                g.copy_(part.view_as(g))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        muon.step(args.matrix_lr * scale)
        step += 1
        decay = min(0.998, (1 + step) / (20 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        sums += (fn_loss, rest, 1)
        seen += ids.numel() * args.workers
        if rank:
            continue
        if time.time() - logged > args.report:
            report()
            logged, seen, sums = time.time(), 0, np.zeros(3)
        if time.time() - saved > 180:
            save()
            saved = time.time()
    if rank == 0:
        report()
        save()


if __name__ == "__main__":
    main()
