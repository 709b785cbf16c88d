// The list of sources: what each is, when it was read, and what may be done with it.

import { busy, button, choice, pager, schedule } from "./parts.js";
import { ago, announce, confirmed, count, el, failed, iconButton } from "./ui.js";

export const KINDS = { web: "Site", git: "Git", github: "GitHub", folder: "Folder", upload: "Uploads" };
const EVERY = ["", "1h", "6h", "1d", "7d"];

export const nameOf = (source, withAccounts = document.body.dataset.auth === "required") => {
  if (source.kind !== "upload") return source.name;
  if (!withAccounts) return "Uploads";
  if (!source.mine) return "Uploads of somebody else";
  return source.visibility === "shared" ? "Shared uploads" : "Uploads";
};

export function showSources(root, page, { onrun, onchange, onopen }) {
  let known = [];
  let next = null;
  const list = el("ul", { class: "rows" });
  const heading = el("h2", { tabindex: "-1" }, "Sources");
  const rest = el("div", {});
  root.append(heading, list, rest);

  const row = (source) => {
    const may = page.mayChange(source) && source.kind !== "upload";
    const name = nameOf(source);
    const tags = [el("span", { class: "tag" }, KINDS[source.kind] ?? source.kind)];
    if (page.authRequired) {
      tags.push(el("span", { class: "tag" }, source.visibility === "shared" ? "Shared" : "Private"));
      if (!source.mine) tags.push(el("span", { class: "tag" }, "somebody else’s"));
    }
    const facts = [count(source.documents, "document")];
    if (source.kind !== "upload") {
      facts.push(source.synced_at ? `read ${ago(source.synced_at)}` : "not read yet");
      if (!may) facts.push(schedule(source.every));
    }
    return el("li", { class: "item", dataset: { id: source.id } },
      el("div", { class: "item-main" },
        el("p", { class: "item-title" }, el("strong", {}, name), " ", tags.flatMap((tag) => [tag, " "])),
        source.location && source.location !== name && source.kind !== "upload"
          ? el("p", { class: "hint where" }, el("code", {}, source.location)) : null,
        el("p", { class: "hint" }, facts.join(" · "))),
      el("div", { class: "item-actions" },
        source.documents ? button("Documents", () => onopen(source), "small", { "aria-label": `Documents of ${name}` }) : null,
        may ? syncing(source, name) : null,
        may ? scheduling(source, name) : null,
        may && page.authRequired && source.mine ? sharing(source, name) : null,
        may ? deleting(source, name) : null));
  };

  const syncing = (source, name) => {
    const sync = button("Sync now", () => busy(sync, async () => {
      onrun(await page.api("POST", `/v1/sources/${source.id}/sync`));
    }), "small", { "aria-label": `Sync ${name} now` });
    return sync;
  };

  const changed = async (source, change, words) => {
    const now = await page.api("PATCH", `/v1/sources/${source.id}`, change);
    known = known.map((other) => (other.id === now.id ? now : other));
    page.announce(words);
  };

  const scheduling = (source, name) => {
    const values = EVERY.includes(source.every ?? "") ? EVERY : [...EVERY, source.every];
    const select = choice(values.map((every) => [every, `Sync ${schedule(every)}`]), source.every ?? "",
      { class: "field small", "aria-label": `When to sync ${name}` });
    let kept = select.value;
    select.addEventListener("change", async () => {
      // One after the other: what is shown is what is kept.
      select.disabled = true;
      try {
        await changed(source, { every: select.value || null }, `${name} is synced ${schedule(select.value)}.`);
        kept = select.value;
      } catch (error) {
        select.value = kept;
        failed(error);
      } finally {
        select.disabled = false;
        if (document.activeElement === document.body) select.focus();
      }
    });
    return select;
  };

  const sharing = (source, name) => {
    const isShared = source.visibility === "shared";
    const share = button(isShared ? "Make private" : "Share", () => busy(share, async () => {
      if (!isShared && !await confirmed({ title: `Share “${name}”?`, action: "Share", danger: false,
        text: "Everybody who signs in here can then read it and gets answers from it." })) return;
      await changed(source, { visibility: isShared ? "private" : "shared" },
        isShared ? `${name} is private.` : `${name} is shared.`);
      await onchange();
    }), "small", { "aria-label": isShared ? `Make ${name} private` : `Share ${name}` });
    return share;
  };

  const deleting = (source, name) => {
    const remove = iconButton("trash", `Delete ${name}`, () => busy(remove, async () => {
      if (!await confirmed({ title: `Delete “${name}”?`,
        text: `Its ${count(source.documents, "document")} ${source.documents === 1 ? "goes" : "go"} with it: no search finds them from then on. What it was read from stays as it is.` })) return;
      await page.api("DELETE", `/v1/sources/${source.id}`);
      await onchange();
      heading.focus();
      announce(`${name} is deleted.`);
    }));
    return remove;
  };

  const draw = () => {
    const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    list.replaceChildren(...known.map(row));
    root.hidden = !known.length;
    // Whoever was at a button of the list stays there.
    if (focused) [...list.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  };

  const load = (path) => page.page(path, { signal: page.signal });

  return {
    all: () => known,
    isComplete: () => !next,
    find: (id) => known.find((source) => source.id === id),
    async refresh() {
      const first = await load(`/v1/sources?limit=${Math.min(200, Math.max(50, known.length))}`);
      known = first.items;
      next = first.next;
      draw();
      rest.replaceChildren(pager(next, async (path) => {
        const more = await load(path);
        next = more.next;
        return more;
      }, (items) => { known = [...known, ...items]; draw(); }));
    },
  };
}
