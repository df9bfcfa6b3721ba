// A service for the page's tests: the daemon's API over HTTP, with answers that a test writes, and
// the page's own files under the daemon's own policy, which is read from its source.

import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Tests run in the folder `ui`. */
const DIST = join(process.cwd(), "dist");
const PAGE = readFileSync(join(process.cwd(), "../crates/server/src/page.rs"), "utf8");

/** The policy that the daemon sends: one owner, read where it is. */
export const POLICY = (/const POLICY: &str = "([^"]*)"/.exec(PAGE)?.[1] ?? "").replace(/\\\s*/g, "");

export const TOKEN = "token-of-the-page";

export interface Piece {
  event: "text" | "call" | "finished" | "failed" | "comment" | "break";
  data?: unknown;
  /** Milliseconds before it. */
  after?: number;
}

export interface Kept {
  id: string;
  name?: string;
  model: string;
  overflow: string;
  created_s: number;
  updated_s: number;
  forked_from?: [string, number];
  messages: Record<string, unknown>[];
}

type Json = Record<string, unknown>;

const MEDIA: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

export const usage = { prompt_tokens: 12, cached_tokens: 4, completion_tokens: 20, dropped_tokens: 0, queue_s: 0.01, prefill_s: 0.11, decode_s: 0.5 };

/** A text as pieces of a stream. */
export function words(text: string, after = 0): Piece[] {
  return (text.match(/\S*\s*/g) ?? []).filter(Boolean).map((own) => ({ event: "text", data: { text: own }, after }));
}

