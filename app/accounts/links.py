"""Links that log in: sent to an address, good once, for fifteen minutes."""

import logging
from typing import Any
from urllib.parse import urlencode

from app.accounts.mail import Mailer
from app.accounts.tokens import hash_token, new_secret
from app.core.database import Database, Queries
from app.core.exceptions import AppError
from app.core.links import public_url
from settings import Settings

__all__ = ["LinkNotValid", "send_link", "use_link"]

logger = logging.getLogger(__name__)

MINUTES = 15
MAIL = """\
Somebody, probably you, asked to log in to {app_name} as {email}.
This link does it, once, within {minutes} minutes:

{url}/login?{query}

Without a browser:

curl -s {url}/v1/login/verify -H 'content-type: application/json' \\
    -d '{{"token": "{token}"}}'

The token alone: {token}

If it was not you, there is nothing to do: without this mail, nobody gets in.
"""


class LinkNotValid(AppError):
    """This link is not valid, or no longer: each is good once, for 15 minutes. Ask for another."""

    status_code = 401
    code = "link_not_valid"


async def send_link(
    database: Database, mailer: Mailer, settings: Settings, email: str, *, registers: bool
) -> None:
    """Mail a link to an address that may log in or register; never fails, since nobody waits."""
    try:
        token = await database.run_statement(_store_link, settings, email, registers=registers)
    except AppError as error:
        logger.error("a login link could not be stored", extra={"error": error.code})  # noqa: TRY400
        return
    if token is None:
        return
    text = MAIL.format(
        app_name=settings.app_name,
        email=email,
        minutes=MINUTES,
        url=public_url(settings),
        query=urlencode({"token": token}),
        token=token,
    )
    await mailer.send(email, f"Log in to {settings.app_name}", text)


def use_link(queries: Queries, settings: Settings, token: str) -> dict[str, Any]:
    """Return the account that a link logs in as; it is made if the link registers.

    Raises:
        LinkNotValid: it is expired, used, or was never sent; nothing tells which.
    """
    link = queries.use_login_link(token_hash=hash_token(settings, token))
    if link is None:
        raise LinkNotValid
    if link["registers"]:
        queries.insert_account(email=link["email"], role="user")
    account: dict[str, Any] | None = queries.find_account_by_email(email=link["email"])
    if account is None:
        # deleted since the link was sent
        raise LinkNotValid
    return account


def _store_link(queries: Queries, settings: Settings, email: str, *, registers: bool) -> str | None:
    token = new_secret()
    stored = queries.insert_login_link(
        token_hash=hash_token(settings, token), email=email, registers=registers, minutes=MINUTES
    )
    return token if stored else None
