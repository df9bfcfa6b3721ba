// Markdown's trees: what is read as what, and how long strange text takes. No browser is needed.

import { test } from "node:test";
import assert from "node:assert/strict";
import { destination, place } from "../src/markdown/address.ts";
import { type Block, blocks } from "../src/markdown/block.ts";
import { type Inline, inline } from "../src/markdown/inline.ts";

/** A tree in few letters. */
function short(nodes: Inline[]): string {
  return nodes
    .map((node) => {
      switch (node.kind) {
        case "text":
          return node.text;
        case "code":
          return `{${node.text}}`;
        case "break":
          return "/";
        case "image":
          return `IMG(${node.alt}|${node.href})`;
        case "link":
          return `A(${short(node.children)}|${node.href})`;
        default:
          return `${node.kind}(${short(node.children)})`;
      }
    })
    .join("");
}

function shortBlock(block: Block): string {
  switch (block.kind) {
    case "paragraph":
      return `p(${short(block.children)})`;
    case "heading":
      return `h${block.level}(${short(block.children)})`;
    case "code":
      return `code:${block.language}(${block.text})`;
    case "quote":
      return `quote(${block.blocks.map(shortBlock).join()})`;
    case "list":
      return `${block.start ?? "ul"}[${block.items.map((item) => `${item.done === null ? "" : item.done ? "x " : "o "}${item.blocks.map(shortBlock).join()}`).join(" | ")}]`;
    case "table":
      return `table(${[block.head, ...block.rows].map((row) => row.map(short).join("|")).join(" / ")})${block.align.map((own) => own?.[0] ?? "-").join("")}`;
    case "rule":
      return "rule";
  }
}

test("inside of a line", () => {
  const rows: [string, string][] = [
    ["plain", "plain"],
    ["**bold** and *soft* and ~~gone~~", "strong(bold) and em(soft) and strike(gone)"],
    ["***both***", "em(strong(both))"],
    ["**a *b* c**", "strong(a em(b) c)"],
    ["snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"],
    ["**open", "**open"],
    ["a**b**c", "astrong(b)c"],
    ["**重要**的事", "strong(重要)的事"],
    ["`code` and ``a ` b``", "{code} and {a ` b}"],
    ["`**not bold**`", "{**not bold**}"],
    ["`open", "`open"],
    ["\\*not soft\\*", "*not soft*"],
    ["one\ntwo", "one/two"],
    ["&lt;b&gt; &amp; &#65; &bogus; &#0;", "<b> & A &bogus; &#0;"],
    ["[Rust](https://rust-lang.org)", "A(Rust|https://rust-lang.org/)"],
    ["[a **b**](https://x.example/y_(z))", "A(a strong(b)|https://x.example/y_(z))"],
    ['[t](https://x.example "title")', "A(t|https://x.example/)"],
    ["https://x.example/a_b_c.", "A(https://x.example/a_b_c|https://x.example/a_b_c)."],
    ["<https://x.example>", "A(https://x.example|https://x.example/)"],
    ["(see https://x.example)", "(see A(https://x.example|https://x.example/))"],
    ["![alt](https://x.example/p.png)", "IMG(alt|https://x.example/p.png)"],
    ["[a [b](https://b.example) c](https://c.example)", "A(a b c|https://c.example/)"],
    ["[x](javascript:alert(1))", "[x](javascript:alert(1))"],
    ["<b>html</b>", "<b>html</b>"],
    ["[not a link] (x)", "[not a link] (x)"],
  ];
  for (const [text, expected] of rows) assert.equal(short(inline(text)), expected, text);
});

test("blocks", () => {
  const rows: [string, string][] = [
    ["# One\ntext\n## Two ##", "h1(One) p(text) h2(Two)"],
    ["a\nb\n\nc", "p(a/b) p(c)"],
    ["```rust\nlet x;\n\n# no\n```\nafter", "code:rust(let x;\n\n# no) p(after)"],
    ["```\nstill open", "code:(still open)"],
    ["~~~\n```\n~~~", "code:(```)"],
    ["- a\n- b\n  - c\n- d", "ul[p(a) | p(b),ul[p(c)] | p(d)]"],
    ["3. a\n4. b", "3[p(a) | p(b)]"],
    ["- a\n\n- b", "ul[p(a) | p(b)]"],
    ["- a\n\n  more\n- b", "ul[p(a),p(more) | p(b)]"],
    ["- [ ] open\n- [x] done", "ul[o p(open) | x p(done)]"],
    ["1. a\n   ```\n   code\n   ```\n2. b", "1[p(a),code:(code) | p(b)]"],
    ["> a\n> - b\n\nc", "quote(p(a),ul[p(b)]) p(c)"],
    ["---", "rule"],
    ["| a | b |\n|:--|--:|\n| 1 | `x\\|y` |\n| 2 |", "table(a|b / 1|{x|y} / 2|)lr"],
    ["a | b\nno table", "p(a | b/no table)"],
    ["", ""],
    ["\r\na\r\nb", "p(a/b)"],
  ];
  for (const [text, expected] of rows) {
    assert.equal(blocks(text).map(({ block }) => shortBlock(block)).join(" "), expected, JSON.stringify(text));
  }
});

