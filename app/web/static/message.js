// A question and an answer, as they stand in a conversation.

import { el, failed, iconButton, toast } from "./ui.js";

const STATUS = {
  cancelled: "Stopped. This is what had been written.",
  failed: "This answer broke off.",
};

// "2/3", with buttons to the alternatives before and behind this one.
function switcher(message, onSwitch, what) {
  const all = message.alternatives ?? [];
  if (all.length < 2) return null;
  const at = all.indexOf(message.id);
  const go = (step, label, name) => iconButton(name, label, () => onSwitch(all[at + step]),
    { disabled: at + step < 0 || at + step >= all.length });
  return el("span", { class: "switcher", role: "group", "aria-label": `Other ${what}` },
    go(-1, `Previous ${what}`, "left"),
    el("span", { "aria-label": `${what} ${at + 1} of ${all.length}` }, `${at + 1}/${all.length}`),
    go(1, `Next ${what}`, "right"));
}

// `acts`: { onEdit(text), onSwitch(id) }; an edit is asked in place of this question.
export function questionOf(message, acts) {
  const words = el("p", { class: "words" }, message.message);
  const tools = el("div", { class: "tools" });
  const article = el("article", { class: "question", "aria-label": "Question" }, tools, words);

  function edit() {
    const field = el("textarea", { class: "field", rows: 3, "aria-label": "Edit the question",
      value: message.message });
    const form = el("form", { class: "editing" }, field, el("div", { class: "actions" },
      el("button", { type: "button", class: "button", onclick: leave }, "Cancel"),
      el("button", { class: "button primary" }, "Ask")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = field.value.trim();
      if (text) acts.onEdit(text);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); leave(); }
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    article.replaceChildren(form);
    field.focus();
  }
  function leave() {
    article.replaceChildren(tools, words);
    tools.querySelector("button")?.focus();
  }

  article.update = (changed) => {
    Object.assign(message, changed);
    tools.replaceChildren(...[
      switcher(message, acts.onSwitch, "question"),
      message.id ? iconButton("edit", "Edit the question", edit) : null,
    ].filter(Boolean));
  };
  article.update({});
  return article;
}

