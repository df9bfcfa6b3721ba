// One conversation: what was said, what is being said, and what went wrong. It goes on while nobody
// looks. What a person has typed is in the draft until the service has taken it. It knows no element.

import { Changing } from "../changing.ts";
import { keep, kept } from "../keep.ts";
import type { Call, NewSession, Service, Session, Usage } from "../service.ts";
import { Trouble } from "../trouble.ts";

export interface Turn {
  role: "system" | "user" | "assistant" | "tool";
  text: string;
  calls: Call[];
  /** Messages of the session up to and with this one, where the service has kept it. */
  upto: number | null;
  /** It is being written. */
  open?: boolean;
  /** It was stopped by hand, and the service did not keep it. */
  stopped?: boolean;
  reason?: string;
  usage?: Usage;
}

/** What went wrong, and what would be done again. */
export interface Failure {
  trouble: Trouble;
  what: "load" | "send" | "answer";
}

/** A service that has not yet noticed that somebody left says that the session is in use. */
const BUSY_TRIES = 5;
const BUSY_PAUSE_MS = 250;

/** When the service is asked what it kept of an answer that was stopped: it may notice late. */
const NOTICED_MS = [100, 500];


export class Conversation extends Changing {
  info: Session | null;
  turns: Turn[] = [];
  failure: Failure | null = null;
  loading = false;
  /** A request is on its way, or an answer is being written. */
  answering = false;
  /** What a conversation that does not exist yet will be begun with. */
  wanted: NewSession;
  #service: Service;
  #stop: AbortController | null = null;
  #created: (session: Session) => void;
  #loaded = false;
  /** Counts what was said here, so that a late look knows that it is late. */
  #round = 0;
  /** Where a message stands if the service took it after all, though it never said so. */
  #doubt: number | null = null;

  constructor(service: Service, info: Session | null, wanted: NewSession, created: (session: Session) => void) {
    super();
    this.#service = service;
    this.info = info;
    this.wanted = wanted;
    this.#created = created;
    this.#giveBack();
  }

  /** What is typed and not sent. */
  get draft(): string {
    return kept("tab", this.#key("draft")) ?? "";
  }

  set draft(text: string) {
    keep("tab", this.#key("draft"), text);
  }

  /** What is sent and not taken yet: it outlives a reload, as the draft does. */
  get #pending(): string {
    return kept("tab", this.#key("pending")) ?? "";
  }

  set #pending(text: string) {
    keep("tab", this.#key("pending"), text);
  }

  #key(of: "draft" | "pending"): string {
    return `${of}.${this.info?.id ?? "new"}`;
  }

  /** What was not taken stands before what was typed since. */
  #giveBack(): void {
    this.draft = [this.#pending, this.draft].filter(Boolean).join("\n");
    this.#pending = "";
  }

  /** Chooses what it will be begun with. */
  wish(wanted: Partial<NewSession>): void {
    Object.assign(this.wanted, wanted);
    this.changed();
  }

  /** The list knows more of it than an address does. */
  told(info: Session): void {
    if (this.answering || this.info?.model === info.model) return;
    this.info = info;
    this.changed();
  }

  /** Reads what was said, where that is not known. */
  async load(again = false): Promise<void> {
    if (!this.info || this.answering || this.loading || (this.#loaded && !again)) return;
    this.loading = true;
    this.failure = null;
    this.changed();
    try {
      this.turns = await this.#read(this.info.id);
      this.#loaded = true;
    } catch (thrown) {
      this.failure = { trouble: Trouble.of(thrown), what: "load" };
    }
    this.loading = false;
    this.changed();
  }

  async #read(id: string): Promise<Turn[]> {
    const messages = await this.#service.messages(id);
    return messages.map((message, at) => ({
      role: message.role,
      text: message.content,
      calls: message.calls,
      upto: at + 1,
    }));
  }

  /** Says `text` and waits for the end of the answer. */
  async send(text: string): Promise<void> {
    if (this.answering || !text.trim()) return;
    this.answering = true;
    this.#round += 1;
    this.failure = null;
    if (this.#doubt !== null && (await this.#arrived(this.#doubt, text))) {
      this.draft = "";
      this.answering = false;
      return this.#again();
    }
    const stop = new AbortController();
    this.#stop = stop;
    const shown = this.turns.length;
    const said: Turn = { role: "user", text, calls: [], upto: null };
    const answer: Turn = { role: "assistant", text: "", calls: [], upto: null, open: true };
    this.turns.push(said, answer);
    this.#pending = text;
    this.draft = "";
    this.changed();
    let taken = false;
    /** Messages that the service has before this one. */
    let before = this.#kept();
    try {
      const session = this.info ?? (await this.#begin());
      before = this.#kept();
      if (stop.signal.aborted) throw new Trouble("stopped");
      await this.#answer(session.id, text, answer, before, stop.signal, () => {
        taken = true;
        said.upto = before + 1;
        this.#pending = "";
      });
    } catch (thrown) {
      const trouble = Trouble.of(thrown);
      // A refusal is certain; where nothing was heard, the service may have the message.
      if (!taken && this.info && trouble.status === 0 && (await this.#arrived(before, text))) {
        taken = true;
        said.upto = before + 1;
        this.#pending = "";
      }
      if (!taken) {
        // Nobody has it: it is where it was typed.
        this.turns.length = shown;
        this.#giveBack();
        if (trouble.kind !== "stopped") this.failure = { trouble, what: "send" };
      } else if (trouble.kind !== "stopped") this.failure = { trouble, what: "answer" };
      else answer.stopped = true;
    }
    delete answer.open;
    this.answering = false;
    this.#stop = null;
    if (answer.stopped) await this.#compare(answer, before);
    if (answer.text === "" && answer.calls.length === 0) this.turns = this.turns.filter((turn) => turn !== answer);
    this.changed();
  }

  /** Whether the service has `text` as the message behind the first `before`. */
  async #arrived(before: number, text: string): Promise<boolean> {
    if (!this.info) return false;
    this.#doubt = before;
    try {
      const turn = (await this.#read(this.info.id))[before];
      this.#doubt = null;
      return turn?.role === "user" && turn.text === text;
    } catch {
      return false;
    }
  }

  /** Messages that the service is known to have; parts of answers that broke off are none. */
  #kept(): number {
    return this.turns.filter((turn) => turn.upto !== null).length;
  }

  async #begin(): Promise<Session> {
    const session = await this.#service.create(this.wanted);
    const { draft } = this;
    const pending = this.#pending;
    this.draft = this.#pending = "";
    this.info = session;
    this.draft = draft;
    this.#pending = pending;
    this.#loaded = true;
    if (this.wanted.instructions) {
      // The service has kept them as the first message.
      this.turns.unshift({ role: "system", text: this.wanted.instructions, calls: [], upto: 1 });
    }
    this.#created(session);
    return session;
  }

