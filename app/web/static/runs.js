// Ingestions: those under way, live, and what went wrong in those that have ended.

import { follow } from "./follow.js";
import { busy, button, duration, pager } from "./parts.js";
import { nameOf } from "./sources.js";
import { ago, announce, count, el, failed, iconButton } from "./ui.js";

const ENDS = new Set(["succeeded", "incomplete", "failed", "cancelled"]);
const STATES = { queued: "Waiting", listing: "Looking", running: "Running", succeeded: "Done",
  incomplete: "Done in part", failed: "Failed", cancelled: "Cancelled" };
// A browser keeps six connections to one server; others are needed, too.
const FOLLOWED = 3;
const RATE_OVER_MS = 15_000;
const PROBLEMS_AT_ONCE = 50;

const done = (run) => run.unchanged + run.stored + run.skipped + run.failed;

export function showRuns(root, page, { ondone }) {
  const shown = new Map();
  const list = el("ul", { class: "rows" });
  const earlier = el("ul", { class: "rows" });
  const rest = el("div", {});
  const older = el("details", { class: "older" }, el("summary", {}, "Earlier ingestions"), earlier, rest);
  root.append(el("h2", { tabindex: "-1" }, "Ingestions"), list, older);
  older.addEventListener("toggle", () => { if (older.open) busy(older, loadOlder); });

  const draw = () => { root.hidden = !shown.size && older.hidden; };

  function add(run, words) {
    shown.get(run.id)?.remove();
    const entry = showRun(run, page, {
      words,
      onclose: () => { entry.remove(); shown.delete(run.id); draw(); followMore(); },
      onend: async (ended) => {
        try { await ondone(); } finally { followMore(); }
        announce(`${entry.name()}: ${tell(ended)}`);
      },
      onagain: () => followMore(),
    });
    shown.set(run.id, entry);
    list.prepend(entry.element);
    draw();
    followMore();
    return entry;
  }

  function followMore() {
    const open = [...shown.values()].filter((entry) => !entry.hasEnded());
    const free = FOLLOWED - open.filter((entry) => entry.isFollowed()).length;
    open.filter((entry) => !entry.isFollowed()).slice(0, Math.max(0, free)).forEach((entry) => entry.follow());
  }

  async function loadOlder() {
    const found = await page.page("/v1/ingestions?limit=20", { signal: page.signal });
    const row = (run) => {
      // What is tried again is under way, and goes where that is.
      const onagain = (now) => { entry.remove(); add(now).focus(); };
      const entry = showRun(run, page, { onagain });
      return entry.element;
    };
    earlier.replaceChildren(...found.items.filter((run) => ENDS.has(run.state)).map(row));
    rest.replaceChildren(pager(found.next, page.page, (items) => earlier.append(...items.map(row))));
  }

  return {
    add,
    // Show what is under way, and the last run of a source if it went wrong.
    async refresh() {
      const { items } = await page.page("/v1/ingestions?limit=100", { signal: page.signal });
      const seen = new Set();
      const wanted = items.filter((run) => {
        const isLatest = !seen.has(run.source_id);
        seen.add(run.source_id);
        return !ENDS.has(run.state) || (isLatest && (run.state === "failed" || run.state === "incomplete"));
      });
      older.hidden = !items.some((run) => ENDS.has(run.state));
      wanted.reverse().filter((run) => !shown.has(run.id)).forEach((run) => add(run));
      draw();
    },
  };
}

function tell(run) {
  const parts = [[run.stored, "stored"], [run.unchanged, "unchanged"], [run.deleted, "removed"],
    [run.skipped, "skipped"], [run.failed, "failed"]];
  const told = parts.filter(([number]) => number).map(([number, word]) => `${number.toLocaleString("en")} ${word}`);
  return told.join(", ") || "nothing to do";
}

