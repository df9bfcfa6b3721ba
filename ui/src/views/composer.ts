// Where a person types: Enter sends, Shift+Enter begins a line, and what is typed is kept as it is
// typed. Before a conversation exists, its model and its rules are chosen here.

import type { App } from "../app.ts";
import { h, replace } from "../dom.ts";
import { icon } from "../icons.ts";
import { keep, kept } from "../keep.ts";
import type { Conversation } from "../model/conversation.ts";

const HEIGHT_MAX = 240;

export class Composer {
  readonly element: HTMLFormElement;
  readonly field: HTMLTextAreaElement;
  #app: App;
  #conversation: Conversation;
  #button: HTMLButtonElement;
  #rules = h("div", { class: "rules" });
  #shown = "";

  constructor(app: App, conversation: Conversation) {
    const { words } = app;
    this.#app = app;
    this.#conversation = conversation;
    this.field = h("textarea", {
      id: "message",
      rows: 1,
      placeholder: words.placeholder,
      "aria-label": words.message,
      "aria-describedby": "keys",
      enterkeyhint: "send",
      dir: "auto",
      input: () => this.#typed(),
      keydown: (event: KeyboardEvent) => this.#key(event),
    });
    this.#button = h("button", { type: "submit", class: "primary round" });
    this.element = h(
      "form",
      {
        class: "composer",
        submit: (event: Event) => {
          event.preventDefault();
          if (conversation.answering) conversation.stop();
          else this.send();
        },
      },
      h("div", { class: "field" }, this.field, this.#button),
      h("div", { class: "under" }, this.#rules, h("p", { id: "keys", class: "faint keys" }, words.keys)),
    );
    this.update();
    requestAnimationFrame(() => this.#grow());
  }

  update(): void {
    // What was sent is no draft any more, and what could not be sent is one again.
    if (this.field.value !== this.#conversation.draft) {
      this.field.value = this.#conversation.draft;
      this.#grow();
    }
    const { answering } = this.#conversation;
    const { words } = this.#app;
    const models = this.#app.models.chatting.map((model) => model.id);
    const now = JSON.stringify([answering, this.#conversation.info, models]);
    if (now === this.#shown) return;
    this.#shown = now;
    const label = answering ? words.stop : words.send;
    replace(this.#button, icon(answering ? "stop" : "send"));
    this.#button.setAttribute("aria-label", label);
    this.#button.title = label;
    this.#button.classList.toggle("stop", answering);
    if (this.#conversation.info) {
      const { model } = this.#conversation.info;
      replace(this.#rules, model && h("span", { class: "chip" }, icon("models"), model));
    } else this.#offer(models);
  }

  /** The model and the rules of a conversation that is not begun. */
  #offer(models: string[]): void {
    const { words } = this.#app;
    const { wanted } = this.#conversation;
    if (!models.includes(wanted.model)) wanted.model = kept("browser", "model") ?? "";
    if (!models.includes(wanted.model)) wanted.model = models[0] ?? "";
    const model = h(
      "select",
      {
        "aria-label": words.model,
        change: () => {
          this.#conversation.wish({ model: model.value });
          keep("browser", "model", model.value);
        },
      },
      ...models.map((name) => h("option", { value: name, selected: name === wanted.model }, name)),
    );
    const overflow = h(
      "select",
      { id: "overflow", change: () => this.#conversation.wish({ overflow: overflow.value }) },
      ...(
        [
          ["error", words.overflowError],
          ["anchored", words.overflowAnchored],
          ["summarize", words.overflowSummarize],
          ["stop", words.overflowStop],
        ] as const
      ).map(([value, label]) => h("option", { value, selected: value === wanted.overflow }, label)),
    );
    const instructions = h("textarea", {
      id: "instructions",
      rows: 3,
      "aria-describedby": "instructions-hint",
      input: () => this.#conversation.wish({ instructions: instructions.value }),
    });
    instructions.value = wanted.instructions;
    replace(
      this.#rules,
      models.length > 0 && model,
      h(
        "details",
        { class: "options" },
        h("summary", {}, words.options),
        h(
          "div",
          { class: "card options-body" },
          h("label", { for: "instructions" }, words.instructions),
          instructions,
          h("p", { id: "instructions-hint", class: "faint" }, words.instructionsHint),
          h("label", { for: "overflow" }, words.overflow),
          overflow,
        ),
      ),
    );
  }

  #typed(): void {
    this.#conversation.draft = this.field.value;
    this.#grow();
  }

  #grow(): void {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(HEIGHT_MAX, this.field.scrollHeight)}px`;
  }

  #key(event: KeyboardEvent): void {
    // While a word is being composed (Chinese, Japanese), Enter chooses it and sends nothing.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!this.#conversation.answering) this.send();
  }

  /** Sends what is typed, or `text` in its place. */
  send(text = this.field.value): void {
    void this.#conversation.send(text);
  }
}
