"""Vocabulary and pairs: reads the documents, writes work/entries.json and work/pairs.npz.

A pair is two texts that belong together: a heading and its passage, a sentence and what stands around it, a description
and its command, a comment and its code, a passage and its translation. One of a kind is a batch in training.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import re
import time
import tomllib

import numpy as np

from common import (DATA, HAN, MEASURED_CRATES, WORK, Splitter, documents, is_dev, sections, sentences, split)

CUT = 900  # characters of a passage


def passage(paragraphs, start, cut=CUT):
    out, n = [], 0
    for p in paragraphs[start:]:
        out.append(p)
        n += len(p)
        if n > cut:
            break
    return "\n".join(out)[: cut + 300]


def from_markdown(text, kind, add, rng):
    for headings, paragraphs in sections(text):
        if not paragraphs:
            continue
        prose = [p for p in paragraphs if not p.startswith("```")]
        if headings and prose:
            add(kind + "-heading", " ".join(headings[-2:]) if rng.random() < 0.5 else headings[-1], passage(paragraphs, 0))
        for i, p in enumerate(paragraphs):
            if p.startswith("```"):
                if i and len(p) > 60 and not paragraphs[i - 1].startswith("```"):
                    add(kind + "-around", paragraphs[i - 1], p[:CUT])
                continue
            said = sentences(p)
            context = ([headings[-1]] if headings else []) + paragraphs[max(0, i - 1):i]
            if len(said) > 1:
                k = rng.randrange(len(said))
                rest = " ".join(said[:k] + said[k + 1:])
                add(kind + "-cloze", said[k], "\n".join(context[:1] + [rest] + paragraphs[i + 1:i + 2])[:CUT])
            if i and not paragraphs[i - 1].startswith("```"):
                add(kind + "-around", paragraphs[i - 1][:CUT], p[:CUT])


def tldr(text):
    """(title, about, [(description, command)]) of a page."""
    title = about = ""
    rows, description = [], None
    for line in text.split("\n"):
        if line.startswith("# "):
            title = line[2:]
        elif line.startswith("> ") and not re.search(r"https?://|See also|另请参阅", line):
            about += " " + line[2:]
        elif line.startswith("- "):
            description = line[2:].rstrip(":：")
        elif line.startswith("`") and description:
            rows.append((description, line.strip("`").replace("{{", "").replace("}}", "")))
            description = None
    return title, about.strip(), rows


def translations(rows, add):
    """Passages and their translations: the same file of two languages, section by section where the sections agree."""
    by = collections.defaultdict(dict)
    for r in rows:
        name, s = r["path"].rsplit("/", 1)[-1], r["source"]
        if s == "tldr-pages/tldr":
            by[("tldr", r["path"].split("/", 1)[1])][r["lang"]] = r["text"]
        elif s in ("rust-lang/book", "rust-lang-cn/book-cn"):
            by[("book", re.sub(r"^ch\d\d-\d\d-", "", name))][r["lang"]] = r["text"]
        elif s == "d2l-ai/d2l-zh":
            by[("d2l", r["path"].replace("_origin.md", ".md"))]["en" if "_origin" in name else "zh"] = r["text"]
    for (kind, _), pair in by.items():
        if len(pair) < 2:
            continue
        if kind == "tldr":
            (title, a, en), (_, b, zh) = tldr(pair["en"]), tldr(pair["zh"])
            add("translated-line", a, b)
            commands = {re.sub(r"\W|[a-z]{4,}", "", c): d for d, c in zh}
            for d, c in en:
                other = commands.get(re.sub(r"\W|[a-z]{4,}", "", c))
                if len(en) == len(zh):
                    other = zh[en.index((d, c))][0]
                if other:
                    add("translated-line", d, other)
            continue
        en, zh = sections(pair["en"]), sections(pair["zh"])
        add("translated", " ".join(h for s in en for h in s[0][-1:]), " ".join(h for s in zh for h in s[0][-1:]))
        if len(en) != len(zh):
            continue
        for a, b in zip(en, zh):
            if a[0] and b[0]:
                add("translated-line", a[0][-1], b[0][-1])
            x, y = [[p for p in s[1] if not p.startswith("```")] for s in (a, b)]
            if x and y:
                add("translated", passage(x, 0), passage(y, 0, 400))
                if a[0] and b[0]:
                    add("translated", a[0][-1], passage(y, 0, 400))
                    add("translated", b[0][-1], passage(x, 0))
            if len(x) == len(y):
                for p, q in zip(x, y):
                    add("translated", p[:CUT], q[:400])
                    s, t = sentences(p), sentences(q)
                    if len(s) == len(t):
                        for m, n in zip(s, t):
                            add("translated-line", m, n)


# ---- source code of the local cargo registry --------------------------------------------------------

ITEM = re.compile(r"(?:pub(?:\([^)]*\))? )?(?:default |const |async |unsafe |extern \"C\" )*(?:fn|struct|enum|trait|type|macro_rules!) ")


def crates(registry):
    for root in sorted(pathlib.Path(registry).glob("*/*/")):
        manifest = root / "Cargo.toml"
        if not manifest.exists():
            continue
        package = tomllib.loads(manifest.read_text(encoding="utf-8", errors="replace")).get("package", {})
        licence = package.get("license") or ""
        if not isinstance(licence, str) or not re.search("MIT|Apache-2.0", licence):
            continue
        if package.get("name") in MEASURED_CRATES or re.match(r"windows|winapi|web-sys|js-sys|ondine|linux-raw", package.get("name", "")):
            continue
        yield package["name"], root


def from_rust(text, add, rng):
    """Comments and the items under them."""
    lines, doc, i = text.split("\n"), [], 0
    while i < len(lines):
        line = lines[i].strip()
        if line.startswith("///"):
            doc.append(line[3:].strip())
        elif doc and (line.startswith("#[") or not line):
            pass
        elif doc:
            if ITEM.match(line):
                body = []
                for j in range(i, min(i + 24, len(lines))):
                    body.append(lines[j])
                    if j > i and lines[j].rstrip() in ("}", "    }", "        }"):
                        break
                code = "\n".join(body)
                fence = doc.index("```") if "```" in doc else len(doc)
                prose = " ".join(doc[:fence]).strip()
                first = sentences(prose)[:1]
                if len(prose) > 15 and len(code) > 30:
                    add("code-doc", (first[0] if first and rng.random() < 0.7 else prose)[:400], code[:CUT])
                if first and len(prose) > len(first[0]) + 40:
                    add("code-prose", first[0], (prose[len(first[0]):] + "\n" + lines[i].strip())[:CUT])
            doc = []
        i += 1


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data", default=DATA)
    args.add_argument("--registry", default=pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry" / "src")
    args.add_argument("--words", type=int, default=11000)
    args.add_argument("--hanzi", type=int, default=3000)
    args.add_argument("--pairs-of-hanzi", type=int, default=9000)
    args.add_argument("--pieces", type=int, default=2500)
    args.add_argument("--seed", type=int, default=1)
    args = args.parse_args()
    started, rng = time.time(), random.Random(args.seed)
    pairs, dev = collections.defaultdict(list), collections.defaultdict(list)
    target = pairs

    def add(kind, a, b):
        if len(a) > 3 and len(b) > 3:
            target[kind].append((a, b))

    rows = list(documents(args.data))
    for r in rows:
        target = dev if is_dev(r["path"]) else pairs
        if r["source"] == "tldr-pages/tldr":
            title, about, examples = tldr(r["text"])
            add(f"tldr-{r['lang']}", about, title + "\n" + "\n".join(f"{d} {c}" for d, c in examples)[:CUT])
            for d, c in examples:
                add(f"command-{r['lang']}", d, c)
        elif r["source"].startswith("standardebooks"):
            paragraphs = [p.strip() for p in r["text"].split("\n\n") if len(p.strip()) > 80]
            for a, b in zip(paragraphs[::2], paragraphs[1::2]):
                add("novel", a[:CUT], b[:CUT])
        else:
            name = r["source"].split("/")[-1]
            kind = {"book": "book-en", "book-cn": "book-zh", "docs-zh-cn": "web-zh", "zh-hans.react.dev": "web-zh"}.get(name)
            kind = kind or ("d2l-en" if "_origin" in r["path"] else "d2l-zh")
            if "conferences" not in r["path"] and "videos" not in r["path"]:
                from_markdown(r["text"], kind, add, rng)
                from_markdown(r["text"], kind, add, rng)  # another sentence of each paragraph
    target = pairs
    translations([r for r in rows if not is_dev(r["path"])], add)
    used = []
    for name, root in crates(args.registry):
        before = sum(map(len, pairs.values()))
        for path in sorted(root.rglob("*")):
            if path.suffix not in (".rs", ".md") or path.stat().st_size > 400_000 or "CHANGELOG" in path.name.upper():
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            target = dev if name == "serde_json" else pairs
            if path.suffix == ".rs":
                from_rust(text, add, rng)
            else:
                from_markdown(text, "readme", add, rng)
        if sum(map(len, pairs.values())) > before:
            used.append(f"{root.name}")
    print(f"{len(used)} crates, {time.time() - started:.0f} s")

    words, hanzi, two = collections.Counter(), collections.Counter(), collections.Counter()
    for kind, found in pairs.items():
        for a, b in found:
            for what, run in split(a + "\n" + b):
                if what == "word":
                    words[run] += 1
                else:
                    hanzi.update(run)
                    two.update(run[i:i + 2] for i in range(len(run) - 1))
    kept = [w for w, n in words.most_common(args.words) if n >= 5]
    inside = set(kept)
    # Pieces of the words that are not kept: what occurs often at least, longer ones preferred.
    pieces = collections.Counter()
    for w, n in words.items():
        if not w.isascii() or len(w) > 24:
            continue
        n = 1 if w not in inside else 0.3
        for length in range(2, 8):
            for i in range(len(w) - length + 1):
                pieces[w[i:i + length]] += n * (length - 1)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    chosen = letters + [p for p, _ in pieces.most_common(args.pieces)]
    entries = kept + [c for c, n in hanzi.most_common(args.hanzi) if n >= 3]
    entries += [p for p, n in two.most_common(args.pairs_of_hanzi) if n >= 8] + ["~" + p for p in chosen]
    splitter = Splitter(dict.fromkeys(entries))
    WORK.mkdir(exist_ok=True)
    json.dump(splitter.entries, open(WORK / "entries.json", "w"), ensure_ascii=False)
    json.dump(used, open(WORK / "crates.json", "w"))
    for name, found in (("pairs", pairs), ("dev", dev)):
        arrays = {}
        for kind, rows in found.items():
            rows = list(dict.fromkeys(rows))
            rng.shuffle(rows)
            for side in (0, 1):
                lists = [splitter.ids(r[side]) for r in rows]
                arrays[f"{kind}.{side}.ids"] = np.array([i for ids in lists for i in ids], dtype=np.uint16)
                arrays[f"{kind}.{side}.ends"] = np.cumsum([len(ids) for ids in lists], dtype=np.int64)
            print(f"{name:6} {kind:18} {len(rows):7}")
        np.savez(WORK / f"{name}.npz", **arrays)
    print(f"{len(splitter.entries)} entries ({len(kept)} words), {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