export class Mock {
  sessions: Kept[] = [];
  models: Json[] = [
    { id: "smollm2", object: "model", created: 0, owned_by: "ondine", context_length: 8192, capabilities: { chat: true, tools: true, embeddings: false } },
    { id: "droplet", object: "model", created: 0, owned_by: "ondine", context_length: 512, capabilities: { chat: true, tools: true, embeddings: false } },
    { id: "minilm", object: "model", created: 0, owned_by: "ondine", context_length: 512, capabilities: { chat: false, tools: false, embeddings: true } },
  ];
  loaded = new Set(["smollm2", "droplet"]);
  /** What is answered to a text; its end is added where it has none. */
  answer: (text: string, session: Kept) => Piece[] = (text) => words(`You said: ${text}`);
  /** What is told of the service, now. */
  status: () => Json = () => this.#status();
  /** Lines of a download. */
  pull: (model: string) => { line: Json; after?: number }[] = () => [{ line: { status: "success" } }];
  /** A refusal that stands before a path's answer, while it is there. */
  refuse = new Map<string, { status: number; body: Json; headers?: Record<string, string> }>();
  /** Every request that came, as `METHOD path`. */
  asked: string[] = [];
  bodies: { path: string; body: Json }[] = [];
  /** Answers whose reader went away before their end. */
  left = 0;
  /** Takes messages and says nothing, not even that it took them. */
  silent = false;
  tokens = new Set([TOKEN]);
  #server: Server;
  #port = 0;
  #next = 1;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : undefined);
      });
    });
  }

  static async start(): Promise<Mock> {
    const mock = new Mock();
    await mock.listen();
    return mock;
  }

  /** Listens, on the same port as before where there was one. */
  async listen(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(this.#port, "127.0.0.1", done));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Ends listening and all connections. */
  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  keep(messages: Json[], more: Partial<Kept> = {}): Kept {
    const now = Math.floor(Date.now() / 1000);
    const session = { id: `s${this.#next++}-0123456789abcdef`, model: "smollm2", overflow: "error", created_s: now, updated_s: now, messages, ...more };
    this.sessions.unshift(session);
    return session;
  }

  #info(session: Kept): Json {
    const { messages, ...rest } = session;
    return { ...rest, messages: messages.length };
  }

  #status(): Json {
    return {
      version: "0.1.0",
      uptime_s: 4210,
      memory: { budget: 8_589_934_592, used: 1_500_000_000 },
      models: this.models.map((model) => ({
        name: model["id"],
        loaded: this.loaded.has(String(model["id"])),
        bytes: model["id"] === "smollm2" ? 1_060_000_000 : 14_000_000,
        running: model["id"] === "smollm2" ? { page: 1 } : {},
        waiting: {},
        kept_bytes: model["id"] === "smollm2" ? 210_000_000 : 0,
        tokens: 12_345,
        cached_tokens: 6_789,
      })),
      requests: { running: 1, finished: 128, failed: 2 },
      latency: { queue_s: { p50: 0.002, p99: 0.04 }, first_token_s: { p50: 0.12, p99: 0.61 }, between_tokens_s: { p50: 0.021, p99: 0.044 } },
      tokens_per_s: 41.5,
    };
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? "/", this.origin).pathname;
    const method = request.method ?? "GET";
    this.asked.push(`${method} ${path}`);
    let text = "";
    for await (const piece of request) text += String(piece);
    const body = (text ? JSON.parse(text) : {}) as Json;
    if (text) this.bodies.push({ path, body });
    const say = (status: number, value: Json, headers: Record<string, string> = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
    };
    const error = (status: number, message: string) => say(status, { error: { message, type: "error", param: null, code: null } });
    if (method === "GET" && (path === "/" || path.startsWith("/assets/"))) return this.#file(path, response);
    if (path === "/health") return void response.writeHead(200).end("ok\n");
    const token = request.headers.authorization?.replace(/^Bearer /, "") ?? "";
    if (!this.tokens.has(token)) return error(401, "this token is not known");
    const refusal = this.refuse.get(`${method} ${path}`);
    if (refusal) return say(refusal.status, refusal.body, refusal.headers);

    const [, , , rawId, deed] = path.split("/");
    const session = this.sessions.find((own) => own.id === decodeURIComponent(rawId ?? ""));
    if (path === "/v1/models") return say(200, { object: "list", data: this.models });
    if (path === "/v1/status") return say(200, this.status());
    if (path === "/v1/sessions" && method === "GET") return say(200, { object: "list", data: this.sessions.map((own) => this.#info(own)) });
    if (path === "/v1/sessions") {
      const made = this.keep([...((body["messages"] as Json[] | undefined) ?? [])], { model: String(body["model"] || "smollm2"), overflow: String(body["overflow"] ?? "error") });
      return say(200, this.#info(made));
    }
    if (path === "/v1/models/load" || path === "/v1/models/unload") {
      const name = String(body["model"]);
      if (path.endsWith("unload")) this.loaded.delete(name);
      else this.loaded.add(name);
      return say(200, {});
    }
    if (path === "/api/delete") {
      this.models = this.models.filter((model) => model["id"] !== body["model"]);
      return say(200, {});
    }
    if (path === "/api/pull") return this.#pull(String(body["model"]), response);
    if (path.startsWith("/v1/sessions/")) {
      if (!session) return error(404, "there is no such session");
      if (!deed && method === "DELETE") {
        this.sessions = this.sessions.filter((own) => own !== session);
        return say(200, {});
      }
      if (deed === "messages") return say(200, { object: "list", data: session.messages });
      if (deed === "fork") {
        const n = Number(body["messages"]);
        return say(200, this.#info(this.keep(session.messages.slice(0, n), { model: session.model, forked_from: [session.id, n] })));
      }
      if (deed === "answers") return this.#answer(session, body, response);
    }
    error(404, "there is nothing at this path");
  }

  #file(path: string, response: ServerResponse): void {
    const name = path === "/" ? "index.html" : path.slice(1);
    try {
      const content = readFileSync(join(DIST, name));
      const media = MEDIA[name.split(".").at(-1) ?? ""] ?? "application/octet-stream";
      response.writeHead(200, {
        "content-type": media,
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
      });
      response.end(content);
    } catch {
      response.writeHead(404).end();
    }
  }

  async #answer(session: Kept, body: Json, response: ServerResponse): Promise<void> {
    const asked = (body["messages"] as Json[] | undefined) ?? [];
    session.messages.push(...asked);
    if (this.silent) return;
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    let gone = false;
    response.on("close", () => (gone = !response.writableEnded));
    const send = (event: string, data: unknown) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    const pieces = this.answer(String(asked.at(-1)?.["content"] ?? ""), session);
    let text = "";
    const calls: Json[] = [];
    const wait = (ms: number) => new Promise((done) => setTimeout(done, ms));
    for (const piece of pieces) {
      if (piece.after) await wait(piece.after);
      if (gone) {
        this.left += 1;
        return;
      }
      if (piece.event === "break") return void response.destroy();
      if (piece.event === "comment") {
        response.write(": still there\n\n");
        continue;
      }
      if (piece.event === "finished") break;
      send(piece.event, piece.data);
      if (piece.event === "failed") return void response.end();
      const data = piece.data as Json;
      if (piece.event === "text") text += String(data["text"]);
      else calls.push({ id: data["id"], type: "function", function: { name: data["name"], arguments: JSON.stringify(data["arguments"]) } });
    }
    session.messages.push({ role: "assistant", content: text, ...(calls.length > 0 && { tool_calls: calls }) });
    session.updated_s = Math.floor(Date.now() / 1000);
    const own = pieces.find((piece) => piece.event === "finished")?.data as Json | undefined;
    send("finished", { finish_reason: calls.length > 0 ? "tool_calls" : "stop", usage, session: this.#info(session), ...own });
    response.end();
  }

  async #pull(model: string, response: ServerResponse): Promise<void> {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.flushHeaders();
    let gone = false;
    response.on("close", () => (gone = !response.writableEnded));
    for (const { line, after } of this.pull(model)) {
      if (after) await new Promise((done) => setTimeout(done, after));
      if (gone) {
        this.left += 1;
        return;
      }
      response.write(`${JSON.stringify(line)}\n`);
      if (line["status"] === "success" && !this.models.some((own) => own["id"] === model)) {
        this.models.push({ id: model, object: "model", created: 0, owned_by: "ondine", context_length: 2048, capabilities: { chat: true, tools: false, embeddings: false } });
      }
    }
    response.end();
  }
}
