// The list of documents, newest first.

import { busy, button, choice, field, pager } from "./parts.js";
import { KINDS, nameOf } from "./sources.js";
import { ago, announce, confirmed, count, el, failed, iconButton } from "./ui.js";

export function showDocuments(root, page, { sources, chosen }) {
  const heading = el("h2", { tabindex: "-1" }, "Documents");
  const source = el("select", {});
  const prefix = el("input", { type: "search", placeholder: "docs/guide", maxlength: 500 });
  const list = el("ul", { class: "rows" });
  const rest = el("div", {});
  const none = el("p", { class: "hint" });
  let wanted = chosen;
  const filters = el("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    narrow();
  } }, field("Source", source), field("Path begins with", prefix));
  source.addEventListener("change", () => { wanted = source.value; narrow(); });
  prefix.addEventListener("change", () => narrow());
  root.append(heading, filters, none, list, rest);

  const row = (document_) => {
    const name = document_.title || document_.path;
    const of = sources.find(document_.source_id);
    const facts = [document_.path === name ? null : el("code", {}, document_.path),
      of ? nameOf(of) : KINDS[document_.source_kind] ?? document_.source_kind,
      count(document_.characters, "character"), ago(document_.updated_at)].filter(Boolean);
    const remove = document_.source_kind === "upload" && page.mayChange(document_)
      ? iconButton("trash", `Delete ${name}`, () => busy(remove, () => deleted(document_, name))) : null;
    return el("li", { class: "item" },
      el("div", { class: "item-main" },
        el("p", { class: "item-title" }, el("a", { href: `#/documents/${document_.id}` }, name), " ",
          page.authRequired && document_.visibility === "private" ? el("span", { class: "tag" }, "Private") : null),
        el("p", { class: "hint where" }, facts.flatMap((fact, at) => (at ? [" · ", fact] : [fact])))),
      remove);
  };

  async function deleted(document_, name) {
    if (!await confirmed({ title: `Delete “${name}”?`,
      text: "No search finds it from then on, and no answer is given from it." })) return;
    await page.api("DELETE", `/v1/documents/${document_.id}`);
    await sources.refresh();
    await refresh();
    heading.focus();
    announce(`${name} is deleted.`);
  }

  // Also while another is under way: the last choice counts.
  const narrow = () => refresh().catch(failed);
  const load = (path) => page.page(path, { signal: page.signal });
  let turn = 0;

  async function refresh() {
    const mine = ++turn;
    const known = sources.all();
    source.replaceChildren(...choice([["", "All of them"], ...known.map((one) => [one.id, nameOf(one)])]).children);
    if (wanted && !sources.find(wanted)) wanted = "";
    source.value = wanted;
    const query = new URLSearchParams({ limit: "25" });
    if (wanted) query.set("source_id", wanted);
    if (prefix.value.trim()) query.set("path_prefix", prefix.value.trim());
    const found = await load(`/v1/documents?${query}`);
    if (mine !== turn) return;
    list.replaceChildren(...found.items.map(row));
    const isFiltered = wanted || prefix.value.trim();
    none.textContent = isFiltered ? "There is none of these." : "There is none yet.";
    none.hidden = found.items.length > 0;
    root.hidden = !known.length && !isFiltered;
    rest.replaceChildren(pager(found.next, load, (items) => list.append(...items.map(row))));
  }

  return {
    refresh,
    // Show those of one source, and go there.
    async only(id) {
      wanted = id;
      prefix.value = "";
      await refresh();
      heading.focus();
      heading.scrollIntoView({ block: "start" });
    },
  };
}
