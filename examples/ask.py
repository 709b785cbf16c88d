"""Ask, print the answer as it comes and what it cites: python examples/ask.py QUESTION [URL]

It needs nothing but Python. With BRAG_TOKEN in the environment, as the account that the token
belongs to. A connection that breaks is opened again, and the answer goes on where it stood.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

PAUSES_SEC = (0, 1, 2, 4)
# A language model may think for long, but the server says every 15 seconds that it is there.
SILENCE_SEC = 60


def ask(url: str, question: str) -> Iterator[tuple[str, Any]]:
    """Yield the events of an answer: their names and what they hold."""
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("BRAG_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps({"message": question, "resumable": True}).encode()
    # Sent again with the same key, it is the same question.
    request = Request(f"{url}/v1/qa-stream", body, {**headers, "Idempotency-Key": str(uuid4())})
    for pause in PAUSES_SEC:
        try:
            with urlopen(request, timeout=SILENCE_SEC) as response:
                for name, event_id, data in read_events(response):
                    yield name, data
                    if name in ("done", "error"):
                        return
                    if name == "started":
                        request = Request(f"{url}/v1/messages/{data['id']}/stream", None, headers)
                    request.add_header("Last-Event-ID", event_id)
        except HTTPError:
            raise
        except (OSError, HTTPException):
            time.sleep(pause)
    raise ConnectionError


def read_events(lines: Iterator[bytes]) -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the id and the data of each server-sent event."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            # Comments, which only show that the server is there, have no name: they begin with ":".
            fields[name] = value
        elif "data" in fields:
            yield fields["event"], fields.get("id", "0"), json.loads(fields["data"])
            fields = {}


def main(question: str, url: str = "http://127.0.0.1:8000") -> None:
    """Print an answer, then what it cites."""
    try:
        for name, data in ask(url, question):
            if name == "message":
                print(data["content"], end="", flush=True)
            elif name == "citations":
                print("\n")
                for one in data:
                    checked = "verified" if one["verified"] else "not verified"
                    print(f"[{one['marker']}] {one['path']}: {one['quote']} ({checked})")
            elif name == "error":
                sys.exit(f"\n{data['message']}")
    except HTTPError as error:
        sys.exit(json.load(error)["detail"])
    except OSError:
        sys.exit(f"{url} can't be reached, or keeps breaking off.")


if __name__ == "__main__":
    main(*sys.argv[1:])
