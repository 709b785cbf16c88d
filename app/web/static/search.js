// A search, and why each passage was found.

import { choice, field, styled } from "./parts.js";
import { announce, count, el, failed, icon } from "./ui.js";

const MODES = [["hybrid", "Meaning and words"], ["dense", "Meaning alone"], ["bm25", "Words alone"]];
const LONG = 600;

export async function show(root, params, context) {
  await styled();
  const query = el("input", { type: "search", required: true, placeholder: "What to look for",
    "aria-label": "Query", "data-main-field": true, class: "field", value: params.q ?? "" });
  const mode = choice(MODES, params.mode ?? "hybrid");
  const top = el("input", { type: "number", min: 1, max: 100, value: params.k ?? "10" });
  const prefix = el("input", { placeholder: "docs/guide", value: params.path ?? "", maxlength: 500 });
  const go = el("button", { class: "button primary" }, icon("search"), "Search");
  const found = el("div", { class: "found" });
  let running = null;

  async function search() {
    const asked = { q: query.value.trim(), mode: mode.value, k: top.value, path: prefix.value.trim() };
    if (!asked.q) return;
    running?.abort();
    const mine = new AbortController();
    running = mine;
    // It can be reloaded and passed on.
    history.replaceState(null, "", `#/search?${new URLSearchParams(asked)}`);
    const body = { query: asked.q, mode: asked.mode, top_k: Number(asked.k) || 10 };
    if (asked.path) body.filters = { path_prefixes: [asked.path] };
    found.setAttribute("aria-busy", "true");
    try {
      const result = await context.api("POST", "/v1/search", body, { signal: mine.signal });
      found.replaceChildren(...results(result));
      announce(`${count(result.hits.length, "passage")} found.`);
    } catch (error) {
      // Another search, or another view, has taken its place.
      if (!mine.signal.aborted) throw error;
    } finally {
      if (running === mine) found.removeAttribute("aria-busy");
    }
  }

  root.append(
    el("header", { class: "view-head" }, el("h1", {}, "Search"),
      el("p", { class: "hint" }, "The passages that a question would be answered from, and why they were found.")),
    el("form", { class: "stack", role: "search", onsubmit: (event) => {
      event.preventDefault();
      search().catch(failed);
    } },
    el("div", { class: "search-line" }, query, go),
    el("div", { class: "row" }, field("Find by", mode), field("Passages", top),
      field("Below this folder", prefix))),
    found);
  if (query.value) await search();
  else query.focus();
  return () => running?.abort();
}

function results(result) {
  if (!result.hits.length) {
    return [el("p", { class: "nothing" }, "Nothing was found. Other words may help, or another folder.")];
  }
  const best = Math.max(...result.hits.map((hit) => hit.bm25?.score ?? 0)) || 1;
  const marked = marker(result.query);
  return [
    summary(result),
    el("ol", { class: "hits" }, result.hits.map((hit) => el("li", {}, card(hit, result.mode, best, marked)))),
  ];
}

function summary(result) {
  const total = Object.values(result.timings_ms).reduce((sum, ms) => sum + ms, 0);
  const timings = Object.entries(result.timings_ms).map(([step, ms]) => `${step} ${ms.toFixed(1)} ms`);
  return el("div", { class: "summary" },
    el("p", {}, el("strong", {}, count(result.hits.length, "passage")), ` in ${total.toFixed(0)} ms`),
    el("p", { class: result.relevant ? "good" : "bad" }, icon(result.relevant ? "check" : "close"),
      result.relevant
        ? `Relevance ${result.relevance.toFixed(2)}: a question would be answered`
        : `Relevance ${result.relevance.toFixed(2)}: a question would get “nothing found”`),
    el("details", {}, el("summary", {}, "Timings"),
      el("p", { class: "hint" }, `${timings.join(" · ")} · ${result.embedding_model}`)));
}

