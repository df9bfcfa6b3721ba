// The models: which there are, which are in memory, and how more come.

import type { App, View } from "../app.ts";
import { h, replace } from "../dom.ts";
import { bytes, number, span } from "../format.ts";
import { icon } from "../icons.ts";
import { keep, kept } from "../keep.ts";
import type { Pull } from "../model/pulls.ts";
import type { Model, ModelStatus } from "../service.ts";
import { ask } from "./ask.ts";
import { notice } from "./notice.ts";
import { PullRow } from "./pull.ts";

const DRAFT = "draft.pull";

export function modelsView(app: App): View {
  const { words, lang, models, meter, pulls } = app;
  const list = h("ul", { class: "models" });
  const trouble = h("div");
  const memory = h("p", { class: "faint" });
  const downloads = h("ul", { class: "pulls" });
  const source = h("input", {
    id: "source",
    value: kept("tab", DRAFT) ?? "",
    autocomplete: "off",
    autocapitalize: "off",
    spellcheck: "false",
    "aria-describedby": "source-hint",
    input: () => keep("tab", DRAFT, source.value),
  });
  const pull = (event: Event) => {
    event.preventDefault();
    const wanted = source.value.trim();
    if (!wanted) return source.focus();
    source.value = "";
    keep("tab", DRAFT, null);
    void pulls.start(wanted);
  };

  const row = (name: string, model: Model | undefined, status: ModelStatus | undefined): HTMLElement => {
    const busy = models.busy.has(name);
    const running = Object.values(status?.running ?? {}).reduce((sum, n) => sum + n, 0);
    const loaded = status?.loaded ?? false;
    const state = running > 0 ? words.busyNow : loaded ? words.inMemory : words.onDisk;
    const facts = [
      status && status.bytes > 0 && bytes(status.bytes, lang),
      model && model.context > 0 && words.context(number(model.context, lang)),
      model && (model.chats ? words.chats : words.embeds),
      model?.tools && words.tools,
      status && status.kept_bytes > 0 && words.keeps(bytes(status.kept_bytes, lang)),
      loaded && status?.leaves_in_s != null && words.leavesIn(span(status.leaves_in_s, lang)),
    ].filter((fact) => typeof fact === "string");
    const failed = models.failed.get(name);
    const move = loaded
      ? h("button", { type: "button", class: "small", disabled: busy, "aria-label": words.unloadNamed(name), click: () => void models.release(name).then(() => meter.once()) }, words.unload)
      : h("button", { type: "button", class: "small", disabled: busy, "aria-label": words.loadNamed(name), click: () => void models.bring(name).then(() => meter.once()) }, words.load);
    const erase = async () => {
      if (await ask(words.removeModel(name), words.removeModelText, words.remove, words)) await models.erase(name).then(() => meter.once());
    };
    return h(
      "li",
      { class: "card model", "aria-busy": busy && "true", "data-model": name },
      h("div", { class: "row" }, h("h3", {}, name), h("span", { class: `chip ${loaded ? "on" : ""}` }, state)),
      h("p", { class: "faint" }, facts.join(" · ")),
      failed && notice(failed, words),
      h(
        "div",
        { class: "row" },
        status && move,
        busy && h("span", { class: "dots", role: "status", "aria-label": words.loading }),
        h("button", { type: "button", class: "quiet small", disabled: busy, "aria-label": words.removeNamed(name), click: () => void erase() }, icon("trash"), words.remove),
      ),
    );
  };

  let shown = "";
  const show = () => {
    const status = new Map(meter.status?.models.map((own) => [own.name, own]));
    const names = [...new Set([...models.list.map((model) => model.id), ...status.keys()])];
    // Drawn anew only where something changed: who has the focus on a button keeps it.
    const now = JSON.stringify([names, models.list, [...status.values()].map((own) => ({ ...own, tokens: 0, cached_tokens: 0 })), [...models.busy], [...models.failed.keys()], models.trouble?.message, models.known]);
    // Nor does a button go away under a finger.
    if (now !== shown && !list.querySelector(":active")) {
      shown = now;
      const focus = focused(list);
      replace(trouble, models.trouble && notice(models.trouble, words, () => void models.load()));
      replace(list, ...names.map((name) => row(name, models.list.find((model) => model.id === name), status.get(name))));
      if (models.known && names.length === 0) replace(list, h("li", { class: "faint" }, words.noneListed));
      focus();
    }
    const own = meter.status?.memory;
    memory.textContent = own && own.budget > 0 ? words.inMemoryOf(bytes(own.used, lang), bytes(own.budget, lang)) : "";
  };
  const rows = new Map<Pull, PullRow>();
  const showPulls = () => {
    for (const [pull, own] of rows) {
      if (pulls.list.includes(pull)) continue;
      own.element.remove();
      rows.delete(pull);
    }
    pulls.list.forEach((pull, at) => {
      const own = rows.get(pull) ?? new PullRow(app, pull);
      rows.set(pull, own);
      own.update();
      if (downloads.children[at] !== own.element) downloads.insertBefore(own.element, downloads.children[at] ?? null);
    });
  };

  const element = h(
    "div",
    { class: "page" },
    h("header", {}, h("h1", { tabindex: -1 }, words.models), h("p", { class: "faint" }, words.modelsText)),
    trouble,
    h(
      "form",
      { class: "card fetch", submit: pull },
      h("h2", {}, words.pullTitle),
      h("label", { for: "source" }, words.pullLabel),
      h("div", { class: "row" }, source, h("button", { type: "submit", class: "primary" }, words.pull)),
      h("p", { id: "source-hint", class: "faint" }, words.pullHint),
    ),
    downloads,
    memory,
    list,
  );
  const ends = [models.watch(show), meter.watch(show), pulls.watch(showPulls), meter.look()];
  show();
  showPulls();
  void models.load();
  return {
    element,
    title: () => words.models,
    end: () => {
      for (const end of ends) end();
    },
  };
}

/** Remembers which button of a list has the focus, and gives it back after a new drawing. */
function focused(list: HTMLElement): () => void {
  const before = document.activeElement;
  if (!before || !list.contains(before)) return () => {};
  const at = [...list.querySelectorAll("button")].findIndex((button) => button === before);
  return () => list.querySelectorAll("button")[at]?.focus();
}
