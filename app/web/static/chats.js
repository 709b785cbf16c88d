// The side list of chats: search, rename, delete.

import { api, page } from "./api.js";
import { ago, asked, confirmed, el, failed, iconButton } from "./ui.js";

const TYPING_MS = 250;
const PAGE = 40;

export function showChats(root, { navigate }) {
  const search = el("input", { type: "search", class: "field", placeholder: "Search chats",
    "aria-label": "Search chats", autocomplete: "off" });
  const list = el("ul", {});
  const more = el("button", { type: "button", class: "text-button more", hidden: true }, "Show more");
  const none = el("p", { class: "hint", hidden: true });
  root.append(search, el("div", { class: "scroll" }, list, none, more));

  let next = null;
  let turn = 0;
  let timer = 0;

  async function refresh() {
    const mine = ++turn;
    const words = search.value.trim();
    const query = new URLSearchParams({ limit: PAGE, ...(words ? { search: words } : {}) });
    const found = await page(`/v1/chats?${query}`);
    if (mine !== turn) return;
    // One that nothing was asked in is of no interest.
    list.replaceChildren(...found.items.filter((chat) => chat.message_count || chat.title).map(item));
    follow(found.next);
    none.hidden = list.children.length > 0;
    none.textContent = words ? "No chat has these words." : "Your chats will be here.";
  }

  function follow(path) {
    next = path;
    more.hidden = !next;
  }

  async function showMore() {
    const mine = turn;
    const found = await page(next);
    if (mine !== turn) return;
    list.append(...found.items.map(item));
    follow(found.next);
  }

  function item(chat) {
    const href = `#/chats/${chat.id}`;
    const title = chat.title || "New chat";
    const isCurrent = location.hash.split("?")[0] === href;
    return el("li", { dataset: { id: chat.id } },
      el("a", { href, title: `${title} (${ago(chat.updated_at)})`, "aria-current": isCurrent ? "page" : null },
        chat.generating ? el("span", { class: "dot", title: "An answer is being written" }) : null,
        title,
        chat.snippet ? el("small", {}, chat.snippet) : null),
      el("span", { class: "tools" },
        iconButton("edit", `Rename ${title}`, () => rename(chat).catch(failed)),
        iconButton("trash", `Delete ${title}`, () => remove(chat).catch(failed))));
  }

  async function rename(chat) {
    const title = await asked({ title: "Rename the chat", label: "Title", value: chat.title, action: "Rename" });
    if (!title || title === chat.title) return;
    await api("PATCH", `/v1/chats/${chat.id}`, { title });
    await refresh();
  }

  async function remove(chat) {
    const isSure = await confirmed({ title: "Delete this chat?",
      text: `“${chat.title || "New chat"}” is deleted with all of its messages, for good.` });
    if (!isSure) return;
    await api("DELETE", `/v1/chats/${chat.id}`);
    if (location.hash.startsWith(`#/chats/${chat.id}`)) navigate("/");
    await refresh();
    search.focus();
  }

  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => refresh().catch(failed), TYPING_MS);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && search.value) {
      event.stopPropagation();
      search.value = "";
      refresh().catch(failed);
    }
  });
  more.addEventListener("click", () => showMore().catch(failed));
  return { refresh: () => refresh().catch((error) => { if (error.status !== 401) failed(error); }) };
}
