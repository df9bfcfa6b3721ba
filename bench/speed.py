#!/usr/bin/env python3
"""Ondine beside llama.cpp on the same files, in turns, in one run.

  speed.py MODEL [MODEL ...] [--ondine PATH] [-p 256] [-n 32] [-t 2] [--rounds 7]

Each round measures Ondine, llama.cpp as it comes, and llama.cpp with its weights as filed (`repack` off), so
that a noisy moment falls on all three. Prints medians, the ratio of each round's pair (median, least, most),
peak memory over the file, and what the machine could do beside each of our samples (read rate, int8 peak).
Ratios are against the better setting of llama.cpp. Needs llama-cpp-python and numpy (see peer.py).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


class Served:
    """A llama.cpp process that stays, so that only its work is timed."""

    def __init__(self, model, threads, *flags):
        command = [sys.executable, HERE / "peer.py", "serve", model, "-t", str(threads), *flags]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = json.loads(self.process.stdout.readline())

    def bench(self, prompt, new):
        self.process.stdin.write(f"{prompt} {new}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--ondine", default=HERE.parent / "target/release/ondine")
    parser.add_argument("-p", type=int, default=256)
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("-t", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print("| model | test | Ondine | llama.cpp, default / as filed | ratio to the better (least to most) | limits beside it |")
    print("|---|---|---|---|---|---|")
    memory = []
    for model in args.models:
        peers = [Served(model, args.t), Served(model, args.t, "--no-repack")]
        for peer in peers:
            peer.bench(args.p, 4)
        rounds = []
        for _ in range(args.rounds):
            run = subprocess.run([args.ondine, "bench", "-m", model, "-p", str(args.p), "-n", str(args.n), "-t", str(args.t),
                                  "-r", "1", "--json"], check=True, capture_output=True)
            rounds.append((json.loads(run.stdout), *(peer.bench(args.p, args.n) for peer in peers)))
        for test, key in (("prompt", "prompt_tokens_per_s"), ("decode", "decode_tokens_per_s")):
            ours, default, filed = ([r[i][key] for r in rounds] for i in range(3))
            better = default if statistics.median(default) >= statistics.median(filed) else filed
            ratios = sorted(o / b for o, b in zip(ours, better))
            probes = [r[0][f"{test}_probes"][0] for r in rounds]
            read = statistics.median(p["read_gb_per_s"] for p in probes)
            int8 = statistics.median(p["int8_gmac_per_s"] for p in probes)
            print(f"| {pathlib.Path(model).stem} | {test} {args.p if test == 'prompt' else args.n} | {statistics.median(ours):.1f} tok/s | "
                  f"{statistics.median(default):.1f} / {statistics.median(filed):.1f} | {statistics.median(ratios):.2f} "
                  f"({ratios[0]:.2f} to {ratios[-1]:.2f}) | read {read:.0f} GB/s, int8 {int8:.0f} GMAC/s |", flush=True)
        size = os.path.getsize(model) / 2**20
        ours = max(r[0]["peak_rss_mib"] for r in rounds)
        theirs = max(r[1]["peak_rss_mib"] for r in rounds)
        memory.append(f"| {pathlib.Path(model).stem} | {size:.0f} MiB | {ours:.0f} MiB ({ours / size:.2f}) | {theirs:.0f} MiB ({theirs / size:.2f}) |")
        for peer in peers:
            peer.close()
    print("\n| model | file | Ondine's peak (over the file) | llama.cpp's, default |\n|---|---|---|---|")
    print("\n".join(memory))


if __name__ == "__main__":
    main()
