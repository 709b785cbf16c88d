"""Health, readiness, request ids and unexpected errors."""

import asyncio
import logging

import httpx2
import pytest

import app
from settings import Settings
from tests.core.metrics import scrape
from tests.support import eventually, execute, open_client


async def test_the_healthcheck_tells_the_version(api: httpx2.AsyncClient) -> None:
    response = await api.get("/healthcheck")

    assert response.json() == {"version": app.__version__}


async def test_health_tells_that_the_process_answers(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/health")).json() == {"status": "healthy"}


async def test_readiness_names_every_part(api: httpx2.AsyncClient) -> None:
    response = await api.get("/readiness")

    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    parts = response.json()["parts"]
    assert parts.keys() == {"database", "index", "embedding_model", "language_model", "worker"}
    worker = parts.pop("worker")
    assert {part["status"] for part in parts.values()} == {"ok"}
    assert (worker["status"], worker["detail"]) == ("absent", "No worker runs; no job waits.")


async def test_readiness_and_metrics_tell_what_waits_in_the_queue(
    api: httpx2.AsyncClient, database_url: str
) -> None:
    execute(
        database_url,
        "INSERT INTO procrastinate_workers DEFAULT VALUES;"
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('document', 'x'),"
        " ('document', 'x'), ('list', 'y');"
        "UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 'y';"
        "UPDATE procrastinate_events SET at = now() - interval '90 seconds'",
    )

    worker = (await api.get("/readiness")).json()["parts"]["worker"]
    metrics = (await api.get("/metrics")).text.splitlines()

    assert (worker["status"], worker["detail"]) == ("ok", "2 jobs wait, the first for 90 s.")
    assert 'brag_jobs{queue="document",state="waiting"} 2.0' in metrics
    assert 'brag_jobs{queue="list",state="running"} 1.0' in metrics
    oldest = [line for line in metrics if line.startswith('brag_oldest_job_seconds{queue="doc')]
    assert 90 <= float(oldest[0].split()[-1]) < 100
    assert "brag_workers 1.0" in metrics
    assert 'brag_part_up{part="database"} 1.0' in metrics


async def test_every_response_has_a_request_id(api: httpx2.AsyncClient) -> None:
    first, second = await api.get("/health"), await api.get("/health")

    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_a_plain_request_id_of_the_caller_is_kept(api: httpx2.AsyncClient) -> None:
    kept = await api.get("/health", headers={"x-request-id": "order-7.a:1_b"})
    for bad in ("x" * 65, "one two", 'q"uote'):
        replaced = await api.get("/health", headers={"x-request-id": bad})
        assert replaced.headers["x-request-id"] != bad

    assert kept.headers["x-request-id"] == "order-7.a:1_b"


async def test_an_unexpected_error_shows_no_internals(
    settings: Settings, database_url: str
) -> None:
    async with open_client(settings) as client:
        execute(database_url, "DROP TABLE message CASCADE")
        response = await client.post("/v1/completion", json={"message": "Hi"})

    assert response.status_code == 500
    assert response.json()["detail"] == "Something went wrong on our side."
    assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


async def test_an_unexpected_error_is_logged_as_the_500_that_it_is(
    settings: Settings, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_client(settings) as client:
        # Serving has replaced the handlers, pytest's included.
        logging.getLogger().addHandler(caplog.handler)
        execute(database_url, "DROP TABLE message CASCADE")
        await client.post("/v1/completion", json={"message": "Hi"})

    [record] = [record for record in caplog.records if record.name == "app.requests"]
    assert vars(record)["status"] == 500


async def test_the_connection_is_usable_or_closed_as_said_after_an_unexpected_error(
    settings: Settings, database_url: str
) -> None:
    async with open_client(settings) as client:
        execute(database_url, "DROP TABLE message CASCADE")
        for _ in range(5):
            response = await client.post("/v1/completion", json={"message": "Hi"})
            assert response.status_code == 500
            assert response.headers["connection"] == "close"


async def test_the_api_description_has_examples_and_every_error(api: httpx2.AsyncClient) -> None:
    description = (await api.get("/openapi.json")).json()

    operation = description["paths"]["/v1/qa-create"]["post"]
    assert {"200", "422", "502", "503", "504"} <= operation["responses"].keys()
    assert description["components"]["schemas"]["MessageRequest"]["examples"]


async def test_who_leaves_in_the_middle_of_a_request_is_no_failure_of_ours(
    api: httpx2.AsyncClient,
) -> None:
    paths = ("/v1/chat/completions", "/v1/embeddings", "/mcp", "/v1/documents")
    host, port = api.base_url.host, api.base_url.port
    before = await scrape(api)
    for path in paths:
        _, writer = await asyncio.open_connection(host, port)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nContent-Length: 100\r\n\r\n{"
        )
        writer.write(head.encode())
        # Time for it to arrive.
        await asyncio.sleep(0.1)
        writer.transport.abort()

    async def are_counted() -> bool:
        now = await scrape(api)
        name, method, status = "brag_http_requests_total", "POST", "499"
        return all(
            now.since(before, name, method=method, route=path, status=status) == 1 for path in paths
        )

    await eventually(are_counted)
