// The app's token: where it comes from and where it stays. It is in the memory of this tab, in the
// tab's storage, and in the browser's where somebody ticked that; never in an address that stays.

import { Changing } from "../changing.ts";
import { keep, kept } from "../keep.ts";

const KEY = "token";
/** What a header may hold, and no server's token exceeds. */
const SHAPE = /^[\x21-\x7e]{1,512}$/;

export class Token extends Changing {
  #value: string | null;
  /** Whether the service has refused the one that there was. */
  refused = false;

  constructor() {
    super();
    this.#value = fromAddress() ?? kept("tab", KEY) ?? kept("browser", KEY);
    if (this.#value) keep("tab", KEY, this.#value);
  }

  get value(): string | null {
    return this.#value;
  }

  /** Whether a text could be a token at all. */
  static fits(text: string): boolean {
    return SHAPE.test(text);
  }

  set(value: string, remember: boolean): void {
    this.#value = value;
    this.refused = false;
    keep("tab", KEY, value);
    keep("browser", KEY, remember ? value : null);
    this.changed();
  }

  /** The service does not know it. */
  refuse(): void {
    if (this.#value === null && this.refused) return;
    this.refused = this.#value !== null;
    this.#drop();
  }

  forget(): void {
    this.refused = false;
    this.#drop();
  }

  /** Takes a token that somebody has put into the address of a page that is open already. */
  take(): void {
    const value = fromAddress();
    if (value) this.set(value, false);
  }

  #drop(): void {
    this.#value = null;
    keep("tab", KEY, null);
    keep("browser", KEY, null);
    this.changed();
  }
}

/** The token of `#token=…`, which is taken from the address bar and the history at once. */
function fromAddress(): string | null {
  const found = /^#token=(.*)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname);
  let value = found[1] ?? "";
  try {
    value = decodeURIComponent(value);
  } catch {
    // It was not encoded; then it is what it says.
  }
  return Token.fits(value) ? value : null;
}
