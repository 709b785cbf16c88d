// Answers in the making. Each is read to its end, whichever view is shown, and read on from where
// the connection broke.

import { ApiError, send } from "./api.js";

// The server says something every 15 seconds; a connection that is silent for longer is dead.
const SILENT_MS = 45_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
// How often a question is sent again that may not have arrived. It has its effect once.
const SENDS = 5;

const running = new Map();

// The answer that is being made in a chat, if this page reads it.
export const findLive = (chatId) => running.get(chatId);

// Ask: `path` is where the question goes, `body` what it says.
export function askLive(chatId, path, body) {
  const headers = { "Idempotency-Key": randomKey() };
  return begin(new Live(chatId, null, (options) =>
    send("POST", `${path}?html=true`, { ...body, stream: true },
      { ...options, headers: { ...options.headers, ...headers } })));
}

// Read an answer that somebody has asked for before.
export const resumeLive = (chatId, answerId) => begin(new Live(chatId, answerId, null));

function begin(live) {
  running.set(live.chatId, live);
  live.ended = live.read().finally(() => {
    if (running.get(live.chatId) === live) running.delete(live.chatId);
    live.tell("end");
  });
  return live;
}

class Live {
  constructor(chatId, answerId, ask) {
    this.chatId = chatId;
    this.id = answerId;
    this.questionId = null;
    this.text = "";
    this.blocks = [];
    this.firstChanged = 0;
    this.sources = [];
    this.citations = null;
    // waiting, writing, complete, cancelled, failed
    this.status = "waiting";
    this.reconnecting = false;
    this.error = null;
    this.listeners = new Set();
    this.ask = ask;
    this.lastId = 0;
    this.wake = () => {};
  }

  get isOver() { return !["waiting", "writing"].includes(this.status); }

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  tell(what) { for (const listener of [...this.listeners]) listener(what); }

  async stop() {
    this.wantsStop = true;
    if (this.id) await send("POST", `/v1/messages/${this.id}/cancel`);
  }

  async read() {
    let attempt = 0;
    while (!this.isOver) {
      try {
        await this.readConnection(() => { attempt = 0; });
      } catch (error) {
        if (!this.mayGoOn(error, attempt)) return this.fail(error);
        this.problem = error;
      }
      if (this.isOver) return;
      attempt += 1;
      this.reconnecting = true;
      this.tell("connection");
      await this.pause(attempt);
    }
  }

  mayGoOn(error, attempt) {
    if (error.isFault) return false;
    if (!(error instanceof ApiError)) return true; // The connection broke while it was read.
    if (this.id) return error.status === 0 || error.status === 429 || error.status >= 500;
    return (error.status === 0 || error.code === "request_in_progress") && attempt < SENDS;
  }

  async readConnection(arrived) {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENT_MS);
    const options = { signal: silence.signal, headers: { Accept: "text/event-stream" } };
    try {
      const response = this.id
        ? await send("GET", `/v1/messages/${this.id}/stream?html=true`, undefined,
          { ...options, headers: { ...options.headers, "Last-Event-ID": String(this.lastId) } })
        : await this.ask(options);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        arrived();
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENT_MS);
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) this.takeBlock(block);
        if (this.isOver) return;
      }
    } catch (error) {
      // What was aborted was silent, not unwanted.
      if (error.name === "AbortError") throw new TypeError("The connection went silent.");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  takeBlock(block) {
    const event = {};
    for (const line of block.split("\n")) {
      const [, field, value] = /^(\w+): ?(.*)$/.exec(line) ?? [];
      if (field) event[field] = value;
    }
    if (!event.event) return; // A comment that keeps the connection open.
    let isConnectionLost = false;
    try {
      const data = JSON.parse(event.data);
      // Without a number it is no event of the answer, which may well go on: only this server stops.
      isConnectionLost = this.id && !event.id && data?.code === "server_stopping";
      if (!isConnectionLost) this.take(event.event, data);
    } catch (error) {
      throw Object.assign(error, { isFault: true });
    }
    if (isConnectionLost) throw new TypeError("The server stops.");
    if (event.id) this.lastId = Number(event.id);
    if (this.reconnecting) {
      this.reconnecting = false;
      this.tell("connection");
    }
  }

  take(name, data) {
    if (name === "started") {
      this.id = data.id;
      this.questionId = data.question_id;
      this.tell("started");
      if (this.wantsStop) this.stop();
    } else if (name === "sources") {
      this.sources = data;
      this.tell("sources");
    } else if (name === "message") {
      this.text += data.content;
      this.model = data.model;
      this.status = "writing";
    } else if (name === "html") {
      this.blocks.splice(data.first, this.blocks.length, ...data.blocks);
      this.firstChanged = Math.min(this.firstChanged, data.first);
      this.tell("html");
    } else if (name === "citations") {
      this.citations = data;
      this.tell("citations");
    } else if (name === "done") {
      this.status = data.status;
    } else if (name === "error") {
      this.fail(Object.assign(new Error(data.message), { code: data.code }));
    }
  }

  fail(error) {
    this.status = "failed";
    this.reconnecting = false;
    this.error = error;
    if (error.isFault) throw error;
  }

  pause(attempt) {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
    return new Promise((resolve) => {
      const timer = setTimeout(go, longest * (0.75 + Math.random() / 4));
      const self = this;
      function go() {
        clearTimeout(timer);
        window.removeEventListener("online", go);
        self.wake = () => {};
        resolve();
      }
      window.addEventListener("online", go);
      this.wake = go;
    });
  }
}

// crypto.randomUUID is missing where a page came over plain HTTP.
const randomKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
