// What all views share: the language, the service behind its token, and what is known of it.

import { Connection } from "./model/connection.ts";
import { keep, kept } from "./keep.ts";
import { Meter } from "./model/meter.ts";
import { Models } from "./model/models.ts";
import { Pulls } from "./model/pulls.ts";
import { Service } from "./service.ts";
import { Sessions } from "./model/sessions.ts";
import { Token } from "./model/token.ts";
import { type Language, LANGUAGES, type Words, wished } from "./words.ts";

export type Theme = "auto" | "light" | "dark";

export class App {
  lang: Language;
  theme: Theme;
  readonly token = new Token();
  readonly service: Service;
  readonly connection: Connection;
  readonly sessions: Sessions;
  readonly models: Models;
  readonly meter: Meter;
  readonly pulls: Pulls;

  constructor() {
    const chosen = kept("browser", "language");
    this.lang = chosen && chosen in LANGUAGES ? (chosen as Language) : wished(navigator.languages);
    const theme = kept("browser", "theme");
    this.theme = theme === "light" || theme === "dark" ? theme : "auto";
    this.service = new Service(
      () => this.token.value,
      (trouble) => {
        if (trouble === null || trouble.status > 0) this.connection.met();
        if (trouble?.kind === "lost") this.connection.missed();
        if (trouble?.kind === "token") this.token.refuse();
      },
    );
    this.connection = new Connection(() => this.service.health());
    this.sessions = new Sessions(this.service);
    this.models = new Models(this.service);
    this.meter = new Meter(this.service);
    this.pulls = new Pulls(this.service, () => void this.models.load());
  }

  get words(): Words {
    return LANGUAGES[this.lang];
  }

  speak(lang: Language): void {
    this.lang = lang;
    keep("browser", "language", lang);
  }

  dress(theme: Theme): void {
    this.theme = theme;
    keep("browser", "theme", theme === "auto" ? null : theme);
  }
}

/** A part of the page that fills its middle. */
export interface View {
  element: HTMLElement;
  /** For the tab and the narrow screen's bar. */
  title: () => string;
  /** Ends its watching. */
  end: () => void;
  /** Puts the focus where one goes on. */
  focus?: () => void;
}
