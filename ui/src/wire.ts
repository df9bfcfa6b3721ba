// Bytes that arrive in pieces become server-sent events or lines of JSON. It knows neither what they
// mean nor where they come from, and holds no more of them than its limit.

/** One server-sent event. */
export interface Sent {
  /** Its name; `message` where it has none. */
  event: string;
  data: string;
}

/** Characters that an unfinished line or event may have. */
const PENDING_MAX = 8 << 20;

/** Cuts text into lines; what comes after the last line break waits for the next piece. */
class Lines {
  #rest = "";

  *push(text: string): Generator<string> {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > PENDING_MAX) throw new Error("a line of the answer does not end");
    for (const line of lines) yield line.endsWith("\r") ? line.slice(0, -1) : line;
  }

  /** What was left without a line break. */
  end(): string {
    return this.#rest;
  }
}

/** Reads server-sent events. Comments and fields that are not known are passed over. */
export class Events {
  #lines = new Lines();
  #event = "";
  #data: string[] = [];
  #size = 0;

  *push(text: string): Generator<Sent> {
    for (const line of this.#lines.push(text)) {
      if (line === "") {
        if (this.#data.length > 0) yield { event: this.#event || "message", data: this.#data.join("\n") };
        this.#event = "";
        this.#data = [];
        this.#size = 0;
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.#event = value;
      else if (field === "data") this.#data.push(value);
      this.#size += value.length;
      if (this.#size > PENDING_MAX) throw new Error("an event of the answer does not end");
    }
  }
}

/** Reads lines of JSON; the last one may lack its line break. */
export class JsonLines {
  #lines = new Lines();

  *push(text: string): Generator<unknown> {
    for (const line of this.#lines.push(text)) if (line.trim()) yield JSON.parse(line);
  }

  *end(): Generator<unknown> {
    const last = this.#lines.end();
    if (last.trim()) yield JSON.parse(last);
  }
}

/** The pieces of a body as text: a character that is cut by a piece's end waits for its rest. */
export async function* pieces(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield decoder.decode(value, { stream: true });
    }
    yield decoder.decode();
  } finally {
    // Whoever stops reading wants no more of it.
    reader.cancel().catch(() => {});
  }
}
