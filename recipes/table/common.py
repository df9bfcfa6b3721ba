"""What preparing, training and measuring share: how a text becomes ids, and which documents may be read.

`crates/rag/src/table/split.rs` is the same tokenizer in Rust; `export.py` writes a fixture that holds the two together.
"""
import gzip
import hashlib
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
WORK = HERE / "work"
DATA = HERE.parents[2] / "shared" / "data"
HELD_OUT = REPO / "crates" / "rag" / "tests" / "questions" / "held-out.jsonl"
WIDTH = 192
# Crates that questions are asked about.
MEASURED_CRATES = ("minijinja", "ureq")
# A word longer than this is read in pieces of this length.
LONGEST_WORD = 64
LONGEST_PIECE = 12

# Hanzi, and the letters of alphabets that the table can know; everything else separates.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
LETTER = "a-zA-Z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u04ff"
RUN = re.compile(f"[{HAN}]+|[{LETTER}]+|[0-9]+")
FULL_WIDTH = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}
CAMEL = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^A-Za-z]+|[A-Z]")
VOWELS = set("aeiouy")
DOUBLES = ("bb", "dd", "gg", "mm", "nn", "pp", "rr", "tt")


def stem(word):
    """A light stem of a lower-case ASCII word: plurals, -ing, -ed and a last e."""
    if len(word) < 4:
        return word
    if word.endswith("ies") or word.endswith("ied"):
        word = word[:-3] + "y"
    elif word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    for ending in ("ing", "ed"):
        body = word[: -len(ending)]
        if word.endswith(ending) and len(body) >= 3 and VOWELS & set(body):
            word = body[:-1] if body.endswith(DOUBLES) else body
            break
    return word[:-1] if len(word) >= 4 and word.endswith("e") else word


def split(text):
    """Words of a text: ('han', run) and ('word', stem or digits or lower-case word)."""
    for match in RUN.finditer(text.translate(FULL_WIDTH)):
        run = match.group()
        if run[0] > "\u33ff":
            yield "han", run
        elif run[0].isdigit():
            for start in range(0, len(run), LONGEST_WORD):
                yield "word", run[start:start + LONGEST_WORD]
        elif run.isascii():
            for part in CAMEL.findall(run):
                for start in range(0, len(part), LONGEST_WORD):
                    yield "word", stem(part[start:start + LONGEST_WORD].lower())
        else:
            for start in range(0, len(run), LONGEST_WORD):
                yield "word", "".join(c.lower()[0] for c in run[start:start + LONGEST_WORD])


class Splitter:
    """Ids of a text. `entries` are words, Hanzi and pairs of Hanzi as they are, and pieces of words behind a `~`."""

    def __init__(self, entries):
        self.entries = list(entries)
        self.id = {e: i for i, e in enumerate(self.entries)}
        self.seen = {}

    def word(self, word):
        found = self.seen.get(word)
        if found is None:
            found = self.seen[word] = self.look_up(word)
            if len(self.seen) > 2_000_000:
                self.seen.clear()
        return found

    def look_up(self, word):
        if word in self.id:
            return (self.id[word],)
        out, at = [], 0
        while at < len(word):
            for length in range(min(LONGEST_PIECE, len(word) - at), 0, -1):
                piece = self.id.get("~" + word[at:at + length])
                if piece is not None:
                    out.append(piece)
                    at += length
                    break
            else:
                at += 1
        return tuple(out)

    def ids(self, text):
        out = []
        for kind, run in split(text):
            if kind == "word":
                out.extend(self.word(run))
            else:
                for i, c in enumerate(run):
                    if c in self.id:
                        out.append(self.id[c])
                    pair = self.id.get(run[i:i + 2]) if i + 1 < len(run) else None
                    if pair is not None:
                        out.append(pair)
        return out


def held_out():
    return {(r["source"], r["path"]) for r in map(json.loads, open(HELD_OUT, encoding="utf-8"))}


def documents(data=DATA):
    """Rows of the general texts that may be trained on and that no question is asked about."""
    held = held_out()
    for name in ("general-en", "general-zh"):
        path = pathlib.Path(data) / "text" / f"{name}.jsonl.gz"
        if not path.exists():
            sys.exit(f"{path} is absent; pass the folder that holds text/{name}.jsonl.gz as --data")
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if (row["source"], row["path"]) not in held:
                    yield row


def is_dev(name):
    """A twentieth of the documents is kept from training to choose settings by (never the measured questions)."""
    return hashlib.sha256(name.encode()).digest()[0] % 20 == 0


# ---- Markdown -------------------------------------------------------------------------------------

HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
NOISE = re.compile(r"\{/?[#*].*?\}|:(?:label|numref|eqref|cite|width|begin_tab|end_tab)[:`\w.-]*|<[^>]{1,300}>"
                   r"|\]\([^)]*\)|https?://\S+|!\[[^\]]*\]|\[\*\*|\*\*\]|\$\$?[^$]{0,300}\$\$?|#@tab.*|%%.*")


def clean(text):
    return re.sub(r"[ \t]+", " ", NOISE.sub(" ", text)).strip()


def sections(text):
    """[(headings, [paragraph])] of a Markdown document; code blocks are paragraphs that begin with ```."""
    out, path, paragraph, fence = [([], [])], [], [], False

    def close():
        if paragraph:
            body = "\n".join(paragraph)
            body = body if body.startswith("```") else clean(body)
            if body:
                out[-1][1].append(body)
            paragraph.clear()

    for line in text.split("\n"):
        if line.lstrip().startswith(("```", "~~~")):
            if fence:
                paragraph.append(line.strip())
                fence = False
                close()
            else:
                close()
                paragraph.append("```" + line.strip("`~ "))
                fence = True
            continue
        heading = None if fence else HEADING.match(line)
        if heading:
            close()
            level = len(heading.group(1))
            path = [h for h in path if h[0] < level] + [(level, clean(heading.group(2)))]
            out.append(([h[1] for h in path], []))
        elif not line.strip() and not fence:
            close()
        else:
            paragraph.append(line)
    close()
    return [s for s in out if s[0] or s[1]]


SENTENCE = re.compile(r"(?<=[.!?。！？；])\s*(?=[A-Z\u4e00-\u9fff`*“\"(])|\n- ")


def sentences(paragraph):
    return [s.strip() for s in SENTENCE.split(paragraph) if s and len(s.strip()) > 8]
