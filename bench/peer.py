#!/usr/bin/env python3
"""llama.cpp's side of our comparisons, through PyPI's llama-cpp-python (build it for the machine:
`pip install --no-binary llama-cpp-python llama-cpp-python numpy`).

  peer.py logits MODEL --tokens FILE --out FILE   logits of every position, little-endian f32
  peer.py bench MODEL -p N -n N -t N              one prompt and one continuation; one JSON object
  peer.py serve MODEL -t N                        the same, again and again: `P N` lines on standard input

It prints JSON on standard output and keeps llama.cpp's own log to itself.
"""
import argparse
import ctypes
import json
import resource
import sys
import time

import llama_cpp as lib
import numpy as np


@lib.llama_log_callback
def _quiet(_level, _text, _data):
    pass


class Peer:
    """One model and one context. `repack` is llama.cpp's default; without it weights stay as filed."""

    def __init__(self, path, threads, context, repack=True):
        lib.llama_log_set(_quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        began = time.perf_counter()
        options = lib.llama_model_default_params()
        options.use_extra_bufts = repack
        self.model = lib.llama_model_load_from_file(path.encode(), options)
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {path}")
        options = lib.llama_context_default_params()
        options.n_ctx = context
        options.n_batch = options.n_ubatch = min(512, context)
        options.n_threads = options.n_threads_batch = threads
        self.context = lib.llama_init_from_model(self.model, options)
        self.load_s = time.perf_counter() - began
        self.vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self.model))

    def clear(self):
        lib.llama_memory_clear(lib.llama_get_memory(self.context), True)

    def decode(self, tokens, position, every=False):
        """Evaluates tokens at `position` and on; keeps the logits of the last, or of every one."""
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, position + i, 1, 0
            batch.logits[i] = every or i == len(tokens) - 1
        status = lib.llama_decode(self.context, batch)
        lib.llama_batch_free(batch)
        if status:
            raise SystemExit(f"llama.cpp could not decode: {status}")

    def logits(self, i):
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self.context, i), (self.vocab,)).copy()

    def bench(self, prompt, new):
        """Times a prompt and a continuation of fixed tokens; tokens a second of each."""
        self.clear()
        tokens = [(i * 7919 + 13) % self.vocab for i in range(prompt)]
        times = [time.perf_counter()]
        for at in range(0, prompt, 512):
            self.decode(tokens[at : at + 512], at)
        lib.llama_synchronize(self.context)
        times.append(time.perf_counter())
        for i in range(new):
            self.decode([(i * 31) % self.vocab], prompt + i)
        lib.llama_synchronize(self.context)
        times.append(time.perf_counter())
        return {"prompt_tokens_per_s": prompt / (times[1] - times[0]) if prompt else None,
                "decode_tokens_per_s": new / (times[2] - times[1]) if new else None}


def peak_rss_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["logits", "bench", "serve"])
    parser.add_argument("model")
    parser.add_argument("--tokens")
    parser.add_argument("--out")
    parser.add_argument("-p", type=int, default=256)
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("-t", type=int, default=2)
    parser.add_argument("--no-repack", action="store_true", help="weights stay as they are filed")
    parser.add_argument("--singly", action="store_true", help="logits: evaluate token by token, not as one prompt")
    args = parser.parse_args()
    if args.verb == "logits":
        tokens = json.load(open(args.tokens))
        peer = Peer(args.model, args.t, len(tokens) + 8, not args.no_repack)
        if args.singly:
            rows = []
            for position, token in enumerate(tokens):
                peer.decode([token], position)
                rows.append(peer.logits(-1))
        else:
            peer.decode(tokens, 0, every=True)
            rows = [peer.logits(i) for i in range(len(tokens))]
        np.stack(rows).astype("<f4").tofile(args.out)
        print(json.dumps({"positions": len(tokens), "vocab": peer.vocab}))
    elif args.verb == "bench":
        peer = Peer(args.model, args.t, args.p + args.n + 8, not args.no_repack)
        peer.bench(args.p, min(args.n, 4))
        print(json.dumps({**peer.bench(args.p, args.n), "load_s": peer.load_s, "peak_rss_mib": peak_rss_mib()}))
    else:
        peer = Peer(args.model, args.t, 2048, not args.no_repack)
        print(json.dumps({"load_s": peer.load_s, "version": lib.__version__}), flush=True)
        for line in sys.stdin:
            prompt, new = map(int, line.split())
            print(json.dumps({**peer.bench(prompt, new), "peak_rss_mib": peak_rss_mib()}), flush=True)


if __name__ == "__main__":
    main()
