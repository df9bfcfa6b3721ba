// Around everything: the way between the pages, the list of conversations, the page's own choices,
// and the sentence about a connection that is lost. On a narrow screen the side is a drawer.

import type { App, Theme, View } from "../app.ts";
import { h, replace } from "../dom.ts";
import { ago } from "../format.ts";
import { type Icon, drop, icon } from "../icons.ts";
import type { Session } from "../service.ts";
import { Trouble } from "../trouble.ts";
import { LANGUAGES, type Language } from "../words.ts";
import { ask } from "./ask.ts";
import { notice } from "./notice.ts";

const BACK_MS = 3_000;
const NARROW = "(max-width: 760px)";

export interface Shell {
  element: HTMLElement;
  /** Shows a view; the address says which one it is. */
  show: (view: View, at: string) => void;
  end: () => void;
}

/** `change` is called when the language has changed: all is said anew. */
export function shell(app: App, change: () => void): Shell {
  const { words, sessions, connection } = app;
  const main = h("main", { id: "main", tabindex: -1 });
  const narrow = matchMedia(NARROW);
  let at = "";
  let view: View | null = null;

  // --- The drawer.
  const open = (wanted: boolean) => {
    side.toggleAttribute("data-open", wanted);
    veil.hidden = !wanted;
    menu.setAttribute("aria-expanded", String(wanted));
    reach();
    if (wanted) side.querySelector<HTMLElement>("a, button")?.focus();
    else if (side.contains(document.activeElement)) menu.focus();
  };
  // What is out of sight is out of the keyboard's reach, and so is what lies behind the drawer.
  const reach = () => {
    const drawn = side.hasAttribute("data-open");
    side.inert = narrow.matches && !drawn;
    middle.inert = narrow.matches && drawn;
  };

  // --- The list of conversations.
  const list = h("ul", { class: "sessions" });
  const seen = new IntersectionObserver((rows) => {
    for (const row of rows) {
      const session = row.isIntersecting && sessions.list.find((own) => own.id === (row.target as HTMLElement).dataset["id"]);
      if (session) void sessions.entitle(session);
    }
  });
  const remove = async (session: Session) => {
    if (!(await ask(words.removeSession, words.removeSessionText, words.remove, words))) return;
    try {
      await sessions.remove(session.id);
      if (at === chatAt(session.id)) location.hash = "#/chat";
      list.querySelector<HTMLElement>("a")?.focus();
    } catch (thrown) {
      replace(listTrouble, notice(Trouble.of(thrown), words, () => void remove(session)));
    }
  };
  const row = (session: Session): HTMLElement => {
    const title = sessions.title(session) || words.untitled;
    const when = ago(session.updated_s, Date.now(), app.lang);
    const here = at === chatAt(session.id);
    return h(
      "li",
      { "data-id": session.id, class: here && "here" },
      h(
        "a",
        { href: chatAt(session.id), "aria-current": here && "page" },
        h("span", { class: "title", dir: "auto" }, session.forked_from && h("span", { class: "forked", title: words.forkedFrom }, icon("fork")), title),
        h("span", { class: "faint" }, `${words.messages(session.messages)} · ${when}`),
      ),
      h("button", { type: "button", class: "quiet small bare", "aria-label": words.removeNamed(title), title: words.remove, click: () => void remove(session) }, icon("trash")),
    );
  };
  const listTrouble = h("div");
  let listed = "";
  const showList = () => {
    const now = JSON.stringify([at, sessions.known, sessions.list.map((own) => [own, sessions.title(own)]), sessions.trouble?.message, Math.floor(Date.now() / 60_000)]);
    if (now === listed || list.querySelector(":active")) return;
    listed = now;
    const focus = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>("[data-id]")?.dataset["id"];
    seen.disconnect();
    replace(listTrouble, sessions.trouble && notice(sessions.trouble, words, () => void sessions.load()));
    replace(list, ...sessions.list.map(row));
    if (sessions.known && sessions.list.length === 0) replace(list, h("li", { class: "faint none" }, words.noSessions));
    for (const own of list.children) seen.observe(own);
    if (focus) list.querySelector<HTMLElement>(`[data-id="${CSS.escape(focus)}"] a`)?.focus();
    top.textContent = view?.title() ?? "";
    document.title = view ? `${view.title()} · Ondine` : "Ondine";
  };

  // --- The page's own choices.
  const nav = h("ul", { class: "nav" });
  const showNav = () => {
    const rows: [string, string, Icon][] = [
      ["#/chat", words.chat, "chat"],
      ["#/models", words.models, "models"],
      ["#/dashboard", words.dashboard, "dashboard"],
    ];
    const links = rows.map(([href, label, sign]) => {
      const here = at === href || (href === "#/chat" && at.startsWith("#/chat"));
      return h("li", {}, h("a", { href, "aria-current": here && (at === href ? "page" : "true") }, icon(sign), label));
    });
    replace(nav, ...links);
  };
  const language = h(
    "select",
    {
      "aria-label": words.language,
      change: () => {
        app.speak(language.value as Language);
        change();
      },
    },
    ...Object.entries(LANGUAGES).map(([tag, own]) => h("option", { value: tag, lang: tag, selected: tag === app.lang }, own.name)),
  );
  const themes: [Theme, string, Icon][] = [
    ["auto", words.themeAuto, "auto"],
    ["light", words.themeLight, "light"],
    ["dark", words.themeDark, "dark"],
  ];
  const theme = h(
    "fieldset",
    { class: "themes" },
    h("legend", { class: "sr-only" }, words.theme),
    ...themes.map(([value, label, sign]) =>
      h(
        "label",
        { title: label },
        h("input", {
          type: "radio",
          name: "theme",
          value,
          checked: app.theme === value,
          "aria-label": label,
          change: () => {
            app.dress(value);
            dress(app);
          },
        }),
        icon(sign),
      ),
    ),
  );
  const state = h("p", { class: "state" });
  const leave = h("button", { type: "button", class: "quiet small bare", "aria-label": words.leave, title: words.leave, click: () => app.token.forget() }, icon("leave"));

  const side = h(
    "aside",
    { class: "side", id: "side", "aria-label": words.menu },
    h("div", { class: "brand" }, drop(), h("span", {}, "Ondine"), h("button", { type: "button", class: "quiet bare narrow-only", "aria-label": words.close, click: () => open(false) }, icon("close"))),
    h("nav", { "aria-label": words.pages }, nav),
    h("a", { href: "#/chat", class: "button new" }, icon("plus"), words.newChat),
    h("h2", { class: "over" }, words.sessions),
    listTrouble,
    list,
    h("div", { class: "choices" }, state, h("div", { class: "row" }, language, theme, leave)),
  );
  const veil = h("div", { class: "veil", hidden: true, click: () => open(false) });
  const menu = h("button", { type: "button", class: "quiet bare", "aria-label": words.menu, "aria-expanded": "false", "aria-controls": "side", click: () => open(true) }, icon("menu"));
  const top = h("span", { class: "where", dir: "auto" });
  const bar = h("header", { class: "bar" }, menu, top, h("a", { class: "quiet bare button", href: "#/chat", "aria-label": words.newChat }, icon("plus")));

  // --- The connection.
  const lost = h("div", { class: "lost", role: "status", "aria-live": "polite" });
  let returns = connection.returns;
  const showConnection = () => {
    state.textContent = connection.lost ? words.offline : words.online;
    state.classList.toggle("off", connection.lost);
    if (connection.lost) {
      replace(lost, icon("warn"), h("p", {}, h("strong", {}, words.lost), " ", words.lostTrying), h("button", { type: "button", class: "small", click: () => void connection.look() }, words.tryNow));
    } else if (connection.returns > returns) {
      returns = connection.returns;
      replace(lost, icon("check"), h("p", {}, words.back));
      setTimeout(() => !connection.lost && replace(lost), BACK_MS);
      void sessions.load();
      if (app.models.trouble || !app.models.known) void app.models.load();
    }
  };

  const middle = h("div", { class: "middle" }, bar, lost, main);
  const skip = h("a", { class: "skip", href: "#main", click: (event: Event) => {
    event.preventDefault();
    main.focus();
  } }, words.skip);
  const element = h("div", { class: "shell" }, skip, side, veil, middle);

  const escape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !side.hasAttribute("data-open")) return;
    event.preventDefault();
    open(false);
  };
  addEventListener("keydown", escape);
  narrow.addEventListener("change", reach);
  reach();
  const ends = [sessions.watch(showList), connection.watch(showConnection)];
  const minute = setInterval(showList, 60_000);
  showConnection();
  return {
    element,
    show: (next, where) => {
      view?.end();
      view = next;
      at = where;
      open(false);
      replace(main, next.element);
      showNav();
      showList();
    },
    end: () => {
      view?.end();
      removeEventListener("keydown", escape);
      clearInterval(minute);
      seen.disconnect();
      narrow.removeEventListener("change", reach);
      for (const end of ends) end();
    },
  };
}

const chatAt = (id: string) => `#/chat/${encodeURIComponent(id)}`;

/** Puts the chosen appearance on the page. */
export function dress(app: App): void {
  const root = document.documentElement;
  if (app.theme === "auto") delete root.dataset["theme"];
  else root.dataset["theme"] = app.theme;
}
