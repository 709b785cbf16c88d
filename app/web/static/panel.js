// A passage beside the conversation: what a citation stands for, in its document.

import { whereIn } from "./message.js";
import { findDocument, isMarkdown, originOf, styled, toUnits } from "./passages.js";
import { el, icon, iconButton } from "./ui.js";

// What is shown of the document before and after the passage.
const CONTEXT = 400;
const wide = matchMedia("(min-width: 76rem)");

let panel = null;

export function closePanel() {
  panel?.close();
}

// Show a source with the citations that lead to it; focus goes back to `from` at the end.
export async function openPanel(source, citations, from) {
  closePanel();
  const body = el("div", { class: "passage-body" }, el("p", { class: "hint" }, "Loading…"));
  const verified = citations.length > 0 && citations.every((citation) => citation.verified);
  const link = source.document_id ? addressOf(source, citations) : null;
  const origin = originOf(citations.find((citation) => citation.url)?.url ?? source.url);
  const mine = el("dialog", { class: "panel", "aria-labelledby": "panel-title" },
    el("header", {},
      el("div", {},
        el("h2", { id: "panel-title", tabindex: "-1" }, source.title || source.path || "Selected text"),
        el("p", { class: "hint" }, whereIn(source))),
      iconButton("close", "Close the passage", () => mine.close())),
    citations.length ? el("p", { class: `verdict ${verified ? "verified" : "unverified"}` },
      verified ? icon("check") : null,
      verified ? "Verified: the marked words stand in the document and support the answer."
        : "Not verified: the answer may say more than these words do.") : null,
    body,
    el("footer", {},
      link ? el("a", { class: "button", href: link }, "Open the document") : null,
      origin ? el("a", { class: "button", href: origin, target: "_blank",
        rel: "noopener noreferrer nofollow" }, "Origin", icon("out")) : null));
  panel = mine;
  mine.addEventListener("close", () => {
    mine.remove();
    // This comes late: another one may have taken its place.
    if (panel !== mine) return;
    panel = null;
    document.body.classList.remove("with-panel");
    if (from?.isConnected) from.focus({ preventScroll: true });
  });
  // Beside the text where there is room, so that both can be read; else above it.
  mine.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); mine.close(); }
  });
  document.body.append(mine);
  if (wide.matches) {
    document.body.classList.add("with-panel");
    mine.show();
  } else {
    mine.addEventListener("click", (event) => { if (event.target === mine) mine.close(); });
    mine.showModal();
  }
  mine.querySelector("#panel-title").focus();
  const parts = await textOf(source, citations);
  body.replaceChildren(...parts);
  body.querySelector("mark")?.scrollIntoView({ block: "center" });
}

export function addressOf(source, citations) {
  const first = citations[0];
  const quote = first ? `&quote=${first.start}-${first.end}${first.verified ? "" : "&verified=no"}` : "";
  return `#/documents/${source.document_id}?start=${source.start}&end=${source.end}${quote}`;
}

async function textOf(source, citations) {
  if (!source.document_id) {
    const words = source.text ?? citations.map((citation) => citation.quote).filter(Boolean).join("\n\n");
    return words ? [el("p", { class: "text" }, words)]
      : [el("p", { class: "hint" }, "This is from a text that was selected, which is not kept.")];
  }
  let found;
  try {
    found = await findDocument(source.document_id);
  } catch (error) {
    if (error.status !== 404) return [el("p", { class: "hint" }, error.message)];
    const gone = el("p", { class: "hint" }, "The document is gone: it was deleted since.");
    return source.text ? [gone, el("p", { class: "text" }, source.text)] : [gone];
  }
  const { text } = found;
  const places = toUnits(text, [
    Math.max(0, source.start - CONTEXT), source.start, source.end, source.end + CONTEXT,
    ...citations.flatMap((citation) => [citation.start, citation.end]),
  ]);
  const [before, start, end, after] = places;
  const marks = citations.map((citation, index) => ({
    start: places[4 + 2 * index], end: places[5 + 2 * index], verified: citation.verified,
  }));
  const isAsItWas = found.chunks.some((chunk) => chunk.id === source.chunk_id)
    || !source.chunk_id;
  const part = (from, to) => styled(text, from, Math.min(to, text.length), marks, isMarkdown(found));
  return [
    isAsItWas ? null : el("p", { class: "hint" },
      "The document has changed since this answer; the words may have moved."),
    el("p", { class: "text" },
      el("span", { class: "around" }, before > 0 ? "…" : "", part(before, start)),
      el("span", { class: "passage" }, part(start, end)),
      el("span", { class: "around" }, part(end, after), after < text.length ? "…" : "")),
  ].filter(Boolean);
}
