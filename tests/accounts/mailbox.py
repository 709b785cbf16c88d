"""A real mail server on loopback, and what it was given."""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

__all__ = ["Mail", "Mailbox", "open_mailbox", "token_in"]

# It writes every address into the log of the process, which is the tested server's, too.
logging.getLogger("mail.log").setLevel("ERROR")

Mail = tuple[list[str], EmailMessage]


class Mailbox:
    """Takes every mail; `refusing` answers recipients with an error, `held` makes it wait."""

    def __init__(self) -> None:
        self.port = 0
        self.refusing: str | None = None
        self.held: asyncio.Event | None = None
        self.logins: list[tuple[str, str]] = []
        self.encrypted: list[bool] = []
        self._mails: asyncio.Queue[Mail] = asyncio.Queue()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def is_empty(self) -> bool:
        return self._mails.empty()

    async def receive(self) -> Mail:
        """Wait for a mail; return its recipients and the mail."""
        async with asyncio.timeout(10):
            return await self._mails.get()

    async def handle_RCPT(  # noqa: N802 -- aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.refusing is not None:
            return f"{self.refusing} no such mailbox <{address}>"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.held is not None:
            await self.held.wait()
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        message = message_from_bytes(envelope.content, policy=policy.SMTPUTF8)
        assert isinstance(message, EmailMessage)
        self._mails.put_nowait((envelope.rcpt_tos, message))
        return "250 OK"

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)


@asynccontextmanager
async def open_mailbox(
    *, tls: ssl.SSLContext | None = None, from_the_start: bool = False
) -> AsyncIterator[Mailbox]:
    """Serve SMTP on a free port: plain, with STARTTLS, or within TLS from the start."""
    mailbox = Mailbox()

    def protocol() -> SMTP:
        return SMTP(
            mailbox,
            hostname="localhost",
            enable_SMTPUTF8=True,
            tls_context=None if from_the_start else tls,
            authenticator=mailbox.authenticate,
            auth_require_tls=False,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=tls if from_the_start else None
    )
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()


def token_in(text: str) -> str:
    """Return the token of the link in a mail."""
    [token] = re.findall(r"/login\?token=([\w-]+)", text)
    return str(token)
