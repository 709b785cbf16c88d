"""Texts of tokens: what is told to be none without asking anybody."""

import base64

import pytest
from pydantic import SecretStr

from app.accounts.tokens import (
    API_PREFIX,
    SESSION_PREFIX,
    csrf_token,
    hash_token,
    hint_of,
    is_intact,
    new_token,
)
from settings import Settings


@pytest.mark.parametrize("prefix", [API_PREFIX, SESSION_PREFIX])
def test_a_token_tells_what_it_is_and_that_it_is_whole(prefix: str) -> None:
    token = new_token(prefix)

    assert token.startswith(prefix)
    assert len(token) == len(prefix) + 43 + 6
    assert is_intact(token)
    assert hint_of(token) == token[: len(prefix) + 4]


def test_no_two_tokens_are_the_same() -> None:
    assert len({new_token(API_PREFIX) for _ in range(1000)}) == 1000


def test_a_token_with_one_wrong_character_is_none() -> None:
    token = new_token(API_PREFIX)

    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        assert not is_intact(token[:place] + other + token[place + 1 :]), place


def test_a_token_that_was_cut_off_or_goes_on_is_none() -> None:
    token = new_token(SESSION_PREFIX)

    assert not any(is_intact(token[:length]) for length in range(len(token)))
    assert not is_intact(token + "A")
    assert not is_intact(token + "\n")
    assert not is_intact(f" {token}")


def test_a_session_does_not_become_an_api_token_by_its_name() -> None:
    assert not is_intact(API_PREFIX + new_token(SESSION_PREFIX).removeprefix(SESSION_PREFIX))


@pytest.mark.parametrize(
    "text", ["", "brag_", "brag_" + "ä" * 49, "\udc80" * 54, "\0", "x" * 10**6]
)
def test_what_is_no_token_at_all_is_none(text: str) -> None:
    assert not is_intact(text)


def test_what_is_stored_depends_on_the_secret_key(settings: Settings) -> None:
    other = settings.model_copy(update={"secret_key": SecretStr("another key")})
    token = new_token(API_PREFIX)

    assert hash_token(settings, token) == hash_token(settings, token)
    assert hash_token(settings, token) != hash_token(other, token)
    assert len(hash_token(settings, token)) == 32


def test_a_csrf_token_belongs_to_one_session_and_one_server(settings: Settings) -> None:
    other = settings.model_copy(update={"secret_key": SecretStr("another key")})
    token = new_token(SESSION_PREFIX)

    assert csrf_token(settings, token) == csrf_token(settings, token)
    assert csrf_token(settings, token) != csrf_token(settings, new_token(SESSION_PREFIX))
    assert csrf_token(settings, token) != csrf_token(other, token)


def test_a_csrf_token_is_not_what_is_stored(settings: Settings) -> None:
    token = new_token(SESSION_PREFIX)

    told = base64.urlsafe_b64decode(csrf_token(settings, token) + "=")
    assert told != hash_token(settings, token)
