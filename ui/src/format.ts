// Numbers as people read them, in the page's language. It knows no view.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes with three digits at most: `1.25 GiB`. */
export function bytes(n: number, lang: string): string {
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${number(value, lang)} ${UNITS[unit]}`;
}

/** A number with three digits or so. */
export function number(n: number, lang: string): string {
  const digits = Math.abs(n) >= 100 || Number.isInteger(n) ? 0 : Math.abs(n) >= 10 ? 1 : 2;
  return new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(n);
}

/** A short time: `12 ms`, `1.4 s`. */
export function seconds(s: number, lang: string): string {
  return s < 1 ? `${number(Math.round(s * 1000), lang)} ms` : `${number(s, lang)} s`;
}

/** A long time: `3 h 20 min`. */
export function span(s: number, lang: string): string {
  const unit = (value: number, name: string) =>
    new Intl.NumberFormat(lang, { style: "unit", unit: name, unitDisplay: "short" }).format(value);
  const [days, hours] = [Math.floor(s / 86_400), Math.floor((s % 86_400) / 3600)];
  const [minutes, rest] = [Math.floor((s % 3600) / 60), Math.floor(s % 60)];
  if (days) return `${unit(days, "day")} ${unit(hours, "hour")}`;
  if (hours) return `${unit(hours, "hour")} ${unit(minutes, "minute")}`;
  if (minutes) return `${unit(minutes, "minute")} ${unit(rest, "second")}`;
  return unit(rest, "second");
}

/** How long ago something was: `5 minutes ago`. */
export function ago(then_s: number, now_ms: number, lang: string): string {
  const past = Math.min(0, then_s - now_ms / 1000);
  const relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  if (past > -60) return relative.format(0, "minute");
  if (past > -3600) return relative.format(Math.trunc(past / 60), "minute");
  if (past > -86_400) return relative.format(Math.trunc(past / 3600), "hour");
  return relative.format(Math.trunc(past / 86_400), "day");
}
