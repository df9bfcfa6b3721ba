// A question before something that cannot be undone. Esc and a click beside it mean no.

import { h } from "../dom.ts";
import type { Words } from "../words.ts";

/** Asks; true where the answer is yes. */
export function ask(title: string, text: string, yes: string, words: Words): Promise<boolean> {
  return new Promise((answer) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "ask-title", "aria-describedby": "ask-text" },
      h("h2", { id: "ask-title" }, title),
      h("p", { id: "ask-text" }, text),
      h(
        "div",
        { class: "row end" },
        h("button", { type: "button", autofocus: true, click: () => dialog.close("no") }, words.cancel),
        h("button", { type: "button", class: "danger", click: () => dialog.close("yes") }, yes),
      ),
    );
    const before = document.activeElement;
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close("no"));
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
