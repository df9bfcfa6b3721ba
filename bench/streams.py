#!/usr/bin/env python3
"""Several streams at once: Ondine's service beside llama-server, on the same file, by the same client.

  streams.py MODEL [--llama-server PATH] [--ondine PATH] [-t 2] [--streams 1,8] [--tokens 64] [--rounds 7]

Both servers run at once and only one is asked at a time, in turns, another first each round. All streams of a sample
begin together and are read as server-sent events from POST /v1/completions: a short text of its own for each, no
template, temperature 1, a fixed seed. A sample's figure is the tokens that the server says it made, by the time from
the first request to the end of the last answer, reading the prompts included. llama-server has as many slots as there
are streams at most (-np) and batches them (-cb); it is told to ignore ends of text, which Ondine is by a bias, so that
every answer has all its tokens; where one has not, the sample is refused.

Progress goes to standard error, Markdown to standard output. Without --llama-server, Ondine alone is measured.
"""
import argparse
import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from peers import Stop, name, ran, say

HERE = pathlib.Path(__file__).parent
ROUNDS = 7
WARM = 3
PATIENCE_S = 120


class Server:
    """A server that runs as long as it is needed."""

    def __init__(self, title, command, **more):
        self.title, self.token, self.more = title, None, {}
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=self.log, text=True, **more)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def gone(self):
        self.log.seek(0)
        return Stop(f"{self.title} ended:\n{self.log.read().strip()[-2000:]}")

    def ask(self, text, tokens, seed):
        """The tokens of one answer, which is read as it comes and looked at when it is over."""
        body = {"model": self.model, "prompt": text, "max_tokens": tokens, "temperature": 1.0, "seed": seed, "stream": True,
                "stream_options": {"include_usage": True}, **self.more}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        whole = answer.read()
        connection.close()
        if answer.status != 200:
            raise Stop(f"{self.title}: status {answer.status}: {whole[:500]!r}")
        events = [line[6:] for line in whole.split(b"\n") if line.startswith(b"data: {")]
        usage = next((json.loads(event)["usage"] for event in reversed(events) if b'"usage":{' in event), None)
        if usage is None or usage["completion_tokens"] < tokens:
            raise Stop(f"{self.title}: an answer of {tokens} tokens was asked for, and this came: {usage}")
        return usage["completion_tokens"]


class Ondine(Server):
    def __init__(self, args, home):
        home = os.environ | {"ONDINE_HOME": home}
        super().__init__("Ondine", [args.ondine, "serve", "--listen", "127.0.0.1:0", "-m", args.model, "-t", args.t], env=home)
        line = self.process.stdout.readline()
        if not line:
            raise self.gone()
        self.port = int(json.loads(line)["listen"].rpartition(":")[2])
        self.token = ran([args.ondine, "app", "add", "bench"], env=home).strip()
        self.model = name(args.model)
        self.more = {"logit_bias": {str(token): -100 for token in args.ends}}
        self.version = ran([args.ondine, "--version"]).strip()


class Llama(Server):
    def __init__(self, args, streams):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        context = streams * 512
        super().__init__("llama-server", [args.llama_server, "-m", args.model, "-t", args.t, "-tb", args.t, "-np", streams, "-cb", "-c", context,
                                          "--host", "127.0.0.1", "--port", self.port, "--no-webui"])
        # What it prints, nobody reads: a full pipe would stop it.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.model, self.more = "", {"ignore_eos": True}
        done = subprocess.run([args.llama_server, "--version"], capture_output=True, text=True)
        self.version = "llama-server " + next((line for line in (done.stdout + done.stderr).splitlines() if line.startswith("version")), "")
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise self.gone()
            if time.monotonic() > until:
                raise Stop(f"llama-server was not ready in {PATIENCE_S} s")
            time.sleep(0.1)


def sample(server, streams, tokens, round):
    """Tokens a second of so many streams together."""
    made, failed = [], []
    together = threading.Barrier(streams + 1)

    def one(stream):
        together.wait()
        try:
            made.append(server.ask(f"{round} {stream} the little girl went", tokens, seed=stream))
        except (Stop, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=[stream]) for stream in range(streams)]
    for thread in threads:
        thread.start()
    together.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if failed:
        raise failed[0]
    return sum(made) / took


def shown(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def measure(args, servers):
    for server in servers:
        say(f"{server.title}: warm-up")
        for i in range(WARM):
            for streams in args.streams:
                sample(server, streams, args.tokens, -i)
    rates = {(server.title, streams): [] for server in servers for streams in args.streams}
    for round in range(args.rounds):
        for streams in args.streams:
            for server in servers if round % 2 else servers[::-1]:
                rates[server.title, streams].append(sample(server, streams, args.tokens, 1 + round))
        last = ", ".join(f"{title} {streams}: {values[-1]:.1f}" for (title, streams), values in rates.items())
        say(f"round {round + 1} of {args.rounds}: {last}")
    one = args.streams[0]
    print("| server | streams | tokens/s (least to most) | of its own with " + str(one) + " |\n|---|---|---|---|")
    for (title, streams), values in rates.items():
        own = statistics.median(values) / statistics.median(rates[title, one])
        print(f"| {title} | {streams} | {shown(values)} | {own:.2f} |")
    if len(servers) > 1:
        print()
        for streams in args.streams:
            ratios = sorted(a / b for a, b in zip(rates["Ondine", streams], rates["llama-server", streams]))
            print(f"Ondine over llama-server with {streams}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, "
                  f"{len(ratios)} rounds)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--ondine", default=HERE.parent / "target/release/ondine", type=pathlib.Path)
    parser.add_argument("--llama-server", type=pathlib.Path)
    parser.add_argument("-t", type=int, default=2, help="threads, on both sides")
    parser.add_argument("--streams", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8])
    parser.add_argument("--tokens", type=int, default=64, help="tokens an answer")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--ends", type=lambda text: [int(part) for part in text.split(",")], default=[0, 1, 2],
                        help="the model's tokens that end a text [default: 0,1,2]")
    args = parser.parse_args()
    if args.rounds < ROUNDS:
        say(f"{args.rounds} rounds are for trying things out; figures to keep need {ROUNDS}")
    try:
        with tempfile.TemporaryDirectory() as home, Ondine(args, home) as ondine:
            if args.llama_server is None:
                servers = [ondine]
                print(f"{name(args.model)}, {args.t} threads, answers of {args.tokens} tokens; {ondine.version}\n")
                measure(args, servers)
                return 0
            with Llama(args, max(args.streams)) as llama:
                print(f"{name(args.model)}, {args.t} threads, answers of {args.tokens} tokens; {ondine.version}; {llama.version}\n")
                measure(args, [ondine, llama])
        return 0
    except Stop as stop:
        say(f"streams.py: {stop}")
        return 1
    except KeyboardInterrupt:
        say("streams.py: stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
