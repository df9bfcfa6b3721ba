// Markdown inside of a line: text becomes a tree of words, emphasis, code and links. Raw HTML is
// text like any other. The time is linear in the text, whatever stands there, and the tree is no
// deeper than its limit. It knows no element.

import { destination } from "./address.ts";

export type Inline =
  | { kind: "text" | "code"; text: string }
  | { kind: "strong" | "em" | "strike"; children: Inline[] }
  | { kind: "link"; href: string; children: Inline[] }
  | { kind: "image"; href: string; alt: string }
  | { kind: "break" };

/** Emphasis and links inside of each other; what is deeper stays as it was typed. */
const DEPTH_MAX = 12;
/** Characters of a link's address. */
const ADDRESS_MAX = 1_000;

const ENTITIES: Record<string, string> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
  copy: "©",
  hellip: "…",
  mdash: "—",
  ndash: "–",
  times: "×",
};

type Mark = "*" | "_" | "~";

/** A piece of the line: a finished node, or signs that may turn out to be emphasis. */
type Piece =
  | { node: Inline; depth: number }
  | { mark: Mark; count: number; opens: boolean; closes: boolean };

/** The tree of a paragraph's text. */
export function inline(text: string): Inline[] {
  return level(text, 0).nodes;
}

function level(text: string, depth: number): { nodes: Inline[]; depth: number } {
  return emphasise(cut(text, depth));
}

// --- Cutting: code, links and marks, from left to right.

/** For each `[`, the `]` that closes it. */
function brackets(text: string): Map<number, number> {
  const open: number[] = [];
  const closed = new Map<number, number>();
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (c === "\\") at += 1;
    else if (c === "[") open.push(at);
    else if (c === "]") {
      const from = open.pop();
      if (from !== undefined) closed.set(from, at);
    }
  }
  return closed;
}

/** Where a run of backticks ends a span: the next one of its length. */
function ticks(text: string): Map<number, number> {
  const ends = new Map<number, number>();
  const last = new Map<number, number>();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    const before = last.get(run.length);
    if (before !== undefined) ends.set(before, index);
    last.set(run.length, index);
  }
  return ends;
}

