// The page's signs, drawn with strokes on a field of 24 by 24. They are ornaments: what a control
// does is said in words beside them or in its label.

import { s } from "./dom.ts";

const PATHS = {
  chat: "M4 5h16v11H9l-5 4z",
  models: "M12 3l8 4-8 4-8-4zM4 12l8 4 8-4M4 16.5l8 4 8-4",
  dashboard: "M3 12h4l3-7 4 14 3-7h4",
  plus: "M12 5v14M5 12h14",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  fork: "M7 4v8a4 4 0 0 0 4 4h6M14 13l3 3-3 3M7 12v8",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  stop: "M7 7h10v10H7z",
  send: "M12 20V5M6 11l6-6 6 6",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  down: "M12 4v15M6 13l6 6 6-6",
  call: "M9 4C6 4 8 11 4 12c4 1 2 8 5 8M15 4c3 0 1 7 5 8-4 1-2 8-5 8",
  retry: "M19 12a7 7 0 1 1-2-5l2 2M19 4v5h-5",
  leave: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4",
  dark: "M19 14.5A7.5 7.5 0 0 1 9.5 5 7.5 7.5 0 1 0 19 14.5z",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  warn: "M12 4l9 16H3zM12 10v4M12 17v.5",
} as const;

export type Icon = keyof typeof PATHS;

/** A sign, hidden from screen readers. */
export function icon(name: Icon): SVGElement {
  const shape = s("path", { d: PATHS[name] });
  return s("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, shape);
}

/** The drop, in the page's own colour. */
export function drop(): SVGElement {
  return s(
    "svg",
    { class: "drop", viewBox: "0 0 32 32", "aria-hidden": "true" },
    s("path", {
      class: "drop-body",
      d: "M16 3c4.6 6 8.5 10.4 8.5 15.6a8.5 8.5 0 0 1-17 0C7.5 13.4 11.4 9 16 3z",
    }),
    s("path", { class: "drop-glint", d: "M11.6 19.2c.3 2.4 1.9 4 4.1 4.3" }),
  );
}
