// A document with a passage of it.

import { el } from "./ui.js";

export async function show(root, { id }, { api }) {
  const found = await api("GET", `/v1/documents/${id}`);
  root.append(el("h1", {}, found.title), el("pre", {}, found.text));
}
