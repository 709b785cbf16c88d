// Small parts of the views that are loaded when they are needed.

import { el, failed } from "./ui.js";

let sheet = null;

// Load these views' style sheet, once; a view waits for it, so that nothing jumps.
export function styled() {
  sheet ??= new Promise((resolve) => {
    document.head.append(el("link", { rel: "stylesheet", onload: resolve, onerror: resolve,
      href: new URL("views.css", import.meta.url).href }));
  });
  return sheet;
}

let fields = 0;

// A control with its label and, below it, a hint.
export function field(label, control, hint) {
  control.id ||= `field-${++fields}`;
  control.classList.add("field");
  const note = hint ? el("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return el("div", { class: "control" },
    el("label", { class: "label", for: control.id }, label), control, note);
}

// A list to choose from: [[value, words], ...].
export function choice(options, chosen = "", properties = {}) {
  const select = el("select", properties,
    options.map(([value, words]) => el("option", { value }, words)));
  select.value = chosen;
  return select;
}

export const button = (words, onclick, kind = "", properties = {}) =>
  el("button", { type: "button", class: `button ${kind}`, onclick, ...properties }, words);

// Do what a button is for, once at a time. The button stays where the keyboard is.
export async function busy(control, work) {
  if (control.ariaBusy === "true") return undefined;
  control.ariaBusy = "true";
  try {
    return await work();
  } catch (error) {
    failed(error);
    return undefined;
  } finally {
    control.ariaBusy = "false";
  }
}

const UNITS = ["bytes", "KB", "MB", "GB"];

export function size(bytes) {
  let unit = 0;
  let number = bytes;
  while (number >= 1000 && unit < UNITS.length - 1) { number /= 1000; unit += 1; }
  return `${number.toLocaleString("en", { maximumFractionDigits: number < 10 && unit ? 1 : 0 })} ${UNITS[unit]}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

const EVERY = { m: "minute", h: "hour", d: "day" };

// "6h" in words.
export function schedule(every) {
  if (!every) return "by hand";
  const number = Number.parseInt(every, 10);
  const unit = EVERY[every.at(-1)];
  return number === 1 ? `every ${unit}` : `every ${number} ${unit}s`;
}

// The rest of a list: a button that appends the next page.
export function pager(first, load, append) {
  let next = first;
  const more = button("Show more", () => busy(more, async () => {
    const found = await load(next);
    append(found.items);
    next = found.next;
    more.hidden = !next;
  }));
  more.hidden = !next;
  return more;
}
