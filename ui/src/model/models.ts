// The models that can answer, and what is being done with them. It knows no element.

import { Changing } from "../changing.ts";
import type { Model, Service } from "../service.ts";
import { Trouble } from "../trouble.ts";

export class Models extends Changing {
  list: Model[] = [];
  known = false;
  trouble: Trouble | null = null;
  /** Models that are on their way in or out. */
  busy = new Set<string>();
  /** What went wrong with one of them last. */
  failed = new Map<string, Trouble>();
  #service: Service;

  constructor(service: Service) {
    super();
    this.#service = service;
  }

  async load(): Promise<void> {
    try {
      this.list = await this.#service.models();
      this.known = true;
      this.trouble = null;
    } catch (thrown) {
      this.trouble = Trouble.of(thrown);
    }
    this.changed();
  }

  /** Those that answer conversations. */
  get chatting(): Model[] {
    return this.list.filter((model) => model.chats);
  }

  /** Does something with a model, and remembers how it went. */
  async #with(name: string, work: () => Promise<void>): Promise<void> {
    this.busy.add(name);
    this.failed.delete(name);
    this.changed();
    try {
      await work();
    } catch (thrown) {
      this.failed.set(name, Trouble.of(thrown));
    }
    this.busy.delete(name);
    await this.load();
  }

  bring = (name: string): Promise<void> => this.#with(name, () => this.#service.load(name));
  release = (name: string): Promise<void> => this.#with(name, () => this.#service.unload(name));
  erase = (name: string): Promise<void> => this.#with(name, () => this.#service.erase(name));
}
