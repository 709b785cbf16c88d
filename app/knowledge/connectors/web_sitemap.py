"""Sitemaps, as https://www.sitemaps.org/protocol.html has them."""

import gzip
import io
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from lxml import etree  # type: ignore[import-untyped]  # it has no types

from app.knowledge.exceptions import SourceUnusable

__all__ = ["MAX_BYTES", "Sitemap", "read_sitemap"]

# The protocol's own limits for one file.
MAX_BYTES: Final = 50_000_000
_MAX_LOCATIONS: Final = 50_000

_GZIP_MAGIC: Final = b"\x1f\x8b"


@dataclass(slots=True)
class Sitemap:
    """The addresses that a sitemap names, as they stand there."""

    pages: list[str] = field(default_factory=list)
    sitemaps: list[str] = field(default_factory=list)
    # It names more than a sitemap may.
    too_long: bool = False


def read_sitemap(data: bytes) -> Sitemap | None:
    """Read a sitemap or a sitemap index, compressed or not; None if it is something else.

    Raises:
        SourceUnusable: it is damaged or too large. With a part of it, the pages of the rest would
            be taken for gone.
    """
    compressed = data.startswith(_GZIP_MAGIC)
    if compressed:
        data = _decompress(data)
    sitemap: Sitemap | None = None
    try:
        # Entities could read files, or grow without limit.
        for event, element in etree.iterparse(
            io.BytesIO(data),
            events=("start", "end"),
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
        ):
            name = _local_name(element)
            if sitemap is None:
                if name not in ("urlset", "sitemapindex"):
                    return None
                sitemap = Sitemap()
            elif event == "end" and name in ("url", "sitemap"):
                locations = sitemap.pages if name == "url" else sitemap.sitemaps
                if len(locations) >= _MAX_LOCATIONS:
                    sitemap.too_long = True
                    break
                locations += [
                    child.text.strip()
                    for child in element
                    if _local_name(child) == "loc" and child.text
                ][:1]
                _forget(element)
    except etree.XMLSyntaxError as error:
        if sitemap is None:
            return None
        raise SourceUnusable(f"The sitemap is damaged: {error.msg}") from error
    return sitemap


def _decompress(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            text = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise SourceUnusable("The sitemap is damaged: it can't be decompressed.") from error
    if len(text) > MAX_BYTES:
        raise SourceUnusable(f"The sitemap is larger than {MAX_BYTES // 1_000_000} MB.")
    return text


def _local_name(element: Any) -> str:
    # An entity's tag is a function.
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _forget(element: Any) -> None:
    # The tree would hold what has been read.
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
