"""What OpenAPI says of every route: all that a client has to know."""

import re
from collections import Counter
from typing import Any

import pytest
from jsonschema_rs import validator_for

from app.main import create_app
from settings import Auth, Settings

ERROR = {"$ref": "#/components/schemas/ErrorResponse"}
READABLE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# What OpenAI's own clients understand, which has what ours has, too.
OPENAI_ERROR = {"$ref": "#/components/schemas/OpenAIErrorResponse"}
# What tells in the same shape whether it can serve.
OTHER_SHAPES = {("GET /readiness", "503")}
# What `…` stands for is told by no field's example.
UNTOLD = '"…"'

Operations = dict[str, dict[str, Any]]


@pytest.fixture
def description(settings: Settings) -> dict[str, Any]:
    """The description of a server with accounts."""
    secured = settings.model_copy(update={"auth": Auth.REQUIRED})
    api = create_app(secured)
    return api.openapi()


@pytest.fixture
def operations(description: dict[str, Any]) -> Operations:
    """All operations, by method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


def problems_of_examples(content: dict[str, Any], components: dict[str, Any]) -> list[str]:
    """Say what is wrong with the examples of a body."""
    problems = []
    for media_type, media in content.items():
        examples = [media["example"]] if "example" in media else []
        examples += [one["value"] for one in media.get("examples", {}).values()]
        if not examples:
            problems.append(f"{media_type} has no example")
        if media_type != "application/json":
            continue
        validator = validator_for(media["schema"] | {"components": components})
        problems += [
            f"{example!r}: {error.message}"
            for example in examples
            for error in validator.iter_errors(example)
        ]
    return problems


def test_every_operation_says_what_it_does(operations: Operations) -> None:
    assert len(operations) > 50
    for name, operation in operations.items():
        for key in ("summary", "description", "tags", "operationId"):
            assert operation.get(key), (name, key)
        # For tables of contents and generated clients.
        assert len(operation["summary"]) <= 60, name
        assert len(operation["tags"]) == 1, name


def test_every_operation_has_a_name_of_its_own_that_can_be_read(operations: Operations) -> None:
    names = Counter(operation["operationId"] for operation in operations.values())

    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if not READABLE.fullmatch(name)] == []
    assert [name for name in names if len(name) > 40] == []


def test_every_body_has_an_example_that_is_valid(
    description: dict[str, Any], operations: Operations
) -> None:
    problems = {
        (name, problem)
        for name, operation in operations.items()
        if "requestBody" in operation
        for problem in problems_of_examples(
            operation["requestBody"]["content"], description["components"]
        )
    }

    assert problems == set()


def test_every_answer_has_an_example_that_is_valid(
    description: dict[str, Any], operations: Operations
) -> None:
    problems = {
        (name, status, problem)
        for name, operation in operations.items()
        for status, response in operation["responses"].items()
        for problem in problems_of_examples(response.get("content", {}), description["components"])
    }

    assert problems == set()


def test_every_error_is_described_as_errors_look(operations: Operations) -> None:
    others = {
        (name, status)
        for name, operation in operations.items()
        for status, response in operation["responses"].items()
        if status >= "400"
        and response.get("content", {}).get("application/json", {}).get("schema")
        != (OPENAI_ERROR if operation["tags"] == ["openai"] else ERROR)
    }

    assert others - OTHER_SHAPES == set()


def test_every_error_that_a_request_can_meet_is_described(operations: Operations) -> None:
    missing = {
        (name, status)
        for name, operation in operations.items()
        for status in expected(name, operation) - operation["responses"].keys()
    }

    assert missing == set()


def expected(name: str, operation: dict[str, Any]) -> set[str]:
    """The errors that such an operation can't be without."""
    statuses = set()
    if operation.get("security"):
        statuses |= {"401", "429", "503"}
    if operation.get("security") and name != "GET /v1/me":
        # That one needs no scope.
        statuses.add("403")
    if "{" in name:
        statuses |= {"404", "422"}
    if operation.get("parameters"):
        statuses.add("422")
    if "requestBody" in operation:
        statuses |= {"413", "415", "422"}
    if any(one["name"].lower() == "idempotency-key" for one in operation.get("parameters", [])):
        statuses.add("409")
    if operation["tags"] == ["openai"]:
        # There it is a 400, or a model that is not found.
        statuses.discard("422")
    return statuses


def test_no_example_leaves_a_field_untold(operations: Operations) -> None:
    untold = {
        name
        for name, operation in operations.items()
        for response in operation["responses"].values()
        if UNTOLD
        in str(response.get("content", {}).get("application/json", {}).get("example")).replace(
            "'", '"'
        )
    }

    assert untold == set()
