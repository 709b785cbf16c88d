// A conversation: the branch of a chat that is shown, and the answer that is being written.

import { api, page as listPage } from "./api.js";
import { askLive, findLive, resumeLive } from "./live.js";
import { answerOf, questionOf } from "./message.js";
import { closePanel, openPanel } from "./panel.js";
import { announce, el, failed, toast } from "./ui.js";

const PAGE = 30;
// Who is nearer to the end than this wants to see what comes.
const NEAR_PX = 120;

export function openConversation(thread, chatId, { busy, chats, giveBack }) {
  const path = `/v1/chats/${chatId}`;
  const main = document.getElementById("main");
  const earlier = el("button", { type: "button", class: "button more", hidden: true,
    onclick: () => showEarlier().catch(failed) }, "Show earlier messages");
  const list = el("div", { class: "messages" });
  thread.append(earlier, list);
  let next = null;
  let stopListening = () => {};
  let isLeft = false;

  // ---- What is stored

  const find = () => listPage(`${path}/messages?html=true&limit=${PAGE}`);
  const articleOf = (id) => list.querySelector(`[data-id="${id}"]`);
  const articles = () => [...list.children];

  async function load() {
    const [chat, found] = await Promise.all([api("GET", path), find()]);
    if (isLeft) return;
    document.title = `${chat.title || "New chat"} · ${document.body.dataset.name}`;
    list.replaceChildren(...found.items.reverse().map(draw));
    follow(found.next);
    const live = findLive(chatId) ?? (chat.generating ? resumeLive(chatId, chat.generating) : null);
    if (live && !articleOf(live.id)) watch(live);
    else offerRetry();
    toEnd();
  }

  function follow(address) {
    next = address;
    earlier.hidden = !next;
  }

  async function showEarlier() {
    const found = await listPage(next);
    const from = main.scrollHeight - main.scrollTop;
    list.prepend(...found.items.reverse().map(draw));
    follow(found.next);
    main.scrollTop = main.scrollHeight - from;
  }

  // Take over what only the server knows after an answer: other branches, and how it was kept.
  async function sync() {
    const { items } = await find();
    for (const message of items) articleOf(message.id)?.update({ alternatives: message.alternatives });
    return items;
  }

  function draw(message) {
    const article = message.role === "user" ? question(message) : answer(message);
    article.dataset.id = message.id ?? "";
    return article;
  }

  const question = (message) => questionOf(message, {
    onEdit: (text) => edit(message, text).catch(failed),
    onSwitch: (id) => showBranch(id).catch(failed),
  });

  const answer = (message) => answerOf(message, {
    onAgain: () => again(message).catch(failed),
    onSwitch: (id) => showBranch(id).catch(failed),
    onPassage: (source, citations, opener) => openPanel(source, citations, opener).catch(failed),
    onReconnect: () => findLive(chatId)?.wake(),
  });

  async function showBranch(id) {
    if (isAnswering()) return;
    closePanel();
    await api("PATCH", path, { head_id: id });
    const from = main.scrollTop;
    await load();
    main.scrollTop = from;
    // The button that was pressed is gone; its successor stands in the message's place.
    articleOf(id)?.querySelector(".switcher button:not(:disabled)")?.focus();
  }

  // ---- Asking

  // Until an answer has ended, the server takes no other question and shows no other branch.
  function isAnswering() {
    if (!findLive(chatId)) return false;
    toast("An answer is being written. Wait for it, or stop it.");
    return true;
  }

  async function ask(text, place = {}) {
    const asking = draw({ role: "user", message: text, alternatives: [] });
    list.append(asking);
    watch(askLive(chatId, `${path}/messages`, { message: text, ...place }), asking, text);
    toEnd();
  }

  async function edit(message, text) {
    if (isAnswering()) return;
    cutFrom(articleOf(message.id));
    await ask(text, { edits: message.id });
  }

  // Answer the question of an answer once more, or send it again if it never arrived.
  async function again(message) {
    if (isAnswering()) return;
    closePanel();
    let questionId = message.question_id;
    if (!questionId) {
      const last = (await find()).items[0];
      if (last?.role !== "user") {
        const text = message.question;
        cutFrom(articles().at(-2));
        return ask(text);
      }
      questionId = last.id;
    }
    const at = articles().findIndex((article) => article.dataset.id === questionId);
    cutFrom(at < 0 ? articles().at(-1) : articles()[at + 1]);
    watch(askLive(chatId, `${path}/regenerate`, { message_id: questionId }));
    toEnd();
  }

  // A question without an answer, after something went wrong, can be answered now.
  function offerRetry() {
    const last = articles().at(-1);
    if (!last?.classList.contains("question")) return;
    list.append(draw({ role: "assistant", status: "failed", question_id: last.dataset.id,
      error: "This question was not answered.", message: "", sources: [], citations: [] }));
  }

  function cutFrom(article) {
    for (const one of articles().slice(article ? articles().indexOf(article) : Infinity)) one.remove();
  }

  // ---- The answer in the making

  function watch(live, asking = null, text = "") {
    stopListening();
    const message = { role: "assistant", status: live.status, message: "", sources: live.sources,
      citations: live.citations, reconnecting: live.reconnecting, question: text };
    const article = draw(message);
    list.append(article);
    busy(true);

    const state = () => ({ id: live.id, status: live.status, message: live.text, sources: live.sources,
      citations: live.citations ?? (live.isOver ? [] : null), reconnecting: live.reconnecting,
      question_id: live.questionId, model: live.model, error: live.error?.message });
    let isDue = false;
    // Once per frame at most, however fast it comes.
    const redraw = () => {
      if (isDue) return;
      isDue = true;
      requestAnimationFrame(() => {
        isDue = false;
        const follows = isNearEnd();
        if (message.status === "waiting" && live.status !== "waiting") article.update(state());
        article.draw(live.blocks, live.firstChanged);
        live.firstChanged = live.blocks.length;
        if (follows) toEnd();
      });
    };
    if (live.blocks.length) { live.firstChanged = 0; redraw(); }

    stopListening = live.listen((what) => {
      if (what === "html") return redraw();
      if (what === "started") {
        article.dataset.id = live.id;
        if (asking) {
          asking.dataset.id = live.questionId;
          asking.update({ id: live.questionId, alternatives: [] });
        }
        chats.refresh();
      }
      if (what === "end") requestAnimationFrame(() => finish());
      else requestAnimationFrame(() => { if (!live.isOver) article.update(state()); });
    });

    function finish() {
      const follows = isNearEnd();
      if (live.firstChanged < live.blocks.length) article.draw(live.blocks, live.firstChanged);
      article.update(state());
      if (follows) toEnd();
      busy(false);
      stopListening();
      chats.refresh();
      if (isLeft) return;
      const isRefused = live.error?.code === "chat_busy";
      if (isRefused) {
        // The question was not taken, and its place is taken by what is stored.
        giveBack(text);
        failed(live.error);
      } else if (live.error) announce(`The answer failed: ${live.error.message}`);
      else announce(`Answer: ${article.querySelector(".prose").innerText}`);
      // Another page asks here, or the stream is kept no longer: what is stored tells.
      if (isRefused || live.error?.status === 404) return load().catch(failed);
      return sync().catch(failed);
    }
  }

  const isNearEnd = () => main.scrollHeight - main.scrollTop - main.clientHeight < NEAR_PX;
  const toEnd = () => { if (!isLeft) main.scrollTop = main.scrollHeight; };

  return {
    load,
    ask: (text) => ask(text),
    stop: async () => findLive(chatId)?.stop(),
    leave: () => { isLeft = true; stopListening(); closePanel(); },
  };
}
