// What the service is doing, as numbers and plots over the last five minutes.

import type { App, View } from "../app.ts";
import { type Child, h, replace } from "../dom.ts";
import { bytes, number, seconds, span } from "../format.ts";
import { PAUSE_MS, SAMPLES } from "../model/meter.ts";
import { LinePlot, type Part, shareBar } from "../plot.ts";
import type { Status } from "../service.ts";
import { notice } from "./notice.ts";

/** Parts of the memory that have a colour of their own. */
const KINDS = ["one", "two", "three", "four"];

/** A part of the board: a heading, a figure that is read at a glance, and what is below it. */
function tile(title: string, figure: Element, ...children: Child[]): HTMLElement {
  return h("section", { class: "card tile" }, h("div", { class: "row" }, h("h2", {}, title), figure), ...children);
}

/** A table: names of columns, and rows that begin with their name. */
function grid(columns: string[], rows: string[][]): HTMLElement {
  const side = (at: number) => at > 0 && "at-right";
  const head = h("tr", {}, ...columns.map((name, at) => h("th", { scope: "col", class: side(at) }, name)));
  const body = rows.map((row) =>
    h("tr", {}, ...row.map((text, at) => (at === 0 ? h("th", { scope: "row" }, text) : h("td", { class: side(at) }, text)))),
  );
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...body));
}

/** A place that scrolls to the side, by keyboard too. */
function wide(label: string, content: Element): HTMLElement {
  return h("div", { class: "wide", tabindex: 0, role: "group", "aria-label": label }, content);
}

