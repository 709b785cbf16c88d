// The page's frame: shows the view that the address names, the side list, and errors.

import { api, onSignedOut, page } from "./api.js";
import * as ask from "./ask.js";
import { showChats } from "./chats.js";
import { announce, el, toast } from "./ui.js";

const NAME = document.body.dataset.name;
const AUTH_REQUIRED = document.body.dataset.auth === "required";

// A view is a module that exports `show(root, params, page)`. It may return a function that is
// called when another view is shown. Views but the first are loaded when they are needed.
const VIEWS = [
  [/^\/$/, "ask", "Ask", async () => ask],
  [/^\/chats\/(?<id>[\w-]+)$/, "ask", "Chat", async () => ask],
  [/^\/documents\/(?<id>[\w-]+)$/, "documents", "Document", () => import("./documents.js")],
  [/^\/knowledge(?:\/(?<id>[\w/-]+))?$/, "knowledge", "Knowledge", () => import("./knowledge.js")],
  [/^\/search$/, "search", "Search", () => import("./search.js")],
  [/^\/account$/, "account", "Account", () => import("./account.js")],
  [/^\/login$/, "login", "Sign in", () => import("./login.js")],
];

const main = document.getElementById("main");
const side = document.getElementById("side");
const veil = document.getElementById("veil");
const menu = document.getElementById("menu");

// ---- Errors are shown, whoever made them.

const problem = (error) => {
  if (error?.name === "AbortError") return;
  // Who has to sign in sees that already.
  if (error?.name === "ApiError" && error.status === 401) return;
  const words = error?.name === "ApiError" ? error.message : `The page has a fault: ${error?.message ?? error}`;
  toast(words, { kind: "error" });
};
window.addEventListener("error", (event) => problem(event.error ?? event.message));
window.addEventListener("unhandledrejection", (event) => problem(event.reason));

// ---- Whose page it is

let profile = null;

// The account, asked for once: GET /v1/me.
export const account = () => {
  profile ??= api("GET", "/v1/me").catch((error) => { profile = null; throw error; });
  return profile;
};
export const forgetAccount = () => { profile = null; };

// ---- Views

let cleanUp = null;
let turn = 0;

export const navigate = (path) => {
  const address = path.startsWith("#") ? path : `#${path}`;
  if (location.pathname !== "/") location.assign(`/${address}`);
  else if (location.hash === address) showView();
  else location.hash = address;
};

function address() {
  // The link in a mail is no hash: /login?token=...
  if (location.pathname === "/login" && !location.hash) return `/login${location.search}`;
  return location.hash.slice(1) || "/";
}

async function showView() {
  const mine = ++turn;
  const [path, search = ""] = address().split("?");
  const view = VIEWS.find(([pattern]) => pattern.test(path));
  closeMenu();
  try { cleanUp?.(); } catch (error) { problem(error); }
  cleanUp = null;
  const [pattern, name, title, load] = view ?? [/^/, "", "Not found", async () => notFound];
  const params = { ...pattern.exec(path).groups, ...Object.fromEntries(new URLSearchParams(search)) };
  document.title = title === "Ask" ? NAME : `${title} · ${NAME}`;
  document.body.classList.toggle("signed-out", name === "login");
  markCurrent(name, path);
  const root = el("div", { class: `view ${name}` });
  main.replaceChildren(root);
  main.scrollTop = 0;
  try {
    const module = await load();
    if (mine !== turn) return;
    const done = await module.show(root, params, context);
    if (mine === turn) cleanUp = done ?? null;
    else done?.();
    // What had the focus may be gone; a key or a screen reader goes on in the new view.
    if (mine === turn && document.activeElement === document.body && turn > 1) {
      main.focus({ preventScroll: true });
    }
  } catch (error) {
    if (mine !== turn || error?.status === 401) return;
    root.replaceChildren(el("div", { class: "empty" },
      el("h1", {}, error?.status === 404 ? "Not found" : "This did not work"),
      el("p", {}, error?.name === "ApiError" ? error.message : `The page has a fault: ${error?.message}`),
      el("p", {}, el("button", { type: "button", class: "button", onclick: showView }, "Try again"))));
  }
}

const notFound = {
  show(root) {
    root.append(el("div", { class: "empty" }, el("h1", {}, "Not found"),
      el("p", {}, "There is no such view. "), el("p", {}, el("a", { href: "#/" }, "Ask a question"))));
  },
};

// Say which links lead to what is shown; also when a view has given itself another address.
function markCurrent(name, path = address().split("?")[0]) {
  for (const link of side.querySelectorAll("nav a")) {
    const isCurrent = link.dataset.view === name && !path.startsWith("/chats");
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const link of side.querySelectorAll(".chats a")) {
    if (link.getAttribute("href") === `#${path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// ---- The side list, a drawer on a narrow screen

function openMenu() {
  document.body.classList.add("menu-open");
  veil.hidden = false;
  menu.setAttribute("aria-expanded", "true");
  side.querySelector("a, button, input").focus();
}

function closeMenu() {
  if (!document.body.classList.contains("menu-open")) return;
  document.body.classList.remove("menu-open");
  veil.hidden = true;
  menu.setAttribute("aria-expanded", "false");
  menu.focus();
}

menu.addEventListener("click", () => (veil.hidden ? openMenu() : closeMenu()));
veil.addEventListener("click", closeMenu);

// ---- Keys: `/` goes to the view's main field, Esc closes the drawer.

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const field = main.querySelector("[data-main-field]");
    if (field && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      field.focus();
    }
  } else if (event.key === "Escape") closeMenu();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

// ---- Begin

const context = { api, page, toast, announce, navigate, account, forgetAccount,
  moved: () => markCurrent("ask"), authRequired: AUTH_REQUIRED, name: NAME };
const chats = showChats(document.getElementById("chats"), context);
context.chats = chats;

onSignedOut(() => {
  forgetAccount();
  if (!address().startsWith("/login")) {
    sessionStorage.setItem("brag.after", location.hash);
    navigate("/login");
  }
});

window.addEventListener("hashchange", showView);
showView();
// With a link to sign in, there is no account yet whose chats could be listed.
if (!address().startsWith("/login")) chats.refresh();
document.documentElement.dataset.ready = "true";
