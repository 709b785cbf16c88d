"""Requests that have their effect once, however often they are sent: by their `Idempotency-Key`.

A route asks for a claim and hands it to its one service. That takes it before it looks at anything
that may change, and completes it in the transaction that has the effect, with what is answered:

    async def sync(database, caller, source_id, claim):
        await claim.take()
        return await database.run(_sync, caller, source_id, claim)

    def _sync(queries, caller, source_id, claim):
        ...
        return claim.complete(queries, ingestion)

Taking it raises `Replayed` when the answer is there already. What neither was completed nor
generates when the route has returned, or raised, is forgotten, so that the next attempt runs.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from anyio import to_thread
from pydantic import BaseModel

from app.core.database import Database, Queries
from app.core.exceptions import AppError, Conflict
from app.core.keyed_request import KeyedRequest

__all__ = ["NO_CLAIM", "Claim", "KeyReused", "Replayed", "RequestInProgress"]

logger = logging.getLogger(__name__)

KEPT_HOURS: Final = 24
# For so long a request waits for an earlier one of the same key.
WAIT_SEC: Final = 60
SHORTEST_PAUSE_SEC: Final = 0.02
LONGEST_PAUSE_SEC: Final = 0.5
# After PostgreSQL could not be reached.
RETRY_SEC: Final = 1

Result = TypeVar("Result", bound=BaseModel)
# Claims that are being forgotten, by requests that have ended: a task that nobody holds may vanish.
_forgetting: Final[set[asyncio.Task[None]]] = set()


class KeyReused(AppError):
    """Another request has had this Idempotency-Key: send this one with a key of its own."""

    status_code = 422
    code = "idempotency_key_reused"


class RequestInProgress(Conflict):
    """A request with this Idempotency-Key is still being worked on. Please try again later."""

    code = "request_in_progress"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class Replayed(Exception):
    """No failure: what the first request of the key was answered with, and this one is, too."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__()
        self.status = status
        self.headers = headers
        self.body = body


class Claim:
    """What keeps a request from having its effect twice; without a key it does nothing."""

    def __init__(
        self,
        database: Database | None = None,
        request: KeyedRequest | None = None,
        location: Callable[[Any], str] | None = None,
    ) -> None:
        """Begin with nothing claimed; `location` makes the header of that name of a result."""
        self._database = database
        self._request = request
        self._id = uuid4()
        self._location = location
        # PostgreSQL knows, or may know, that we are at it.
        self._is_held = False
        self._is_settled = False
        # An earlier request's events are sent again.
        self.is_replayed = False

    @property
    def is_keyed(self) -> bool:
        """Whether the request has a key."""
        return self._request is not None

    async def take(self, body: object = None) -> UUID | None:
        """Claim the request, and wait for whoever has; `body` is what it asks for, as validated.

        Returns the id of the answer whose events are this request's result, if there is one: an
        earlier request generates it, or has generated it.

        Raises:
            Replayed: it has been answered already.
            KeyReused: the key was another request's.
            RequestInProgress: it is still being worked on after a minute.
        """
        if self._database is None or self._request is None:
            return None
        request_hash = await to_thread.run_sync(self._request.hash, body)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + WAIT_SEC
        pause = SHORTEST_PAUSE_SEC
        while True:
            self._is_held = True
            row = await self._database.run_statement(_claim, self._request, self._id, request_hash)
            self._is_held = row is not None and row["is_claimed"]
            if self._is_held:
                return None
            if row is not None:
                if bytes(row["request_hash"]) != request_hash:
                    raise KeyReused
                if row["generation_id"] is not None:
                    self.is_replayed = True
                    generation_id: UUID = row["generation_id"]
                    return generation_id
                if row["status"] is not None:
                    raise Replayed(row["status"], row["headers"], row["body"])
            if loop.time() >= give_up_at:
                raise RequestInProgress
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SEC)

    def complete(self, queries: Queries, result: Result) -> Result:
        """Keep and return what the request is answered with, in the transaction of its effect.

        Raises:
            RequestInProgress: others took us for dead and are at it; nothing of ours may stay.
        """
        if self._request is not None:
            headers = {} if self._location is None else {"Location": self._location(result)}
            kept = queries.complete_request(
                **self._request.owned,
                claim_id=self._id,
                status=self._request.status,
                headers=json.dumps(headers),
                body=result.model_dump_json(by_alias=True),
            )
            self._settle(kept)
        return result

    def generates(self, queries: Queries, generation_id: UUID) -> None:
        """Note which answer's events are the result; it may go on when the request has ended.

        Raises:
            RequestInProgress: others took us for dead and are at it; nothing of ours may stay.
        """
        if self._request is not None:
            noted = queries.note_generation_of_request(
                **self._request.owned, claim_id=self._id, generation_id=generation_id
            )
            self._settle(noted)

    def forget(self, queries: Queries) -> None:
        """Give up what was not completed: it has failed, and the next attempt is to run."""
        if self._request is not None:
            queries.forget_request(**self._request.owned, claim_id=self._id)

    async def close(self, *, failed: bool) -> None:
        """End the request's part in it; what has failed, or came to nothing, is forgotten."""
        if self._is_held and (failed or not self._is_settled):
            task = asyncio.create_task(self._forget())
            _forgetting.add(task)
            task.add_done_callback(_forgetting.discard)
            # What has failed is told soon, even while PostgreSQL is away.
            await asyncio.wait({task}, timeout=RETRY_SEC)

    def _settle(self, rows: int) -> None:
        if not rows:
            raise RequestInProgress
        self._is_settled = True

    async def _forget(self) -> None:
        assert self._database is not None, "nothing is held without one"
        while True:
            try:
                await self._database.run_statement(self.forget)
            except AppError:
                await asyncio.sleep(RETRY_SEC)
            except Exception:
                logger.exception("a key could not be forgotten; trying again")
                await asyncio.sleep(RETRY_SEC)
            else:
                return


# For callers that aren't requests.
NO_CLAIM: Final = Claim()


def _claim(
    queries: Queries, request: KeyedRequest, claim_id: UUID, request_hash: bytes
) -> dict[str, Any] | None:
    row: dict[str, Any] | None = queries.claim_request(
        **request.owned,
        process_id=request.process_id,
        claim_id=claim_id,
        request_hash=request_hash,
        kept_hours=KEPT_HOURS,
    )
    return row
