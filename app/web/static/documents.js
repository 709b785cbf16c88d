// A document, with a passage of it marked: #/documents/ID?start=&end=&quote=START-END

import { AROUND, findDocument, forgetDocument, isMarkdown, originOf, styled, toUnits } from "./passages.js";
import { ago, count, el, icon } from "./ui.js";

export async function show(root, { id, start, end, quote, verified }) {
  // Somebody who opens a document wants it as it is now.
  forgetDocument(id);
  const found = await findDocument(id);
  document.title = `${found.title} · ${document.body.dataset.name}`;
  const origin = originOf(found.url);
  const place = placesOf(found, start, end, quote, verified !== "no");
  root.append(
    el("header", { class: "document-head" },
      el("h1", {}, found.title || found.path),
      el("p", { class: "hint" }, [found.path, count(found.characters, "character"),
        `changed ${ago(found.updated_at)}`].join(" · ")),
      el("p", { class: "links" },
        origin ? el("a", { href: origin, target: "_blank", rel: "noopener noreferrer nofollow" },
          "Read it where it comes from", icon("out")) : null,
        place ? el("button", { type: "button", class: "text-button", onclick: () => seek(root) },
          "To the passage") : null)),
    bodyOf(found, place));
  seek(root);
}

function seek(root) {
  const target = root.querySelector("mark") ?? root.querySelector(".passage");
  if (!target) return;
  target.setAttribute("tabindex", "-1");
  target.focus({ preventScroll: true });
  target.scrollIntoView({ block: "center" });
}

// Where passage and quote are, in UTF-16 places; null without a passage.
function placesOf(found, start, end, quote, isVerified) {
  if (start === undefined || !(Number(end) > Number(start))) return null;
  let passage = [Number(start), Number(end)];
  let mark = /^(\d+)-(\d+)$/.exec(quote ?? "")?.slice(1).map(Number);
  if (!mark) {
    // A link to a few words: the passage that they stand in is shown, too.
    const around = found.chunks.find((chunk) =>
      chunk.start <= passage[0] && passage[1] <= chunk.end
      && chunk.end - chunk.start > passage[1] - passage[0]);
    if (around) {
      mark = passage;
      passage = [around.start, around.end];
    }
  }
  const [from, to, ...marks] = toUnits(found.text, [...passage, ...(mark ?? [])]);
  return { from, to,
    marks: mark ? [{ start: marks[0], end: marks[1], verified: isVerified }] : [] };
}

function bodyOf(found, place) {
  const { text } = found;
  const { from, to, marks } = place ?? { from: 0, to: 0, marks: [] };
  const body = el("div", { class: "text document" });
  let first = Math.max(0, from - AROUND);
  let last = Math.min(text.length, to + AROUND);
  const part = (start, stop) => styled(text, start, stop, marks, isMarkdown(found));
  const more = (label, act) => el("button", { type: "button", class: "button more",
    onclick: () => { act(); draw(); } }, label);
  function draw() {
    body.replaceChildren(...[
      first > 0 ? more("Show what is before", () => { first = 0; }) : null,
      el("span", {}, part(first, from)),
      place ? el("span", { class: "passage" }, part(from, to)) : null,
      el("span", {}, part(to, last)),
      last < text.length ? more("Show what follows", () => { last = text.length; }) : null,
    ].filter(Boolean));
  }
  draw();
  return body;
}