  async #answer(id: string, text: string, answer: Turn, before: number, stop: AbortSignal, taken: () => void): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        for await (const said of this.#service.say(id, text, stop, taken)) {
          if (said.event === "text") answer.text += said.text;
          else if (said.event === "call") answer.calls.push(said.call);
          else {
            answer.reason = said.reason;
            answer.usage = said.usage;
            if (said.session) this.info = said.session;
            answer.upto = said.session?.messages ?? before + 2;
          }
          this.changed();
        }
        return;
      } catch (thrown) {
        const trouble = Trouble.of(thrown);
        if (trouble.kind !== "conflict" || tries === BUSY_TRIES || stop.aborted) throw trouble;
        await new Promise((done) => setTimeout(done, BUSY_PAUSE_MS * tries));
      }
    }
  }

  /** Ends the answer that is being written. */
  stop(): void {
    this.#stop?.abort();
  }

  /** After a stop: what the service has kept is what counts. */
  async #compare(answer: Turn, before: number): Promise<void> {
    const id = this.info?.id;
    const round = this.#round;
    if (!id) return;
    try {
      for (const pause of NOTICED_MS) {
        await new Promise((done) => setTimeout(done, pause));
        const turns = await this.#read(id);
        // Somebody has gone on meanwhile: what is shown is newer than this.
        if (this.#round !== round) return;
        const kept = turns.length >= before + 2;
        this.turns = kept ? turns : [...turns, answer];
        if (kept) return;
      }
    } catch {
      // The next look will tell.
    }
  }

  /** Does again what failed. */
  async retry(): Promise<void> {
    const failure = this.failure;
    if (!failure || this.answering) return;
    if (failure.what === "load") return this.load(true);
    if (failure.what === "send") return this.send(this.draft);
    await this.#again();
  }

  /** The question was kept and its answer broke off: asks it again, in a session that ends before it. */
  async #again(): Promise<void> {
    const old = this.info;
    if (!old) return;
    let question = "";
    this.answering = true;
    this.changed();
    try {
      const turns = await this.#read(old.id);
      const at = turns.findLastIndex((turn) => turn.role === "user");
      question = turns[at]?.text ?? "";
      if (at < 0 || at < turns.length - 1) {
        // It has an answer after all.
        this.turns = turns;
        this.failure = null;
        question = "";
      } else {
        const wanted = { model: old.model, overflow: old.overflow, instructions: "" };
        const fresh = at === 0 ? await this.#service.create(wanted) : await this.#service.fork(old.id, at);
        this.info = fresh;
        this.turns = turns.slice(0, at);
        this.#pending = question;
        this.#created(fresh);
        // Only now is nothing lost with it.
        await this.#service.remove(old.id).catch(() => {});
      }
    } catch (thrown) {
      this.failure = { trouble: Trouble.of(thrown), what: "answer" };
      question = "";
    }
    this.answering = false;
    this.changed();
    if (question) await this.send(question);
  }
}
