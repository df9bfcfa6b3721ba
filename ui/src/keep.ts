// What the browser keeps for the page: choices, drafts and the token. A browser may refuse to keep
// anything; then the page works, and forgets. It knows no meaning of what it keeps.

type Where = "tab" | "browser";

function store(where: Where): Storage | null {
  try {
    return where === "tab" ? sessionStorage : localStorage;
  } catch {
    return null;
  }
}

const name = (key: string) => `ondine.${key}`;

/** What is kept under a key. */
export function kept(where: Where, key: string): string | null {
  return store(where)?.getItem(name(key)) ?? null;
}

/** Keeps a text; an empty one, or none, is taken away. */
export function keep(where: Where, key: string, value: string | null): void {
  try {
    if (value) store(where)?.setItem(name(key), value);
    else store(where)?.removeItem(name(key));
  } catch {
    // Full or forbidden: what matters is on the screen still.
  }
}
