#!/usr/bin/env python3
"""The judge: Ondine beside llama.cpp on the same files, in turns, in one run.

  peers.py MODEL [MODEL ...] [-p 512] [-n 32] [-t 2] [--rounds 7]     prompt and decode speed, and memory
           [--depth D]         ... with D tokens in the cache; llama.cpp also with its other way of attention
           [--columns 4,8]     ... and prompts of so few tokens, twelve a sample: what verifying a draft costs
           [--busy]            ... and nothing set aside, where other programs never leave the machine alone
           [--isa avx2 --python PATH]   ... by fewer instructions; PATH is a Python whose llama.cpp has as few
  peers.py --start MODEL [MODEL ...]   process start to the first token, the file cached, and memory
  peers.py --idle MODEL                what Ondine's process costs in the second after an answer (should be nothing)
  peers.py --oversubscribe MODEL       decode with twice as many threads as cores against as many
  --ondine PATH names our program, --python PATH the Python that has llama-cpp-python and numpy (see peer.py).

Agreement comes first: before the two agree on the text of every file, no speed is printed, and the exit code is 1.
They agree where
  - they cut the text (--text, its first --gate-tokens tokens or so) into the same tokens,
  - their perplexities on it differ by at most 0.1 % (rounding differs from token to token and averages out: a file
    that is refused by a hair may agree on more --gate-tokens),
  - their likeliest continuations of four fixed prompts are the same for 16 tokens each. Where one differs, llama.cpp's
    own logits must have the two candidates within 1 % of their spread (largest less smallest) at the first such place,
    or within twice what a logit of llama.cpp moves there when it reads the same tokens as one prompt instead (two that
    move towards each other by so much change places). Rounding decides such a tie, and what follows it compares
    nothing. At least a quarter of the 64 tokens must be compared. Weights that were never trained give flat logits, and
    a tie in most of the texts; the row says how many and how near.

Then each round takes a sample of Ondine and one of llama.cpp in every setting (weights repacked, its default, and
weights as filed), another first each round. A sample is a pass that is not counted and one that is, by the same steps
on both sides. Beside every sample the machine's read bandwidth and int8 peak are measured. A sample is set aside,
and counted, where one of the two strays over 10 % from its median in the run of that test; rounds go on until enough
of them stand or three times as many are over. Figures are of the samples that stand. The ratio is of the samples of
one round, against the setting of llama.cpp with the better median in that test.

Progress goes to standard error, Markdown to standard output.
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
TEXT = HERE.parent.parent / "shared/data/text/wikitext2-valid.txt"
PROMPTS = ["The house at the end of the road", "In the year 1914 the ship", "fn main() { let x =", "今天天气很好，我们"]
GREEDY = 16
WINDOW = 256
PERPLEXITY = 0.001
TIE = 0.01
STRAY = 0.10
ROUNDS = 7
# Short prompts a sample.
COLUMNS = 12


class Stop(Exception):
    """What ends the run, in words for whoever reads it."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def ran(command, **more):
    """What a command prints; where it fails, its own words are the message."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    if done.returncode:
        raise Stop(f"this failed: {' '.join(map(str, command))}\n{done.stderr.strip()}")
    return done.stdout


class Ondine:
    """Our side: a process a sample."""

    def __init__(self, args):
        self.program, self.threads = args.ondine, args.t
        self.how = ["-t", args.t] + (["--isa", args.isa] if args.isa else []) + (["--memory", args.memory] if args.memory else [])

    def json(self, *command):
        return json.loads(ran([self.program, *command, *self.how, "--json"]))

    def bench(self, model, kind, count, depth, repeat):
        p, n = (count, 0) if kind == "prompt" else (0, count)
        found = self.json("bench", "-m", model, "-p", p, "-n", n, "-r", repeat, "--depth", depth)
        return {"tokens_per_s": found[f"{kind}_tokens_per_s"], "peak_mib": found["peak_rss_mib"]}

    def probe(self):
        """Read bandwidth and int8 peak at this moment. `bench` measures them beside its samples; of the model that is
        inside the program it takes next to nothing else."""
        found = self.json("bench", "-m", "droplet", "-p", 1, "-n", 0, "-r", 3)["prompt_probes"]
        return {key: statistics.median(p[key] for p in found) for key in ("read_gb_per_s", "int8_gmac_per_s")}

    def isa(self):
        return self.json("bench", "-m", "droplet", "-p", 1, "-n", 0, "-r", 1)["isa"]


class Served:
    """A llama.cpp process that stays, so that only its work is timed."""

    def __init__(self, python, model, threads, context, repack=True):
        command = [python, HERE / "peer.py", "serve", model, "-t", str(threads), "--context", str(context)]
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command + ([] if repack else ["--no-repack"]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise Stop(f"llama.cpp's process ended:\n{self.log.read().strip()[-2000:]}")
        return json.loads(line)

    def ask(self, do, **request):
        self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self.process.stdin.flush()
        return self.answer()


# --- Agreement ---


def gate(args, ondine, model):
    """Raises where the two do not agree on the text; gives a table row where they do."""
    say(f"{name(model)}: do the two agree on the text?")
    # A token is about four characters; with other vocabularies the text is longer or shorter on both sides alike.
    text = args.text.read_text(encoding="utf-8")[: 4 * args.gate_tokens]
    with tempfile.TemporaryDirectory() as folder, Served(args.python, model, args.t, WINDOW) as peer:
        file, prompts = pathlib.Path(folder, "text"), pathlib.Path(folder, "prompts")
        file.write_text(text, encoding="utf-8")
        prompts.write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
        tokens = json.loads(ran([ondine.program, "tokenize", "-m", model, "--file", file, "--json"]))
        theirs = peer.ask("perplexity", text=text, window=WINDOW)
        if tokens != theirs["tokens"]:
            at = next((i for i, pair in enumerate(zip(tokens, theirs["tokens"])) if pair[0] != pair[1]), None)
            where = f"from token {at} on" if at is not None else "at its end"
            raise Stop(f"{model}: the two cut the text into different tokens {where} ({len(tokens)} and {len(theirs['tokens'])})")
        if not theirs["scored"]:
            raise Stop(f"{args.text}: {len(tokens)} tokens are fewer than one window of {WINDOW}; give a longer --text")
        ours = ondine.json("perplexity", "-m", model, "--file", file, "--ctx", WINDOW)
        ratio = ours["perplexity"] / theirs["perplexity"] - 1
        # Not `>`: a perplexity that is no number must not pass.
        if not abs(ratio) <= PERPLEXITY:
            raise Stop(f"{model}: perplexity is {ours['perplexity']:.4f} by Ondine and {theirs['perplexity']:.4f} by llama.cpp on "
                       f"{theirs['scored']} tokens, {ratio:+.3%}; {PERPLEXITY:.1%} is allowed")
        # One a line, each by a prompt of its own: Ondine answers all in one process.
        greedy = ran([ondine.program, "run", "-m", model, "--raw", "--temp", "0", "--max-tokens", GREEDY, "--ctx", WINDOW,
                      "--batch", prompts, *ondine.how, "--json"])
        compared, ties = 0, []
        for prompt, line in zip(PROMPTS, greedy.splitlines()):
            found = json.loads(line)
            wanted = found["tokens"] + ([-1] if found["finish_reason"] == "stop" else [])
            answer = peer.ask("greedy", text=prompt, ours=wanted, count=GREEDY)
            if answer["prompt_tokens"] != found["prompt_tokens"]:
                raise Stop(f"{model}: the prompt {prompt!r} is {found['prompt_tokens']} tokens to Ondine and "
                           f"{answer['prompt_tokens']} to llama.cpp")
            if answer["gap"] is None:
                compared += GREEDY
                continue
            at = len(answer["tokens"]) - 1
            compared += at + 1
            ties.append((answer["gap"], answer["itself"]))
            if not answer["gap"] <= max(TIE, 2 * answer["itself"]):
                raise Stop(f"{model}: after {prompt!r} and {at} tokens on which both agree, llama.cpp says token "
                           f"{answer['tokens'][-1]} and Ondine {answer['ours']} (-1 is an end). llama.cpp has them "
                           f"{answer['gap']:.2%} of its logits' spread apart, and its own logits move by {answer['itself']:.2%} "
                           "when it reads them as one prompt: no tie")
        whole = GREEDY * len(PROMPTS)
        if 4 * compared < whole:
            raise Stop(f"{model}: near ties ended the greedy texts after {compared} of {whole} tokens; a quarter must be compared")
        near = "{}, at most {:.2%} apart; llama.cpp from itself {:.2%}".format(len(ties), *map(max, zip(*ties))) if ties else "none"
        return (f"| {name(model)} | {ours['perplexity']:.4f} | {theirs['perplexity']:.4f} | {ratio:+.4%} of {theirs['scored']} tokens | "
                f"{compared - len(ties)} of {whole} | {near} |")


# --- Samples ---


Sample = collections.namedtuple("Sample", "value peak probe")


def strays(samples):
    """Which samples' probes stray from the medians of all of them."""
    everything = [s.probe for series in samples.values() for s in series]
    medians = {key: statistics.median(p[key] for p in everything) for key in everything[0]}
    far = lambda probe: any(abs(probe[key] / medians[key] - 1) > STRAY for key in medians)
    return {side: [far(s.probe) for s in series] for side, series in samples.items()}, medians


