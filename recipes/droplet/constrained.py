#!/usr/bin/env python3
"""Measures droplet as people get it: the ondine binary, answers decoded under the grammar of the functions.

  constrained.py [--ondine ../../target/release/ondine] [--work work] [--failures 0]

Every answer is checked to be a valid call before it is counted: a known function, its required parameters, no unknown
ones, enumerated values from their list, free values out of the request. Full call: every argument as annotated.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

from common import DATA, HERE, WORK, load_devel, load_functions
from evaluate import chinese_rows, same, show


def answers(ondine, texts):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(t.replace("\n", " ") for t in texts) + "\n")
        file.flush()
        out = subprocess.run([ondine, "run", "--batch", file.name, "--json"], check=True, capture_output=True, text=True)
    return [json.loads(line)["call"] for line in out.stdout.splitlines()]


def valid(call, text, functions):
    parameters = functions.get(call["function"])
    if parameters is None or not set(call["arguments"]) <= set(parameters):
        return False
    for name, kind in parameters.items():
        value = call["arguments"].get(name)
        if value is None:
            if not kind.split(",")[0].endswith("?"):
                return False
        elif kind.startswith("string"):
            if value.lower() not in text.lower():
                return False
        elif value not in kind.rstrip("?").split("|"):
            return False
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=DATA)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--ondine", default=HERE.parent.parent / "target/release/ondine")
    parser.add_argument("--failures", type=int, default=0, help="print so many wrong calls a set")
    args = parser.parse_args()
    functions = load_functions(args.data)
    for name, rows in (("slurp-devel (en)", load_devel(args.work)), ("validation (zh)", chinese_rows(functions))):
        calls = answers(args.ondine, [r["text"] for r in rows])
        got = [(c["function"], c["arguments"]) for c in calls]
        right = [g[0] == r["fn"] for g, r in zip(got, rows)]
        show(f"{name}: valid call", [valid(c, r["text"], functions) for c, r in zip(calls, rows)])
        show(f"{name}: function", right)
        if any("seen" in r for r in rows):
            show(f"{name}: function, words not in training", [f for f, r in zip(right, rows) if not r["seen"]])
        whole = [(same(g, r, functions), g, r) for g, r in zip(got, rows) if r.get("full", True)]
        show(f"{name}: full call", [flag for flag, _, _ in whole])
        for flag, g, r in [w for w in whole if not w[0]][:args.failures]:
            print(f"    {r['text']} | wanted {r['fn']} {r['args']}, got {g[0]} {g[1]}")


if __name__ == "__main__":
    main()
