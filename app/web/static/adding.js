// Adding to what bRAG knows: files by drag and drop or by a button, a site, a repository, a folder.

import { upload } from "./api.js";
import { batches, dropped, listed } from "./files.js";
import { busy, button, choice, field, schedule, size } from "./parts.js";
import { announce, count, el, failed, icon, toast } from "./ui.js";

const KINDS = [["auto", "Tell from the address"], ["web", "Site"], ["git", "Git repository"],
  ["github", "GitHub, by its API"], ["folder", "Folder on the server"]];
const EVERY = ["", "1h", "6h", "1d", "7d"].map((every) => [every, every ? schedule(every) : "by hand only"]);
const VISIBILITY = [["private", "Only I"], ["shared", "Everybody"]];

export function showAdding(root, page, { onrun }) {
  const readers = page.authRequired ? choice(VISIBILITY, "private") : null;
  const visibility = () => readers?.value;
  root.append(
    files(root.closest(".view"), page, visibility, onrun),
    address(page, visibility, onrun),
    readers ? el("div", { class: "readers" }, field("Who reads what you add", readers)) : "",
  );
}

// ---- Files

function files(view, page, visibility, onrun) {
  // One upload after the other; who leaves the view does not end them.
  let before = Promise.resolve();
  const uploads = el("ul", { class: "rows uploads" });
  const picker = (words, properties) => {
    const input = el("input", { type: "file", multiple: true, class: "visually-hidden", ...properties });
    input.addEventListener("change", () => {
      take(listed(input.files));
      input.value = "";
    });
    return el("label", { class: "button file-button" }, input, words);
  };
  const zone = el("div", { class: "drop" }, icon("upload"),
    el("p", {}, el("strong", {}, "Drop files or a folder here")),
    el("p", { class: "hint" }, "Markdown, MDX, text, reStructuredText, HTML, PDF, Word (.docx)"),
    el("div", { class: "row" }, picker("Choose files", {}), picker("Choose a folder", { webkitdirectory: true })));

  // Anywhere on the view: who misses the zone would else leave the page for the file.
  const on = (name, action) => view.addEventListener(name, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    action(event);
  }, { signal: page.signal });
  on("dragenter", () => zone.classList.add("over"));
  on("dragover", () => zone.classList.add("over"));
  on("dragleave", (event) => { if (!view.contains(event.relatedTarget)) zone.classList.remove("over"); });
  on("drop", (event) => {
    zone.classList.remove("over");
    // Before anything is awaited: afterwards the browser has forgotten what was dropped.
    dropped(event.dataTransfer).then(take).catch(failed);
  });

  function take({ chosen, left }) {
    if (left) toast(`${count(left, "file")} left out: hidden, or no document.`);
    if (!chosen.length) return;
    for (const batch of batches(chosen)) send(batch, visibility());
  }

  function send(batch, readers) {
    const words = batch.length === 1 ? batch[0].path : count(batch.length, "file");
    const total = batch.reduce((sum, { file }) => sum + file.size, 0);
    const stop = new AbortController();
    const bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${words}` });
    const told = el("p", { class: "hint numbers" }, size(total));
    const problem = el("p", { class: "problem", role: "alert" });
    const cancel = button("Cancel", () => { stop.abort(); row.remove(); }, "small", { "aria-label": `Cancel the upload of ${words}` });
    const again = button("Try again", () => { row.remove(); send(batch, readers); }, "small primary", { "aria-label": `Try again the upload of ${words}` });
    again.hidden = true;
    const state = el("span", { class: "tag" }, "Waiting");
    const row = el("li", { class: "item run" },
      el("div", { class: "run-head" }, el("p", { class: "item-title" }, el("strong", {}, words), " ", state),
        el("div", { class: "item-actions" }, again, cancel)), bar, told, problem);
    uploads.append(row);
    before = before.then(() => start().then(arrived, refused)).catch(failed);

    async function start() {
      // By now somebody else may have signed in.
      const { id } = await page.account();
      if (id !== page.me.id) stop.abort();
      state.textContent = "Uploading";
      const form = new FormData();
      for (const { file, path } of batch) {
        form.append("path", path);
        form.append("file", file, file.name);
      }
      if (readers) form.append("visibility", readers);
      return upload("/v1/documents", form, {
        signal: stop.signal,
        onprogress: (sent, all) => {
          bar.value = sent / all;
          told.textContent = sent < all ? `${size(sent)} of ${size(all)}` : "Arrived; being taken in.";
        },
      });
    }

    function arrived(accepted) {
      row.remove();
      // Whoever is at another view sees no ingestion.
      if (page.signal.aborted) toast(`${words} uploaded.`);
      else announce(`${words} uploaded.`);
      onrun(accepted.ingestion, words).catch(failed);
    }

    function refused(error) {
      if (error.name === "AbortError") return;
      if (error.status === 413 && batch.length > 1) {
        // Together they are too much for one request; each may still be small enough.
        row.remove();
        const half = Math.ceil(batch.length / 2);
        send(batch.slice(0, half), readers);
        send(batch.slice(half), readers);
        return;
      }
      if (page.signal.aborted) toast(`${words} not uploaded: ${error.message}`, { kind: "error" });
      state.textContent = "Not uploaded";
      bar.hidden = true;
      problem.textContent = error.message;
      again.hidden = false;
    }
  }

  return el("div", {}, zone, uploads);
}

// ---- Sites, repositories, folders

function address(page, visibility, onrun) {
  const place = el("input", { required: true, maxlength: 2000, class: "field", autocomplete: "off",
    spellcheck: "false", placeholder: "https://docs.example.org or https://github.com/owner/name",
    "aria-label": "Address of a site or a repository, or a folder on the server" });
  const go = el("button", { class: "button primary" }, "Add");
  const problem = el("p", { class: "problem", role: "alert" });
  const kind = choice(KINDS, "auto");
  const every = choice(EVERY, "");
  const name = el("input", { maxlength: 200, placeholder: "as the address" });
  const branch = el("input", { maxlength: 200, placeholder: "the repository’s own" });
  const parts = el("input", { maxlength: 2000, placeholder: "docs/en, docs/guide" });
  const options = el("details", {}, el("summary", {}, "Options"),
    el("div", { class: "row" }, field("Kind", kind), field("Sync", every), field("Name", name)),
    el("div", { class: "row" }, field("Branch of a repository", branch),
      field("Only these parts", parts, "Of a repository or a site; separated by commas.")));
  return el("form", { class: "stack address", onsubmit: (event) => {
    event.preventDefault();
    busy(go, async () => {
      problem.textContent = "";
      const body = { config: config(kind.value, place.value.trim(), branch.value.trim(), parts.value) };
      if (name.value.trim()) body.name = name.value.trim();
      if (every.value) body.every = every.value;
      if (visibility()) body.visibility = visibility();
      let source;
      try {
        source = await page.api("POST", "/v1/sources", body);
      } catch (error) {
        // What the server says names the field as programs do.
        problem.textContent = error.message.replace(/^(body\.)?config(\.\w+)*: /, "");
        place.focus();
        return;
      }
      place.value = "";
      name.value = "";
      announce(`${source.name} is added.`);
      await onrun(source.ingestion);
    });
  } },
  el("p", {}, el("strong", {}, "Or read a site, a repository or a folder")),
  el("div", { class: "search-line" }, place, go), problem, options);
}

const PLACE = { auto: "location", web: "url", git: "url", github: "repository", folder: "path" };

function config(kind, place, branch, parts) {
  const found = { kind, [PLACE[kind]]: place };
  // Its API wants owner/name; people copy the address.
  if (kind === "github") found.repository = place.replace(/^https?:\/\/github\.com\//, "").replace(/(\.git)?\/?$/, "");
  const prefixes = parts.split(",").map((part) => part.trim()).filter(Boolean);
  if (branch && kind !== "web" && kind !== "folder") found.branch = branch;
  if (prefixes.length && kind !== "folder") found.path_prefixes = prefixes;
  return found;
}
