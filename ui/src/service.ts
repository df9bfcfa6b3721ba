// The daemon's API as functions. Every request carries the token and goes to the page's own origin;
// there is no address here, and no way to give one. What comes back is checked where it is read.

import { Trouble, told } from "./trouble.ts";
import { Events, JsonLines, pieces } from "./wire.ts";

export interface Model {
  id: string;
  context: number;
  chats: boolean;
  tools: boolean;
}

export interface Session {
  id: string;
  name?: string;
  model: string;
  overflow: string;
  messages: number;
  created_s: number;
  updated_s: number;
  forked_from?: [string, number];
}

export interface Call {
  id: string;
  name: string;
  /** Whatever JSON the model made; text where it is none. */
  arguments: unknown;
}

export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content: string;
  calls: Call[];
}

export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  dropped_tokens: number;
  queue_s: number;
  prefill_s: number;
  decode_s: number;
}

export type Said =
  | { event: "text"; text: string }
  | { event: "call"; call: Call }
  | { event: "finished"; reason: string; usage: Usage; session: Session | null };

export interface ModelStatus {
  name: string;
  loaded: boolean;
  bytes: number;
  running: Record<string, number>;
  waiting: Record<string, number>;
  kept_bytes: number;
  tokens: number;
  cached_tokens: number;
  leaves_in_s: number | null;
}

export interface Percentiles {
  p50: number | null;
  p99: number | null;
}

export interface Status {
  version: string;
  uptime_s: number;
  memory: { budget: number; used: number };
  models: ModelStatus[];
  requests: { running: number; finished: number; failed: number };
  latency: { queue: Percentiles; first: Percentiles; between: Percentiles };
  tokens_per_s: number;
}

export interface Pulled {
  status: string;
  total: number | null;
  completed: number | null;
}

export interface NewSession {
  model: string;
  overflow: string;
  instructions: string;
}

// Readers of JSON that lies: what is missing is nothing, and never breaks a view.
type Json = Record<string, unknown>;
const object = (value: unknown): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => numberOr(value) ?? 0;
const numberOr = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

function counts(value: unknown): Record<string, number> {
  return Object.fromEntries(Object.entries(object(value)).map(([app, n]) => [app, number(n)]));
}

function session(value: unknown): Session {
  const own = object(value);
  const from = list(own["forked_from"]);
  return {
    id: text(own["id"]),
    ...(text(own["name"]) && { name: text(own["name"]) }),
    model: text(own["model"]),
    overflow: text(own["overflow"]),
    messages: number(own["messages"]),
    created_s: number(own["created_s"]),
    updated_s: number(own["updated_s"]),
    ...(from.length === 2 && { forked_from: [text(from[0]), number(from[1])] as [string, number] }),
  };
}

/** A call's arguments: the object itself, or the JSON text of it. */
function call(id: unknown, name: unknown, given: unknown): Call {
  let own = given;
  if (typeof given === "string") {
    try {
      own = JSON.parse(given);
    } catch {
      own = given;
    }
  }
  return { id: text(id), name: text(name), arguments: own };
}

function message(value: unknown): Message {
  const own = object(value);
  const roles = ["system", "user", "assistant", "tool"] as const;
  return {
    role: roles.find((role) => role === own["role"]) ?? "assistant",
    content: text(own["content"]),
    calls: list(own["tool_calls"]).map((given) => {
      const made = object(object(given)["function"]);
      return call(object(given)["id"], made["name"], made["arguments"]);
    }),
  };
}

function usage(value: unknown): Usage {
  const own = object(value);
  return {
    prompt_tokens: number(own["prompt_tokens"]),
    cached_tokens: number(own["cached_tokens"]),
    completion_tokens: number(own["completion_tokens"]),
    dropped_tokens: number(own["dropped_tokens"]),
    queue_s: number(own["queue_s"]),
    prefill_s: number(own["prefill_s"]),
    decode_s: number(own["decode_s"]),
  };
}

function status(value: unknown): Status {
  const own = object(value);
  const memory = object(own["memory"]);
  const requests = object(own["requests"]);
  const percentiles = (name: string): Percentiles => {
    const both = object(object(own["latency"])[name]);
    return { p50: numberOr(both["p50"]), p99: numberOr(both["p99"]) };
  };
  return {
    version: text(own["version"]),
    uptime_s: number(own["uptime_s"]),
    memory: { budget: number(memory["budget"]), used: number(memory["used"]) },
    models: list(own["models"]).map((given) => {
      const model = object(given);
      return {
        name: text(model["name"]),
        loaded: model["loaded"] === true,
        bytes: number(model["bytes"]),
        running: counts(model["running"]),
        waiting: counts(model["waiting"]),
        kept_bytes: number(model["kept_bytes"]),
        tokens: number(model["tokens"]),
        cached_tokens: number(model["cached_tokens"]),
        leaves_in_s: numberOr(model["leaves_in_s"]),
      };
    }),
    requests: {
      running: number(requests["running"]),
      finished: number(requests["finished"]),
      failed: number(requests["failed"]),
    },
    latency: {
      queue: percentiles("queue_s"),
      first: percentiles("first_token_s"),
      between: percentiles("between_tokens_s"),
    },
    tokens_per_s: number(own["tokens_per_s"]),
  };
}

/** A request that is answered with little is answered within this, in milliseconds. */
const PATIENCE_MS = 30_000;
/** A model may have to be read from the disk. */
const LOAD_PATIENCE_MS = 600_000;

/** The daemon, for whoever has its token. */
export class Service {
  #token: () => string | null;
  /** Hears of all trouble: a lost connection and a wrong token concern the whole page. */
  #hear: (trouble: Trouble | null) => void;

