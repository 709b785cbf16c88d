"""How answers are worded: by what the one who asks knows of software and of hardware."""

import httpx2
import pytest

from app.accounts.models import LOCAL_ACCOUNT
from app.chat.prompts import INSTRUCTIONS
from tests.accounts.callers import add_account
from tests.chat.asking import ask, until_found
from tests.conftest import Ingest
from tests.support import execute, read_events
from tests.upstream import Upstream

QUESTION = "When do you open?"
SELECTED = "We open at nine."
BEGINNER = "- The reader is a beginner in software:"
EXPERT = "- The reader is an expert in hardware:"


def set_levels(
    database_url: str,
    software: str | None = None,
    hardware: str | None = None,
    account_id: object = LOCAL_ACCOUNT,
) -> None:
    levels = [f"'{level}'" if level else "NULL" for level in (software, hardware)]
    execute(
        database_url,
        f"UPDATE account SET software_background = {levels[0]}, hardware_background = {levels[1]}"
        f" WHERE id = '{account_id}'",
    )


def instructions(upstream: Upstream) -> str:
    """Return what the language model was told last."""
    system, _ = upstream.requests[-1]["messages"]
    return str(system["content"])


async def test_who_has_said_nothing_gets_the_plain_instructions(
    upstream_api: httpx2.AsyncClient, upstream: Upstream
) -> None:
    await ask(upstream_api, QUESTION, selected_text=SELECTED)

    assert instructions(upstream) == INSTRUCTIONS


@pytest.mark.parametrize(
    ("software", "hardware", "added"),
    [
        ("beginner", None, [BEGINNER]),
        (None, "expert", [EXPERT]),
        ("beginner", "expert", [BEGINNER, EXPERT]),
    ],
)
async def test_levels_reach_the_language_model(
    upstream_api: httpx2.AsyncClient,
    upstream: Upstream,
    database_url: str,
    software: str | None,
    hardware: str | None,
    added: list[str],
) -> None:
    set_levels(database_url, software, hardware)

    await ask(upstream_api, QUESTION, selected_text=SELECTED)
    asked = instructions(upstream)
    await read_events(upstream_api, "/v1/qa-stream", QUESTION, selected_text=SELECTED)

    assert instructions(upstream) == asked
    lines = asked.removeprefix(INSTRUCTIONS).splitlines()[1:]
    assert [line.partition(":")[0] + ":" for line in lines] == added


async def test_a_changed_level_counts_from_the_next_question_on(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    set_levels(database_url, software="beginner")
    await ask(upstream_api, QUESTION, selected_text=SELECTED)
    set_levels(database_url)
    await ask(upstream_api, QUESTION, selected_text=SELECTED)

    assert instructions(upstream) == INSTRUCTIONS


async def test_levels_of_others_do_not_matter(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    other = add_account(database_url, "ann@example.com")
    set_levels(database_url, "beginner", "expert", other.account_id)

    await ask(upstream_api, QUESTION, selected_text=SELECTED)

    assert instructions(upstream) == INSTRUCTIONS


async def test_a_completion_has_no_instructions_to_shape(
    upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    set_levels(database_url, "beginner", "expert")

    answer = (await upstream_api.post("/v1/completion", json={"message": "Hi"})).json()
    trace = (await upstream_api.get(f"/v1/messages/{answer['id']}/trace")).json()

    assert upstream.requests[-1]["messages"] == [{"role": "user", "content": "Hi"}]
    assert (trace["software_background"], trace["hardware_background"]) == (None, None)


async def test_a_trace_tells_how_its_answer_was_worded(
    upstream_api: httpx2.AsyncClient, database_url: str
) -> None:
    hashes = []
    for software, hardware in ((None, None), ("beginner", None), ("beginner", "expert")):
        set_levels(database_url, software, hardware)
        answer = await ask(upstream_api, QUESTION, selected_text=SELECTED)
        trace = (await upstream_api.get(f"/v1/messages/{answer['id']}/trace")).json()
        assert trace["software_background"] == software
        assert trace["hardware_background"] == hardware
        hashes.append(trace["prompt_hash"])

    assert len(set(hashes)) == 3


async def test_a_replay_is_worded_as_its_answer_was(
    ingest: Ingest, upstream_api: httpx2.AsyncClient, upstream: Upstream, database_url: str
) -> None:
    await ingest({"hours.md": f"# Hours\n\n{SELECTED}\n"})
    await until_found(upstream_api, "hours.md")
    set_levels(database_url, software="beginner")
    before = await ask(upstream_api, QUESTION)
    set_levels(database_url, software="expert")

    replay = (await upstream_api.post(f"/v1/messages/{before['id']}/replay")).json()

    assert BEGINNER in instructions(upstream)
    assert upstream.requests[-1]["messages"] == upstream.requests[-2]["messages"]
    assert replay["differences"] == []


async def test_the_offline_model_quotes_alike_to_everybody(
    api: httpx2.AsyncClient, database_url: str
) -> None:
    plain = await ask(api, QUESTION, selected_text=SELECTED)
    set_levels(database_url, "beginner", "expert")
    worded = await ask(api, QUESTION, selected_text=SELECTED)

    assert plain["message"] == worded["message"] == "We open at nine. [1]"
