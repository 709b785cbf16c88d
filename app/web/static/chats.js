// The side list of chats.

import { page } from "./api.js";
import { el } from "./ui.js";

export function showChats(root) {
  const list = el("ul", {});
  root.append(list);

  async function refresh() {
    const { items } = await page("/v1/chats");
    list.replaceChildren(...items.map((chat) => el("li", {},
      el("a", { href: `#/chats/${chat.id}` }, chat.title || "New chat"))));
  }

  return { refresh };
}