def in_turns(args, ondine, what, sides):
    """Samples of every side, round by round; `sides` maps a name to a function that takes one."""
    samples = {side: [] for side in sides}
    order = list(sides)
    for turn in range(3 * args.rounds):
        for side in order[turn % len(order) :] + order[: turn % len(order)]:
            found = sides[side]()
            samples[side].append(Sample(*found, ondine.probe()))
        aside, _ = strays(samples)
        # A round stands for a side where both its sample and Ondine's do.
        ours = aside[list(sides)[0]]
        standing = min(sum(not (a or b) for a, b in zip(ours, series)) for series in aside.values())
        latest = ", ".join(f"{side} {samples[side][-1].value:.4g}" + (" (set aside)" if aside[side][-1] else "") for side in sides)
        say(f"{what}: round {turn + 1}, {min(standing, args.rounds)} of {args.rounds} stand: {latest}")
        if turn + 1 >= args.rounds and standing >= args.rounds:
            break
    return Series(samples)


class Series:
    """The samples of one test, judged. The first side is Ondine's; `less` says that less is better."""

    def __init__(self, samples):
        self.samples = samples
        self.aside, self.limits = strays(samples)
        self.ours, *self.others = samples

    def standing(self, side):
        return [s.value for s, aside in zip(self.samples[side], self.aside[side]) if not aside]

    def median(self, side):
        return statistics.median(self.standing(side)) if self.standing(side) else None

    def shown(self, side, digits, scale=1):
        return "–" if self.median(side) is None else f"{scale * self.median(side):.{digits}f}"

    def ratio(self, less=False):
        """Ratios of one round's samples to the best other side: median, least, most. Above 1, ours is the better."""
        best = [side for side in self.others if self.median(side) is not None]
        if not best or self.median(self.ours) is None:
            return "every sample was set aside: the machine is too busy"
        best = (min if less else max)(best, key=self.median)
        pairs = zip(self.samples[self.ours], self.samples[best], self.aside[self.ours], self.aside[best])
        ratios = sorted(b.value / a.value if less else a.value / b.value for a, b, x, y in pairs if not (x or y))
        if not ratios:
            return "no round stands: the machine is too busy"
        few = "" if len(ratios) >= ROUNDS else ": too few"
        return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}; {len(ratios)} rounds{few})"

    def counts(self):
        flags = [flag for series in self.aside.values() for flag in series]
        return f"{sum(flags)} of {len(flags)}"

    def machine(self):
        return f"read {self.limits['read_gb_per_s']:.0f} GB/s, int8 {self.limits['int8_gmac_per_s']:.0f} GMAC/s"

    def peak(self, side):
        return max(s.peak for s in self.samples[side])


