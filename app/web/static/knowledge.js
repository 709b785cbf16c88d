// What bRAG knows: adding to it, what is being ingested, sources, documents.

import { showAdding } from "./adding.js";
import { showDocuments } from "./library.js";
import { styled } from "./parts.js";
import { showRuns } from "./runs.js";
import { showSources } from "./sources.js";
import { count, el } from "./ui.js";

export async function show(root, params, context) {
  await styled();
  const gone = new AbortController();
  const me = await context.account();
  const page = {
    ...context,
    me,
    signal: gone.signal,
    // Whose it is may change it, and admins.
    mayChange: (thing) => thing.mine || me.role === "admin" || !context.authRequired,
    source: (id) => sources.find(id),
  };
  const hint = el("p", { class: "hint" });
  const parts = {
    adding: el("section", { class: "block", "aria-label": "Add documents" }),
    runs: el("section", { class: "block", "aria-label": "Ingestions" }),
    sources: el("section", { class: "block", "aria-label": "Sources" }),
    documents: el("section", { class: "block", "aria-label": "Documents" }),
  };
  root.append(el("header", { class: "view-head" }, el("h1", {}, "Knowledge"), hint),
    ...Object.values(parts));

  const refreshed = async () => {
    // In this order: documents name their sources.
    await sources.refresh();
    told();
    await documents.refresh();
  };
  const sources = showSources(parts.sources, page, {
    onrun: (run) => runs.add(run),
    onchange: refreshed,
    onopen: (source) => documents.only(source.id),
  });
  const documents = showDocuments(parts.documents, page, { sources, chosen: params.source ?? "" });
  const runs = showRuns(parts.runs, page, { ondone: refreshed });
  showAdding(parts.adding, page, {
    onrun: async (run, words) => {
      await sources.refresh();
      runs.add(run, words);
      told();
    },
  });

  const told = () => {
    const known = sources.all();
    const number = known.reduce((sum, source) => sum + source.documents, 0);
    hint.textContent = known.length
      ? `${count(number, "document")} from ${count(known.length, "source")}${sources.isComplete() ? "" : " and more"}.`
      : "Nothing yet. What you add here is what questions are answered from.";
  };
  await refreshed();
  await runs.refresh();
  return () => gone.abort();
}
