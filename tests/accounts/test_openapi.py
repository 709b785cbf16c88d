"""What OpenAPI says of routes that need a token: all that may go wrong with it."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest

from app.accounts.sessions import Session
from app.core.database import Database
from tests.accounts.people import bearer, new_token
from tests.support import execute

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
async def secured_operations(people_api: httpx2.AsyncClient) -> dict[tuple[str, str], Any]:
    """All operations that say that they need a token."""
    schema = (await people_api.get("/openapi.json")).json()
    return {
        (method, path): operation
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if method in METHODS and "security" in operation
    }


def documents(operation: dict[str, Any], status: int) -> bool:
    """Whether an operation documents an error as errors look; to OpenAI's clients as theirs."""
    response = operation["responses"].get(str(status))
    name = "OpenAIErrorResponse" if operation["tags"] == ["openai"] else "ErrorResponse"
    schema = {"$ref": f"#/components/schemas/{name}"}
    return response is not None and response["content"]["application/json"]["schema"] == schema


async def test_every_operation_that_needs_a_token_says_what_happens_without(
    secured_operations: dict[tuple[str, str], Any],
) -> None:
    assert len(secured_operations) > 30
    for name, operation in secured_operations.items():
        assert documents(operation, 401), name
        assert documents(operation, 429), name
        assert documents(operation, 503), name


async def test_every_error_is_documented_as_errors_look(
    secured_operations: dict[tuple[str, str], Any],
) -> None:
    for name, operation in secured_operations.items():
        for status in operation["responses"]:
            assert status < "400" or documents(operation, int(status)), (name, status)


async def test_every_operation_that_a_token_may_not_be_good_for_says_so(
    people_api: httpx2.AsyncClient,
    database: Database,
    session: Session,
    secured_operations: dict[tuple[str, str], Any],
) -> None:
    token = await new_token(people_api, session, "read")
    execute(database.url, "UPDATE access_token SET scopes = '{}' WHERE kind = 'api'")

    refused = []
    for (method, path), operation in secured_operations.items():
        url = "/".join(str(uuid4()) if part[:1] == "{" else part for part in path.split("/"))
        response = await people_api.request(method, url, headers=bearer(token["token"]))
        if response.status_code == 403:
            refused.append((method, path))
            assert documents(operation, 403), (method, path)

    # One's own account is all that a token without scopes shows.
    assert set(secured_operations) - set(refused) == {("get", "/v1/me")}
