// Ask, and get the answer as it comes, in a browser or in Node 18 and newer:
//
//   node examples/ask.mjs QUESTION [URL]
//
// In a page: `import { ask } from "./ask.mjs"`. Of another origin than bRAG's, name it in CORS_ORIGINS.
// With `token`, or BRAG_TOKEN in Node's environment, as the account that the token belongs to.

// Yield the events of an answer: `{ name, data }`. Leaving the loop stops the answer.
export async function* ask(question, { url = "http://127.0.0.1:8000", token, signal } = {}) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(`${url}/v1/qa-stream`, {
    method: "POST",
    headers,
    body: JSON.stringify({ message: question }),
    signal,
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  for await (const event of readEvents(response.body)) {
    if (event.name === "error") throw new Error(event.data.message);
    yield event;
  }
}

// EventSource can't send a question, so the events are read here: blocks between empty lines.
async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      const blocks = text.split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => {
          const at = line.indexOf(": ");
          return [line.slice(0, at), line.slice(at + 2)];
        }));
        // Comments have no data: they only show that the server is there.
        if (fields.data) yield { name: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } finally {
    await reader.cancel();
  }
}

async function main(question, url) {
  for await (const { name, data } of ask(question, { url, token: process.env.BRAG_TOKEN })) {
    if (name === "message") process.stdout.write(data.content);
    if (name === "citations") {
      console.log("\n");
      for (const { marker, path, quote, verified } of data) {
        console.log(`[${marker}] ${path}: ${quote} (${verified ? "verified" : "not verified"})`);
      }
    }
  }
}

if (globalThis.process?.argv[1]?.endsWith("ask.mjs")) {
  main(...process.argv.slice(2)).catch((error) => {
    console.error(error.cause?.message ?? error.message);
    process.exitCode = 1;
  });
}
