"""E-mail addresses, written so that one mailbox is one account.

In which form an address is stored is the form that mail is sent to: whoever writes somebody's
address in another way can only have the link sent to them.
"""

import re
import unicodedata
from typing import Annotated

import idna
from pydantic import AfterValidator, Field

__all__ = ["MAX_ADDRESS_BYTES", "Address", "normalized"]

# RFC 5321
MAX_ADDRESS_BYTES = 254
MAX_LOCAL_BYTES = 64
# RFC 5322's dot-atom, and everything beyond ASCII (RFC 6531): no quotes, brackets or commas, which
# mean something in a mail's header.
_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_SEPARATOR = "@"


def normalized(text: str) -> str:
    """Return an address in the form in which it is stored, compared and sent to.

    Spaces around it are dropped; the domain becomes ASCII; everything becomes lower case, since no
    mail server tells `Ann` from `ann`. What follows a plus stays: it may be another mailbox.

    Raises:
        ValueError: it is not an e-mail address.
    """
    text = text.strip()
    # Before anything that takes longer for longer texts.
    if len(text) > MAX_ADDRESS_BYTES:
        raise ValueError(f"must have at most {MAX_ADDRESS_BYTES} bytes")
    # Lines' ends, control and invisible characters, halves of surrogate pairs
    if not text.isprintable():
        raise ValueError("must not contain control or invisible characters")
    local, separator, domain = text.rpartition("@")
    # Lower case first: some letters become two, which are then composed again.
    local = unicodedata.normalize("NFC", local.lower())
    # "=?" begins an encoded word in a header, which would show another address.
    if not separator or not _LOCAL.fullmatch(local) or "=?" in local:
        raise ValueError("must be an e-mail address, such as ann@example.org")
    try:
        # Without the dot of the root, which would make one domain two.
        ascii_domain = idna.encode(domain, uts46=True).decode().removesuffix(".")
    except UnicodeError:
        raise ValueError("must have a valid domain after the @") from None
    address = f"{local}@{ascii_domain}"
    if len(local.encode()) > MAX_LOCAL_BYTES or len(address.encode()) > MAX_ADDRESS_BYTES:
        raise ValueError(
            f"must have at most {MAX_LOCAL_BYTES} bytes before the @ and {MAX_ADDRESS_BYTES} in all"
        )
    return address


Address = Annotated[str, AfterValidator(normalized), Field(examples=["ann@example.org"])]
