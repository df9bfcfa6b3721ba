// The page begins: a token or the door, then the view that the address names. The address is the
// only thing that says which view is shown.

import { App, type View } from "./app.ts";
import { replace } from "./dom.ts";
import { chatView } from "./views/chat.ts";
import { dashboardView } from "./views/dashboard.ts";
import { doorView } from "./views/door.ts";
import { modelsView } from "./views/models.ts";
import { type Shell, dress, shell } from "./views/shell.ts";

const root = document.getElementById("app");
if (root) begin(root, new App());

function begin(root: HTMLElement, app: App): void {
  let house: Shell | null = null;

  const view = (at: string): View => {
    const [, name, id] = at.split("/");
    if (name === "models") return modelsView(app);
    if (name === "dashboard") return dashboardView(app);
    return chatView(app, id ? decoded(id) : null);
  };

  const show = (focus: boolean) => {
    if (!house) return;
    const at = location.hash.startsWith("#/") ? location.hash : "#/chat";
    const next = view(at);
    house.show(next, at);
    if (!focus) return;
    // A finger on a phone wants no keyboard before it asks for one.
    if (next.focus && matchMedia("(hover: hover)").matches) next.focus();
    else next.element.querySelector<HTMLElement>("h1")?.focus();
  };

  const enter = (focus: boolean) => {
    house?.end();
    house = null;
    document.documentElement.lang = app.lang;
    dress(app);
    if (app.token.value === null) {
      const door = doorView(app);
      replace(root, door.element);
      document.title = "Ondine";
      door.focus?.();
      return;
    }
    house = shell(app, () => enter(false));
    replace(root, house.element);
    show(focus);
  };

  const load = () => {
    if (app.token.value === null) return;
    void app.sessions.load();
    void app.models.load();
  };

  // A conversation that begins, or begins anew, has another address, and goes on where it is shown.
  app.sessions.moved = (from, to) => {
    const shown = location.hash.split("/")[2];
    const here = from === null ? !location.hash.startsWith("#/") || location.hash === "#/chat" : shown !== undefined && decoded(shown) === from;
    if (!here) return;
    history.replaceState(null, "", `#/chat/${encodeURIComponent(to)}`);
    show(true);
  };
  app.token.watch(() => {
    enter(true);
    load();
  });
  addEventListener("hashchange", () => {
    if (location.hash.startsWith("#token=")) app.token.take();
    else show(true);
  });
  enter(true);
  load();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
