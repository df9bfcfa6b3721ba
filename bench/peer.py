#!/usr/bin/env python3
"""llama.cpp's side of our comparisons, through PyPI's llama-cpp-python (build it for the machine:
`pip install --no-binary llama-cpp-python llama-cpp-python numpy`).

  peer.py logits MODEL --tokens FILE --out FILE   logits of every position, little-endian f32 (for agree.py)
  peer.py features                                version, and what it was built for
  peer.py start MODEL --prompt TEXT -t N          seconds from before loading to the first token, and memory
  peer.py serve MODEL --context N -t N            a process that stays: one JSON request a line on standard
                                                  input, one JSON answer a line (for peers.py; see `serve`)

It prints JSON on standard output and keeps llama.cpp's own log to itself.
"""
import argparse
import ctypes
import json
import pathlib
import statistics
import sys
import time

import llama_cpp as lib
import numpy as np

# A log function that costs nothing: llama.cpp says thousands of lines, and a Python function that hears each would
# slow its start. libc's `abs` takes the level, looks at nothing else and does nothing.
_quiet = ctypes.cast(ctypes.CDLL(None).abs, lib.llama_log_callback)
FLASH = {"auto": lib.LLAMA_FLASH_ATTN_TYPE_AUTO, "on": lib.LLAMA_FLASH_ATTN_TYPE_ENABLED,
         "off": lib.LLAMA_FLASH_ATTN_TYPE_DISABLED}
# What a read between two samples goes through: more than caches hold.
WASTE_BYTES = 128 << 20


