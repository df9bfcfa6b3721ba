// Whether the service is there. It asks more and more slowly while nobody answers, and says when
// somebody does again. It knows no request but its own.

import { Changing } from "../changing.ts";

const FIRST_MS = 1_000;
const LAST_MS = 8_000;
/** How often a connection is looked at that nobody uses. */
const IDLE_MS = 15_000;

export class Connection extends Changing {
  lost = false;
  /** How often it has come back. */
  returns = 0;
  #healthy: () => Promise<boolean>;
  #pause = FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(healthy: () => Promise<boolean>) {
    super();
    this.#healthy = healthy;
    addEventListener("online", () => this.look());
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    this.#later(IDLE_MS);
  }

  /** Somebody has had no answer. */
  missed(): void {
    if (this.lost) return;
    this.lost = true;
    this.#pause = FIRST_MS;
    this.#later(this.#pause);
    this.changed();
  }

  /** Somebody has had an answer. */
  met(): void {
    this.#later(IDLE_MS);
    if (!this.lost) return;
    this.lost = false;
    this.returns += 1;
    this.changed();
  }

  /** Looks now. */
  async look(): Promise<void> {
    clearTimeout(this.#timer);
    if (await this.#healthy()) return this.met();
    if (!this.lost) return this.missed();
    this.#pause = Math.min(LAST_MS, this.#pause * 2);
    this.#later(this.#pause);
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    // A page that nobody sees asks nobody; it looks when it is seen again.
    this.#timer = setTimeout(() => (document.hidden ? this.#later(ms) : this.look()), ms);
  }
}
