// What can go wrong between the page and the service, as a kind and a sentence. The service's own
// sentences are shown as they are; what the page must say itself is said in its language.

import type { Words } from "./words.ts";

export type Kind =
  /** No answer at all: the service is not there, or the connection broke. */
  | "lost"
  /** It was stopped on purpose. */
  | "stopped"
  /** There is no token, or it is wrong. */
  | "token"
  /** The service says that it cannot be done. */
  | "refused"
  /** A limit is reached that time frees. */
  | "busy"
  /** Somebody else is at it. */
  | "conflict"
  /** What came is not what was agreed. */
  | "strange";

/** Why something was not done. */
export class Trouble extends Error {
  readonly kind: Kind;
  /** The HTTP status, or 0. */
  readonly status: number;
  /** When it is worth trying again, in seconds. */
  readonly retryAfter: number | null;

  constructor(kind: Kind, message = "", status = 0, retryAfter: number | null = null) {
    super(message);
    this.kind = kind;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whatever was thrown, as trouble. */
  static of(thrown: unknown): Trouble {
    if (thrown instanceof Trouble) return thrown;
    if (thrown instanceof DOMException && thrown.name === "AbortError") return new Trouble("stopped");
    // What fetch and a broken stream throw where there is nobody.
    if (thrown instanceof TypeError) return new Trouble("lost");
    return new Trouble("strange", thrown instanceof Error ? thrown.message : String(thrown));
  }

  /** The trouble that a response tells of: `{"error": {"message": …}}`, or Ollama's `{"error": "…"}`. */
  static async from(response: Response): Promise<Trouble> {
    const text = await response.text().catch(() => "");
    let message = "";
    try {
      message = told(JSON.parse(text));
    } catch {
      message = text.slice(0, 300).trim();
    }
    const after = Number(response.headers.get("retry-after") ?? NaN);
    const kinds: Record<number, Kind> = { 401: "token", 409: "conflict", 429: "busy" };
    const kind = kinds[response.status] ?? "refused";
    return new Trouble(kind, message, response.status, Number.isFinite(after) ? after : null);
  }
}

/** The sentence in an error's JSON. */
export function told(value: unknown): string {
  const error = (value as { error?: unknown } | null)?.error;
  if (typeof error === "string") return error;
  const message = (error as { message?: unknown } | null | undefined)?.message;
  return typeof message === "string" ? message : "";
}

/** The trouble as a sentence for a person. */
export function explain(trouble: Trouble, words: Words): string {
  const said = sentence(trouble.message);
  switch (trouble.kind) {
    case "lost":
      return words.lostSentence;
    case "stopped":
      return words.stopped;
    case "token":
      return words.tokenWrong;
    case "busy":
      return [words.busy(trouble.retryAfter), said].filter(Boolean).join(" ");
    case "conflict":
      return said || words.conflict;
    case "strange":
      return [words.strange, said].filter(Boolean).join(" ");
    case "refused":
      return said || words.status(trouble.status);
  }
}

/** The service's messages are lower case without a full stop. */
function sentence(message: string): string {
  if (!message) return "";
  const begun = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?。！？…]$/.test(begun) ? begun : `${begun}.`;
}
