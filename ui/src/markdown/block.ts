// Markdown as blocks: text becomes a tree of paragraphs, lists, tables and code. An answer that is
// still being written is read as if it ended here. Each block keeps its source, so that whoever
// draws can see what did not change. It knows no element.

import { inline, type Inline } from "./inline.ts";

export type Align = "left" | "center" | "right" | null;

export type Block =
  | { kind: "paragraph"; children: Inline[] }
  | { kind: "heading"; level: number; children: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "list"; start: number | null; items: Item[] }
  | { kind: "table"; align: Align[]; head: Inline[][]; rows: Inline[][][] }
  | { kind: "rule" };

export interface Item {
  /** Whether it is done, where it is a task. */
  done: boolean | null;
  blocks: Block[];
}

/** A block of the text itself, and the lines it was made of. */
export interface Piece {
  source: string;
  block: Block;
}

/** Quotes and lists inside of each other; what is deeper is a paragraph. */
const DEPTH_MAX = 8;
/** Columns of a table. */
const COLUMNS_MAX = 40;

const FENCE = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+|$)/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:( {1,4})(?=\S)|[ \t]*$)/;
const TASK = /^\[([ xX])\] /;
const DASHES = /^:?-+:?$/;

/** The blocks of a text. */
export function blocks(text: string): Piece[] {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n");
  return read(lines, 0);
}

function read(lines: string[], depth: number): Piece[] {
  const out: Piece[] = [];
  let at = 0;
  while (at < lines.length) {
    if (blank(lines[at])) {
      at += 1;
      continue;
    }
    const [block, end] = one(lines, at, depth);
    out.push({ source: lines.slice(at, end).join("\n"), block });
    at = end;
  }
  return out;
}

const inner = (lines: string[], depth: number): Block[] => read(lines, depth + 1).map((piece) => piece.block);
const blank = (line: string | undefined): boolean => line === undefined || line.trim() === "";

