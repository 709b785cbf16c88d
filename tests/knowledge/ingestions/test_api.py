"""Runs as their users follow them, over HTTP, done by a real worker."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import eventually, parse_events

pytestmark = pytest.mark.usefixtures("worker")


async def create(api: httpx2.AsyncClient, folder: Path, **fields: Any) -> dict[str, Any]:
    body = {"config": {"kind": "folder", "path": str(folder)}, **fields}
    response = await api.post("/v1/sources", json=body)
    assert response.status_code == 201, response.text
    source: dict[str, Any] = response.json()
    return source


async def ended(api: httpx2.AsyncClient, ingestion_id: str) -> dict[str, Any]:
    """Wait for a run's end."""

    async def has_ended() -> bool:
        run = (await api.get(f"/v1/ingestions/{ingestion_id}")).json()
        return run["finished_at"] is not None

    await eventually(has_ended, within=60)
    run: dict[str, Any] = (await api.get(f"/v1/ingestions/{ingestion_id}")).json()
    return run


async def test_a_new_source_is_ingested_and_answers(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    (folder / "ducks.md").write_text("# Ducks\n\nThe capital of the ducks is Entenhausen.")

    source = await create(ingest_api, folder)
    run = await ended(ingest_api, source["ingestion"]["id"])

    assert (run["state"], run["listed"], run["stored"]) == ("succeeded", 1, 1)
    shown = (await ingest_api.get(f"/v1/sources/{source['id']}")).json()
    assert shown["documents"] == 1
    assert shown["synced_at"] is not None

    async def answers() -> bool:
        answer = await ingest_api.post(
            "/v1/qa-create", json={"message": "What is the capital of the ducks?"}
        )
        return "Entenhausen" in answer.json()["message"]

    await eventually(answers)


async def test_progress_is_told_as_events_until_the_end(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    for number in range(5):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nSomething of {number}.")
    source = await create(ingest_api, folder)

    path = f"/v1/ingestions/{source['ingestion']['id']}/events"
    events = parse_events((await ingest_api.get(path, timeout=60)).text)
    first_line = next(event for event in events if event.name == "log")
    again = parse_events(
        (await ingest_api.get(path, headers={"Last-Event-ID": str(first_line.data["id"])})).text
    )

    names = [event.name for event in events]
    assert names[-1] == "done"
    assert set(names) == {"log", "progress", "done"}
    assert events[-1].data["stored"] == 5
    assert first_line not in again
    assert again[-1].name == "done"


async def test_a_sync_that_is_asked_for_twice_is_one_run(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    for number in range(20):
        (folder / f"{number}.md").write_text(f"# Page {number}\n\nSomething of {number}.")
    source = await create(ingest_api, folder)

    joined = (await ingest_api.post(f"/v1/sources/{source['id']}/sync")).json()

    assert joined["id"] == source["ingestion"]["id"]
    await ended(ingest_api, joined["id"])
    second = (await ingest_api.post(f"/v1/sources/{source['id']}/sync")).json()
    assert second["id"] != joined["id"]
    run = await ended(ingest_api, second["id"])
    assert (run["unchanged"], run["stored"]) == (20, 0)


async def test_items_and_log_say_what_happened_to_each_document(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    (folder / "good.md").write_text("Good.")
    (folder / "empty.md").write_text("")
    source = await create(ingest_api, folder)
    run = await ended(ingest_api, source["ingestion"]["id"])

    url = f"/v1/ingestions/{run['id']}"
    items = (await ingest_api.get(f"{url}/items")).json()
    skipped = (await ingest_api.get(f"{url}/items", params={"state": "skipped"})).json()
    log = (await ingest_api.get(f"{url}/log")).json()

    assert {item["path"]: item["state"] for item in items} == {
        "good.md": "stored",
        "empty.md": "skipped",
    }
    assert [item["error"] for item in skipped] == ["is empty"]
    assert [line["message"] for line in log if line["path"] == "empty.md"] == ["is empty"]


async def test_a_run_is_replayed_whole(ingest_api: httpx2.AsyncClient, folder: Path) -> None:
    (folder / "a.md").write_text("Ducks.")
    source = await create(ingest_api, folder)
    first = await ended(ingest_api, source["ingestion"]["id"])

    response = await ingest_api.post(f"/v1/ingestions/{first['id']}/replay")
    again = await ended(ingest_api, response.json()["id"])

    assert response.status_code == 202
    assert (again["cause"], again["stored"], again["embedded"]) == ("replay", 1, 0)


async def test_a_failed_run_is_tried_again(ingest_api: httpx2.AsyncClient, folder: Path) -> None:
    docs = folder / "docs"
    docs.mkdir()
    source = await create(ingest_api, docs, sync=False)
    docs.rmdir()
    first = (await ingest_api.post(f"/v1/sources/{source['id']}/sync")).json()
    failed = await ended(ingest_api, first["id"])
    docs.mkdir()
    (docs / "a.md").write_text("Ducks.")

    retried = await ingest_api.post(f"/v1/ingestions/{first['id']}/retry")
    run = await ended(ingest_api, first["id"])
    once_more = await ingest_api.post(f"/v1/ingestions/{first['id']}/retry")

    assert failed["state"] == "failed"
    assert "There is no file or folder" in failed["error"]
    assert retried.status_code == 202
    assert (run["state"], run["stored"], run["error"]) == ("succeeded", 1, None)
    assert once_more.status_code == 409
    assert once_more.json()["error"]["code"] == "nothing_to_retry"


async def test_runs_are_listed_newest_first_in_pages(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    source = await create(ingest_api, folder)
    ids = [source["ingestion"]["id"]]
    await ended(ingest_api, ids[0])
    for _ in range(2):
        response = await ingest_api.post(f"/v1/sources/{source['id']}/sync")
        ids.append(response.json()["id"])
        await ended(ingest_api, ids[-1])

    first = await ingest_api.get("/v1/ingestions", params={"limit": 2, "source_id": source["id"]})
    second = await ingest_api.get(first.links["next"]["url"])

    assert [run["id"] for run in first.json() + second.json()] == ids[::-1]
    assert "next" not in second.links
    none = await ingest_api.get("/v1/ingestions", params={"state": "failed"})
    assert none.json() == []
