// A download on the screen: how far it is, how fast, and how it ended. Its parts stay where they are
// while it goes on, so that a button is not drawn anew under a finger.

import type { App } from "../app.ts";
import { h, replace } from "../dom.ts";
import { bytes, span } from "../format.ts";
import { icon } from "../icons.ts";
import type { Pull } from "../model/pulls.ts";
import { notice } from "./notice.ts";

export class PullRow {
  readonly element = h("li", { class: "card pull" });
  #app: App;
  #pull: Pull;
  #bar: HTMLProgressElement;
  #facts = h("p", { class: "faint" });
  #state = "";

  constructor(app: App, pull: Pull) {
    this.#app = app;
    this.#pull = pull;
    this.#bar = h("progress", { "aria-label": app.words.pulling(pull.source), max: 1 });
  }

  update(): void {
    const { state } = this.#pull;
    if (state !== this.#state) {
      this.#state = state;
      this.element.dataset["state"] = state;
      this.#settle();
    }
    if (state === "running") this.#measure();
  }

  #measure(): void {
    const { step, done, total, rate } = this.#pull;
    const { words, lang } = this.#app;
    const known = total !== null && total > 0;
    if (known) this.#bar.value = Math.min(1, done / total);
    const left = known && rate ? Math.ceil((total - done) / rate) : null;
    const facts = [
      step || words.pullStarting,
      known && words.pulledOf(bytes(done, lang), bytes(total, lang)),
      rate && words.pulledRate(bytes(rate, lang)),
      left !== null && words.pulledLeft(span(left, lang)),
    ];
    this.#facts.textContent = facts.filter((fact) => typeof fact === "string" && fact !== "").join(" · ");
  }

  /** What is there in this state: the bar, or how it ended. */
  #settle(): void {
    const { source, state, trouble } = this.#pull;
    const { words, pulls } = this.#app;
    const had = this.element.contains(document.activeElement);
    const button =
      state === "running"
        ? h("button", { type: "button", class: "small", click: () => pulls.stop(this.#pull) }, icon("stop"), words.stop)
        : h("button", { type: "button", class: "quiet small", click: () => pulls.dismiss(this.#pull) }, icon("close"), words.dismiss);
    replace(
      this.element,
      h("div", { class: "row" }, h("h3", {}, source), button),
      state === "running" && this.#bar,
      state === "running" && this.#facts,
      state === "done" && h("p", { role: "status" }, icon("check"), words.pullDone),
      state === "stopped" && h("p", { role: "status" }, words.pullStopped),
      state === "failed" && trouble && notice(trouble, words, () => void pulls.start(source)),
    );
    if (had) button.focus();
  }
}
