"""The claim of a request, as routes ask for it: `claim: ClaimDep`."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request

from app.accounts.dependencies import CallerDep
from app.core.dependencies import DatabaseDep
from app.core.exceptions import InvalidRequest
from app.core.idempotency import NO_CLAIM, Claim
from app.core.keyed_request import KeyedRequest

__all__ = ["ClaimDep", "claiming"]

KEY_HEADER: Final = "Idempotency-Key"
MAX_KEY_CHARACTERS: Final = 255

# For /docs; what is checked is the header as it came, so that the error says it in our words.
_KeyDep = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        description="A name of your own for this request, unique among yours: sent again with it "
        "within 24 hours, the request is answered as the first time (`Idempotent-Replayed: true`) "
        "and has no other effect.",
        json_schema_extra={"minLength": 1, "maxLength": MAX_KEY_CHARACTERS},
    ),
]


def claiming(
    location: Callable[[Any], str] | None = None,
) -> Callable[..., AsyncGenerator[Claim]]:
    """Return the dependency of a route whose answer may have a `Location`, made of its result."""

    async def claim(
        request: Request, caller: CallerDep, database: DatabaseDep, _: _KeyDep = None
    ) -> AsyncGenerator[Claim]:
        keys = request.headers.getlist(KEY_HEADER)
        if not keys:
            yield NO_CLAIM
            return
        keyed = KeyedRequest(
            caller.account_id,
            _checked_key(keys),
            request.state.resources.process.id,
            request.method,
            request.scope["path"],
            tuple(request.query_params.multi_items()),
            request.scope["route"].status_code or 200,
        )
        claim = Claim(database, keyed, location)
        try:
            yield claim
        except BaseException:
            await claim.close(failed=True)
            raise
        await claim.close(failed=False)
        if claim.is_replayed:
            others = getattr(request.state, "response_headers", {})
            request.state.response_headers = {**others, "Idempotent-Replayed": "true"}

    return claim


def _checked_key(keys: list[str]) -> str:
    key = keys[0]
    is_plain = key.isascii() and key.isprintable() and 0 < len(key) <= MAX_KEY_CHARACTERS
    if len(keys) > 1 or not is_plain:
        raise InvalidRequest(
            f"{KEY_HEADER}: must be one text of 1 to {MAX_KEY_CHARACTERS} printable ASCII "
            "characters"
        )
    return key


# The claim ends with the route and not with its response, which may be a stream that generates on.
ClaimDep = Annotated[Claim, Depends(claiming(), scope="function")]
