"""1,000 streams that have nothing to say, on one process: its memory, and what others notice."""

import asyncio
import http.client
import os
import resource
import time
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from uuid import UUID

from app.accounts.models import LOCAL_ACCOUNT
from app.core.database import Queries
from app.resources.database import open_database
from benchmarks.environment import Environment, answering, free_port, milliseconds
from benchmarks.result import Result

__all__ = ["idle"]

CONNECTIONS = 1_000
# Each is followed by several readers.
RUNS = 100
# Of the server and of this process each: one a connection, and some for all else.
DESCRIPTORS = CONNECTIONS + 500
AT_ONCE = 50
# Two keep-alive comments have gone out by then.
SETTLING_SEC = 31
CALLS = 500
WARM_UP_CALLS = 50
# What is asked meanwhile; it reads PostgreSQL, as nearly every request does.
PATH = "/v1/messages"

Stream = tuple[StreamReader, StreamWriter]


async def idle(environment: Environment) -> list[Result]:
    """Follow runs that don't move; compare with the same server before that."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Processes that are started from here have the same limit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))
    port = free_port()
    async with open_database(environment.settings) as database:
        runs = await database.run(_insert_runs)
        # With a database that is named there is no worker, which would have the runs go on.
        variables = {"DATABASE_URL": database.url}
        async with environment.process("-m", "benchmarks.server", str(port), **variables) as server:
            await answering(f"http://127.0.0.1:{port}/healthcheck")
            # The first streams load what all of them need.
            await _leave(await _follow(port, runs, AT_ONCE))
            sec_before = await asyncio.to_thread(_ask, port)
            rss_before = _rss(server.pid)
            streams = await _follow(port, runs, CONNECTIONS)
            cpu, began = _cpu_sec(server.pid), time.perf_counter()
            await asyncio.sleep(SETTLING_SEC)
            cpu_share = (_cpu_sec(server.pid) - cpu) / (time.perf_counter() - began)
            sec_meanwhile = await asyncio.to_thread(_ask, port)
            rss_meanwhile = _rss(server.pid)
            open_streams = sum(not reader.at_eof() for reader, _ in streams)
            await _leave(streams)
    return [
        Result(
            f"memory of {CONNECTIONS:,} idle streams",
            (rss_meanwhile - rss_before) / 1e6,
            "MB",
            at_most=150,
            parts=f"{rss_before / 1e6:.0f} MB, then {rss_meanwhile / 1e6:.0f} MB",
        ),
        Result(
            "another request with them / without, median",
            sec_meanwhile / sec_before,
            at_most=1.2,
            parts=f"{sec_meanwhile:.2f} ms / {sec_before:.2f} ms",
        ),
        Result("CPU of the process meanwhile", cpu_share * 100, "% of a core", at_most=10),
        Result("streams still open in the end", open_streams, at_least=CONNECTIONS),
    ]


def _insert_runs(queries: Queries) -> list[UUID]:
    """Insert runs without the jobs that would make them move."""
    return [
        queries.insert_ingestion(
            source_id=queries.upsert_source(
                account_id=LOCAL_ACCOUNT, kind="folder", location=f"/folder/{number}"
            ),
            cause="request",
            everything=False,
            origin="{}",
        )
        for number in range(RUNS)
    ]


async def _follow(port: int, runs: list[UUID], number: int) -> list[Stream]:
    """Open so many streams; each has begun."""
    streams: list[Stream] = []
    while len(streams) < number:
        paths = [
            f"/v1/ingestions/{runs[(len(streams) + more) % len(runs)]}/events"
            for more in range(min(AT_ONCE, number - len(streams)))
        ]
        streams += await asyncio.gather(*(_open(port, path) for path in paths))
    return streams


async def _open(port: int, path: str) -> Stream:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readuntil(b"event: progress")
    return reader, writer


async def _leave(streams: list[Stream]) -> None:
    for _, writer in streams:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in streams), return_exceptions=True)


def _ask(port: int) -> float:
    """Return the median milliseconds of a request."""
    service = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times = []
    for number in range(WARM_UP_CALLS + CALLS):
        began = time.perf_counter()
        service.request("GET", PATH)
        response = service.getresponse()
        body = response.read()
        assert response.status == http.HTTPStatus.OK, body
        if number >= WARM_UP_CALLS:
            times.append(time.perf_counter() - began)
    service.close()
    return milliseconds(times)


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cpu_sec(pid: int) -> float:
    """Return the processor time that a process has used, in user and in system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