def name(model):
    return pathlib.Path(model).stem


def over(mib, model):
    size = os.path.getsize(model) / 2**20
    return f"{mib:.0f} MiB ({mib / size:.2f})"


def memory_table(rows):
    print("\nPeak memory (over the file); of llama.cpp without what its interpreter holds before:\n")
    print("| model | file | Ondine | llama.cpp, default | llama.cpp, as filed |\n|---|---|---|---|---|")
    print("\n".join(rows))


# --- What can be asked ---


def speeds(args, ondine):
    tests = [(f"prompt {args.p}", "prompt", args.p, args.depth, 1), (f"decode {args.n}", "decode", args.n, args.depth, 1)]
    tests = [test for test in tests if test[2]]
    tests += [(f"{count} columns", "prompt", count, 0, COLUMNS) for count in args.columns]
    if not tests:
        raise Stop("nothing to measure: -p and -n are 0 and there are no --columns")
    context = args.depth + max([args.p, args.n + 1, *args.columns]) + 8
    header, memory = False, []
    for model in args.models:
        with (Served(args.python, model, args.t, context) as packed,
              Served(args.python, model, args.t, context, repack=False) as filed):
            settings = {"default": (packed, "auto"), "as filed": (filed, "auto")}
            if args.depth:
                auto = packed.ask("auto_flash")
                for way in [way for way in ("on", "off") if way != auto]:
                    settings |= {f"flash attention {way}": (packed, way), f"as filed, flash attention {way}": (filed, way)}
            if not header:
                print(f"| model | test | Ondine, tok/s | llama.cpp, tok/s: {' / '.join(settings)} | ratio to its best (least to most) | "
                      "samples set aside | the machine beside it |\n|---|---|---|---|---|---|---|")
                header = True
            for at, (title, kind, count, depth, repeat) in enumerate(tests):
                request = dict(kind=kind, count=count, depth=depth, repeat=repeat)
                values = lambda found: (found["tokens_per_s"], found["peak_mib"])
                sides = {"Ondine": lambda: values(ondine.bench(model, **request))}
                for setting, (peer, way) in settings.items():
                    sides[setting] = lambda peer=peer, way=way: values(peer.ask("bench", flash=way, **request))
                series = in_turns(args, ondine, f"{name(model)}, {title}", sides)
                theirs = " / ".join(series.shown(side, 1) for side in settings)
                deep = f" at {depth}" if depth else ""
                print(f"| {name(model)} | {title}{deep} | {series.shown('Ondine', 1)} | {theirs} | {series.ratio()} | "
                      f"{series.counts()} | {series.machine()} |", flush=True)
                # Of the first samples alone: llama.cpp's other contexts come after them, in the same processes.
                if at == 0:
                    first = {side: series.samples[side][0].peak for side in ("Ondine", "default", "as filed")}
                    memory.append(f"| {name(model)} | {os.path.getsize(model) / 2**20:.0f} MiB | "
                                  + " | ".join(over(mib, model) for mib in first.values()) + " |")
    memory_table(memory)


