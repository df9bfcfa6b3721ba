// What the service is doing, and what it did in the last minutes. It asks while somebody looks. It
// draws nothing.

import { Changing } from "../changing.ts";
import type { Service, Status } from "../service.ts";
import { Trouble } from "../trouble.ts";

/** Between two looks, in milliseconds. */
export const PAUSE_MS = 2_000;
/** Looks that are remembered: five minutes. */
export const SAMPLES = 150;

/** One look: null where nobody answered. */
export interface Sample {
  at: number;
  status: Status | null;
}

export class Meter extends Changing {
  samples: Sample[] = [];
  status: Status | null = null;
  trouble: Trouble | null = null;
  #service: Service;
  #lookers = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(service: Service) {
    super();
    this.#service = service;
  }

  /** Looks until the function that it gives back is called. */
  look(): () => void {
    this.#lookers += 1;
    if (this.#lookers === 1) void this.#run();
    return () => {
      this.#lookers -= 1;
      if (this.#lookers === 0) clearTimeout(this.#timer);
    };
  }

  /** Looks once, now. */
  async once(): Promise<void> {
    try {
      this.status = await this.#service.status();
      this.trouble = null;
    } catch (thrown) {
      this.trouble = Trouble.of(thrown);
    }
    this.samples.push({ at: Date.now(), status: this.trouble ? null : this.status });
    this.samples.splice(0, this.samples.length - SAMPLES);
    this.changed();
  }

  async #run(): Promise<void> {
    if (!document.hidden) await this.once();
    clearTimeout(this.#timer);
    if (this.#lookers > 0) this.#timer = setTimeout(() => void this.#run(), PAUSE_MS);
  }
}
