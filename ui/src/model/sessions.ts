// The app's conversations: the list, and the ones that have been opened. A name that nobody gave is
// the first thing that was said. It knows no element.

import { Changing } from "../changing.ts";
import type { NewSession, Service, Session } from "../service.ts";
import { Trouble } from "../trouble.ts";
import { Conversation } from "./conversation.ts";

const TITLE_CHARS = 60;

export class Sessions extends Changing {
  list: Session[] = [];
  known = false;
  trouble: Trouble | null = null;
  /** What the next conversation will be begun with. */
  wanted: NewSession = { model: "", overflow: "error", instructions: "" };
  /** Called with a conversation's new id, so that the address follows. */
  moved: (from: string | null, to: string) => void = () => {};
  #service: Service;
  #open = new Map<string, Conversation>();
  #titles = new Map<string, string>();
  #asked = new Set<string>();
  #fresh: Conversation | null = null;

  constructor(service: Service) {
    super();
    this.#service = service;
  }

  async load(): Promise<void> {
    try {
      const list = await this.#service.sessions();
      // What a conversation has heard since may be newer than what was on its way here.
      this.list = list.map((session) => {
        const own = this.#open.get(session.id)?.info;
        return own && own.messages > session.messages ? own : session;
      });
      this.known = true;
      for (const session of this.list) this.#open.get(session.id)?.told(session);
      this.trouble = null;
    } catch (thrown) {
      this.trouble = Trouble.of(thrown);
    }
    this.changed();
  }

  /** The conversation of an id, or the one that is about to be begun. */
  open(id: string | null): Conversation {
    const known = id === null ? this.#fresh : this.#open.get(id);
    if (known) return known;
    const info = id === null ? null : (this.list.find((session) => session.id === id) ?? blank(id));
    const conversation: Conversation = new Conversation(this.#service, info, this.wanted, (session) => {
      const from = [...this.#open].find(([, open]) => open === conversation)?.[0] ?? null;
      if (from) this.#open.delete(from);
      if (conversation === this.#fresh) this.#fresh = null;
      this.#open.set(session.id, conversation);
      this.moved(from, session.id);
      void this.load();
    });
    conversation.watch(() => this.#follow(conversation));
    if (id === null) this.#fresh = conversation;
    else this.#open.set(id, conversation);
    return conversation;
  }

  /** What the list says of a conversation changes with it. */
  #follow(conversation: Conversation): void {
    const { info, turns } = conversation;
    if (!info) return;
    const first = turns.find((turn) => turn.role === "user");
    const titled = first ? this.#entitle(info.id, first.text) : false;
    const at = this.list.findIndex((session) => session.id === info.id);
    const moved = at >= 0 && info.messages > (this.list[at]?.messages ?? 0);
    if (moved) this.list.splice(at, 1), this.list.unshift(info);
    if (titled || moved) this.changed();
  }

  #entitle(id: string, text: string): boolean {
    const line = text.trim().split("\n", 1)[0] ?? "";
    const title = line.length > TITLE_CHARS ? `${[...line].slice(0, TITLE_CHARS).join("")}…` : line;
    if (!title || this.#titles.get(id) === title) return false;
    this.#titles.set(id, title);
    return true;
  }

  title(session: Session): string {
    return session.name ?? this.#titles.get(session.id) ?? "";
  }

  /** Finds a title for a conversation that somebody sees in the list. */
  async entitle(session: Session): Promise<void> {
    if (this.title(session) || session.messages === 0 || this.#asked.has(session.id)) return;
    this.#asked.add(session.id);
    try {
      const messages = await this.#service.messages(session.id);
      const first = messages.find((message) => message.role === "user");
      if (first && this.#entitle(session.id, first.content)) this.changed();
    } catch {
      this.#asked.delete(session.id);
    }
  }

  async fork(id: string, messages: number): Promise<Session> {
    const session = await this.#service.fork(id, messages);
    await this.load();
    return session;
  }

  async remove(id: string): Promise<void> {
    await this.#service.remove(id).catch((thrown: unknown) => {
      // What is gone already need not be taken away.
      if (Trouble.of(thrown).status !== 404) throw thrown;
    });
    const open = this.#open.get(id);
    open?.stop();
    if (open) open.draft = "";
    this.#open.delete(id);
    this.list = this.list.filter((session) => session.id !== id);
    this.changed();
  }
}

/** A session of which nothing is known yet but its id. */
function blank(id: string): Session {
  return { id, model: "", overflow: "", messages: 0, created_s: 0, updated_s: 0 };
}
