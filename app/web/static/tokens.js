// API tokens: for programs that ask, search or ingest in one's name.

import { busy, button, choice, field } from "./parts.js";
import { ago, announce, confirmed, el, iconButton, openDialog } from "./ui.js";

const SCOPES = [
  ["read", "Read", "sources, documents, chats; search"],
  ["ask", "Ask", "questions and answers"],
  ["ingest", "Ingest", "add, change and remove sources and documents"],
  ["admin", "Admin", "what only admins may"],
];
const DAYS = [["", "Never"], ["30", "In 30 days"], ["90", "In 90 days"], ["365", "In a year"]];

export async function showTokens(root, me, context) {
  const list = el("ul", { class: "rows" });
  const none = el("p", { class: "hint" }, "You have none. A program needs one to ask, search or ingest in your name.");
  const make = button("New token", () => busy(make, async () => {
    const made = await newToken(me, context);
    if (made) {
      // First: whatever else fails, it is told this one time.
      await showOnce(made, context);
      await refresh();
    }
  }), "primary");
  root.append(none, list, el("div", {}, make));

  async function refresh() {
    const tokens = await context.api("GET", "/v1/tokens");
    none.hidden = tokens.length > 0;
    list.replaceChildren(...tokens.map(row));
  }

  function row(token) {
    const revoke = button("Revoke", () => busy(revoke, async () => {
      if (!await confirmed({ title: `Revoke “${token.name}”?`, action: "Revoke",
        text: "From now on no request is accepted with it. Streams that it began end within seconds." })) return;
      await context.api("DELETE", `/v1/tokens/${token.id}`);
      await refresh();
      make.focus();
      announce(`${token.name} is revoked.`);
    }), "danger", { "aria-label": `Revoke ${token.name}` });
    const facts = [
      token.last_used_at ? `used ${ago(token.last_used_at)}` : "never used",
      token.expires_at ? `good until ${new Date(token.expires_at).toLocaleDateString()}` : "good until revoked",
      token.requests_per_minute ? `${token.requests_per_minute.toLocaleString("en")} requests a minute` : null,
      token.tokens_per_day ? `${token.tokens_per_day.toLocaleString("en")} tokens a day` : null,
    ].filter(Boolean);
    return el("li", { class: "item" },
      el("div", { class: "item-main" },
        el("p", { class: "item-title" }, el("strong", {}, token.name), " ",
          token.scopes.flatMap((scope) => [el("span", { class: "tag" }, scope), " "])),
        el("p", { class: "hint" }, el("code", {}, `${token.hint}…`), ` · ${facts.join(" · ")}`)),
      revoke);
  }

  await refresh();
}

function newToken(me, { api }) {
  return openDialog({ title: "New API token", className: "wide" }, (close) => {
    const name = el("input", { required: true, maxlength: 200, autofocus: true, placeholder: "nightly import" });
    const scopes = SCOPES.filter(([scope]) => scope !== "admin" || me.role === "admin")
      .map(([scope, label, words]) => {
        const box = el("input", { type: "checkbox", value: scope });
        return { box, line: el("label", { class: "check" }, box,
          el("span", {}, label, el("span", { class: "hint" }, ` ${words}`))) };
      });
    const days = choice(DAYS, "90");
    const requests = el("input", { type: "number", min: 1, max: 1_000_000, placeholder: "the account’s" });
    const tokens = el("input", { type: "number", min: 1, max: 1_000_000_000, placeholder: "the account’s" });
    const problem = el("p", { class: "problem", role: "alert" });
    const go = el("button", { class: "button primary" }, "Create");
    return el("form", { class: "stack", onsubmit: (event) => {
      event.preventDefault();
      const chosen = scopes.filter(({ box }) => box.checked).map(({ box }) => box.value);
      problem.textContent = chosen.length ? "" : "Choose what it may be used for.";
      if (!chosen.length) { scopes[0].box.focus(); return; }
      busy(go, async () => {
        try {
          close(await api("POST", "/v1/tokens", {
            name: name.value.trim(), scopes: chosen,
            expires_at: days.value ? new Date(Date.now() + days.value * 86_400_000).toISOString() : null,
            requests_per_minute: requests.value ? Number(requests.value) : null,
            tokens_per_day: tokens.value ? Number(tokens.value) : null,
          }));
        } catch (error) { problem.textContent = error.message; }
      });
    } },
    field("What it is for", name),
    el("fieldset", {}, el("legend", { class: "label" }, "What it may be used for"), scopes.map(({ line }) => line)),
    el("div", { class: "row" }, field("Ends", days), field("Requests a minute", requests),
      field("Model tokens a day", tokens)),
    problem,
    el("div", { class: "actions" }, button("Cancel", () => close(null)), go));
  });
}

// The only time that it is told.
function showOnce(made, { toast }) {
  return openDialog({ title: `Your token “${made.name}”`, className: "wide" }, (close) => {
    const text = el("input", { class: "field mono", readonly: true, value: made.token, "aria-label": "Token" });
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(made.token);
        toast("Copied.");
      } catch {
        // Without TLS a page may not: then by hand.
        text.focus();
        text.select();
      }
    };
    return [
      el("p", {}, "Copy it now: it is not shown again."),
      el("div", { class: "copy-line" }, text, iconButton("copy", "Copy the token", copy, { autofocus: true })),
      el("div", { class: "actions" }, button("Done", () => close(true), "primary")),
    ];
  });
}
