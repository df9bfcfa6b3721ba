// A function call as a card: its name, its arguments, a way to take it along. Nothing runs it here.

import { h } from "../dom.ts";
import { icon } from "../icons.ts";
import type { Call } from "../service.ts";
import type { Words } from "../words.ts";
import { copyButton } from "./copy.ts";

/** An argument's value in a line; an object as JSON. */
function value(given: unknown): string {
  return typeof given === "string" ? given : JSON.stringify(given);
}

export function callCard(call: Call, words: Words): HTMLElement {
  const given = call.arguments;
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
  const rows = isObject ? Object.entries(given) : [];
  const json = JSON.stringify({ name: call.name, arguments: given }, null, 2);
  const shown = rows.map(([name, own]) => [h("dt", {}, name), h("dd", {}, h("bdi", {}, value(own)))]);
  const list = rows.length > 0 ? h("dl", {}, ...shown.flat()) : null;
  // Arguments that are no object are no mistake of the person who looks: shown as they came.
  const odd = !isObject && given !== undefined ? h("pre", {}, value(given)) : null;
  return h(
    "section",
    { class: "call", "aria-label": `${words.call}: ${call.name}` },
    h("header", {}, icon("call"), h("h3", {}, h("code", {}, call.name)), copyButton(json, words, words.copyCall)),
    list ?? odd ?? h("p", { class: "faint" }, words.noArguments),
    h("p", { class: "faint note" }, words.callNote),
  );
}