  constructor(token: () => string | null, hear: (trouble: Trouble | null) => void) {
    this.#token = token;
    this.#hear = hear;
  }

  async #ask(method: string, path: string, body: unknown, signal: AbortSignal): Promise<Response> {
    try {
      const token = this.#token();
      if (!token) throw new Trouble("token", "", 401);
      const headers: Record<string, string> = { authorization: `Bearer ${token}` };
      if (body !== undefined) headers["content-type"] = "application/json";
      const response = await fetch(path, {
        method,
        headers,
        signal,
        body: body === undefined ? null : JSON.stringify(body),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        referrerPolicy: "no-referrer",
      });
      if (!response.ok) throw await Trouble.from(response);
      this.#hear(null);
      return response;
    } catch (thrown) {
      const trouble = Trouble.of(thrown);
      this.#hear(trouble);
      throw trouble;
    }
  }

  /** A request whose answer is one piece of JSON. */
  async #json(method: string, path: string, body?: unknown, patience = PATIENCE_MS): Promise<Json> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new TypeError("no answer in time")), patience);
    try {
      const response = await this.#ask(method, path, body, late.signal);
      const all = await response.text();
      return all ? object(JSON.parse(all)) : {};
    } catch (thrown) {
      throw Trouble.of(thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Whether somebody is there; asks for no token. */
  async health(): Promise<boolean> {
    try {
      const late = AbortSignal.timeout(5_000);
      return (await fetch("/health", { cache: "no-store", credentials: "omit", signal: late })).ok;
    } catch {
      return false;
    }
  }

  async models(): Promise<Model[]> {
    const data = list((await this.#json("GET", "/v1/models"))["data"]);
    return data.map((given) => {
      const own = object(given);
      const can = object(own["capabilities"]);
      return {
        id: text(own["id"]),
        context: number(own["context_length"]),
        chats: can["chat"] !== false,
        tools: can["tools"] === true,
      };
    });
  }

  async status(): Promise<Status> {
    return status(await this.#json("GET", "/v1/status"));
  }

  async sessions(): Promise<Session[]> {
    return list((await this.#json("GET", "/v1/sessions"))["data"]).map(session);
  }

  async create(wanted: NewSession): Promise<Session> {
    const messages = wanted.instructions ? [{ role: "system", content: wanted.instructions }] : [];
    const { model, overflow } = wanted;
    return session(await this.#json("POST", "/v1/sessions", { model, overflow, messages }));
  }

  async messages(id: string): Promise<Message[]> {
    const path = `/v1/sessions/${encodeURIComponent(id)}/messages`;
    return list((await this.#json("GET", path))["data"]).map(message);
  }

  async fork(id: string, messages: number): Promise<Session> {
    const path = `/v1/sessions/${encodeURIComponent(id)}/fork`;
    return session(await this.#json("POST", path, { messages }));
  }

  async remove(id: string): Promise<void> {
    await this.#json("DELETE", `/v1/sessions/${encodeURIComponent(id)}`);
  }

  /** Says something in a session. `accepted` is called when the service has taken it. */
  async *say(id: string, content: string, signal: AbortSignal, accepted: () => void): AsyncGenerator<Said> {
    const path = `/v1/sessions/${encodeURIComponent(id)}/answers`;
    const body = { messages: [{ role: "user", content }], stream: true };
    const response = await this.#ask("POST", path, body, signal);
    accepted();
    const events = new Events();
    try {
      for await (const piece of pieces(response.body ?? new ReadableStream())) {
        for (const sent of events.push(piece)) {
          const data = object(JSON.parse(sent.data));
          if (sent.event === "text") yield { event: "text", text: text(data["text"]) };
          else if (sent.event === "call") {
            yield { event: "call", call: call(data["id"], data["name"], data["arguments"]) };
          } else if (sent.event === "failed") {
            throw new Trouble("refused", told(data));
          } else if (sent.event === "finished") {
            const kept = data["session"] ? session(data["session"]) : null;
            const reason = text(data["finish_reason"]);
            yield { event: "finished", reason, usage: usage(data["usage"]), session: kept };
            return;
          }
        }
      }
    } catch (thrown) {
      const trouble = Trouble.of(thrown);
      if (trouble.kind === "lost") this.#hear(trouble);
      throw trouble;
    }
    // Every answer has an end that is told; without it the connection broke.
    const trouble = new Trouble("lost");
    this.#hear(trouble);
    throw trouble;
  }

  async load(model: string): Promise<void> {
    await this.#json("POST", "/v1/models/load", { model }, LOAD_PATIENCE_MS);
  }

  async unload(model: string): Promise<void> {
    await this.#json("POST", "/v1/models/unload", { model });
  }

  async erase(model: string): Promise<void> {
    await this.#json("DELETE", "/api/delete", { model });
  }

  /** Fetches a model, and tells how far it is. */
  async *pull(model: string, signal: AbortSignal): AsyncGenerator<Pulled> {
    const response = await this.#ask("POST", "/api/pull", { model, stream: true }, signal);
    const lines = new JsonLines();
    let succeeded = false;
    const read = (line: unknown): Pulled => {
      const own = object(line);
      if (own["error"] !== undefined) throw new Trouble("refused", told(line));
      succeeded ||= own["status"] === "success";
      const [total, completed] = [numberOr(own["total"]), numberOr(own["completed"])];
      return { status: text(own["status"]), total, completed };
    };
    try {
      for await (const piece of pieces(response.body ?? new ReadableStream())) {
        for (const line of lines.push(piece)) yield read(line);
      }
      for (const line of lines.end()) yield read(line);
    } catch (thrown) {
      throw Trouble.of(thrown);
    }
    if (!succeeded) throw new Trouble("lost");
  }
}
