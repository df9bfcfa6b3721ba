// Plots of our own, as SVG: lines over time and bars of shares. Each has a sentence for those who do
// not see it. It knows no service.

import { h, replace, s } from "./dom.ts";

export interface Line {
  /** `one`, `two`: its colour. */
  kind: string;
  /** From old to new; null where there is none. */
  values: (number | null)[];
}

export interface Plot {
  lines: Line[];
  /** Values that the plot has room for, new ones on the right. */
  room: number;
  /** A level that is marked, and is the top where nothing is above it. */
  level?: number;
  /** Says a value on the axis. */
  unit: (value: number) => string;
  /** What is seen, as a sentence. */
  label: string;
  /** Words below the left and the right end. */
  ends: [string, string];
  /** Fills what is below the first line. */
  filled?: boolean;
}

const HEIGHT = 132;
const [TOP, RIGHT, BOTTOM] = [10, 6, 20];
/** Room for a letter of the axis, and beside it. */
const [LETTER, BESIDE] = [7, 8];

/** The least round number that is no less: 1, 2 or 5 times a power of ten. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value * 0.999) ?? 10) * power;
}

/** Runs of neighbouring values, as points: a gap stays a gap. */
export function runs(values: (number | null)[], x: (at: number) => number, y: (value: number) => number): [number, number][][] {
  const out: [number, number][][] = [];
  let open: [number, number][] = [];
  values.forEach((value, at) => {
    if (value === null) {
      if (open.length > 0) out.push(open);
      open = [];
    } else open.push([x(at), y(value)]);
  });
  if (open.length > 0) out.push(open);
  return out;
}

const point = ([x, y]: [number, number]) => `${x.toFixed(1)} ${y.toFixed(1)}`;
const path = (points: [number, number][]) =>
  // One value alone is a dot: a line of no length with round ends.
  `M${points.map(point).join("L")}${points.length === 1 ? "h0" : ""}`;

/** A plot that is drawn as wide as its place. */
export class LinePlot {
  readonly element = h("div", { class: "plot" });
  #plot: Plot | null = null;
  #width = 0;
  #observer = new ResizeObserver(() => this.#fit());

  constructor() {
    this.#observer.observe(this.element);
  }

  show(plot: Plot): void {
    this.#plot = plot;
    this.#draw();
  }

  end(): void {
    this.#observer.disconnect();
  }

  #fit(): void {
    const width = Math.round(this.element.clientWidth);
    if (width === this.#width) return;
    this.#width = width;
    this.#draw();
  }

  #draw(): void {
    const plot = this.#plot;
    const width = this.#width;
    if (!plot || width < 40) return;
    const most = Math.max(0, ...plot.lines.flatMap((line) => line.values.map((value) => value ?? 0)));
    const top = plot.level && plot.level >= most ? plot.level : roundUp(most);
    const marks = [0, 0.5, 1].map((share) => ({ value: top * share, said: plot.unit(top * share) }));
    const left = Math.ceil(Math.max(...marks.map((mark) => mark.said.length)) * LETTER) + BESIDE;
    const x = (at: number, length: number) => left + ((plot.room - length + at) / Math.max(1, plot.room - 1)) * (width - left - RIGHT);
    const y = (value: number) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    const grid = marks.map(({ value, said }) =>
      s("g", {}, s("path", { class: "grid", d: `M${left} ${y(value)}H${width - RIGHT}` }), s("text", { class: "axis", x: left - BESIDE, y: y(value) + 4, "text-anchor": "end" }, said)),
    );
    const drawn = plot.lines.map((line, order) => {
      const parts = runs(line.values, (at) => x(at, line.values.length), y);
      const fills = parts.filter((points) => plot.filled && order === 0 && points.length > 1).map((points) => {
        const first = points[0] ?? [0, 0];
        const last = points.at(-1) ?? first;
        return s("path", { class: `area ${line.kind}`, d: `${path(points)}L${last[0].toFixed(1)} ${y(0)}L${first[0].toFixed(1)} ${y(0)}Z` });
      });
      return s("g", {}, ...fills, s("path", { class: `line ${line.kind}`, d: parts.map(path).join("") }));
    });
    const level = plot.level === undefined ? null : s("path", { class: "level", d: `M${left} ${y(plot.level)}H${width - RIGHT}` });
    const [from, to] = plot.ends;
    replace(
      this.element,
      s(
        "svg",
        { role: "img", "aria-label": plot.label, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` },
        ...grid,
        ...drawn,
        level,
        s("text", { class: "axis", x: left, y: HEIGHT - 4 }, from),
        s("text", { class: "axis", x: width - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, to),
      ),
    );
  }
}

export interface Part {
  kind: string;
  value: number;
  label: string;
}

/** Parts of a whole, as one bar. */
export function shareBar(parts: Part[], whole: number, label: string): SVGElement {
  let from = 0;
  const all = Math.max(whole, parts.reduce((sum, part) => sum + part.value, 0), 1);
  const drawn = parts.filter((part) => part.value > 0).map((part) => {
    const width = (part.value / all) * 1000;
    const own = s("rect", { class: `fill ${part.kind}`, x: from, y: 0, width: Math.max(1, width - 2), height: 16 }, s("title", {}, part.label));
    from += width;
    return own;
  });
  return s("svg", { class: "share", role: "img", "aria-label": label, viewBox: "0 0 1000 16", preserveAspectRatio: "none" }, s("rect", { class: "track", x: 0, y: 0, width: 1000, height: 16 }), ...drawn);
}
