"""Programs that know nothing of bRAG, pointed at it: `make test-clients`.

The `openai` package, LangChain and the command `llm` ask the model `brag`, and must get the answer
of `/v1/qa-create` with its citations. By itself it starts a bRAG of its own with bRAG's documents;
`--url` names one that runs (its API token in BRAG_TOKEN), and holds for one without a language
model only: with one, no two answers need be the same.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import NotFoundError, OpenAI

ROOT = Path(__file__).resolve().parent.parent
BRAG = ROOT / ".venv" / "bin" / "python"
TOKEN = os.environ.get("BRAG_TOKEN", "none")
QUESTION = "How do I ingest a folder?"
FOLLOW_UP = "And how do I delete one?"
EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
START_SEC = 120


def main() -> None:
    """Ask by every client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="of a running bRAG")
    url = parser.parse_args().url
    if url:
        ask_all(url)
        return
    with brag() as started:
        ask_all(started)


def ask_all(url: str) -> None:
    """Compare what each client gets with what bRAG answers."""
    known = post(url, "/v1/qa-create", {"message": QUESTION})
    assert known["citations"], known
    expected = known["message"]
    by_openai(f"{url}/v1", expected, known["citations"])
    print("ok  openai: models, plain, streamed, citations, embeddings, errors")
    by_langchain(f"{url}/v1", expected)
    print("ok  LangChain: ChatOpenAI plain, streamed, with a history; OpenAIEmbeddings")
    by_llm(f"{url}/v1", expected)
    print("ok  llm: streamed, plain, the next question of a conversation")


def by_openai(base_url: str, expected: str, citations: list[dict[str, Any]]) -> None:
    """Ask with OpenAI's own package."""
    client = OpenAI(base_url=base_url, api_key=TOKEN)
    assert "brag" in [model.id for model in client.models.list()]
    asked: Any = [{"role": "user", "content": QUESTION}]
    message = client.chat.completions.create(model="brag", messages=asked).choices[0].message
    check(message.content, expected)
    verified = [one for one in citations if one["verified"]]
    assert message.annotations or not verified
    for annotation in message.annotations or ():
        cited = annotation.url_citation
        assert (message.content or "")[cited.start_index : cited.end_index].startswith("[")
        assert cited.url.startswith("http")
    stream = client.chat.completions.create(model="brag", messages=asked, stream=True)
    pieces = [one.choices[0].delta.content or "" for one in stream if one.choices]
    assert len(pieces) > 2  # noqa: PLR2004
    assert "".join(pieces) == message.content
    vectors = client.embeddings.create(model=EMBEDDING_MODEL, input=["one", "two"]).data
    assert [len(vector.embedding) for vector in vectors] == [384, 384]
    try:
        client.chat.completions.create(model="nonesuch", messages=asked)
    except NotFoundError as error:
        assert "brag" in error.message, error
    else:
        raise AssertionError("a model that there isn't was found")


def by_langchain(base_url: str, expected: str) -> None:
    """Ask with LangChain."""
    chat = ChatOpenAI(model="brag", base_url=base_url, api_key=TOKEN)
    answer = chat.invoke(QUESTION)
    check(answer.content, expected)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] > 0
    assert "".join(str(piece.content) for piece in chat.stream(QUESTION)) == answer.content
    history = [HumanMessage(QUESTION), AIMessage(answer.content), HumanMessage(FOLLOW_UP)]
    assert "[1]" in str(chat.invoke(history).content)
    embeddings = OpenAIEmbeddings(
        model=EMBEDDING_MODEL,
        base_url=base_url,
        api_key=TOKEN,
        check_embedding_ctx_length=False,
    )
    assert len(embeddings.embed_query(QUESTION)) == 384  # noqa: PLR2004


def by_llm(base_url: str, expected: str) -> None:
    """Ask on the command line."""
    with tempfile.TemporaryDirectory() as folder:
        model = {"model_id": "brag", "model_name": "brag", "api_base": base_url}
        # YAML, of which JSON is a part.
        Path(folder, "extra-openai-models.yaml").write_text(json.dumps([model]))

        def llm(*arguments: str) -> str:
            return subprocess.run(
                [Path(sys.executable).parent / "llm", *arguments],
                env=os.environ | {"LLM_USER_PATH": folder, "OPENAI_API_KEY": TOKEN},
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            ).stdout

        check(llm("-m", "brag", QUESTION), expected)
        check(llm("-m", "brag", "--no-stream", QUESTION), expected)
        assert "[1]" in llm("-c", FOLLOW_UP)


def check(answer: object, expected: str) -> None:
    """Make sure that an answer is the known one, with a footnote for its first mark."""
    text = str(answer).strip()
    assert text.startswith(expected), (text, expected)
    notes = text.removeprefix(expected)
    assert notes.startswith("\n\n["), text
    assert ".md" in notes, answer
    assert " - http" in notes, answer


@contextmanager
def brag() -> Iterator[str]:
    """Start a bRAG that knows its own documents and has no language model; yield its URL."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
        probe.close()
        models = subprocess.run(
            [BRAG, "-c", "from settings import load_settings; print(load_settings().models_dir)"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        Path(folder, "models").symlink_to(models)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        nothing = {
            "OPENAI_API_KEY": "",
            "OPENAI_BASE_URL": "",
            "DATABASE_URL": "",
            "QDRANT_URL": "",
        }
        env = kept | nothing | {"VAR_DIR": folder, "PORT": port, "AUTH": "off"}
        subprocess.run([BRAG, "-m", "app", "ingest", "docs"], cwd=ROOT, env=env, check=True)
        with subprocess.Popen([BRAG, "-m", "app", "serve"], cwd=ROOT, env=env) as server:
            try:
                url = f"http://127.0.0.1:{port}"
                wait_for(url, server)
                yield url
            finally:
                server.terminate()


def wait_for(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait until a server can answer."""
    end = time.monotonic() + START_SEC
    while time.monotonic() < end:
        assert server.poll() is None, "bRAG did not start"
        try:
            if post(url, "/v1/search", {"query": QUESTION})["hits"]:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError("bRAG has no documents")


def post(url: str, path: str, body: dict[str, Any]) -> Any:
    """Send a request as JSON."""
    headers = {"Content-Type": "application/json"}
    if TOKEN != "none":  # noqa: S105
        headers["Authorization"] = f"Bearer {TOKEN}"
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


if __name__ == "__main__":
    main()
