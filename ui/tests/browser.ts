// A browser for the tests: the system's Chromium, a fresh context for each test, and a record of
// every request, error and violation of the policy that a page made.

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { type Browser, type BrowserContextOptions, type Page, chromium } from "playwright-core";
import { Mock, TOKEN } from "./mock.ts";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"];

function executable(): string {
  const given = process.env["ONDINE_CHROMIUM"];
  for (const place of given ? [given] : PLACES) {
    try {
      accessSync(place, constants.X_OK);
      return place;
    } catch {
      // The next one.
    }
  }
  throw new Error(`no Chromium at ${PLACES.join(", ")}; name one in ONDINE_CHROMIUM`);
}

/** A machine that has much else to do is slow, and not wrong. */
const PATIENCE_MS = 20_000;

let browser: Browser | null = null;

export async function open(): Promise<Browser> {
  browser ??= await chromium.launch({ executablePath: executable(), args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  return browser;
}

const visits = new Set<() => Promise<void>>();

/** Ends what a failed test has left. */
export async function close(): Promise<void> {
  for (const end of visits) await end();
  await browser?.close();
  browser = null;
}

/** A page, the service behind it, and what the page did that nobody asked for. */
export interface Visit {
  page: Page;
  mock: Mock;
  /** Addresses of all requests, those that the browser refused to send among them. */
  requests: string[];
  /** Errors of scripts, and what the policy forbade. */
  faults: string[];
  end: () => Promise<void>;
}

export interface Wishes extends BrowserContextOptions {
  /** Where the page is opened; with a token where none is said. */
  at?: string;
  prepare?: (mock: Mock) => void;
}

export async function visit({ at = `/#token=${TOKEN}`, prepare, ...options }: Wishes = {}): Promise<Visit> {
  const mock = await Mock.start();
  prepare?.(mock);
  const context = await (await open()).newContext({ locale: "en-GB", viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const requests: string[] = [];
  const faults: string[] = [];
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // Refused connections and statuses are what some tests are about.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) faults.push(message.text());
  });
  await page.goto(mock.origin + at);
  const end = async () => {
    visits.delete(end);
    await context.close();
    await mock.close();
  };
  visits.add(end);
  return { page, mock, requests, faults, end };
}

/** What the page did that must not be: a request elsewhere, a script's error, a broken policy. */
export function misdeeds({ requests, faults, mock }: Visit): string[] {
  const own = [`${mock.origin}/`, "data:"];
  return [...requests.filter((url) => !own.some((start) => url.startsWith(start))), ...faults];
}

/** Says something, as a person does. */
export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until `check` holds. */
export async function until(check: () => boolean | Promise<boolean>, what: string, ms = PATIENCE_MS): Promise<void> {
  const end = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/**
 * Reads until the answer is `expected`. The page draws when the browser lets it, so what a click leads
 * to is waited for and never looked at once; what must never appear is asserted at once instead.
 */
export async function becomes<T>(read: () => Promise<T>, expected: T, what?: string, ms = PATIENCE_MS): Promise<void> {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await read();
    if (isDeepStrictEqual(seen, expected)) return;
    if (Date.now() > end) assert.deepEqual(seen, expected, what);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Reads until the text fits `pattern`. */
export async function reads(read: () => Promise<string | null>, pattern: RegExp, ms = PATIENCE_MS): Promise<void> {
  const end = Date.now() + ms;
  for (;;) {
    const seen = (await read()) ?? "";
    if (pattern.test(seen)) return;
    if (Date.now() > end) assert.match(seen, pattern);
    await new Promise((done) => setTimeout(done, 20));
  }
}