def start(args, ondine):
    """Whole processes. Ours is timed from outside, from before it exists to the first byte it says; llama.cpp's from
    inside, from before it loads the model, so that Python's own start is not counted."""
    print("| model | Ondine, ms | llama.cpp, ms: default / as filed | its best over ours (least to most) | samples set aside | "
          "the machine beside it |\n|---|---|---|---|---|---|")
    memory = []
    for model in args.models:
        with open(model, "rb", buffering=0) as file:
            while file.read(1 << 24):
                pass

        def ours():
            command = [ondine.program, "run", "-m", model, "--raw", "--temp", 0, "--max-tokens", 1, "--ctx", 512, *ondine.how, PROMPTS[0]]
            began = time.perf_counter()
            process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            os.read(process.stdout.fileno(), 1)
            took = time.perf_counter() - began
            process.stdout.read()
            # The most that this one process held; at least what this program does, whose copy it was for a moment.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise Stop(f"this failed: {' '.join(map(str, command))}")
            return took, usage.ru_maxrss / 1024

        def theirs(*flags):
            command = [args.python, HERE / "peer.py", "start", model, "-t", args.t, "--context", 512, "--prompt", PROMPTS[0], *flags]
            found = json.loads(ran(command))
            return found["start_s"], found["peak_mib"]

        sides = {"Ondine": ours, "default": theirs, "as filed": lambda: theirs("--no-repack")}
        series = in_turns(args, ondine, f"{name(model)}, start", sides)
        print(f"| {name(model)} | {series.shown('Ondine', 0, 1e3)} | {series.shown('default', 0, 1e3)} / {series.shown('as filed', 0, 1e3)} | "
              f"{series.ratio(less=True)} | {series.counts()} | {series.machine()} |", flush=True)
        memory.append(f"| {name(model)} | {os.path.getsize(model) / 2**20:.0f} MiB | "
                      + " | ".join(over(series.peak(side), model) for side in sides) + " |")
    memory_table(memory)


