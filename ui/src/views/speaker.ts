// Reads an answer to a screen reader as it comes, sentence by sentence: a word at a time would be
// noise. What it says is on the screen too; this is for the ear alone.

import { h } from "../dom.ts";

const SENTENCE_END = /[.!?…。！？\n](?=\s|$|[^\x00-\x7f])/g;

export class Speaker {
  readonly element = h("div", { class: "sr-only", role: "status", "aria-live": "polite", "aria-atomic": "true" });
  #said = 0;

  /** An answer begins. */
  begin(): void {
    this.#said = 0;
    this.element.textContent = "";
  }

  /** The answer so far: its whole sentences that were not said yet are said. */
  hear(text: string): void {
    let end = this.#said;
    SENTENCE_END.lastIndex = this.#said;
    for (let found = SENTENCE_END.exec(text); found; found = SENTENCE_END.exec(text)) end = SENTENCE_END.lastIndex;
    // A full stop at the very end may be the middle of a number.
    if (end >= text.length) return;
    this.#say(text.slice(this.#said, end), end);
  }

  /** The answer is complete: its rest, and a word about that. */
  end(text: string, word: string): void {
    this.#say(`${text.slice(this.#said)} ${word}`, text.length);
  }

  #say(text: string, end: number): void {
    this.#said = end;
    const plain = text.replace(/[*_`#>|]+/g, " ").replace(/\s+/g, " ").trim();
    if (plain) this.element.textContent = plain;
  }
}
