"""Word's .docx as Markdown."""

import io
import zipfile
from typing import Any, Final

import mammoth  # type: ignore[import-untyped]  # it has no annotations

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.html import html_to_markdown

__all__ = ["docx_to_markdown"]

# The tree of an XML file takes some 20 times its size.
_MAX_XML_BYTES: Final = 30_000_000


def docx_to_markdown(data: bytes) -> str:
    """Convert headings, paragraphs, lists, tables and links; pictures are dropped.

    Raises:
        SourceUnusable: it unpacks to more than any document needs.
    """
    stream = io.BytesIO(data)
    # zipfile never gives more than the size that a member declares, so a lie is caught too.
    with zipfile.ZipFile(stream) as archive:
        xml_bytes = sum(
            member.file_size
            for member in archive.infolist()
            if member.filename.endswith((".xml", ".rels"))
        )
    if xml_bytes > _MAX_XML_BYTES:
        limit = _MAX_XML_BYTES // 1_000_000
        raise SourceUnusable(f"unpacks to more than {limit} MB of XML: split it")
    stream.seek(0)
    result = mammoth.convert_to_html(
        stream, convert_image=_no_picture, include_embedded_style_map=False
    )
    return html_to_markdown(f"<body>{result.value}</body>")


def _no_picture(_image: Any) -> list[Any]:
    return []