test("a text that grows keeps the blocks that are complete", () => {
  const text = "# A\n\none **two**\n\n- three\n- four\n\n```\nfive\n```\n\nsix";
  const whole = blocks(text);
  const before = blocks(text.slice(0, -1));
  assert.deepEqual(before.slice(0, -1).map((piece) => piece.source), whole.slice(0, -1).map((piece) => piece.source));
});

test("only addresses of the web and of mail are links", () => {
  const rows: [string, string | null][] = [
    ["https://x.example/a?b#c", "https://x.example/a?b#c"],
    ["http://127.0.0.1:1/", "http://127.0.0.1:1/"],
    ["mailto:a@b.example", "mailto:a@b.example"],
    ["javascript:alert(1)", null],
    ["JaVaScRiPt:alert(1)", null],
    ["java\tscript:alert(1)", null],
    ["\u0001javascript:alert(1)", null],
    [" javascript:alert(1)", null],
    ["data:text/html,<script>", null],
    ["vbscript:x", null],
    ["file:///etc/passwd", null],
    ["blob:https://x.example/1", null],
    ["//x.example", null],
    ["/v1/models", null],
    ["#token=x", null],
    ["https://good.example@evil.example", null],
    ["https://x.example/\u202egnp.exe", null],
    ["https://", null],
    ["", null],
  ];
  for (const [address, expected] of rows) assert.equal(destination(address), expected, JSON.stringify(address));
  // Letters that look like others are shown as the network has them.
  assert.equal(place("https://аpple.example/"), "xn--pple-43d.example");
});

test("strange text takes its time in proportion, and no depth breaks anything", () => {
  const n = 40_000;
  const strange: Record<string, string> = {
    "open brackets": "[".repeat(n),
    "pairs of brackets": "[]".repeat(n),
    "links that do not end": "[](".repeat(n),
    "nested links": "[".repeat(n) + "](https://x.example)".repeat(n / 10),
    "nested images": "![".repeat(n) + "](https://x.example)".repeat(n / 10),
    stars: "*".repeat(n),
    "stars and letters": "*a ".repeat(n),
    "stars that close": "*a".repeat(n / 2) + " a*".repeat(n / 2),
    "nested emphasis": "*a **b ".repeat(n / 4) + "c** d*".repeat(n / 4),
    "two kinds": "*a _b ".repeat(n / 4) + "c* d_".repeat(n / 4),
    underscores: "_a".repeat(n),
    backticks: Array.from({ length: 280 }, (_, at) => "`".repeat(at + 1)).join(" "),
    "backticks of one length": "` ".repeat(n),
    "angle brackets": "<".repeat(n),
    "addresses in angles": "<https://x".repeat(n / 4),
    "ht ht": "ht".repeat(n),
    "h after spaces": "ht ".repeat(n),
    ampersands: "&".repeat(n) + "&#x".repeat(n),
    "blanks before a line's end": `a${" ".repeat(n)}b\n`,
    "quotes in quotes": ">".repeat(n),
    "quotes on lines": "> ".repeat(200) + "x\n".repeat(n / 10),
    "lists in lists": Array.from({ length: 400 }, (_, at) => `${" ".repeat(at * 2)}- x`).join("\n"),
    "lists on a line": "- ".repeat(n),
    "blank lines in lists": `- a\n${"\n".repeat(n)}- b`,
    "a wide table": `${"|a".repeat(n)}\n${"|-".repeat(n)}\n${"|b".repeat(n)}`,
    "blanks and a dash": `a|b\n${" ".repeat(n)}-x`,
    dashes: `a|b\n${"-".repeat(n)}x`,
    "open fences": "```\n".repeat(n / 4),
    headings: "# ".repeat(n),
    "hashes at the end": `# a${" #".repeat(n)}`,
    backslashes: "\\".repeat(n),
    comments: "<!--".repeat(n / 4),
  };
  for (const [name, text] of Object.entries(strange)) {
    const began = performance.now();
    const depth = deepest(blocks(text).map((piece) => piece.block));
    const took = performance.now() - began;
    assert.ok(took < 1_500, `${name}: ${took.toFixed(0)} ms`);
    assert.ok(depth < 60, `${name}: ${depth} deep`);
  }
});

function deepest(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce((most: number, inner) => Math.max(most, deepest(inner)), 0) + (Array.isArray(value) ? 0 : 1);
}
