// One turn of a conversation on the screen, while it grows and after.

import type { App } from "../app.ts";
import { h, replace } from "../dom.ts";
import { number, seconds } from "../format.ts";
import { icon } from "../icons.ts";
import { Rendered } from "../markdown/render.ts";
import type { Turn } from "../model/conversation.ts";
import type { Words } from "../words.ts";
import { callCard } from "./call.ts";
import { copyButton } from "./copy.ts";

export class TurnView {
  readonly element: HTMLElement;
  readonly turn: Turn;
  #app: App;
  #fork: (upto: number) => void;
  #prose: Rendered | null = null;
  #calls = h("div", { class: "calls" });
  #waiting: HTMLElement;
  #foot = h("footer");
  #text = "";
  #settled = "";

  constructor(app: App, turn: Turn, fork: (upto: number) => void) {
    const { words } = app;
    this.turn = turn;
    this.#app = app;
    this.#fork = fork;
    this.#waiting = h("p", { class: "waiting" }, h("span", { class: "dots", "aria-hidden": "true" }), words.waiting);
    const who = { user: words.you, assistant: words.assistant, system: words.system, tool: words.tool }[turn.role];
    const body = h("div", { class: "body" });
    if (turn.role === "assistant") {
      this.#prose = new Rendered(words);
      body.append(this.#waiting, this.#prose.element, this.#calls);
    } else {
      body.append(h("p", { class: "said", dir: "auto" }, turn.text));
    }
    this.element = h("li", { class: `turn ${turn.role}` }, h("h2", { class: "who" }, who), body, this.#foot);
    this.update();
  }

  update(): void {
    const { turn } = this;
    if (this.#prose && this.#text !== turn.text) {
      this.#prose.show(turn.text);
      this.#text = turn.text;
    }
    while (this.#calls.childElementCount < turn.calls.length) {
      const call = turn.calls[this.#calls.childElementCount];
      if (call) this.#calls.append(callCard(call, this.#app.words));
    }
    this.element.toggleAttribute("data-open", turn.open ?? false);
    this.#waiting.hidden = !turn.open || turn.text !== "" || turn.calls.length > 0;
    const settled = JSON.stringify([turn.open, turn.upto, turn.stopped, turn.reason, turn.usage]);
    if (settled === this.#settled) return;
    this.#settled = settled;
    this.#settle(this.#app.words);
  }

  /** What stands below a turn that is complete. */
  #settle(words: Words): void {
    const { turn } = this;
    if (turn.open) return replace(this.#foot);
    const { upto, usage } = turn;
    const notes = [
      turn.stopped && words.stoppedKept,
      turn.reason === "length" && words.cut,
      usage && usage.dropped_tokens > 0 && words.dropped(number(usage.dropped_tokens, this.#app.lang)),
    ].filter((note) => typeof note === "string");
    replace(
      this.#foot,
      ...notes.map((note) => h("p", { class: "note" }, note)),
      usage && h("p", { class: "faint cost" }, this.#cost()),
      h(
        "div",
        { class: "deeds" },
        turn.text && copyButton(turn.text, words, words.copy),
        upto !== null &&
          h("button", { type: "button", class: "quiet small", click: () => this.#fork(upto) }, icon("fork"), words.forkHere),
      ),
    );
  }

  #cost(): string {
    const { usage } = this.turn;
    if (!usage) return "";
    const { words, lang } = this.#app;
    const rate = usage.decode_s > 0 ? usage.completion_tokens / usage.decode_s : 0;
    const cost = words.cost(
      number(usage.completion_tokens, lang),
      number(rate, lang),
      seconds(usage.queue_s + usage.prefill_s, lang),
    );
    return usage.cached_tokens > 0 ? `${cost} · ${words.cached(number(usage.cached_tokens, lang))}` : cost;
  }
}
