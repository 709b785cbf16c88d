"""Mail by SMTP; without a server, on the console of the person at the desk."""

import logging
import smtplib
import ssl
import sys
from contextlib import ExitStack
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

from anyio import CapacityLimiter, to_thread

from app.core.exceptions import AppError
from settings import Settings

__all__ = ["MailNotConfigured", "Mailer"]

logger = logging.getLogger(__name__)

TIMEOUT_SEC = 10
# Threads of their own: a mail server that hangs holds up no other work.
CONNECTIONS = 4
SUBMISSION_PORT = 587


class MailNotConfigured(AppError):
    """This server can't send mail: whoever runs it has to set SMTP_URL."""

    status_code = 503
    code = "mail_not_configured"


class Mailer:
    """Sends plain texts by `SMTP_URL`, or prints them to standard error."""

    def __init__(self, settings: Settings) -> None:
        self._url = urlsplit(settings.smtp_url.get_secret_value()) if settings.smtp_url else None
        self._sender = settings.mail_from
        self._prints = not settings.is_production
        self._limiter = CapacityLimiter(CONNECTIONS)
        if self._url is None and not self._prints:
            logger.warning("SMTP_URL is not set: nobody can log in by mail")

    def require(self) -> None:
        """Check that mail goes anywhere.

        Raises:
            MailNotConfigured: it does not; in production nothing is printed.
        """
        if self._url is None and not self._prints:
            raise MailNotConfigured

    async def send(self, address: str, subject: str, text: str) -> None:
        """Send a text to an address; a failure is logged, without either."""
        if self._url is None:
            self.require()
            _print(address, subject, text)
            return
        try:
            await to_thread.run_sync(
                _deliver,
                self._url,
                self._sender,
                address,
                subject,
                text,
                limiter=self._limiter,
                # Stopping the server waits for no mail server.
                abandon_on_cancel=True,
            )
        # smtplib's errors and those of the email package; what they say quotes addresses.
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody waits for an answer
            logger.error(  # noqa: TRY400
                "a mail could not be sent",
                extra={
                    "error": type(error).__name__,
                    "smtp_code": getattr(error, "smtp_code", None),
                },
            )


def _print(address: str, subject: str, text: str) -> None:
    rule = "-" * 72
    # In one write, so that no log line comes between.
    sys.stderr.write(f"\n{rule}\nTo: {address}\nSubject: {subject}\n\n{text}{rule}\n\n")
    sys.stderr.flush()


def _deliver(url: SplitResult, sender: str, address: str, subject: str, text: str) -> None:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = address
    message["Subject"] = subject
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=message["From"].addresses[0].domain)
    # Nobody's absence is answered to it.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    with _connect(url) as connection:
        connection.send_message(message, to_addrs=[address])


def _connect(url: SplitResult) -> smtplib.SMTP:
    """Connect and log in, by TLS when there is any.

    Raises:
        OSError: it can't be done, or would show the password to the network.
    """
    host = url.hostname or "localhost"
    context = ssl.create_default_context()
    if url.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            host, url.port or smtplib.SMTP_SSL_PORT, timeout=TIMEOUT_SEC, context=context
        )
        is_encrypted = True
    else:
        connection = smtplib.SMTP(host, url.port or SUBMISSION_PORT, timeout=TIMEOUT_SEC)
        is_encrypted = False
    with ExitStack() as stack:
        stack.callback(connection.close)
        connection.ehlo_or_helo_if_needed()
        if not is_encrypted and connection.has_extn("starttls"):
            connection.starttls(context=context)
            is_encrypted = True
        if url.username:
            if not is_encrypted and not _is_loopback(host):
                raise smtplib.SMTPNotSupportedError("no TLS, so the password was not sent")
            connection.login(unquote(url.username), unquote(url.password or ""))
        stack.pop_all()
    return connection


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
