"""Mail: by TLS when there is any, with a password only then, to servers that are who they say."""

import ssl
from collections.abc import Iterator

import pytest
import trustme
from pydantic import SecretStr

from app.accounts.mail import Mailer
from settings import Settings
from tests.accounts.mailbox import open_mailbox


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    with authority.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        yield authority


def context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def send(url: str) -> None:
    mailer = Mailer(Settings(smtp_url=SecretStr(url)))
    await mailer.send("jörg@example.org", "Grüße", "Ein Text.\n")


async def test_starttls_is_used_when_it_is_offered(trusted: trustme.CA) -> None:
    async with open_mailbox(tls=context(trusted)) as mailbox:
        await send(f"smtp://us%40er:pass%2Fword@127.0.0.1:{mailbox.port}")
        recipients, mail = await mailbox.receive()

    assert mailbox.encrypted == [True]
    assert mailbox.logins == [("us@er", "pass/word")]
    assert recipients == ["jörg@example.org"]
    assert mail["To"] == "jörg@example.org"
    assert mail["Subject"] == "Grüße"
    assert mail.get_content().strip() == "Ein Text."


async def test_tls_from_the_start(trusted: trustme.CA) -> None:
    async with open_mailbox(tls=context(trusted), from_the_start=True) as mailbox:
        await send(f"smtps://user:password@127.0.0.1:{mailbox.port}")
        await mailbox.receive()

    assert mailbox.encrypted == [True]
    assert mailbox.logins == [("user", "password")]


@pytest.mark.parametrize(("scheme", "from_the_start"), [("smtp", False), ("smtps", True)])
async def test_a_server_that_cannot_prove_its_name_gets_nothing(
    authority: trustme.CA,
    caplog: pytest.LogCaptureFixture,
    scheme: str,
    from_the_start: bool,
) -> None:
    async with open_mailbox(tls=context(authority), from_the_start=from_the_start) as mailbox:
        await send(f"{scheme}://user:password@127.0.0.1:{mailbox.port}")

    assert mailbox.is_empty
    assert mailbox.logins == []
    assert failures(caplog) == ["SSLCertVerificationError"]


async def test_a_password_goes_to_this_machine_without_tls_and_to_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_mailbox() as mailbox:
        await send(f"smtp://user:password@127.0.0.1:{mailbox.port}")
        await mailbox.receive()
        # The same address, in a form that isn't told to be this machine's.
        await send(f"smtp://user:other@127.1:{mailbox.port}")

    assert mailbox.logins == [("user", "password")]
    assert mailbox.is_empty
    assert failures(caplog) == ["SMTPNotSupportedError"]


async def test_a_failure_is_logged_without_address_and_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_mailbox() as mailbox:
        mailbox.refusing = "550"
        await send(mailbox.url)

    assert failures(caplog) == ["SMTPRecipientsRefused"]
    assert "example.org" not in caplog.text
    assert "Text" not in caplog.text


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        str(vars(record)["error"])
        for record in caplog.records
        if record.message == "a mail could not be sent"
    ]
