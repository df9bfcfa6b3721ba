// Asks for the app's token, and says how to get one.

import type { App, View } from "../app.ts";
import { h } from "../dom.ts";
import { drop } from "../icons.ts";
import { Token } from "../model/token.ts";
import { copyButton } from "./copy.ts";

const COMMAND = "ondine app add page";

export function doorView(app: App): View {
  const { words } = app;
  const wrong = h("p", { id: "token-wrong", class: "wrong", role: "alert" });
  const say = (sentence: string) => {
    wrong.textContent = sentence;
    if (sentence) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
  };
  const field = h("input", {
    id: "token",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "token-wrong token-where",
    input: () => say(""),
  });
  const remember = h("input", { type: "checkbox" });
  const enter = (event: Event) => {
    event.preventDefault();
    const token = field.value.trim();
    if (!token) say(words.tokenMissing);
    else if (!Token.fits(token)) say(words.tokenOdd);
    else return app.token.set(token, remember.checked);
    field.focus();
  };
  const element = h(
    "main",
    { class: "door" },
    h(
      "form",
      { class: "card", submit: enter },
      drop(),
      h("h1", {}, words.doorTitle),
      h("p", {}, words.doorText),
      h("p", { class: "faint" }, words.tokenHow),
      h("div", { class: "command" }, h("code", {}, COMMAND), copyButton(COMMAND, words, `${words.copy}: ${COMMAND}`)),
      h("label", { for: "token" }, words.token),
      field,
      wrong,
      h("p", { id: "token-where", class: "faint" }, words.tokenWhere),
      h("label", { class: "tick" }, remember, words.remember),
      h("button", { type: "submit", class: "primary" }, words.enter),
    ),
  );
  if (app.token.refused) say(words.tokenWrong);
  return { element, title: () => words.token, end: () => {}, focus: () => field.focus() };
}
