"""A small sentence grammar: parse templates once, then sample sentences with their arguments marked.

Notation (Home Assistant's templates use a subset of it):
  a|b          alternatives, inside (...) or at the top of a line
  [a|b]        optional
  X?           the group, slot, ASCII word or Chinese character before it is optional
  <name>       a lexicon or rule
  {p}          argument p, its value drawn from lexicon p
  {p:lex}      argument p, its value drawn from lexicon lex; {:lex} draws without marking an argument
  {p:(a|b)}    argument p, its value drawn from these alternatives; {p:词} is that word itself
"""
import random
import re


class Grammar:
    """Lexicons by name, and a parser and sampler of expressions over them."""

    def __init__(self):
        self.lexicons = {}
        self.missing = set()

    # ---- reading -------------------------------------------------------------------------------
    def add_lexicon(self, name, lines):
        """Each line is an expression; a line weighs as much as the alternatives at its top."""
        alternatives = []
        for line in lines:
            node = self.parse(line)
            alternatives += node[1] if node[0] == "alt" else [node]
        self.lexicons.setdefault(name, []).extend(alternatives)

    def read_lexicons(self, path):
        name, lines = None, []
        for line in open(path, encoding="utf-8"):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("= "):
                if name:
                    self.add_lexicon(name, lines)
                name, lines = line[2:].strip(), []
            else:
                lines.append(line)
        self.add_lexicon(name, lines)

    def parse(self, text):
        node, end = self._alternatives(text, 0, "")
        if end != len(text):
            raise ValueError(f"unbalanced at {end}: {text}")
        return node

    def _alternatives(self, s, i, closing):
        options, sequence, literal = [], [], []

        def flush():
            if literal:
                sequence.append(("lit", "".join(literal)))
                literal.clear()

        while i < len(s) and s[i] not in closing:
            c = s[i]
            if c in "([":
                flush()
                node, i = self._alternatives(s, i + 1, ")" if c == "(" else "]")
                if i >= len(s):
                    raise ValueError(f"unclosed {c}: {s}")
                sequence.append(node if c == "(" else ("opt", node))
            elif c == "<":
                flush()
                end = s.index(">", i)
                sequence.append(("ref", s[i + 1:end]))
                i = end
            elif c == "{":
                flush()
                node, i = self._slot(s, i + 1)
                sequence.append(node)
            elif c == "?":
                if literal:
                    text = "".join(literal)
                    last = re.search(r"[A-Za-z']+$|.$", text).group()
                    literal[:] = [text[: -len(last)]]
                    flush()
                    sequence.append(("opt", ("lit", last)))
                elif sequence:
                    sequence[-1] = ("opt", sequence[-1])
            elif c == "|":
                flush()
                options.append(("seq", sequence))
                sequence = []
            else:
                literal.append(c)
            i += 1
        flush()
        options.append(("seq", sequence))
        return (options[0] if len(options) == 1 else ("alt", options)), i

    def _slot(self, s, i):
        match = re.compile(r"([A-Za-z_0-9]*)(:?)").match(s, i)
        name, i = match.group(1), match.end()
        if not match.group(2):
            node = ("ref", name)
        elif s[i] in "(<{":
            node, i = self._alternatives(s, i, "}")
        else:
            end = s.index("}", i)
            word = s[i:end]
            node, i = ("ref" if word.isascii() else "lit", word), end
        if s[i] != "}":
            raise ValueError(f"unclosed slot: {s}")
        return ("slot", name, node), i

    # ---- sampling ------------------------------------------------------------------------------
    def sample(self, node, rng, params=None):
        """(text, {param: value}); a param not in `params` is drawn but not marked."""
        pieces = []
        self._walk(node, rng, pieces, None, 0)
        text, spans = "", {}
        for piece, param in pieces:
            text += piece
            if param and (params is None or param in params):
                # The pieces of one slot are adjacent; a second slot of the same name is not taken.
                start = len(text) - len(piece)
                if param in spans and spans[param][1] == start:
                    spans[param][1] = len(text)
                elif param not in spans and piece.strip():
                    spans[param] = [start, len(text)]
        squeeze = lambda t: re.sub(r" +", " ", t).strip()
        return squeeze(text), {p: squeeze(text[a:b]) for p, (a, b) in spans.items()}

    def _walk(self, node, rng, out, param, depth):
        if depth > 40:
            raise RecursionError("a rule contains itself")
        kind = node[0]
        if kind == "lit":
            out.append((node[1], param))
        elif kind == "seq":
            for part in node[1]:
                self._walk(part, rng, out, param, depth + 1)
        elif kind == "alt":
            self._walk(rng.choice(node[1]), rng, out, param, depth + 1)
        elif kind == "opt":
            if rng.random() < 0.5:
                self._walk(node[1], rng, out, param, depth + 1)
        elif kind == "slot":
            self._walk(node[2], rng, out, param or node[1] or None, depth + 1)
        elif kind == "ref":
            options = self.lexicons.get(node[1])
            if not options:
                self.missing.add(node[1])
                raise KeyError(node[1])
            self._walk(rng.choice(options), rng, out, param, depth + 1)


def seeded(*parts):
    """A generator of random numbers that depends on nothing but these parts."""
    return random.Random(":".join(map(str, parts)))
