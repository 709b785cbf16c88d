// Texts with a passage in them: places are counted in characters, as the server counts them.

import { api } from "./api.js";
import { el } from "./ui.js";

// What is shown around a passage of a long document at first.
export const AROUND = 40_000;

const KEPT = 8;
const documents = new Map();

// A document with its text; the last few are kept.
export async function findDocument(id) {
  const found = documents.get(id) ?? await api("GET", `/v1/documents/${id}`);
  documents.delete(id);
  documents.set(id, found);
  if (documents.size > KEPT) documents.delete(documents.keys().next().value);
  return found;
}

export const forgetDocument = (id) => documents.delete(id);

// Places in characters into places in the UTF-16 that this language counts in.
export function toUnits(text, places) {
  if (!/[\ud800-\udbff]/.test(text)) return places;
  const wanted = [...new Set(places)].sort((a, b) => a - b);
  const found = new Map();
  let unit = 0;
  let character = 0;
  for (const place of wanted) {
    while (character < place && unit < text.length) {
      unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
      character += 1;
    }
    found.set(place, unit);
  }
  return places.map((place) => found.get(place));
}

// text[start:end] with marks; `marks` are [{ start, end, verified }], all in UTF-16 places.
export function marked(text, start, end, marks) {
  const parts = [];
  let at = start;
  for (const mark of [...marks].sort((a, b) => a.start - b.start)) {
    const from = Math.max(mark.start, at);
    const to = Math.min(mark.end, end);
    if (to <= from) continue;
    parts.push(text.slice(at, from), el("mark", { class: mark.verified ? "" : "unverified" },
      mark.verified ? null : el("span", { class: "visually-hidden" }, "not verified: "),
      text.slice(from, to)));
    at = to;
  }
  parts.push(text.slice(at, end));
  return parts;
}

// The same, with headings and code of Markdown told apart; every character stays.
export function styled(text, start, end, marks, isMarkdown) {
  if (!isMarkdown) return marked(text, start, end, marks);
  const parts = [];
  let kind = null;
  let from = start;
  let isCode = false;
  const finish = (to) => {
    if (to <= from) return;
    const run = marked(text, from, to, marks);
    parts.push(...(kind ? [el("span", { class: kind }, run)] : run));
    from = to;
  };
  let at = 0;
  while (at < end) {
    const newline = text.indexOf("\n", at);
    const next = newline < 0 ? text.length : newline + 1;
    const line = text.slice(at, Math.min(next, at + 200));
    const isFence = /^ {0,3}(```|~~~)/.test(line);
    const found = isCode || isFence ? "code" : /^ {0,3}#{1,6} /.test(line) ? "heading" : null;
    if (isFence) isCode = !isCode;
    if (next > start && found !== kind) {
      finish(Math.min(Math.max(at, start), end));
      kind = found;
    }
    at = next;
  }
  finish(end);
  return parts;
}

export const isMarkdown = (found) => /markdown|mdx/.test(found.media_type);

// Only addresses of the web, whatever a document says of itself.
export function originOf(url) {
  return /^https?:\/\//i.test(url ?? "") ? url : null;
}
