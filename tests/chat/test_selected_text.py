"""`selected_text` on qa-*: answers from one text alone, which is not stored."""

import httpx2

from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.support import fetch, read_events
from tests.upstream import Upstream

HOURS = "We are open from 9 to 17 on weekdays. On Sundays the shop stays closed."
QUESTION = "When is the shop closed?"


async def test_the_answer_comes_from_the_selection_with_citations_into_it(
    api: httpx2.AsyncClient,
) -> None:
    answer = await ask(api, QUESTION, selected_text=HOURS)

    assert answer["message"].startswith("On Sundays the shop stays closed. [1]")
    [source] = answer["sources"]
    assert source["document_id"] is source["chunk_id"] is None
    assert HOURS[source["start"] : source["end"]] == source["text"]
    [citation] = answer["citations"]
    assert citation["document_id"] is citation["chunk_id"] is citation["url"] is None
    assert citation["title"] == "Selected text"
    assert citation["quote"] == "On Sundays the shop stays closed."
    assert HOURS[citation["start"] : citation["end"]] == citation["quote"]
    assert citation["verified"] is True


async def test_the_documents_have_no_say(ingest: Ingest, api: httpx2.AsyncClient) -> None:
    await ingest({"shop.md": "# Shop\n\nThe shop is closed on Mondays.\n"})
    await until_found(api, "shop.md")

    answer = await ask(api, QUESTION, selected_text=HOURS)

    assert "Mondays" not in answer["message"]
    assert {source["title"] for source in answer["sources"]} == {"Selected text"}


async def test_a_selection_that_says_nothing_about_it_finds_nothing(
    api: httpx2.AsyncClient,
) -> None:
    answer = await ask(api, "Who wrote the novel Ulysses?", selected_text=HOURS)

    assert answer["message"].startswith("No documents found in context.")
    assert answer["citations"] == []


async def test_the_selection_is_not_stored(api: httpx2.AsyncClient, database_url: str) -> None:
    secret = "# Launch code of the green safe\n\nThe rocket flies on Sunday, says the pilot.\n"
    answer = await ask(api, "When does the rocket fly?", selected_text=secret)

    rows = fetch(database_url, "SELECT CAST(message.* AS text) FROM message")

    assert answer["sources"][0]["heading_path"] == ["Launch code of the green safe"]
    assert len(rows) == 2
    assert not any("green safe" in row for (row,) in rows)
    assert fetch(database_url, "SELECT FROM document") == []


async def test_a_selection_streams_like_documents(api: httpx2.AsyncClient) -> None:
    events = await read_events(api, "/v1/qa-stream", QUESTION, selected_text=HOURS)

    assert [events[0].name, events[-2].name, events[-1].name] == ["sources", "citations", "done"]
    assert events[-2].data[0]["quote"] == "On Sundays the shop stays closed."


async def test_of_a_long_selection_the_passages_that_fit_the_question_are_taken(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    filler = "".join(
        f"## Item {n}\n\nThe warehouse keeps {n} boxes of paper clips on shelf {n}. "
        f"{'They were counted by the night shift and found complete. ' * 8}\n\n"
        for n in range(90)
    )
    text = filler + "## Pets\n\nThe office dog is called Rufus.\n\n"

    answer = await ask(
        upstream_api, "What is the dog called?", selected_text=text[: 50_000 - 60] + text[-60:]
    )

    prompt = upstream.requests[-1]["messages"][-1]["content"]
    assert "Rufus" in prompt
    assert len(prompt) < 30_000
    numbers = [source["number"] for source in answer["sources"]]
    assert numbers == list(range(1, len(numbers) + 1))
    starts = [source["start"] for source in answer["sources"]]
    assert starts == sorted(starts)
    trace = (await upstream_api.get(f"/v1/messages/{answer['id']}/trace")).json()
    assert trace["left_out"] > 0


async def test_a_selection_goes_neither_with_filters_nor_with_a_mode(
    api: httpx2.AsyncClient,
) -> None:
    for field in ({"filters": {"path_prefixes": ["a"]}}, {"mode": "dense"}):
        body = {"message": QUESTION, "selected_text": HOURS, **field}
        response = await api.post("/v1/qa-create", json=body)

        assert response.status_code == 422
        assert "leave filters and mode out" in response.json()["detail"]


async def test_filters_that_say_nothing_go_with_a_selection(api: httpx2.AsyncClient) -> None:
    answer = await ask(api, QUESTION, selected_text=HOURS, filters={}, mode=None)

    assert answer["citations"] != []


async def test_an_empty_or_endless_selection_is_refused(api: httpx2.AsyncClient) -> None:
    for text, reason in (
        ("  \n ", "must not be empty"),
        ("x" * 50_001, "at most 50000 characters"),
    ):
        body = {"message": QUESTION, "selected_text": text}
        response = await api.post("/v1/qa-create", json=body)

        assert response.status_code == 422
        assert reason in response.json()["detail"]


async def test_an_answer_from_a_selection_can_be_traced_but_not_replayed(
    api: httpx2.AsyncClient,
) -> None:
    answer = await ask(api, QUESTION, selected_text=HOURS)

    trace = (await api.get(f"/v1/messages/{answer['id']}/trace")).json()
    replay = await api.post(f"/v1/messages/{answer['id']}/replay")

    assert len(trace["selected_text_hash"]) == 64
    assert [passage["text"] for passage in trace["passages"]] == [None]
    assert replay.status_code == 409
    assert "selected text" in replay.json()["detail"]
