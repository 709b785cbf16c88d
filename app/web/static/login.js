import { el } from "./ui.js";

export async function show(root) {
  root.append(el("h1", {}, "Sign in"));
}
