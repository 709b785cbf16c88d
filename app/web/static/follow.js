// Server-sent events by fetch, which can send headers; it connects again when it has to.

import { send } from "./api.js";

const LONGEST_WAIT_MS = 15_000;
// The server says something every 15 seconds; a connection that is silent for longer is dead.
const SILENT_MS = 45_000;
const FINAL = new Set([401, 403, 404]);

const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end);
  function end() {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    resolve();
  }
});

// Call `on(name, data)` for each event until `done`. `lost(true)` says that the connection broke,
// `lost(false)` that there is one again. What can't get better by trying is thrown.
export async function follow(path, { on, lost = () => {}, signal }) {
  const position = { last: "0", done: false };
  for (let tries = 0; !signal.aborted && !position.done; tries += 1) {
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": position.last };
      const response = await send("GET", path, undefined, { signal, headers });
      lost(false);
      await read(response.body, (name, data) => {
        tries = 0;
        if (name === "error" && FINAL.has(statusOf(data))) throw Object.assign(new Error(data.message), { status: 401 });
        on(name, data);
      }, position);
    } catch (error) {
      if (signal.aborted) return;
      if (FINAL.has(error.status)) throw error;
    }
    if (position.done || signal.aborted) return;
    lost(true);
    await pause(Math.min(500 * 2 ** tries, LONGEST_WAIT_MS), signal);
  }
}

const statusOf = (error) => (error.code === "unauthorized" ? 401 : 0);

async function read(body, on, position) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let timer = 0;
  try {
    for (;;) {
      timer = setTimeout(() => reader.cancel().catch(() => {}), SILENT_MS);
      const { value, done } = await reader.read();
      clearTimeout(timer);
      if (done) return;
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (event.id) position.last = event.id;
        if (!event.name) continue;
        on(event.name, event.data);
        if (event.name === "done") { position.done = true; return; }
      }
    }
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  const event = {};
  const lines = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event.name = line.slice(7);
    else if (line.startsWith("id: ")) event.id = line.slice(4);
    else if (line.startsWith("data: ")) lines.push(line.slice(6));
  }
  if (event.name) event.data = JSON.parse(lines.join("\n"));
  return event;
}
