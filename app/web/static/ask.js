// The first view: a question, and its answer.

import { el } from "./ui.js";

export async function show(root) {
  root.append(el("div", { class: "empty" },
    el("h1", {}, "Ask your documents"),
    el("textarea", { class: "field", "aria-label": "Your question", "data-main-field": true })));
}
