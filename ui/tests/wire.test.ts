// Streams that are cut anywhere, numbers as people read them, and the words of both languages.

import { test } from "node:test";
import assert from "node:assert/strict";
import { ago, bytes, seconds, span } from "../src/format.ts";
import { roundUp, runs } from "../src/plot.ts";
import { Trouble, explain } from "../src/trouble.ts";
import { Events, JsonLines, type Sent } from "../src/wire.ts";
import { LANGUAGES, wished } from "../src/words.ts";

test("events are the same wherever their bytes are cut", () => {
  const stream = ': hello\n\nevent: text\ndata: {"text":"a"}\n\nevent: text\r\ndata: one\r\ndata:two\r\n\r\nid: 7\nretry: 3\n\ndata: bare\n\nevent: text\ndata: unfinished';
  const expected: Sent[] = [
    { event: "text", data: '{"text":"a"}' },
    { event: "text", data: "one\ntwo" },
    { event: "message", data: "bare" },
  ];
  for (let size = 1; size <= stream.length; size += 1) {
    const events = new Events();
    const got: Sent[] = [];
    for (let at = 0; at < stream.length; at += size) got.push(...events.push(stream.slice(at, at + size)));
    assert.deepEqual(got, expected, `pieces of ${size}`);
  }
});

test("a line or an event without an end is given up", () => {
  const piece = "x".repeat(1 << 20);
  assert.throws(() => {
    const events = new Events();
    for (let n = 0; n < 10; n += 1) [...events.push(piece)];
  }, /does not end/);
  assert.throws(() => {
    const events = new Events();
    for (let n = 0; n < 10; n += 1) [...events.push(`data: ${piece}\n`)];
  }, /does not end/);
});

test("lines of JSON, the last without its break", () => {
  const lines = new JsonLines();
  assert.deepEqual([...lines.push('{"a":1}\n\n{"b"'), ...lines.push(":2}\n3"), ...lines.end()], [{ a: 1 }, { b: 2 }, 3]);
  assert.throws(() => [...new JsonLines().push("no json\n")]);
});

test("numbers", () => {
  const rows: [string, string][] = [
    [bytes(0, "en"), "0 B"],
    [bytes(999, "en"), "999 B"],
    [bytes(1_500_000, "en"), "1.43 MiB"],
    [bytes(8_589_934_592, "en"), "8 GiB"],
    [seconds(0.0123, "en"), "12 ms"],
    [seconds(1.234, "en"), "1.23 s"],
    [span(59, "en"), "59 sec"],
    [span(4210, "en"), "1 hr 10 min"],
    [span(200_000, "en"), "2 days 7 hr"],
    [ago(1000, 1_000_000, "en"), "this minute"],
    [ago(1000, 1_000_000 + 7_300_000, "en"), "2 hours ago"],
    // A clock that goes behind the service's own.
    [ago(2000, 1_000_000, "en"), "this minute"],
  ];
  for (const [got, expected] of rows) assert.equal(got, expected);
  const tops: [number, number][] = [[0, 1], [-1, 1], [NaN, 1], [0.03, 0.05], [1, 1], [41, 50], [99, 100], [101, 200]];
  for (const [value, expected] of tops) assert.ok(Math.abs(roundUp(value) - expected) < 1e-9, `${value}`);
});

test("a gap in a plot stays a gap", () => {
  const own = (value: number) => value;
  assert.deepEqual(runs([null, 1, 2, null, null, 3], own, own), [[[1, 1], [2, 2]], [[5, 3]]]);
});

test("trouble is a sentence in each language", () => {
  for (const words of Object.values(LANGUAGES)) {
    const kinds = ["lost", "stopped", "token", "refused", "busy", "conflict", "strange"] as const;
    for (const kind of kinds) assert.match(explain(new Trouble(kind, "", 507), words), /[.。)）]$|add page$|serve$/, kind);
  }
  const said = explain(new Trouble("refused", "the prompt has 9 tokens", 400), LANGUAGES.en);
  assert.equal(said, "The prompt has 9 tokens.");
  assert.match(explain(new Trouble("busy", "queue of app page is reached (32)", 429, 7), LANGUAGES.en), /in 7 s.*Queue of app page/s);
});

test("a browser's wishes choose the language", () => {
  const rows: [string[], string][] = [[["zh-TW", "en"], "zh-CN"], [["zh"], "zh-CN"], [["de", "zh-Hans-CN"], "zh-CN"], [["en-US", "zh"], "en"], [["fr"], "en"], [[], "en"]];
  for (const [tags, expected] of rows) assert.equal(wished(tags), expected, tags.join());
});

test("no sentence was left in the other language", () => {
  const zh = Object.entries(LANGUAGES["zh-CN"]).filter(([key]) => !["doorTitle", "name"].includes(key));
  for (const [key, said] of zh) {
    const text = typeof said === "string" ? said : Array.isArray(said) ? said.join("") : (said as (...given: never[]) => string)(...([1, 1, 1] as never[]));
    if (/^1 \/ 1$/.test(text)) continue;
    assert.match(text, /[\u4e00-\u9fff]/, key);
  }
});
