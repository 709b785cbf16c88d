"""What a request with an `Idempotency-Key` asks for, and how it is told from others."""

import dataclasses
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from pydantic import BaseModel

__all__ = ["KeyedRequest"]


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request with a key: whose it is, which process works on it, and what it asks for."""

    account_id: UUID
    key: str
    process_id: UUID
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    # what it is answered with when it succeeds
    status: int

    @property
    def owned(self) -> dict[str, Any]:
        """The request as statements name it."""
        return {"account_id": self.account_id, "key": self.key}

    def hash(self, body: object) -> bytes:
        """Return what tells the request from others; `body` holds models, bytes or plain values."""
        asked = [self.method, self.path, sorted(self.query), body]
        return sha256(json.dumps(asked, default=_plain, sort_keys=True).encode()).digest()


def _plain(value: object) -> object:
    """Return what JSON has no word for in plainer values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, bytes):
        return sha256(value).hexdigest()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"a request holds a {type(value).__name__}")
