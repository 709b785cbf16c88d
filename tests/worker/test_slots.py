"""Steps in child processes that can be killed."""

import asyncio
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.worker.slots import Slots, StepCrashed, StepError, StepTimedOut
from settings import ROOT
from tests.worker.steps import ScriptedSteps, gone, started

SEC = 60
# Runs a step that never ends, and does nothing else.
PARENT = """
import asyncio, functools, sys
from pathlib import Path
from app.worker.slots import Slots
from tests.worker.steps import ScriptedSteps

async def main():
    folder = Path(sys.argv[1])
    slots = Slots(1, functools.partial(ScriptedSteps, folder))
    await slots.run("hang", folder / "pids", timeout_sec=600)

asyncio.run(main())
"""


@pytest.fixture
async def slots(tmp_path: Path) -> AsyncIterator[Slots]:
    async with Slots(1, functools.partial(ScriptedSteps, tmp_path)) as slots:
        yield slots


async def test_a_step_runs_in_another_process_and_gives_its_result(slots: Slots) -> None:
    assert await slots.run("pid", timeout_sec=SEC) != os.getpid()
    assert await slots.run("echo", {"any": ["thing"]}, timeout_sec=SEC) == {"any": ["thing"]}


async def test_a_child_is_used_again(slots: Slots) -> None:
    assert await slots.run("pid", timeout_sec=SEC) == await slots.run("pid", timeout_sec=SEC)


async def test_there_are_never_more_children_than_slots(tmp_path: Path) -> None:
    async with Slots(2, functools.partial(ScriptedSteps, tmp_path)) as slots:
        pids = await asyncio.gather(*(slots.run("pid", timeout_sec=SEC) for _ in range(20)))

    assert len(set(pids)) <= 2


async def test_a_child_without_work_ends(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.worker.slots.IDLE_SEC", 0.01)

    first = await slots.run("pid", timeout_sec=SEC)

    await gone(first)
    assert await slots.run("pid", timeout_sec=SEC) != first


async def test_no_child_is_left_when_slots_close(tmp_path: Path) -> None:
    async with Slots(1, functools.partial(ScriptedSteps, tmp_path)) as slots:
        pid = await slots.run("pid", timeout_sec=SEC)

    await gone(pid)


async def test_an_exception_comes_back_as_itself_with_its_traceback(slots: Slots) -> None:
    with pytest.raises(KeyError) as caught:
        await slots.run("fail", KeyError("tea"), timeout_sec=SEC)

    assert caught.value.args == ("tea",)
    assert "raise error" in caught.value.__notes__[0]


async def test_an_exception_that_cannot_travel_comes_back_as_text(slots: Slots) -> None:
    with pytest.raises(StepError, match="Strange: <unlocked"):
        await slots.run("fail_strangely", timeout_sec=SEC)


async def test_arguments_that_cannot_travel_are_refused(slots: Slots) -> None:
    with pytest.raises(TypeError, match="pickle"):
        await slots.run("echo", threading.Lock(), timeout_sec=SEC)


async def test_what_prevents_steps_is_told_to_each(tmp_path: Path) -> None:
    async with Slots(1, functools.partial(Path, 1)) as slots:  # type: ignore[arg-type] # on purpose
        for _ in range(2):
            with pytest.raises(TypeError, match="int"):
                await slots.run("pid", timeout_sec=SEC)


async def test_a_step_that_takes_too_long_is_killed_with_all_it_started(
    slots: Slots, tmp_path: Path
) -> None:
    await slots.run("pid", timeout_sec=SEC)

    with pytest.raises(StepTimedOut, match=r"It took longer than 2 seconds\."):
        await slots.run("hang", tmp_path / "pids", timeout_sec=2)

    await gone(*await started(tmp_path / "pids"))
    assert await slots.run("echo", "next", timeout_sec=SEC) == "next"


async def test_a_cancelled_step_is_killed_with_all_it_started(slots: Slots, tmp_path: Path) -> None:
    step = asyncio.create_task(slots.run("hang", tmp_path / "pids", timeout_sec=SEC))
    pids = await started(tmp_path / "pids")

    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step

    await gone(*pids)
    assert await slots.run("echo", "next", timeout_sec=SEC) == "next"


async def test_a_child_that_dies_is_a_crash_and_the_next_step_gets_another(slots: Slots) -> None:
    with pytest.raises(StepCrashed, match="ended unexpectedly"):
        await slots.run("die", timeout_sec=SEC)

    assert await slots.run("echo", "next", timeout_sec=SEC) == "next"


async def test_a_child_that_died_without_work_is_nobodys_crash(slots: Slots) -> None:
    pid = await slots.run("pid", timeout_sec=SEC)

    os.kill(pid, signal.SIGKILL)
    await gone(pid)

    assert await slots.run("echo", "next", timeout_sec=SEC) == "next"


async def test_a_child_leaves_signals_to_the_worker(slots: Slots) -> None:
    assert await slots.run("signal_self", timeout_sec=SEC) == "still here"


async def test_nothing_outlives_a_killed_worker(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT)
    pids = await started(tmp_path / "pids")

    worker.kill()
    worker.wait()

    await gone(*pids)
