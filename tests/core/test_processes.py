"""Which processes are alive, on a real PostgreSQL."""

from collections.abc import AsyncIterator, Callable, Iterator
from uuid import UUID, uuid4

import pytest

from app.core import processes
from app.core.database import Database
from app.core.embedded_postgres import EmbeddedPostgres
from app.core.processes import ALIVE_SEC, Process
from tests.support import eventually, execute, fetch

# Put out of reach, and within reach again.
Switch = Callable[[bool], None]

ALIVE = "SELECT CAST(id AS text) FROM process WHERE alive_until > now()"


@pytest.fixture
def _beats_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says every moment that it is alive."""
    monkeypatch.setattr(processes, "BEAT_SEC", 0.01)


@pytest.fixture
async def process(database_url: str) -> AsyncIterator[Process]:
    """A process that is alive."""
    process = Process(database_url)
    await process.start()
    yield process
    await process.aclose()


def alive(url: str) -> list[UUID]:
    return [UUID(process_id) for (process_id,) in fetch(url, ALIVE)]


def a_process(database: Database, *, since_sec: float, until_sec: float) -> UUID:
    """One that has been alive since so many seconds, and is so much longer."""
    process_id = uuid4()
    execute(
        database.url,
        f"INSERT INTO process VALUES ('{process_id}', now() - interval '{since_sec} s',"
        f" now() + interval '{until_sec} s')",
    )
    return process_id


def is_dead(database: Database, process_id: UUID, *, witness: UUID) -> bool:
    query = f"SELECT process_is_dead('{process_id}', '{witness}')"
    [(dead,)] = fetch(database.url, query)
    return bool(dead)


def beat(database: Database, process_id: UUID) -> None:
    database.run_sync(lambda queries: queries.upsert_process(id=process_id, alive_sec=ALIVE_SEC))


async def test_a_process_is_alive_while_it_is_open_and_gone_afterwards(database_url: str) -> None:
    process = Process(database_url)
    assert alive(database_url) == []
    await process.start()
    assert alive(database_url) == [process.id]

    await process.aclose()

    assert fetch(database_url, "SELECT FROM process") == []


async def test_one_that_was_never_alive_ends_without_a_word(database_url: str) -> None:
    await Process(database_url).aclose()

    assert fetch(database_url, "SELECT FROM process") == []


@pytest.mark.usefixtures("_beats_fast")
async def test_it_stays_alive(process: Process, database_url: str) -> None:
    for _ in range(3):
        execute(database_url, "UPDATE process SET alive_until = now()")

        async def is_alive() -> bool:
            return alive(database_url) == [process.id]

        await eventually(is_alive)


@pytest.fixture(params=["refuses connections", "refuses the statement"])
def switch(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, database_url: str
) -> Iterator[Switch]:
    """What keeps a process from saying that it is alive, as long as it is on."""
    [(name,)] = fetch(database_url, "SELECT current_database()")
    elsewhere = postgres.url("postgres")

    def switch(on: bool) -> None:
        if request.param == "refuses connections":
            execute(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS {not on}")
        else:
            execute(elsewhere, f"ALTER DATABASE {name} SET default_transaction_read_only = {on}")
        # For connections that are there already, too.
        execute(
            elsewhere,
            f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            f" WHERE datname = '{name}'",
        )

    yield switch
    switch(False)


@pytest.mark.usefixtures("_beats_fast")
async def test_it_goes_on_saying_so_after_any_failure(
    process: Process, database_url: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    switch(True)

    async def has_failed() -> bool:
        return len(caplog.records) > 2

    await eventually(has_failed)
    switch(False)
    execute(database_url, "UPDATE process SET alive_until = now()")

    async def is_alive() -> bool:
        return alive(database_url) == [process.id]

    await eventually(is_alive)


async def test_it_ends_though_nobody_can_be_told(
    process: Process, database_url: str, switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    switch(True)

    await process.aclose()

    assert "could not say that it ends" in caplog.text


@pytest.mark.parametrize("until_sec", [0.5, 14])
def test_one_that_says_so_again_in_time_has_been_alive_without_a_break(
    database: Database, until_sec: float
) -> None:
    process_id = a_process(database, since_sec=60, until_sec=60)

    beat(database, process_id)

    [(since_sec, until_sec)] = fetch(
        database.url,
        "SELECT extract(epoch FROM now() - alive_since), extract(epoch FROM alive_until - now())"
        " FROM process",
    )
    assert 60 <= since_sec < 70
    assert ALIVE_SEC - 10 < until_sec <= ALIVE_SEC


@pytest.mark.parametrize("dead_sec", [1, 7200])
def test_one_that_says_so_too_late_begins_anew(database: Database, dead_sec: int) -> None:
    process_id = a_process(database, since_sec=9000, until_sec=-dead_sec)

    beat(database, process_id)

    assert alive(database.url) == [process_id]
    [(since_sec,)] = fetch(
        database.url, "SELECT extract(epoch FROM now() - alive_since) FROM process"
    )
    assert since_sec < 10


def test_who_has_been_dead_for_an_hour_is_forgotten(database: Database) -> None:
    a_process(database, since_sec=9000, until_sec=-3601)
    dead = a_process(database, since_sec=9000, until_sec=-3500)
    other = a_process(database, since_sec=60, until_sec=10)

    beat(database, other)

    kept = fetch(database.url, "SELECT CAST(id AS text) FROM process")
    assert {UUID(process_id) for (process_id,) in kept} == {dead, other}


@pytest.mark.parametrize("is_known", [True, False])
def test_one_that_has_fallen_silent_is_dead_to_one_that_has_been_alive_for_a_while(
    database: Database, is_known: bool
) -> None:
    silent = a_process(database, since_sec=60, until_sec=-1) if is_known else uuid4()
    witness = a_process(database, since_sec=6, until_sec=10)

    assert is_dead(database, silent, witness=witness)


def test_one_that_is_alive_is_dead_to_nobody(database: Database) -> None:
    lively = a_process(database, since_sec=0, until_sec=10)
    witness = a_process(database, since_sec=60, until_sec=10)

    assert not is_dead(database, lively, witness=witness)


@pytest.mark.parametrize(
    ("since_sec", "until_sec"),
    [(60, -1), (0, 10), (1, 10)],
    ids=["silent itself", "just begun", "just back"],
)
def test_nobody_is_dead_to_one_that_may_have_been_away_itself(
    database: Database, since_sec: int, until_sec: int
) -> None:
    """After PostgreSQL was away nobody's last word is fresh, and all of them live."""
    silent = a_process(database, since_sec=60, until_sec=-1)
    witness = a_process(database, since_sec=since_sec, until_sec=until_sec)

    assert not is_dead(database, silent, witness=witness)
    assert not is_dead(database, silent, witness=uuid4())


@pytest.mark.parametrize("until_sec", [10, -1])
def test_nobody_is_dead_to_themselves(database: Database, until_sec: int) -> None:
    process_id = a_process(database, since_sec=60, until_sec=until_sec)

    assert not is_dead(database, process_id, witness=process_id)