function showRun(first, page, { words, onclose, onend, onagain }) {
  let run = first;
  let following = false;
  let samples = [];
  const name = () => {
    const source = page.source(run.source_id);
    const of = source ? nameOf(source) : run.location ?? (run.source_kind === "upload" ? "Uploads" : run.source_kind);
    return words ? `${of}: ${words}` : of;
  };
  const title = el("strong", {});
  const state = el("span", { class: "tag" });
  const when = el("span", { class: "hint" });
  const bar = el("progress", {});
  const numbers = el("p", { class: "hint numbers" });
  const trouble = el("p", { class: "problem" });
  const problems = showProblems(page, () => run);
  const cancel = button("Cancel", () => busy(cancel, async () => {
    update(await page.api("POST", `/v1/ingestions/${run.id}/cancel`));
  }), "small");
  const again = button("Try again", () => busy(again, async () => {
    update(await page.api("POST", `/v1/ingestions/${run.id}/retry`));
    problems.reset();
    cancel.focus();
    onagain?.(run);
  }), "small primary");
  const close = iconButton("close", "Hide", () => onclose?.());
  const element = el("li", { class: "item run" },
    el("div", { class: "run-head" }, el("p", { class: "item-title" }, title, " ", state, " ", when),
      el("div", { class: "item-actions" }, cancel, again, onclose ? close : null)),
    bar, numbers, trouble, problems.element);

  const isMine = () => {
    const source = page.source(run.source_id);
    return !source || page.mayChange(source);
  };

  function update(now) {
    // What it waited for says nothing about how fast it is.
    if (now.state !== run.state) samples = [];
    run = now;
    const hasEnded = ENDS.has(run.state);
    const finished = done(run);
    samples = [...samples, [performance.now(), finished]];
    const [newest] = samples.at(-1);
    while (samples.length > 2 && newest - samples[0][0] > RATE_OVER_MS) samples.shift();
    title.textContent = name();
    state.textContent = STATES[run.state];
    state.dataset.state = run.state;
    when.textContent = hasEnded ? ago(run.finished_at) : "";
    bar.hidden = hasEnded;
    bar.setAttribute("aria-label", `Progress of ${title.textContent}`);
    if (run.listed && run.state === "running") {
      bar.max = run.listed;
      bar.value = Math.min(finished, run.listed);
    } else bar.removeAttribute("value");
    numbers.textContent = hasEnded ? `${tell(run)}.` : underWay(finished);
    trouble.textContent = run.error ?? "";
    trouble.hidden = !run.error;
    cancel.hidden = hasEnded || !isMine();
    cancel.setAttribute("aria-label", `Cancel ${title.textContent}`);
    again.hidden = !(run.state === "failed" || run.state === "incomplete") || !isMine();
    again.setAttribute("aria-label", `Try again ${title.textContent}`);
    close.hidden = !hasEnded;
    close.setAttribute("aria-label", `Hide ${title.textContent}`);
    problems.update();
  }

  function underWay(finished) {
    if (run.state === "queued") return "Waits for a worker.";
    if (run.state === "listing") return run.listed ? `${count(run.listed, "document")} found so far.` : "Looks at what is there.";
    const [[began, before]] = samples;
    const seconds = (performance.now() - began) / 1000;
    const rate = seconds > 1 ? (finished - before) / seconds : 0;
    const parts = [`${finished.toLocaleString("en")} of ${count(run.listed, "document")}`];
    if (run.failed) parts.push(`${run.failed.toLocaleString("en")} failed`);
    if (run.skipped) parts.push(`${run.skipped.toLocaleString("en")} skipped`);
    if (rate > 0) {
      parts.push(`${rate.toFixed(rate < 10 ? 1 : 0)} documents/s`);
      if (run.listed > finished) parts.push(`about ${duration((run.listed - finished) / rate)} left`);
    }
    return parts.join(" · ");
  }

  async function followIt() {
    following = true;
    samples = [];
    const stop = new AbortController();
    page.signal.addEventListener("abort", () => stop.abort(), { once: true });
    removal = stop;
    const ticking = setInterval(() => { if (run.state === "running") update(run); }, 1000);
    let hasEnded = false;
    try {
      await follow(`/v1/ingestions/${run.id}/events`, {
        signal: stop.signal,
        on: (kind, data) => { if (kind === "progress" || kind === "done") update(data); },
        lost: (isLost) => { if (isLost) numbers.textContent = "The connection broke; trying again…"; else update(run); },
      });
      hasEnded = !stop.signal.aborted && ENDS.has(run.state);
    } catch (error) {
      // Its source was deleted meanwhile, or the session has ended.
      if (error.status === 404) onclose?.();
      else if (error.name !== "AbortError" && error.status !== 401) failed(error);
    } finally {
      clearInterval(ticking);
      following = false;
    }
    // Now: whoever hears of it may have it tried again, and followed again.
    if (hasEnded) await onend?.(run).catch(failed);
  }
  let removal = null;

  update(run);
  return {
    element,
    name,
    follow: followIt,
    focus: () => cancel.focus(),
    hasEnded: () => ENDS.has(run.state),
    isFollowed: () => following,
    remove: () => { removal?.abort(); element.remove(); },
  };
}

// What failed or was skipped, each with its reason; read when it is looked at.
function showProblems(page, current) {
  const list = el("ul", {});
  const more = button("Show more", () => busy(more, load), "small");
  const summary = el("summary", {});
  const element = el("details", { class: "problems" }, summary, list, more);
  let known = -1;
  let position = { state: "failed", after: null };

  async function load() {
    const query = new URLSearchParams({ state: position.state, limit: String(PROBLEMS_AT_ONCE) });
    if (position.after !== null) query.set("after", position.after);
    const items = await page.api("GET", `/v1/ingestions/${current().id}/items?${query}`, undefined, { signal: page.signal });
    list.append(...items.map((item) => el("li", {}, el("code", {}, item.path), " ",
      el("span", { class: "tag", dataset: { state: item.state } }, item.state),
      item.error ? el("p", { class: "hint" }, item.error) : null)));
    const isFull = items.length === PROBLEMS_AT_ONCE;
    if (isFull) position.after = items.at(-1).path;
    else if (position.state === "failed") { position = { state: "skipped", after: null }; await load(); return; }
    more.hidden = !isFull;
  }

  const reset = () => { known = -1; };
  element.addEventListener("toggle", () => {
    const { failed: bad, skipped } = current();
    if (!element.open || known === bad + skipped) return;
    known = bad + skipped;
    position = { state: "failed", after: null };
    list.replaceChildren();
    busy(element, load);
  });
  return {
    element,
    reset,
    update() {
      const { failed: bad, skipped, state } = current();
      const parts = [bad ? `${count(bad, "file")} failed` : null, skipped ? `${count(skipped, "file")} skipped` : null];
      summary.textContent = parts.filter(Boolean).join(", ");
      element.hidden = !(bad + skipped);
      if (element.hidden) element.open = false;
      // What failed is what somebody has to look at.
      if (bad && state === "incomplete" && known < 0) element.open = true;
      else if (element.open && known !== bad + skipped) element.dispatchEvent(new Event("toggle"));
    },
  };
}
