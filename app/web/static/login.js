// Signing in: a form that has a link sent, and what the link leads to.

import { rememberCsrf } from "./api.js";
import { busy, button, field, styled } from "./parts.js";
import { el } from "./ui.js";

const AFTER_KEY = "brag.after";

export async function show(root, { token }, context) {
  // Nobody else is to find it: not in the history, not over the shoulder, not in a copied address.
  if (token) history.replaceState(null, "", "/login");
  await styled();
  const card = el("section", { class: "login-card", "aria-labelledby": "login-title" });
  root.append(card);
  if (!context.authRequired) showNobody(card, context);
  else if (token) showLink(card, token, context);
  else showForm(card, context);
}

function fill(card, context, title, ...content) {
  card.replaceChildren(
    el("p", { class: "brand" }, el("span", { class: "mark", "aria-hidden": "true" }, "[ ]"), context.name),
    el("h1", { id: "login-title", tabindex: "-1" }, title), ...content);
}

function showNobody(card, context) {
  fill(card, context, "Nobody signs in here",
    el("p", { class: "hint" }, "This server has no accounts: everything belongs to whoever can reach it."),
    el("a", { class: "button primary", href: "/" }, "Ask a question"));
}

// By a click, and not by itself: programs that look through mail open links, too.
function showLink(card, token, context) {
  const problem = el("p", { class: "problem", role: "alert" });
  const go = button(`Sign in to ${context.name}`, () => busy(go, async () => {
    problem.textContent = "";
    try {
      const session = await context.api("POST", "/v1/login/verify", { token });
      rememberCsrf(session.csrf_token);
    } catch (error) {
      if (error.code === "link_not_valid") showForm(card, context, error.message);
      else problem.textContent = error.message;
      return;
    }
    context.forgetAccount();
    const after = sessionStorage.getItem(AFTER_KEY) || "#/";
    sessionStorage.removeItem(AFTER_KEY);
    context.navigate(after);
  }), "primary wide");
  fill(card, context, "You are one click away",
    el("p", { class: "hint" }, "Your link is good once. It signs you in on this browser for 30 days."), go, problem);
  go.focus();
}

function showForm(card, context, reason = "", registers = false) {
  const email = el("input", { type: "email", name: "email", autocomplete: "email", required: true,
    maxlength: 254, placeholder: "you@example.org", "data-main-field": true });
  const problem = el("p", { class: "problem", role: "alert" }, reason);
  const go = el("button", { class: "button primary wide" }, "Send me a link");
  const form = el("form", { class: "stack", onsubmit: (event) => {
    event.preventDefault();
    busy(go, async () => {
      problem.textContent = "";
      try {
        const path = registers ? "/v1/register" : "/v1/login";
        const { message } = await context.api("POST", path, { email: email.value.trim() });
        showSent(card, context, email.value.trim(), message);
      } catch (error) {
        problem.textContent = error.message;
      }
    });
  } }, field("Email", email), go, problem);
  const other = el("button", { type: "button", class: "text-button",
    onclick: () => showForm(card, context, "", !registers) },
  registers ? "Sign in instead" : "Create an account");
  fill(card, context, registers ? "Create an account" : "Sign in",
    el("p", { class: "hint" }, registers
      ? "You get a link by mail. Opening it makes your account: there is no password."
      : "You get a link by mail: there is no password."),
    form, el("p", { class: "hint" }, registers ? "You have an account? " : "You are new here? ", other));
  email.focus();
}

function showSent(card, context, address, message) {
  fill(card, context, "Look into your mail",
    el("p", { role: "status" }, message),
    el("p", { class: "hint" }, `It goes to ${address}, and is good once, for 15 minutes. If none comes, look into the spam folder, or ask for another.`),
    button("Use another address", () => showForm(card, context)));
  card.querySelector("h1").focus();
}