// `acts`: { onAgain(), onSwitch(id), onPassage(source, citations, opener) }.
export function answerOf(message, acts) {
  const prose = el("div", { class: "prose" });
  const status = el("p", { class: "status" });
  const sources = el("details", { class: "sources" });
  const tools = el("div", { class: "tools" });
  const article = el("article", { class: "answer", "aria-label": "Answer" }, prose, status, sources, tools);

  const sourceOf = (marker) => message.sources.find((source) => source.number === marker);
  const citationsOf = (marker) => (message.citations ?? []).filter((one) => one.marker === marker);

  // Whether what a marker stands for was found in its document; null while that is not known.
  function verdict(marker) {
    const citations = citationsOf(marker);
    if (!citations.length) return message.citations ? "unverified" : "unknown";
    return citations.every((citation) => citation.verified) ? "verified" : "unverified";
  }

  const open = (marker, opener) => {
    const source = sourceOf(marker);
    if (source) acts.onPassage(source, citationsOf(marker), opener);
  };

  function linkMarkers(root) {
    for (const cite of root.querySelectorAll("cite[data-marker]")) {
      const marker = Number(cite.dataset.marker);
      const source = sourceOf(marker);
      if (!source) { cite.replaceWith(`[${marker}]`); continue; }
      const button = el("button", { type: "button", class: "cite", dataset: { marker } }, String(marker));
      button.addEventListener("click", () => open(marker, button));
      cite.replaceWith(button);
    }
    for (const button of root.querySelectorAll("button.cite")) judge(button);
  }

  function judge(button) {
    const marker = Number(button.dataset.marker);
    const found = verdict(marker);
    button.classList.toggle("unverified", found === "unverified");
    const words = { verified: "verified quote", unverified: "not verified", unknown: "passage" }[found];
    const title = `${sourceOf(marker).title || sourceOf(marker).path}, ${words}`;
    button.setAttribute("aria-label", `Source ${marker}: ${title}`);
    button.title = title;
  }

  // Show the blocks from one on; those before it stay as they are.
  article.draw = (blocks, first = 0) => {
    while (prose.children.length > first) prose.lastElementChild.remove();
    for (const html of blocks.slice(first)) {
      // Cleaned on the server: nothing in it runs.
      const block = el("div", { class: "block" });
      block.innerHTML = html;
      linkMarkers(block);
      prose.append(block);
    }
  };

  function listSources() {
    const cited = message.sources.filter((source) => citationsOf(source.number).length);
    const listed = cited.length ? cited : message.sources;
    sources.hidden = !listed.length || !message.citations;
    if (sources.hidden) return;
    const note = cited.length ? "" : ", none of them cited";
    sources.open = Boolean(cited.length);
    sources.replaceChildren(
      el("summary", {}, `${listed.length === 1 ? "1 source" : `${listed.length} sources`}${note}`),
      el("ol", {}, listed.map((source) => {
        const isUnverified = cited.length && verdict(source.number) === "unverified";
        const button = el("button", { type: "button", class: "source" },
          el("span", { class: `number${isUnverified ? " unverified" : ""}` }, String(source.number)),
          el("span", { class: "name" }, source.title || source.path || "Selected text"),
          el("span", { class: "where" }, whereIn(source)),
          isUnverified ? el("span", { class: "verdict" }, "not verified") : null);
        button.addEventListener("click", () => open(source.number, button));
        return el("li", {}, button);
      })));
  }

  function tell() {
    status.className = "status";
    status.hidden = false;
    if (message.reconnecting) {
      status.classList.add("working");
      status.replaceChildren("Connection lost. Reconnecting… ",
        el("button", { type: "button", class: "text-button", onclick: acts.onReconnect }, "Try now"));
    } else if (message.status === "waiting") {
      status.classList.add("working");
      status.textContent = message.sources.length ? "Reading the passages…" : "Searching your documents…";
    } else if (STATUS[message.status]) {
      status.classList.add(message.status);
      status.replaceChildren(message.error || STATUS[message.status], " ",
        el("button", { type: "button", class: "text-button", onclick: acts.onAgain }, "Try again"));
    } else {
      // Its place is kept while the answer is written, so that nothing moves when it ends.
      status.hidden = message.status !== "writing";
      status.textContent = "";
    }
  }

  article.update = (changed) => {
    Object.assign(message, changed);
    tell();
    listSources();
    for (const button of prose.querySelectorAll("button.cite")) judge(button);
    const isOver = !["waiting", "writing"].includes(message.status);
    article.setAttribute("aria-busy", String(!isOver));
    tools.hidden = !isOver;
    tools.replaceChildren(...[
      message.message ? iconButton("copy", "Copy as Markdown", () => copy(message)) : null,
      iconButton("again", "Answer again", acts.onAgain),
      switcher(message, acts.onSwitch, "answer"),
      message.model ? el("span", { class: "model" }, message.model) : null,
    ].filter(Boolean));
  };
  if (message.html) article.draw(message.html);
  article.update({});
  return article;
}

// Where a passage stands in its document; that one's title is told already.
export function whereIn(source) {
  const headings = source.heading_path ?? [];
  const below = headings[0] === source.title ? headings.slice(1) : headings;
  return below.length ? below.join(" › ") : source.path;
}

// Where a source can be read: its origin, else its document here.
const placeOf = (source) => source.url
  || (source.document_id
    ? `${location.origin}/#/documents/${source.document_id}?start=${source.start}&end=${source.end}` : "");

async function copy(message) {
  const cited = new Set((message.citations ?? []).map((citation) => citation.marker));
  const notes = message.sources.filter((source) => cited.has(source.number)).map((source) => {
    const name = (source.title || source.path).replace(/[[\]]/g, "\\$&");
    const place = placeOf(source);
    return `- [${source.number}] ${place ? `[${name}](${place})` : name}`;
  });
  const text = notes.length ? `${message.message}\n\n${notes.join("\n")}\n` : message.message;
  try {
    await writeClipboard(text);
    toast("Copied as Markdown.");
  } catch (error) {
    failed(error);
  }
}

async function writeClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // A page that came over plain HTTP has no clipboard of its own.
  const field = el("textarea", { class: "visually-hidden", value: text });
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("The browser does not let the page copy.");
}


