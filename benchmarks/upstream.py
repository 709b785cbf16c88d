"""A language model's server that answers without any thought: `python -m benchmarks.upstream PORT`.

The content of a stream's pieces is the time at which they were sent.
"""

import json
import sys
import time

import uvicorn
from starlette.types import Receive, Scope, Send

PIECES = 20
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_780_000_000,
    "model": "bench",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "An answer. [1]"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
WHOLE = json.dumps(ANSWER).encode()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    streaming = b'"stream":true' in body.replace(b" ", b"")
    kind = b"text/event-stream" if streaming else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    if streaming:
        for number in range(PIECES + 1):
            await send({"type": "http.response.body", "body": _piece(number), "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
    else:
        await send({"type": "http.response.body", "body": WHOLE})


def _piece(number: int) -> bytes:
    last = number == PIECES
    delta = {} if last else {"role": "assistant", "content": f"{time.perf_counter_ns()} "}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if last else None}
    piece = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_780_000_000,
        "model": "bench",
        "choices": [choice],
    }
    return f"data: {json.dumps(piece)}\n\n".encode()


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", lifespan="off")
