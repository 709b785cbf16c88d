// The first view: a question, and the conversation that it begins or goes on with.

import { api } from "./api.js";
import { el, failed, iconButton } from "./ui.js";

export async function show(root, { id }, page) {
  const thread = el("div", { class: "thread" });
  const welcome = el("div", { class: "welcome" },
    el("h1", {}, "Ask your documents"),
    el("p", { class: "hint" }, "Every answer quotes its sources. A number opens the passage that it stands for."));
  const field = el("textarea", { id: "question", rows: 1, placeholder: "Ask a question",
    "aria-label": "Your question", "data-main-field": true, enterkeyhint: "send", autocomplete: "off" });
  const sending = iconButton("send", "Ask", () => form.requestSubmit(), { class: "icon-button send" });
  const stopping = iconButton("stop", "Stop the answer", () => stop(), { class: "icon-button send stop", hidden: true });
  const form = el("form", { class: "composer", "aria-label": "Ask" }, field, sending, stopping);
  const keys = el("p", { class: "keys hint" }, "Enter asks, Shift and Enter begins a new line.");
  root.classList.toggle("begin", !id);
  root.append(welcome, thread, el("div", { class: "dock" }, form, keys));

  let conversation = null;
  let isLeft = false;

  const busy = (isBusy) => {
    sending.hidden = isBusy;
    stopping.hidden = !isBusy;
  };
  const stop = () => { conversation?.stop().catch(failed); field.focus(); };

  // A question that was not taken goes before what was typed meanwhile.
  const giveBack = (text) => { field.value = [text, field.value].filter(Boolean).join("\n"); };

  // Loaded when there is something to show: the first load is small.
  async function converse(chatId) {
    const module = await import("./conversation.js");
    conversation ??= module.openConversation(thread, chatId, { ...page, busy, giveBack });
    if (isLeft) conversation.leave();
    return conversation;
  }

  async function ask(text) {
    field.value = "";
    busy(true);
    try {
      if (!conversation) {
        const chat = await api("POST", "/v1/chats", {});
        // The same view goes on, so nothing is shown anew. Whoever has left it is asking all the same.
        if (!isLeft) {
          history.replaceState(null, "", `#/chats/${chat.id}`);
          page.moved();
        }
        await converse(chat.id);
      }
      root.classList.remove("begin");
      await conversation.ask(text);
    } catch (error) {
      giveBack(text);
      busy(false);
      failed(error);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text && !sending.hidden) ask(text);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  if (id) await (await converse(id)).load();
  // On a phone the keyboard would cover what is to be read.
  if (matchMedia("(hover: hover)").matches) field.focus({ preventScroll: true });
  return () => {
    isLeft = true;
    conversation?.leave();
  };
}
