// Which addresses of a model's text may become links, and what a person is told of where they lead.
// Nothing here opens one.

/** Signs that turn the direction of writing: they can make an address look like another one. */
const TURNING = /[\u202a-\u202e\u2066-\u2069\u200e\u200f]/;

/** The address as a link may have it, or null where it is none that a person can be sent to. */
export function destination(address: string): string | null {
  // Browsers pass over control characters inside of a scheme; here they end the matter.
  if (/[\u0000-\u0020\u007f]/.test(address) || TURNING.test(address)) return null;
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol === "mailto:") return url.href;
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  // Words before an @ are there to look like a host.
  if (url.username || url.password) return null;
  return url.href;
}

/** Where an address leads, in a few words: the host as the network knows it. */
export function place(href: string): string {
  const url = new URL(href);
  return url.protocol === "mailto:" ? url.pathname : url.host;
}

/** Whether a link's own words say where it leads already. */
export function saysItself(words: string, href: string): boolean {
  return words === href || `${words}/` === href;
}