function cut(text: string, depth: number): Piece[] {
  const closing = depth < DEPTH_MAX ? brackets(text) : new Map<number, number>();
  const spans = ticks(text);
  const pieces: Piece[] = [];
  let plain = "";
  const push = (node: Inline, nodeDepth = 0) => {
    if (plain) pieces.push({ node: { kind: "text", text: plain }, depth: 0 });
    plain = "";
    pieces.push({ node, depth: nodeDepth });
  };
  let at = 0;
  while (at < text.length) {
    const c = text[at] as string;
    const next = text[at + 1] ?? "";
    if (c === "\\" && next && /[!-/:-@[-`{-~\n]/.test(next)) {
      if (next === "\n") push({ kind: "break" });
      else plain += next;
      at += 2;
    } else if (c === "\n") {
      plain = plain.trimEnd();
      push({ kind: "break" });
      at += 1;
      while (text[at] === " ") at += 1;
    } else if (c === "`") {
      const length = runLength(text, at, "`");
      const end = spans.get(at);
      if (end === undefined) plain += "`".repeat(length);
      else push({ kind: "code", text: code(text.slice(at + length, end)) });
      at = end === undefined ? at + length : end + length;
    } else if ((c === "[" || (c === "!" && next === "[")) && closing.size > 0) {
      const open = c === "!" ? at + 1 : at;
      const found = link(text, open, closing.get(open));
      if (found && c === "!") {
        push({ kind: "image", href: found.href, alt: found.label });
        at = found.end;
      } else if (found) {
        const inner = level(found.label, depth + 1);
        push({ kind: "link", href: found.href, children: unlinked(inner.nodes) }, inner.depth + 1);
        at = found.end;
      } else {
        plain += c;
        at += 1;
      }
    } else if (c === "<" || (c === "h" && next === "t" && !/[\p{L}\p{N}]/u.test(text[at - 1] ?? ""))) {
      const found = bare(text, at);
      if (found) push({ kind: "link", href: found.href, children: [{ kind: "text", text: found.label }] }, 1);
      else plain += c;
      at = found ? found.end : at + 1;
    } else if (c === "&") {
      const [whole, name] = /^&(#?[a-z0-9]{1,8});/i.exec(text.slice(at, at + 12)) ?? [];
      const meant = name === undefined ? undefined : entity(name);
      plain += meant ?? c;
      at += meant === undefined ? 1 : (whole as string).length;
    } else if (c === "*" || c === "_" || c === "~") {
      const count = runLength(text, at, c);
      const [before, after] = [text[at - 1] ?? " ", text[at + count] ?? " "];
      const mark = marks(c, count, before, after);
      if (mark) {
        if (plain) pieces.push({ node: { kind: "text", text: plain }, depth: 0 });
        plain = "";
        pieces.push(mark);
      } else plain += c.repeat(count);
      at += count;
    } else {
      plain += c;
      at += 1;
    }
  }
  if (plain) pieces.push({ node: { kind: "text", text: plain }, depth: 0 });
  return pieces;
}

function runLength(text: string, at: number, c: string): number {
  let end = at;
  while (text[end] === c) end += 1;
  return end - at;
}

/** A code span's text: line breaks are spaces, one space on both sides is for the backticks. */
function code(text: string): string {
  const flat = text.replace(/\n/g, " ");
  return /^ .*[^ ].* $/.test(flat) ? flat.slice(1, -1) : flat;
}

function entity(name: string): string | undefined {
  if (!name.startsWith("#")) return Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
  const hex = name[1] === "x" || name[1] === "X";
  const point = hex ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
  const odd = !(point >= 32 && point <= 0x10ffff) || (point >= 0xd800 && point <= 0xdfff);
  return odd ? undefined : String.fromCodePoint(point);
}

/** `[label](address "title")`, from its `[` on. The title is passed over. */
function link(text: string, open: number, close: number | undefined) {
  if (close === undefined || text[close + 1] !== "(") return null;
  const rest = text.slice(close + 2, close + 2 + ADDRESS_MAX);
  let depth = 0;
  let end = 0;
  for (; end < rest.length; end += 1) {
    const c = rest[end];
    if (c === "\\") end += 1;
    else if (c === "(") depth += 1;
    else if (c === ")" && depth === 0) break;
    else if (c === ")") depth -= 1;
    else if (c === "\n") return null;
  }
  if (end >= rest.length) return null;
  const [given] = rest.slice(0, end).trim().split(/\s+["'(]/, 1);
  const href = destination((given ?? "").replace(/^<(.*)>$/, "$1"));
  return href === null ? null : { href, label: text.slice(open + 1, close), end: close + 2 + end + 1 };
}

/** An address that stands by itself, perhaps in `<…>`. */
function bare(text: string, at: number) {
  const angled = text[at] === "<";
  const from = angled ? at + 1 : at;
  const found = /^https?:\/\/[^\s<>"'`\\]+/.exec(text.slice(from, from + ADDRESS_MAX));
  if (!found) return null;
  let label = found[0];
  if (angled) {
    if (text[from + label.length] !== ">") return null;
  } else {
    label = label.replace(/[.,:;!?*_~'")\]，。；：！？）】」]+$/, (tail) =>
      tail.startsWith(")") && label.includes("(") ? ")" : "",
    );
  }
  const href = destination(label);
  return href === null ? null : { href, label, end: from + label.length + (angled ? 1 : 0) };
}

/** No link inside of a link. */
function unlinked(nodes: Inline[]): Inline[] {
  return nodes.flatMap((node) => {
    if (node.kind === "link") return unlinked(node.children);
    if ("children" in node) return [{ ...node, children: unlinked(node.children) }];
    return [node];
  });
}

function marks(mark: Mark, count: number, before: string, after: string): Piece | null {
  if (mark === "~" ? count !== 2 : count > 3) return null;
  const space = /\s/;
  const sign = /[\p{P}\p{S}]/u;
  const left = !space.test(after) && (!sign.test(after) || space.test(before) || sign.test(before));
  const right = !space.test(before) && (!sign.test(before) || space.test(after) || sign.test(after));
  // An underscore inside of a word is part of the word.
  const opens = left && (mark !== "_" || !right || sign.test(before));
  const closes = right && (mark !== "_" || !left || sign.test(after));
  return opens || closes ? { mark, count, opens, closes } : null;
}

// --- Emphasis: each closing mark takes the nearest open one of its kind.

function emphasise(pieces: Piece[]): { nodes: Inline[]; depth: number } {
  const out: { node: Inline; depth: number }[] = [];
  const open: Record<Mark, { at: number; count: number }[]> = { "*": [], _: [], "~": [] };
  // What opened behind a pair that has closed cannot close any more.
  const forget = (at: number) => {
    for (const mark of ["*", "_", "~"] as const) {
      while ((open[mark].at(-1)?.at ?? -1) > at) open[mark].pop();
    }
  };
  for (const piece of pieces) {
    if (!("mark" in piece)) {
      out.push(piece);
      continue;
    }
    const { mark } = piece;
    let left = piece.count;
    while (piece.closes && left > 0) {
      const opener = open[mark].at(-1);
      if (!opener || opener.at === out.length - 1) break;
      const inside = out.slice(opener.at + 1);
      const depth = 1 + inside.reduce((most, one) => Math.max(most, one.depth), 0);
      if (depth > DEPTH_MAX) {
        // Whatever is open goes around this, and would be deeper still.
        forget(-1);
        break;
      }
      const pair = mark === "~" ? 2 : Math.min(2, left, opener.count);
      if (mark === "~" && (left < 2 || opener.count < 2)) break;
      const kind = mark === "~" ? "strike" : pair === 2 ? "strong" : "em";
      out.length = opener.at + 1;
      forget(opener.at);
      opener.count -= pair;
      left -= pair;
      const children = inside.map((one) => one.node);
      if (opener.count === 0) {
        open[mark].pop();
        out.length = opener.at;
      } else out[opener.at] = { node: { kind: "text", text: mark.repeat(opener.count) }, depth: 0 };
      out.push({ node: { kind, children }, depth });
    }
    if (left > 0) {
      if (piece.opens) open[mark].push({ at: out.length, count: left });
      out.push({ node: { kind: "text", text: mark.repeat(left) }, depth: 0 });
    }
  }
  const depth = out.reduce((most, one) => Math.max(most, one.depth), 0);
  return { nodes: joined(out.map((one) => one.node)), depth };
}

/** Neighbouring texts as one. */
function joined(nodes: Inline[]): Inline[] {
  const out: Inline[] = [];
  for (const node of nodes) {
    const last = out.at(-1);
    if (node.kind === "text" && last?.kind === "text") out[out.length - 1] = { kind: "text", text: last.text + node.text };
    else out.push(node);
  }
  return out;
}