export function dashboardView(app: App): View {
  const { words, lang, meter } = app;
  const rate = new LinePlot();
  const first = new LinePlot();
  const memory = new LinePlot();
  const figure = () => h("output", { class: "figure" });
  const [rateNow, firstNow, memoryNow, queueNow] = [figure(), figure(), figure(), figure()];
  const parts = h("div");
  const queue = h("div", { class: "queue" });
  const facts = h("dl", { class: "facts" });
  const tokens = h("div");
  const times = h("div");
  const trouble = h("div");
  const table = h("div");
  const legend = (...rows: [string, string][]) =>
    h("ul", { class: "legend" }, ...rows.map(([kind, label]) => h("li", {}, h("span", { class: `dot ${kind}`, "aria-hidden": "true" }), label)));
  const minutes = Math.round((SAMPLES * PAUSE_MS) / 60_000);
  const ends: [string, string] = [words.minutesAgo(minutes), words.now];
  const time = (value: number | null) => (value === null ? words.noSample : seconds(value, lang));

  const show = () => {
    replace(trouble, meter.trouble && notice(meter.trouble, words, () => void meter.once()));
    const { status } = meter;
    if (!status) return;
    const all = meter.samples.map((sample) => sample.status);
    const of = (read: (status: Status) => number | null) => all.map((own) => (own ? read(own) : null));
    const { latency } = status;

    rateNow.textContent = number(status.tokens_per_s, lang);
    rate.show({ lines: [{ kind: "one", values: of((own) => own.tokens_per_s) }], room: SAMPLES, unit: (value) => number(value, lang), label: `${words.rate}: ${number(status.tokens_per_s, lang)}`, ends, filled: true });

    firstNow.textContent = latency.first.p50 === null ? "–" : seconds(latency.first.p50, lang);
    first.show({
      lines: [
        { kind: "one", values: of((own) => own.latency.first.p50) },
        { kind: "two", values: of((own) => own.latency.first.p99) },
      ],
      room: SAMPLES,
      unit: (value) => seconds(value, lang),
      label: `${words.first}: ${words.p50} ${time(latency.first.p50)}, ${words.p99} ${time(latency.first.p99)}`,
      ends,
    });

    const { used, budget } = status.memory;
    const share = new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 0 }).format(budget > 0 ? used / budget : 0);
    const label = `${words.inMemoryOf(bytes(used, lang), bytes(budget, lang))} (${words.share(share)})`;
    memoryNow.textContent = share;
    memory.show({ lines: [{ kind: "one", values: of((own) => own.memory.used) }], room: SAMPLES, level: budget, unit: (value) => bytes(value, lang), label: `${words.memory}: ${label}`, ends, filled: true });
    const pieces = memoryParts(status, app);
    replace(parts, shareBar(pieces, budget, label), legend(...pieces.map((part): [string, string] => [part.kind, part.label])), h("p", { class: "faint" }, label));

    const apps = byApp(status);
    const total = apps.reduce((sum, own) => sum + own.running + own.waiting, 0);
    queueNow.textContent = number(total, lang);
    const most = Math.max(1, ...apps.map((own) => own.running + own.waiting));
    const rows = apps.map((own) => {
      const said = `${own.app}: ${number(own.running, lang)} ${words.running}, ${number(own.waiting, lang)} ${words.waitingApps}`;
      const both = [
        { kind: "one", value: own.running, label: words.running },
        { kind: "two", value: own.waiting, label: words.waitingApps },
      ];
      return h("li", {}, h("bdi", { class: "app" }, own.app), shareBar(both, most, said), h("span", { class: "faint", "aria-hidden": "true" }, `${number(own.running, lang)} + ${number(own.waiting, lang)}`));
    });
    replace(
      queue,
      rows.length > 0 ? h("ul", {}, ...rows) : h("p", { class: "faint" }, words.nobody),
      legend(["one", words.running], ["two", words.waitingApps]),
    );

    const fact = (name: string, value: string) => [h("dt", {}, name), h("dd", {}, value)];
    replace(
      facts,
      ...fact(words.finished, number(status.requests.finished, lang)),
      ...fact(words.failed, number(status.requests.failed, lang)),
      ...fact(words.uptime, span(status.uptime_s, lang)),
      ...fact(words.version, status.version),
    );
    replace(
      times,
      grid(
        [words.time, words.p50, words.p99],
        [
          [words.inQueue, time(latency.queue.p50), time(latency.queue.p99)],
          [words.first, time(latency.first.p50), time(latency.first.p99)],
          [words.between, time(latency.between.p50), time(latency.between.p99)],
        ],
      ),
    );
    const told = status.models.map((own) => [own.name, number(own.tokens, lang), number(own.cached_tokens, lang)]);
    replace(tokens, grid([words.model, words.evaluated, words.reused], told));
    if (details.open) fill();
  };

  const fill = () => {
    const clock = new Intl.DateTimeFormat(lang, { timeStyle: "medium" });
    const rows = meter.samples.slice(-30).reverse();
    const said = rows.map(({ at, status }) => [
      clock.format(at),
      ...(status
        ? [number(status.tokens_per_s, lang), time(status.latency.first.p50), bytes(status.memory.used, lang)]
        : ["–", "–", "–"]),
    ]);
    replace(table, grid([words.time, words.rate, words.first, words.memory], said));
  };
  const details: HTMLDetailsElement = h("details", { class: "card", toggle: () => details.open && fill() }, h("summary", {}, words.asTable), wide(words.asTable, table));
  const element = h(
    "div",
    { class: "page" },
    h("header", {}, h("h1", { tabindex: -1 }, words.dashboard), h("p", { class: "faint" }, words.dashboardText)),
    trouble,
    h(
      "div",
      { class: "board" },
      tile(words.rate, rateNow, rate.element),
      tile(words.first, firstNow, first.element, legend(["one", words.p50], ["two", words.p99])),
      tile(words.memory, memoryNow, memory.element, parts),
      tile(words.queue, queueNow, queue),
      h("section", { class: "card tile" }, h("h2", {}, words.times), wide(words.times, times)),
      h("section", { class: "card tile" }, h("h2", {}, words.modelTokens), wide(words.modelTokens, tokens), facts),
    ),
    details,
  );
  const finals = [meter.watch(show), meter.look()];
  show();
  return {
    element,
    title: () => words.dashboard,
    end: () => {
      for (const end of finals) end();
      for (const plot of [rate, first, memory]) plot.end();
    },
  };
}

/** What is in memory: weights and conversations of each model, and the rest. */
function memoryParts(status: Status, app: App): Part[] {
  const { words, lang } = app;
  const parts: Part[] = [];
  const add = (value: number, name: string) => {
    const kind = KINDS[parts.length] ?? "rest";
    if (value > 0) parts.push({ kind, value, label: `${name} · ${bytes(value, lang)}` });
  };
  for (const model of status.models) {
    add(model.loaded ? model.bytes : 0, words.weights(model.name));
    add(model.kept_bytes, words.keptOf(model.name));
  }
  const known = parts.reduce((sum, part) => sum + part.value, 0);
  const other = status.memory.used - known;
  if (other > 0) parts.push({ kind: "rest", value: other, label: `${words.otherMemory} · ${bytes(other, lang)}` });
  return parts;
}

/** Requests of each app, over all models; who has most comes first. */
function byApp(status: Status): { app: string; running: number; waiting: number }[] {
  const apps = new Map<string, { app: string; running: number; waiting: number }>();
  for (const model of status.models) {
    for (const kind of ["running", "waiting"] as const) {
      for (const [app, n] of Object.entries(model[kind])) {
        const own = apps.get(app) ?? { app, running: 0, waiting: 0 };
        own[kind] += n;
        apps.set(app, own);
      }
    }
  }
  const all = [...apps.values()].filter((own) => own.running + own.waiting > 0);
  return all.sort((a, b) => b.running + b.waiting - a.running - a.waiting || a.app.localeCompare(b.app));
}