def idle(args, ondine):
    """A conversation on a terminal of its own: a question, the answer, and then one second in which nothing is asked."""
    print("| model | processor time in the second after an answer | on the processor, by the scheduler |\n|---|---|---|")
    busy = []
    for model in args.models:
        command = [ondine.program, "run", "-m", model, "--max-tokens", 24, "--ctx", 512, *ondine.how]
        child, terminal = pty.fork()
        if child == 0:
            # The end of the prompt line, below, is one of the marks that this kind of terminal gets.
            os.environ["TERM"] = "xterm"
            os.execvp(str(command[0]), [str(part) for part in command])
        try:
            marker = heard(terminal, lambda text: text.endswith(b"\x1b[?2026l"), model).split(b"\n")[-1]
            os.write(terminal, b"Tell me about the sea\n")
            heard(terminal, lambda text: b"\n" in text and text.endswith(marker), model)
            say(f"{name(model)}: answered; one second of nothing")
            before = spent(child)
            time.sleep(1)
            ticks, ns = (b - a for a, b in zip(before, spent(child)))
        finally:
            os.write(terminal, b"\x04")
            os.close(terminal)
            os.waitpid(child, 0)
        busy += [model] if ticks else []
        print(f"| {name(model)} | {ticks} ticks of {1000 // os.sysconf('SC_CLK_TCK')} ms | {ns / 1e6:.3f} ms |", flush=True)
    if busy:
        raise Stop(f"an idle process should cost nothing: {', '.join(map(name, busy))}")


def heard(terminal, done, model, limit=120):
    text, until = b"", time.monotonic() + limit
    while not done(text):
        if not select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
            raise Stop(f"{model}: no answer in {limit} s; heard so far: {text[-300:]!r}")
        try:
            text += os.read(terminal, 4096)
        except OSError:
            raise Stop(f"{model}: the conversation ended: {text[-300:]!r}") from None
    return text


