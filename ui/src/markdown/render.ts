// Markdown on the screen. Elements are made one by one from a closed list, their text is text, and
// the only attribute that a model's words reach is a checked link's address. Images are never
// loaded: an address that is fetched tells its owner whatever the model put into it.

import { append, h } from "../dom.ts";
import type { Words } from "../words.ts";
import { copyButton } from "../views/copy.ts";
import { place, saysItself } from "./address.ts";
import { type Block, type Piece, blocks } from "./block.ts";
import type { Inline } from "./inline.ts";

/** A text that grows on the screen: what did not change is left alone. */
export class Rendered {
  readonly element = h("div", { class: "prose", dir: "auto" });
  #words: Words;
  #pieces: Piece[] = [];

  constructor(words: Words, text = "") {
    this.#words = words;
    if (text) this.show(text);
  }

  /** Shows `text` in the place of what was there. */
  show(text: string): void {
    const pieces = blocks(text);
    let same = 0;
    while (same < pieces.length && pieces[same]?.source === this.#pieces[same]?.source) same += 1;
    while (this.element.childNodes.length > same) this.element.lastChild?.remove();
    for (const piece of pieces.slice(same)) this.element.append(draw(piece.block, this.#words));
    this.#pieces = pieces;
  }
}

function draw(block: Block, words: Words): Element {
  switch (block.kind) {
    case "paragraph":
      return h("p", {}, ...spell(block.children, words));
    case "heading": {
      // The page's own headings come first: an answer's begin below them.
      const level = Math.min(6, block.level + 2);
      const tag = `h${level}` as "h3" | "h4" | "h5" | "h6";
      return h(tag, { class: `size-${block.level}` }, ...spell(block.children, words));
    }
    case "code":
      return h(
        "figure",
        { class: "code" },
        h("figcaption", {}, h("span", {}, block.language || words.code), copyButton(block.text, words, words.copyCode)),
        h("pre", { tabindex: 0, role: "group", "aria-label": block.language || words.code }, h("code", {}, block.text)),
      );
    case "quote":
      return h("blockquote", {}, ...block.blocks.map((inner) => draw(inner, words)));
    case "list": {
      const items = block.items.map((item) => {
        const only = item.blocks.length === 1 && item.blocks[0]?.kind === "paragraph";
        const first = only ? item.blocks[0] : null;
        const inside =
          first?.kind === "paragraph"
            ? spell(first.children, words)
            : item.blocks.map((inner) => draw(inner, words));
        if (item.done === null) return h("li", {}, ...inside);
        const box = h("span", { class: "task", role: "img", "aria-label": item.done ? "☑" : "☐" }, item.done ? "☑ " : "☐ ");
        return h("li", { class: "has-task" }, box, ...inside);
      });
      return block.start === null ? h("ul", {}, ...items) : h("ol", { start: block.start }, ...items);
    }
    case "table": {
      const cell = (tag: "th" | "td", children: Inline[], column: number) =>
        h(tag, { class: block.align[column] && `at-${block.align[column]}`, scope: tag === "th" && "col" }, ...spell(children, words));
      const head = h("tr", {}, ...block.head.map((children, column) => cell("th", children, column)));
      const rows = block.rows.map((row) => h("tr", {}, ...row.map((children, column) => cell("td", children, column))));
      const all = h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows));
      return h("div", { class: "wide", tabindex: 0, role: "group" }, all);
    }
    case "rule":
      return h("hr");
  }
}

function spell(nodes: Inline[], words: Words): Node[] {
  return nodes.flatMap((node): Node[] => {
    switch (node.kind) {
      case "text":
        return [document.createTextNode(node.text)];
      case "break":
        return [h("br")];
      case "code":
        return [h("code", {}, node.text)];
      case "strong":
      case "em":
        return [h(node.kind, {}, ...spell(node.children, words))];
      case "strike":
        return [h("s", {}, ...spell(node.children, words))];
      case "link":
        return [anchor(node.href, spell(node.children, words))];
      case "image": {
        const label = node.alt ? `${words.image}: ${node.alt}` : words.image;
        return [h("span", { class: "no-image" }, anchor(node.href, [document.createTextNode(label)]))];
      }
    }
  });
}

/** A link that says where it leads, and tells nobody where from. */
function anchor(href: string, children: Node[]): Element {
  const link = h("a", { href, rel: "noreferrer noopener nofollow", target: "_blank", title: href });
  append(link, h("bdi", {}, ...children));
  if (!saysItself(link.textContent ?? "", href)) {
    append(link, h("span", { class: "place" }, ` (${place(href)})`));
  }
  return link;
}