/** The block that begins at a line which is not blank, and the line after it. */
function one(lines: string[], at: number, depth: number): [Block, number] {
  const line = lines[at] ?? "";
  const fence = FENCE.exec(line);
  if (fence) return code(lines, at, fence[1] ?? "", fence[2] ?? "");
  const heading = HEADING.exec(line);
  if (heading) {
    const text = line.slice(heading[0].length).trim();
    const closed = text.replace(/(?:^|[ ])#{1,6}$/, "");
    return [{ kind: "heading", level: (heading[1] ?? "#").length, children: inline(closed) }, at + 1];
  }
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (depth < DEPTH_MAX && QUOTE.test(line)) {
    let end = at;
    while (end < lines.length && QUOTE.test(lines[end] ?? "")) end += 1;
    const inside = lines.slice(at, end).map((quoted) => quoted.replace(QUOTE, ""));
    return [{ kind: "quote", blocks: inner(inside, depth) }, end];
  }
  if (depth < DEPTH_MAX && ITEM.test(line)) return list(lines, at, depth);
  if (line.includes("|") && isTable(line, lines[at + 1])) return table(lines, at);
  return paragraph(lines, at);
}

function code(lines: string[], at: number, fence: string, info: string): [Block, number] {
  const indent = (/^ */.exec(lines[at] ?? "")?.[0] ?? "").length;
  const closes = new RegExp(`^ {0,3}${fence[0] === "~" ? "~" : "`"}{${fence.length},} *$`);
  let end = at + 1;
  while (end < lines.length && !closes.test(lines[end] ?? "")) end += 1;
  const text = lines.slice(at + 1, end).map((line) => line.replace(new RegExp(`^ {0,${indent}}`), ""));
  const language = (info.trim().split(/\s/, 1)[0] ?? "").slice(0, 30);
  return [{ kind: "code", language, text: text.join("\n") }, Math.min(end + 1, lines.length)];
}

function list(lines: string[], from: number, depth: number): [Block, number] {
  const first = ITEM.exec(lines[from] ?? "");
  const kind = (marker: string) => (/\d/.test(marker) ? marker.slice(-1) : marker);
  const wanted = kind(first?.[2] ?? "-");
  const items: Item[] = [];
  let at = from;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    const found = ITEM.exec(line);
    if (!found || kind(found[2] ?? "") !== wanted || RULE.test(line)) break;
    const width = found[3] === undefined ? (found[1] ?? "").length + (found[2] ?? "").length + 1 : found[0].length;
    const own = [line.slice(found[0].length)];
    at += 1;
    // What belongs to the item is indented, or goes on with its paragraph.
    while (at < lines.length) {
      const next = lines[at] ?? "";
      if (blank(next)) {
        let ahead = at;
        while (ahead < lines.length && blank(lines[ahead])) ahead += 1;
        if (indented(lines[ahead], width)) own.push(...lines.slice(at, ahead));
        else if (!ITEM.test(lines[ahead] ?? "")) break;
        at = ahead;
        if (!indented(lines[at], width)) break;
      } else if (indented(next, width)) {
        own.push(next.slice(width));
        at += 1;
      } else if (!begins(next) && !blank(own.at(-1))) {
        own.push(next.trimStart());
        at += 1;
      } else break;
    }
    const task = TASK.exec(own[0] ?? "");
    if (task) own[0] = (own[0] ?? "").slice(task[0].length);
    items.push({ done: task ? task[1] !== " " : null, blocks: inner(own, depth) });
  }
  const digits = Number.parseInt(first?.[2] ?? "", 10);
  return [{ kind: "list", start: Number.isNaN(digits) ? null : digits, items }, at];
}

const indented = (line: string | undefined, width: number): boolean =>
  line !== undefined && line.length > width && line.slice(0, width).trim() === "" && !blank(line);

/** Whether a line begins a block that is no paragraph. */
const begins = (line: string): boolean =>
  FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

function isTable(head: string, separator: string | undefined): boolean {
  if (separator === undefined || !separator.includes("-")) return false;
  const below = cells(separator);
  return below.every((cell) => DASHES.test(cell)) && cells(head).length === below.length;
}

/** A row's cells; a bar after a backslash is a sign. */
function cells(line: string): string[] {
  const row = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  const out: string[] = [];
  let cell = "";
  for (let at = 0; at < row.length; at += 1) {
    if (row[at] === "\\" && row[at + 1] === "|") {
      cell += "|";
      at += 1;
    } else if (row[at] === "|") {
      out.push(cell);
      cell = "";
    } else cell += row[at];
  }
  out.push(cell);
  return out.map((text) => text.trim()).slice(0, COLUMNS_MAX);
}

function table(lines: string[], at: number): [Block, number] {
  const head = cells(lines[at] ?? "").map(inline);
  const align = cells(lines[at + 1] ?? "").map((cell): Align => {
    const left = cell.startsWith(":");
    const right = cell.endsWith(":");
    return left && right ? "center" : right ? "right" : left ? "left" : null;
  });
  let end = at + 2;
  const rows: Inline[][][] = [];
  while (end < lines.length && !blank(lines[end]) && (lines[end] ?? "").includes("|")) {
    const row = cells(lines[end] ?? "");
    rows.push(head.map((_, column) => inline(row[column] ?? "")));
    end += 1;
  }
  return [{ kind: "table", align, head, rows }, end];
}

function paragraph(lines: string[], at: number): [Block, number] {
  let end = at + 1;
  while (end < lines.length && !blank(lines[end]) && !begins(lines[end] ?? "")) {
    // A table may follow its sentence without a blank line.
    if ((lines[end] ?? "").includes("|") && isTable(lines[end] ?? "", lines[end + 1])) break;
    end += 1;
  }
  const text = lines.slice(at, end).map((line) => line.trimStart());
  return [{ kind: "paragraph", children: inline(text.join("\n").trimEnd()) }, end];
}
