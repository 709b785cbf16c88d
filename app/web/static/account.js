// One's own account: what answers are written for, API tokens, signing out, and the end of it.

import { forgetCsrf, send } from "./api.js";
import { busy, button, choice, field, styled } from "./parts.js";
import { showTokens } from "./tokens.js";
import { el, openDialog } from "./ui.js";

const LEVELS = [["", "Not told"], ["beginner", "Beginner"], ["intermediate", "Intermediate"],
  ["advanced", "Advanced"], ["expert", "Expert"]];

export async function show(root, _, context) {
  await styled();
  const answer = await send("GET", "/v1/me");
  const me = await answer.json();
  root.append(el("header", { class: "view-head" }, el("h1", {}, "Account"),
    el("p", { class: "hint" }, context.authRequired
      ? `Signed in as ${me.email}${me.role === "admin" ? ", an admin" : ""}.`
      : "This server has no accounts: everything belongs to whoever can reach it.")));
  root.append(profile(me, context));
  if (!context.authRequired) {
    root.append(section("Accounts", el("p", { class: "hint" }, "With ",
      el("code", {}, "AUTH=required"), " everybody signs in by a link that is sent by mail, has documents and chats of their own, and API tokens.")));
    return;
  }
  const tokens = section("API tokens");
  root.append(tokens, limits(answer.headers), ...leaving(me, context));
  await showTokens(tokens, me, context);
}

const section = (title, ...content) => {
  const heading = el("h2", { id: `section-${title.replaceAll(" ", "-")}` }, title);
  return el("section", { class: "block", "aria-labelledby": heading.id }, heading, ...content);
};

function profile(me, { api, toast, forgetAccount }) {
  const name = el("input", { value: me.name, maxlength: 200, autocomplete: "name" });
  const software = choice(LEVELS, me.software_background ?? "");
  const hardware = choice(LEVELS, me.hardware_background ?? "");
  const save = el("button", { class: "button primary" }, "Save");
  return section("Profile",
    el("p", { class: "hint" }, "Answers are worded for what you know."),
    el("form", { class: "stack", onsubmit: (event) => {
      event.preventDefault();
      busy(save, async () => {
        await api("PATCH", "/v1/me", { name: name.value.trim(),
          software_background: software.value || null, hardware_background: hardware.value || null });
        forgetAccount();
        toast("Saved.");
      });
    } },
    field("Name", name),
    el("div", { class: "row" }, field("Software", software), field("Hardware", hardware)),
    el("div", {}, save)));
}

function limits(headers) {
  const perMinute = headers.get("ratelimit-limit");
  if (!perMinute) return "";
  const left = Number(headers.get("ratelimit-remaining")).toLocaleString("en");
  return section("Limits", el("p", { class: "hint" },
    `${Number(perMinute).toLocaleString("en")} requests a minute, of which ${left} are left in this one. Your tokens share them.`));
}

function leaving(me, context) {
  const out = button("Sign out", () => busy(out, async () => {
    await context.api("POST", "/v1/logout");
    leave();
  }));
  const gone = button("Delete account…", () => busy(gone, async () => {
    if (!await reallyDelete(me)) return;
    await context.api("DELETE", "/v1/me");
    leave();
  }), "danger");
  return [
    section("Sign out", el("p", { class: "hint" }, "On this browser. Your tokens stay valid."), el("div", {}, out)),
    section("Delete the account", el("p", { class: "hint" }, "With everything that belongs to it, for good."),
      el("div", {}, gone)),
  ];
}

// A load of its own: nothing of the account stays in the page.
function leave() {
  forgetCsrf();
  location.assign("/login");
}

// Whoever deletes an account types whose it is.
function reallyDelete(me) {
  return openDialog({ title: "Delete your account?" }, (close) => {
    const typed = el("input", { autocomplete: "off", spellcheck: "false", autofocus: true });
    const go = el("button", { class: "button danger", disabled: true }, "Delete it for good");
    typed.addEventListener("input", () => { go.disabled = typed.value.trim() !== me.email; });
    return el("form", { class: "stack", method: "dialog", onsubmit: (event) => {
      event.preventDefault();
      if (typed.value.trim() === me.email) close(true);
    } },
    el("p", {}, "Your sources with their documents, your chats, questions and answers, and your API tokens go with it. Nothing of it comes back."),
    field(`Type ${me.email} to go on`, typed),
    el("div", { class: "actions" }, button("Cancel", () => close(null)), go));
  });
}
