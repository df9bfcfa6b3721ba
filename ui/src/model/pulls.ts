// Models that are being fetched. A download goes on while the page shows something else, and ends
// with the tab; the service keeps what has arrived. It knows no element.

import { Changing } from "../changing.ts";
import type { Service } from "../service.ts";
import { Trouble } from "../trouble.ts";

/** Seconds over which a rate is taken. */
const RATE_S = 5;

export interface Pull {
  source: string;
  step: string;
  done: number;
  total: number | null;
  /** Bytes a second, where it is known. */
  rate: number | null;
  state: "running" | "done" | "stopped" | "failed";
  trouble: Trouble | null;
}

export class Pulls extends Changing {
  list: Pull[] = [];
  #service: Service;
  #stops = new Map<Pull, AbortController>();
  /** Called when a model has come. */
  #arrived: () => void;

  constructor(service: Service, arrived: () => void) {
    super();
    this.#service = service;
    this.#arrived = arrived;
  }

  async start(source: string): Promise<void> {
    const pull: Pull = { source, step: "", done: 0, total: null, rate: null, state: "running", trouble: null };
    const stop = new AbortController();
    this.#stops.set(pull, stop);
    this.list = [pull, ...this.list.filter((old) => old.source !== source || old.state === "running")];
    this.changed();
    const seen: [number, number][] = [];
    try {
      for await (const step of this.#service.pull(source, stop.signal)) {
        pull.step = step.status;
        pull.total = step.total ?? pull.total;
        pull.done = step.completed ?? pull.done;
        const now = performance.now() / 1000;
        seen.push([now, pull.done]);
        while (seen.length > 2 && (seen[0]?.[0] ?? now) < now - RATE_S) seen.shift();
        const [then, before] = seen[0] ?? [now, pull.done];
        pull.rate = now - then > 0.5 ? (pull.done - before) / (now - then) : pull.rate;
        this.changed();
      }
      pull.state = "done";
      this.#arrived();
    } catch (thrown) {
      pull.trouble = Trouble.of(thrown);
      pull.state = pull.trouble.kind === "stopped" ? "stopped" : "failed";
    }
    this.#stops.delete(pull);
    this.changed();
  }

  stop(pull: Pull): void {
    this.#stops.get(pull)?.abort();
  }

  dismiss(pull: Pull): void {
    this.stop(pull);
    this.list = this.list.filter((other) => other !== pull);
    this.changed();
  }
}
