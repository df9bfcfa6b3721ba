// A conversation on the screen: its turns, what is wrong with it, and where to type.

import type { App, View } from "../app.ts";
import { h, replace } from "../dom.ts";
import { drop, icon } from "../icons.ts";
import type { Turn } from "../model/conversation.ts";
import { Trouble } from "../trouble.ts";
import { Composer } from "./composer.ts";
import { notice } from "./notice.ts";
import { Speaker } from "./speaker.ts";
import { TurnView } from "./turn.ts";

/** So near to its end, the view follows what is written. */
const NEAR_PX = 80;

export function chatView(app: App, id: string | null): View {
  const { words } = app;
  const conversation = app.sessions.open(id);
  const composer = new Composer(app, conversation);
  const speaker = new Speaker();
  const heading = h("h1", { class: "sr-only" });
  const turns = h("ol", { class: "turns" });
  const trouble = h("div", { class: "trouble" });
  const greeting = h("div", { class: "greeting" });
  const scroll = h("div", { class: "scroll", role: "region", "aria-label": words.conversation, tabindex: 0 }, heading, greeting, turns, trouble);
  const latest = h(
    "button",
    { type: "button", class: "latest round", "aria-label": words.toLatest, title: words.toLatest, hidden: true },
    icon("down"),
  );
  const element = h("div", { class: "chat" }, scroll, latest, composer.element, speaker.element);

  const title = () => {
    const { info } = conversation;
    return info ? app.sessions.title(info) || words.untitled : words.newChat;
  };
  let shown = new Map<Turn, TurnView>();
  let follows = true;
  let spoken: Turn | null = null;
  let greeted = "";
  let failed: unknown = null;

  const fork = async (upto: number) => {
    if (!conversation.info) return;
    try {
      const forked = await app.sessions.fork(conversation.info.id, upto);
      location.hash = `#/chat/${encodeURIComponent(forked.id)}`;
    } catch (thrown) {
      replace(trouble, notice(Trouble.of(thrown), words));
      scroll.scrollTop = scroll.scrollHeight;
    }
  };

  const greet = () => {
    const models = app.models.chatting;
    const chosen = models.find((model) => model.id === conversation.wanted.model);
    const now = conversation.info || conversation.turns.length > 0 ? "" : JSON.stringify([chosen?.id, models.length, app.models.known]);
    if (now === greeted) return;
    greeted = now;
    if (!now) return replace(greeting);
    // droplet calls functions of a device; it does not chat.
    const tries = chosen?.id === "droplet" ? words.tryCalls : words.tryWords;
    replace(
      greeting,
      drop(),
      h("h1", {}, words.greeting),
      h("p", { class: "faint" }, words.greetingText),
      app.models.known && models.length === 0 && h("p", { class: "notice" }, h("a", { href: "#/models" }, words.noModels)),
      models.length > 0 &&
        h("ul", { class: "tries" }, ...tries.map((text) => h("li", {}, h("button", { type: "button", click: () => composer.send(text) }, text)))),
    );
  };

  const show = () => {
    const next = new Map<Turn, TurnView>();
    for (const turn of conversation.turns) {
      const view = shown.get(turn) ?? new TurnView(app, turn, (upto) => void fork(upto));
      view.update();
      next.set(turn, view);
    }
    for (const [turn, view] of shown) if (!next.has(turn)) view.element.remove();
    let at = 0;
    for (const view of next.values()) {
      if (turns.children[at] !== view.element) turns.insertBefore(view.element, turns.children[at] ?? null);
      at += 1;
    }
    shown = next;
    greet();
    heading.textContent = title();
    // The greeting has a heading of its own.
    heading.hidden = greeted !== "";
    composer.update();
    scroll.setAttribute("aria-busy", String(conversation.answering || conversation.loading));
    if (failed !== conversation.failure) {
      failed = conversation.failure;
      replace(trouble, conversation.failure && failure());
    }
    speak();
    if (follows) scroll.scrollTop = scroll.scrollHeight;
    look();
  };

  const failure = () => {
    const { trouble: what, what: where } = conversation.failure ?? { trouble: new Trouble("strange"), what: "load" };
    const before = where === "send" ? words.notSent : where === "answer" ? words.broken : what.status === 404 ? words.goneSession : "";
    return notice(what, words, () => void conversation.retry(), before);
  };

  const speak = () => {
    const last = conversation.turns.at(-1);
    if (last?.open) {
      if (spoken !== last) speaker.begin();
      spoken = last;
      speaker.hear(last.text);
    } else if (spoken) {
      speaker.end(spoken.text, spoken.stopped ? words.stopped : conversation.failure ? "" : words.answered);
      spoken = null;
    }
  };

  const look = () => {
    const away = scroll.scrollHeight - scroll.clientHeight - scroll.scrollTop;
    latest.hidden = away < NEAR_PX;
    return away < NEAR_PX;
  };
  scroll.addEventListener("scroll", () => (follows = look()), { passive: true });
  latest.addEventListener("click", () => {
    follows = true;
    scroll.scrollTop = scroll.scrollHeight;
    composer.field.focus();
  });

  // Many pieces may come between two pictures; one drawing is enough for them.
  let due = 0;
  const soon = () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      show();
    });
  };
  const escape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (conversation.answering) conversation.stop();
  };
  addEventListener("keydown", escape);
  const ends = [
    conversation.watch(soon),
    app.models.watch(soon),
    app.connection.watch(() => !app.connection.lost && conversation.failure?.what === "load" && void conversation.load(true)),
  ];
  show();
  void conversation.load();
  return {
    element,
    title,
    end: () => {
      cancelAnimationFrame(due);
      removeEventListener("keydown", escape);
      for (const end of ends) end();
    },
    focus: () => composer.field.focus(),
  };
}
