"""A language model that writes as fast as a good one: `python -m benchmarks.typist PORT`."""

import asyncio
import json
import sys

import uvicorn
from starlette.types import Receive, Scope, Send

__all__ = ["TOKENS", "TOKENS_PER_SEC"]

TOKENS = 500
TOKENS_PER_SEC = 60
# Prose, lists, code and citations, of which each word counts as a token.
TEXT = (
    "To ingest a folder, run the command with its path; [1] what has *not changed* is left alone. "
    "\n\n- A file that **vanished** is removed [1]\n- and one that was renamed costs nothing\n\n"
    "```sh\n.venv/bin/python -m app ingest PATH\n```\n\nThat is all there is to do here, [2] "
    "and the next question finds it.\n\n"
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with a stream."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    kind = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    words = TEXT.split(" ")
    begin = asyncio.get_running_loop().time()
    for number in range(TOKENS):
        due = begin + number / TOKENS_PER_SEC
        await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
        body = _piece(words[number % len(words)] + " ")
        await send({"type": "http.response.body", "body": body, "more_body": True})
    last = _piece(None) + b"data: [DONE]\n\n"
    await send({"type": "http.response.body", "body": last})


def _piece(content: str | None) -> bytes:
    piece = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_780_000_000,
        "model": "typist",
        "choices": [
            {
                "index": 0,
                "delta": {} if content is None else {"role": "assistant", "content": content},
                "finish_reason": "stop" if content is None else None,
            }
        ],
    }
    return f"data: {json.dumps(piece)}\n\n".encode()


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off")