def memory_mib(name):
    """VmRSS (now) or VmHWM (the most so far) of this process."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


class Peer:
    """One model, and a context for each way of attention that is asked for. `repack` is llama.cpp's default; without
    it weights stay as filed."""

    def __init__(self, path, threads, context, repack=True, kv="f16"):
        # What the interpreter and its imports hold is not llama.cpp's.
        self.before_mib = memory_mib("VmRSS")
        lib.llama_log_set(_quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        options = lib.llama_model_default_params()
        options.use_extra_bufts = repack
        self.model = lib.llama_model_load_from_file(path.encode(), options)
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {path}")
        self.threads, self.positions, self.contexts, self.kv = threads, context, {}, kv
        self.text = lib.llama_model_get_vocab(self.model)
        self.vocab = lib.llama_vocab_n_tokens(self.text)
        self.use("auto")

    def use(self, flash):
        """Computes with this way of attention from now on."""
        if flash not in self.contexts:
            options = lib.llama_context_default_params()
            options.n_ctx = self.positions
            options.n_batch = options.n_ubatch = min(512, self.positions)
            options.n_threads = options.n_threads_batch = self.threads
            options.flash_attn_type = FLASH[flash]
            options.type_k = options.type_v = {"f32": lib.GGML_TYPE_F32, "f16": lib.GGML_TYPE_F16}[self.kv]
            context = lib.llama_init_from_model(self.model, options)
            if not context:
                raise SystemExit(f"llama.cpp makes no context of {self.positions} tokens, flash attention {flash}")
            self.contexts[flash] = [context, 0]
        self.slot = self.contexts[flash]
        self.context = self.slot[0]

    def auto_flash(self):
        """What `auto` comes to: on, off, or None where llama.cpp's log does not say."""
        said = []

        @lib.llama_log_callback
        def hear(_level, text, _data):
            if b"Flash Attention" in text:
                said.append(text)

        lib.llama_log_set(hear, ctypes.c_void_p(0))
        lib.llama_free(self.contexts.pop("auto")[0])
        self.use("auto")
        lib.llama_log_set(_quiet, ctypes.c_void_p(0))
        return next((way for text in said for way, word in (("on", b"enabled"), ("off", b"disabled")) if word in text), None)

    def truncate(self, keep):
        """Forgets what is beyond `keep` tokens; everything where the cache cannot forget a part."""
        memory = lib.llama_get_memory(self.context)
        if keep == 0 or not lib.llama_memory_seq_rm(memory, 0, keep, -1):
            lib.llama_memory_clear(memory, True)
            keep = 0
        self.slot[1] = min(self.slot[1], keep)

    def decode(self, tokens, wanted="last"):
        """Evaluates tokens after those that are there; keeps the logits of the last, of the last half, or of every one."""
        for at in range(0, len(tokens), 512):
            part = tokens[at : at + 512]
            batch = lib.llama_batch_init(len(part), 0, 1)
            batch.n_tokens = len(part)
            first = {"last": len(tokens) - 1, "half": len(tokens) // 2, "every": 0}[wanted]
            for i, token in enumerate(part):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, self.slot[1] + i, 1, 0
                batch.logits[i] = at + i >= first
            status = lib.llama_decode(self.context, batch)
            lib.llama_batch_free(batch)
            if status:
                raise SystemExit(f"llama.cpp could not evaluate {len(part)} tokens after {self.slot[1]}: {status}")
            self.slot[1] += len(part)

    def logits(self, i):
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.context, i), (self.vocab,)).copy()

    def tokenize(self, text):
        """Tokens of a text alone: nothing is added, and special tokens that it spells are text."""
        raw = text.encode()
        found = (ctypes.c_int32 * (len(raw) + 8))()
        count = lib.llama_tokenize(self.text, raw, len(raw), found, len(found), False, False)
        return list(found[:count])

    def first_token(self):
        """The token that every text begins with, where the model wants one."""
        return [lib.llama_vocab_bos(self.text)] if lib.llama_vocab_get_add_bos(self.text) else []

    def ends(self, token):
        return bool(lib.llama_vocab_is_eog(self.text, token))

    def perplexity(self, text, window):
        """As `ondine perplexity` has it: whole windows, each with the first token in the place of its own first, the
        second half of each scored."""
        tokens = self.tokenize(text)
        losses = []
        for at in range(0, len(tokens) - window + 1, window):
            part = (self.first_token() or tokens[at : at + 1]) + tokens[at + 1 : at + window]
            self.truncate(0)
            self.decode(part, "half")
            for i in range(window // 2, window - 1):
                row = self.logits(i).astype(np.float64)
                row -= row.max()
                losses.append(np.log(np.exp(row).sum()) - row[part[i + 1]])
        return {"tokens": tokens, "scored": len(losses), "perplexity": float(np.exp(np.mean(losses))) if losses else None}

    def greedy(self, text, ours, count):
        """The likeliest continuation, token by token, up to its end or the first place where `ours` has another token;
        there, over the spread of the logits (largest less smallest), how far the two are apart, and how far these
        logits are at most from those of the same tokens as one prompt. -1 stands for an end."""
        prompt = self.first_token() + self.tokenize(text)
        self.truncate(0)
        self.decode(prompt)
        tokens = []
        while len(tokens) < count:
            row = self.logits(-1)
            best = int(row.argmax())
            tokens.append(-1 if self.ends(best) else best)
            other = ours[len(tokens) - 1] if len(tokens) <= len(ours) else -1
            if tokens[-1] != other:
                rival = row[other] if other >= 0 else max(row[i] for i in range(self.vocab) if self.ends(i))
                self.truncate(0)
                self.decode(prompt + tokens[:-1])
                spread = row.max() - row.min()
                return {"prompt_tokens": len(prompt), "tokens": tokens, "ours": other, "gap": float((row[best] - rival) / spread),
                        "itself": float(np.abs(row - self.logits(-1)).max() / spread)}
            if tokens[-1] < 0:
                break
            self.decode([best])
        return {"prompt_tokens": len(prompt), "tokens": tokens, "gap": None}

    def begin(self, depth):
        """Leaves exactly `depth` tokens in the cache; evaluates them only where they are missing."""
        if self.slot[1] > depth:
            self.truncate(depth)
        if self.slot[1] < depth:
            self.decode(self.some(depth - self.slot[1]))
            lib.llama_synchronize(self.context)

    def some(self, count):
        """The tokens that `ondine bench` evaluates."""
        return [i * 7919 % self.vocab for i in range(count)]

    def timed(self, *steps):
        began = time.perf_counter()
        for tokens in steps:
            self.decode(tokens)
        lib.llama_synchronize(self.context)
        return sum(map(len, steps)) / (time.perf_counter() - began)

    def bench(self, kind, count, depth, repeat, flash):
        """Tokens a second, step by step as `ondine bench` does it: a pass that is not counted, then the median of
        `repeat` samples; other memory is read before each, as its probe does."""
        self.use(flash)
        self.begin(depth)
        self.decode(self.some(count if kind == "prompt" else 1))
        self.begin(depth)
        self.decode([1])
        lib.llama_synchronize(self.context)
        peak = memory_mib("VmHWM") - self.before_mib
        rates = []
        for _ in range(repeat):
            if repeat > 1:
                self.waste().sum()
            self.begin(depth)
            if kind == "prompt":
                rates.append(self.timed(self.some(count)))
            else:
                self.decode([1])
                lib.llama_synchronize(self.context)
                rates.append(self.timed(*([i * 31 % self.vocab] for i in range(count))))
        return {"tokens_per_s": statistics.median(rates), "peak_mib": peak}

    def waste(self):
        if not hasattr(self, "_waste"):
            self._waste = np.ones(WASTE_BYTES // 8, np.int64)
        return self._waste


def features():
    """What the library was built for, as it names it."""
    lib.llama_log_set(_quiet, ctypes.c_void_p(0))
    said = lib.llama_print_system_info().decode()
    flags = [part.split(":")[-1].split("=")[0].strip() for part in said.split("|") if part.strip().endswith("= 1")]
    return {"version": lib.__version__, "features": flags}


def serve(peer):
    """Answers requests {"do": NAME, ...}: one of the methods below with its arguments."""
    verbs = {"bench": peer.bench, "perplexity": peer.perplexity, "greedy": peer.greedy, "auto_flash": peer.auto_flash}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(verbs[request.pop("do")](**request)), flush=True)


def start(args):
    """From before the model is loaded to its first token as text."""
    began = time.perf_counter()
    peer = Peer(args.model, args.t, args.context, not args.no_repack)
    peer.decode(peer.first_token() + peer.tokenize(args.prompt))
    token = int(peer.logits(-1).argmax())
    text = ctypes.create_string_buffer(64)
    lib.llama_token_to_piece(peer.text, token, text, 64, 0, False)
    return {"start_s": time.perf_counter() - began, "peak_mib": memory_mib("VmHWM") - peer.before_mib}


def logits(args):
    tokens = json.load(open(args.tokens))
    peer = Peer(args.model, args.t, len(tokens) + 8, not args.no_repack, args.kv)
    if args.kv == "f32":
        # Flash attention rounds keys and values to 16 bits on its way through them, whatever they are stored as.
        peer.use("off")
    rows = []
    for at in range(0, len(tokens), 1 if args.singly else 512):
        part = tokens[at : at + (1 if args.singly else 512)]
        peer.decode(part, "every")
        rows += [peer.logits(i) for i in range(len(part))]
    np.stack(rows).astype("<f4").tofile(args.out)
    return {"positions": len(tokens), "vocab": peer.vocab}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["logits", "features", "start", "serve"])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--tokens")
    parser.add_argument("--out")
    parser.add_argument("--prompt")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("-t", type=int, default=2)
    parser.add_argument("--no-repack", action="store_true", help="weights stay as they are filed")
    parser.add_argument("--kv", choices=("f32", "f16"), default="f16", help="logits: what keys and values are stored as")
    parser.add_argument("--singly", action="store_true", help="logits: evaluate token by token, not as one prompt")
    args = parser.parse_args()
    if args.verb == "serve":
        serve(Peer(args.model, args.t, args.context, not args.no_repack))
    else:
        print(json.dumps({"logits": logits, "start": start, "features": lambda _: features()}[args.verb](args)))


if __name__ == "__main__":
    main()
