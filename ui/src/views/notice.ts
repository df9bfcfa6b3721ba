// Trouble where it happened: a sentence, and a way to go on. It knows no cause.

import { h } from "../dom.ts";
import { icon } from "../icons.ts";
import { type Trouble, explain } from "../trouble.ts";
import type { Words } from "../words.ts";

/** A sentence about trouble; `before` says what it means here. */
export function notice(trouble: Trouble, words: Words, retry?: () => void, before = ""): HTMLElement {
  const sentence = [before, explain(trouble, words)].filter(Boolean).join(" ");
  const again = retry && h("button", { type: "button", class: "small", click: retry }, icon("retry"), words.retry);
  return h("div", { class: "notice", role: "alert" }, icon("warn"), h("p", {}, sentence), again);
}