def spent(process):
    """Processor time of all threads: ticks, and nanoseconds by the scheduler."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ns = sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{process}/task").iterdir())
    return int(fields[11]) + int(fields[12]), ns


def oversubscribe(args, ondine):
    cores = len(os.sched_getaffinity(0))
    print(f"| model | decode {args.n}, tok/s: {2 * cores} threads | {cores} threads | ratio (least to most) | samples set aside | "
          "the machine beside it |\n|---|---|---|---|---|---|")
    for model in args.models:

        def with_threads(threads):
            command = [ondine.program, "bench", "-m", model, "-p", 0, "-n", args.n, "-r", 1, "--depth", args.depth, "-t", threads, "--json"]
            found = json.loads(ran(command + (["--isa", args.isa] if args.isa else [])))
            return found["decode_tokens_per_s"], found["peak_rss_mib"]

        sides = {"twice": lambda: with_threads(2 * cores), "once": lambda: with_threads(cores)}
        series = in_turns(args, ondine, f"{name(model)}, threads", sides)
        print(f"| {name(model)} | {series.shown('twice', 1)} | {series.shown('once', 1)} | {series.ratio()} | {series.counts()} | "
              f"{series.machine()} |", flush=True)


# --- Both sides ---


def both(args, ondine):
    """Names both programs, what they compute with and on what; refuses a pair that was not built alike."""
    try:
        peer = json.loads(ran([args.python, HERE / "peer.py", "features"]))
    except (Stop, OSError) as error:
        raise Stop(f"llama.cpp cannot be asked by {args.python}: {str(error).splitlines()[-1]}\n"
                   "--python takes the Python in which llama-cpp-python and numpy were installed (see peer.py)") from None
    ours = ondine.isa()
    sets = {"avx512": "AVX512", "avx2": "AVX2", "neon": "NEON"}
    theirs = next((isa for isa, flag in sets.items() if flag in peer["features"]), "scalar")
    print(f"{about(args, ondine)}; llama-cpp-python {peer['version']} ({theirs}: {' '.join(peer['features'])})\n", flush=True)
    if ours != theirs:
        raise Stop(f"Ondine computes with {ours} here and llama.cpp was built for {theirs}: not a fair pair. Give --isa, or --python "
                   "of a llama.cpp built for the same (peer.py says how to build one for the machine; for AVX2 alone set "
                   'CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON '
                   '-DGGML_AVX512=OFF" and --no-cache-dir)')


def about(args, ondine):
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unnamed processor")
    version = ran([ondine.program, "--version"]).strip()
    return (f"{datetime.date.today()}, {processor}, {len(os.sched_getaffinity(0))} cores, {args.t} threads; "
            f"{version} ({ondine.isa()})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--ondine", default=HERE.parent / "target/release/ondine", type=pathlib.Path)
    parser.add_argument("--python", default=sys.executable, help="the interpreter that has llama-cpp-python and numpy")
    parser.add_argument("-p", type=int, default=512, help="tokens a prompt; 0 leaves it out")
    parser.add_argument("-n", type=int, default=32, help="tokens a decode; 0 leaves it out")
    parser.add_argument("-t", type=int, default=2, help="threads, on both sides")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--busy", action="store_true", help="set no sample aside: for a machine that is never quiet; the table says it")
    parser.add_argument("--depth", type=int, default=0, help="tokens in the cache before each sample")
    parser.add_argument("--columns", type=lambda text: [int(part) for part in text.split(",")], default=[], help="such as 4,8")
    parser.add_argument("--isa", help="instruction set of Ondine; llama.cpp has the one it was built for")
    parser.add_argument("--memory", help="where Ondine's weights stay: fast, lean, or what free memory allows")
    parser.add_argument("--text", type=pathlib.Path, default=TEXT if TEXT.exists() else HERE.parent / "LICENSE-APACHE")
    parser.add_argument("--gate-tokens", type=int, default=2048, help="about so many tokens of the text are compared")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--start", action="store_true")
    mode.add_argument("--idle", action="store_true")
    mode.add_argument("--oversubscribe", action="store_true")
    args = parser.parse_args()
    if args.busy:
        global STRAY
        STRAY = float("inf")
        print("The machine was not quiet: no sample is set aside (--busy), and the spread is to be read with the median.\n")
    if args.rounds < ROUNDS:
        say(f"{args.rounds} rounds are for trying things out; figures to keep need {ROUNDS}")
    ondine = Ondine(args)
    try:
        for file in [args.ondine, args.text, *args.models]:
            if not pathlib.Path(file).exists():
                raise Stop(f"there is no {file}")
        if args.idle or args.oversubscribe:
            print(about(args, ondine) + "\n", flush=True)
            return (idle if args.idle else oversubscribe)(args, ondine)
        both(args, ondine)
        rows = [gate(args, ondine, model) for model in args.models]
        print(f"Agreement ({args.text.name}):\n\n| model | perplexity, Ondine | llama.cpp | difference | same greedy tokens | near ties |\n"
              "|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n", flush=True)
        (start if args.start else speeds)(args, ondine)
    except Stop as stop:
        say(f"peers.py: {stop}")
        return 1
    except KeyboardInterrupt:
        say("peers.py: stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
