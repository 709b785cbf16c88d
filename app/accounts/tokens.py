"""The texts of tokens: how they are made, checked, stored and shown.

`brag_` begins an API token, `brags_` a session. 32 random bytes follow, and a checksum: a token
that was mistyped or cut off is told without asking the database. The checksum is no secret, so
that scanners for leaked tokens can tell ours.
"""

import base64
import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final

from settings import Settings

__all__ = [
    "API_PREFIX",
    "SESSION_PREFIX",
    "csrf_token",
    "hash_token",
    "hint_of",
    "is_intact",
    "new_secret",
    "new_token",
]

API_PREFIX: Final = "brag_"
SESSION_PREFIX: Final = "brags_"

_RANDOM_BYTES = 32
_CHECKSUM_CHARACTERS = 6
_HINT_CHARACTERS = 4
_FORM = re.compile(r"brags?_[A-Za-z0-9_-]{49}")


def new_secret() -> str:
    """Make a text that nobody can guess: 43 characters."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def new_token(prefix: str) -> str:
    """Make a token."""
    body = prefix + new_secret()
    return body + _checksum(body)


def is_intact(token: str) -> bool:
    """Whether a text is a token as we make them; it may still be nobody's."""
    body, checksum = token[:-_CHECKSUM_CHARACTERS], token[-_CHECKSUM_CHARACTERS:]
    return _FORM.fullmatch(token) is not None and _checksum(body) == checksum


def hash_token(settings: Settings, token: str) -> bytes:
    """Return what is stored of a token; without the secret key it can't be made or compared."""
    return _keyed(settings, "token", token)


def csrf_token(settings: Settings, token: str) -> str:
    """Return what a page sends along with a session's cookie, to show that it can read answers."""
    return base64.urlsafe_b64encode(_keyed(settings, "csrf", token)).rstrip(b"=").decode()


def hint_of(token: str) -> str:
    """Return the beginning of a token, by which its owner tells it from others."""
    return token[: token.index("_") + 1 + _HINT_CHARACTERS]


def _checksum(body: str) -> str:
    crc = zlib.crc32(body.encode()).to_bytes(4, "big")
    return base64.urlsafe_b64encode(crc)[:_CHECKSUM_CHARACTERS].decode()


def _keyed(settings: Settings, purpose: str, text: str) -> bytes:
    # By purpose: what is stored of a token must not be its CSRF token, which is told.
    key = settings.secret_key.get_secret_value().encode()
    return hmac.digest(key, f"{purpose}:{text}".encode(), hashlib.sha256)
