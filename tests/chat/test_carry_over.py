"""What a follow-up is searched for where no language model rewrites it."""

import json
import re
from pathlib import Path

import pytest

from app.chat.carry_over import MAX_CARRIED, carry_over

CREATE = "How do I create a workflow?"
QUESTIONS = Path(__file__).parents[2] / "evaluation"


def test_what_a_pronoun_stands_for_is_carried_over() -> None:
    assert carry_over("And how do I delete one?", [CREATE]) == "workflow: And how do I delete one?"


@pytest.mark.parametrize(
    ("earlier", "question", "searched"),
    [
        (CREATE, "and a cron trigger?", "create workflow: and a cron trigger?"),
        (CREATE, "Why?", "create workflow: Why?"),
        (CREATE, "can it have two inputs?", "workflow: can it have two inputs?"),
        (CREATE, "What if that is not possible?", "create workflow: What if that is not possible?"),
        (CREATE, "How do I log there?", "workflow: How do I log there?"),
        ("How do I migrate from Celery?", "and from Temporal?", "migrate: and from Temporal?"),
        ("Wie lösche ich das?", "Und wie oft?", "lösche ich das: Und wie oft?"),
    ],
)
def test_what_is_left_unsaid_is_carried_over(earlier: str, question: str, searched: str) -> None:
    assert carry_over(question, [earlier]) == searched


@pytest.mark.parametrize(
    "question",
    [
        CREATE,
        "what is the default max_age of CORSMiddleware",
        "is it possible to run Hatchet without Postgres?",
        "how do I drop the older run of a user when they submit a newer one",
        "is it a problem to query my database in a durable task",
        "difference between FastAPI's HTTPException and the one from Starlette",
        "And how do I install the Helm chart of Hatchet on a Kubernetes cluster?",
        "怎么删除工作流?",
        "¿Cómo borro un flujo de trabajo?",
        "how do I fix it: " + "Traceback (most recent call last): " * 20,
    ],
)
def test_a_question_that_stands_by_itself_is_searched_for_as_it_is(question: str) -> None:
    assert carry_over(question, ["How do I use SendGrid?"]) == question


def test_the_first_question_stands_by_itself() -> None:
    assert carry_over("And how do I delete it?", []) == "And how do I delete it?"


def test_the_subject_lasts_over_several_follow_ups() -> None:
    earlier = [CREATE, "and how do I delete one?", "Thanks a lot!"]

    assert "workflow" in carry_over("can I undo that?", earlier)


def test_another_subject_takes_the_place_of_the_first() -> None:
    carried = carry_over("how do I delete it?", [CREATE, "How do I add a cron trigger?"])

    assert carried == "cron trigger: how do I delete it?"


def test_what_is_carried_over_is_bounded() -> None:
    long = " ".join(f"word{n}" for n in range(2_000))

    assert len(carry_over("And then?", [long] * 10)) < MAX_CARRIED + 20


@pytest.mark.parametrize("collection", ["hatchet_docs", "fastapi_docs", "brag_docs"])
def test_hardly_any_judged_question_is_taken_for_a_follow_up(collection: str) -> None:
    questions = [
        json.loads(line)["text"]
        for line in (QUESTIONS / collection / "queries.jsonl").read_text().splitlines()
    ]

    changed = [text for text in questions if carry_over(text, ["SendGrid?"]) != text]

    # What is left speaks of "it" without saying what.
    assert len(changed) <= len(questions) * 0.12
    assert all(re.search(r"\b(?:it|this|there)\b", text) for text in changed)


@pytest.mark.parametrize("collection", ["hatchet_docs", "fastapi_docs"])
def test_most_judged_follow_ups_are_taken_for_such(collection: str) -> None:
    rows = [
        json.loads(line)
        for line in (QUESTIONS / f"followups_{collection}" / "queries.jsonl")
        .read_text()
        .splitlines()
    ]

    found = [row for row in rows if carry_over(row["text"], row["earlier"]) != row["text"]]

    assert len(found) >= len(rows) * 0.9