function card(hit, mode, best, marked) {
  const path = [hit.title, ...hit.heading_path.filter((heading) => heading !== hit.title)];
  const text = el("p", { class: "hit-text" }, marked(unwrapped(hit.text)));
  const content = [
    el("h2", {}, el("span", { class: "rank", "aria-hidden": "true" }, hit.rank),
      el("a", { href: `#/documents/${hit.document_id}?start=${hit.start}&end=${hit.end}` }, path.join(" › "))),
    el("p", { class: "hint where" }, el("code", {}, hit.path), " · ", hit.source),
    text,
  ];
  if (hit.text.length > LONG) {
    text.classList.add("cut");
    const more = el("button", { type: "button", class: "text-button", "aria-expanded": "false",
      onclick: () => {
        const isCut = text.classList.toggle("cut");
        more.setAttribute("aria-expanded", String(!isCut));
        more.textContent = isCut ? "Show all of it" : "Show less";
      } }, "Show all of it");
    content.push(more);
  }
  return el("article", { class: "card hit" }, ...content, why(hit, mode, best));
}

// A paragraph that was wrapped by hand flows again; headings, lists, tables and code stay lines.
const unwrapped = (text) => (text.includes("```") ? text
  : text.replace(/(?<!^#.*)(?<=[^\n|])\n(?=[\p{L}\p{N}("'`])/gmu, " "));

// Three bars with their numbers. A cosine and the fused score are shares of 1; a BM25 score has no
// largest value, so its bar is a share of the best one found.
function why(hit, mode, best) {
  const rows = [
    bar("Meaning", hit.dense, (leg) => leg.score, (leg) => `cosine ${leg.score.toFixed(3)}, ${nth(leg.rank)}`,
      mode === "bm25"),
    bar("Words", hit.bm25, (leg) => leg.score / best, (leg) => `BM25 ${leg.score.toFixed(2)}, ${nth(leg.rank)}`,
      mode === "dense"),
    bar("Together", hit, () => hit.fused, () => hit.fused.toFixed(3), false),
  ];
  if (Math.abs(hit.score - hit.fused) > 1e-6) {
    rows.push(bar("Chosen by", hit, () => hit.score, () => `reranker ${hit.score.toFixed(3)}`, false));
  }
  return el("dl", { class: "why" }, rows);
}

function bar(name, leg, share, words, notAsked) {
  const text = leg ? words(leg) : notAsked ? "not asked" : "not among the first hundred";
  const value = leg ? Math.max(0, Math.min(1, share(leg))) : 0;
  const meter = el("meter", { min: 0, max: 1, value, "aria-label": `${name}: ${text}` });
  return el("div", { class: `why-row ${leg ? "" : "none"}` }, el("dt", {}, name),
    el("dd", {}, meter, el("span", { "aria-hidden": "true" }, text)));
}

const ORDINALS = new Intl.PluralRules("en", { type: "ordinal" });
const ENDINGS = { one: "st", two: "nd", few: "rd", other: "th" };
const nth = (rank) => `${rank}${ENDINGS[ORDINALS.select(rank)]}`;

const WORD = /[\p{L}\p{N}]+/gu;
const COMMON = new Set(("a an and are as at be by can do does for from has have how i in is it its of on or that the "
  + "their there they this to was what when where which who why will with you your").split(" "));
const stem = (word) => word.toLowerCase().replace(/(?<=.{3})(ing|ed|es|e|s)$/u, "");

// Return what marks a query's words in a text: pieces of text and elements, never HTML.
function marker(query) {
  const wanted = new Set((query.match(WORD) ?? [])
    .filter((word) => !COMMON.has(word.toLowerCase())).map(stem));
  return (text) => {
    const pieces = [];
    let end = 0;
    for (const match of text.matchAll(WORD)) {
      if (!wanted.has(stem(match[0]))) continue;
      pieces.push(text.slice(end, match.index), el("mark", {}, match[0]));
      end = match.index + match[0].length;
    }
    return [...pieces, text.slice(end)];
  };
}
