// Small parts that every view uses: elements, notices, dialogs, words for times.

// Make an element: el("a", { href, class, onclick, "aria-label" }, "text", otherElement).
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// A button that shows an icon alone; its label is read out and shown as a tip.
export const iconButton = (name, label, onclick, properties = {}) =>
  el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick,
    ...properties }, icon(name));

// Say something once to those who listen to the page.
export function announce(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  // A change is what is read out.
  setTimeout(() => { live.textContent = text; }, 50);
}

// Show a notice. `kind` is "info" or "error"; errors stay until they are closed.
export function toast(message, { kind = "info", action, onaction } = {}) {
  const close = () => notice.remove();
  const notice = el(
    "div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" },
    el("p", {}, String(message)),
    action ? el("button", { type: "button", class: "text-button",
      onclick: () => { close(); onaction(); } }, action) : null,
    iconButton("close", "Close", close),
  );
  const toasts = document.getElementById("toasts");
  // The same again would only pile up.
  for (const other of [...toasts.children]) {
    if (other.querySelector("p").textContent === String(message)) other.remove();
  }
  toasts.append(notice);
  while (toasts.children.length > 4) toasts.firstChild.remove();
  if (kind !== "error") setTimeout(close, 6000);
  return close;
}

export const failed = (error) => {
  if (error?.name !== "AbortError") toast(error.message, { kind: "error" });
};

// Open a dialog; resolves with the value that `close(value)` is called with, or null. Focus goes
// back to where it was.
export function openDialog({ title, className = "" }, build) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const heading = el("h2", { id: "dialog-title" }, title);
    const dialog = el("dialog", { class: className, "aria-labelledby": "dialog-title" }, heading);
    let result = null;
    const close = (value) => { result = value ?? null; dialog.close(); };
    dialog.append(...[build(close)].flat());
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(result);
    });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) close(null); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Ask whether to do something; resolves with true or false.
export async function confirmed({ title, text, action = "Delete", danger = true }) {
  const answer = await openDialog({ title }, (close) => [
    el("p", {}, text),
    el("div", { class: "actions" },
      el("button", { type: "button", class: "button", autofocus: true,
        onclick: () => close(null) }, "Cancel"),
      el("button", { type: "button", class: `button ${danger ? "danger" : "primary"}`,
        onclick: () => close(true) }, action)),
  ]);
  return answer === true;
}

// Ask for a line of text; resolves with it, or null.
export function asked({ title, label, value = "", action = "Save", maxlength = 200 }) {
  return openDialog({ title }, (close) => {
    const input = el("input", { id: "asked", value, maxlength, autofocus: true, class: "field" });
    return el("form", { method: "dialog",
      onsubmit: (event) => { event.preventDefault(); close(input.value.trim()); } },
    el("label", { for: "asked", class: "label" }, label), input,
    el("div", { class: "actions" },
      el("button", { type: "button", class: "button", onclick: () => close(null) }, "Cancel"),
      el("button", { class: "button primary" }, action)));
  });
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const STEPS = [["year", 31_557_600], ["month", 2_629_800], ["day", 86_400], ["hour", 3_600],
  ["minute", 60]];

// "3 hours ago"
export function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return "just now";
}

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
