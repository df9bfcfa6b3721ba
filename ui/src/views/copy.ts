// A button that copies a text, and says that it did. It knows nothing of the text.

import { h, replace } from "../dom.ts";
import { icon } from "../icons.ts";
import type { Words } from "../words.ts";

const SAYS_SO_MS = 1_600;

/** Copies `text`; `label` says what it is. */
export function copyButton(text: string, words: Words, label: string): HTMLButtonElement {
  const said = h("span", { class: "label" }, words.copy);
  const sign = h("span", { class: "sign" }, icon("copy"));
  const copy = async () => {
    if (!(await copied(text))) return;
    replace(sign, icon("check"));
    said.textContent = words.copied;
    button.setAttribute("aria-label", words.copied);
    setTimeout(() => {
      replace(sign, icon("copy"));
      said.textContent = words.copy;
      button.setAttribute("aria-label", label);
    }, SAYS_SO_MS);
  };
  const button = h("button", { type: "button", class: "quiet small", "aria-label": label, click: copy }, sign, said);
  return button;
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without permission, or over plain http on another name: the old way.
    const field = h("textarea", { class: "sr-only", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    const before = document.activeElement;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}
