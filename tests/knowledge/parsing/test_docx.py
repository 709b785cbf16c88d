"""Word documents as Markdown."""

import pytest

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.sandbox import Parser
from tests.knowledge.parsing.documents import docx, paragraph, zipped

ENTITIES_OF_ENTITIES = (
    '<!DOCTYPE a [<!ENTITY e0 "lol">'
    + "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(10))
    + "]><a>&e10;</a>"
)


def test_headings_paragraphs_and_tables_become_markdown(parser: Parser) -> None:
    row = "<w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr>"
    table = row.format(paragraph("Plan"), paragraph("Jobs")) + row.format(
        paragraph("Free"), paragraph("100")
    )
    body = (
        paragraph("Queues", "Heading1")
        + paragraph("A queue holds max_jobs &lt; 100 * n.")
        + paragraph("Limits", "Heading2")
        + f"<w:tbl>{table}</w:tbl>"
    )

    parsed = parser.parse(docx(body), "a.docx", None)

    assert parsed.markdown
    assert parsed.text.startswith("# Queues\n\nA queue holds max_jobs < 100 * n.\n\n## Limits\n\n")
    assert "| Free | 100 |" in parsed.text


def test_a_document_without_words_is_empty(parser: Parser) -> None:
    with pytest.raises(SourceUnusable, match=r"^is empty$"):
        parser.parse(docx(paragraph("")), "a.docx", None)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(parser: Parser) -> None:
    bomb = docx("<w:p/>" * 10_000_000)

    assert len(bomb) < 1_000_000
    with pytest.raises(SourceUnusable, match="unpacks to more than 30 MB of XML"):
        parser.parse(bomb, "a.docx", None)


def test_a_zip_bomb_that_lies_about_its_size_is_refused(parser: Parser) -> None:
    bomb = docx("<w:p/>" * 10_000_000)
    central = bomb.rindex(b"PK\x01\x02")
    lie = bomb[: central + 24] + (1_000).to_bytes(4, "little") + bomb[central + 28 :]

    with pytest.raises(SourceUnusable, match="can't be read: it may be damaged"):
        parser.parse(lie, "a.docx", None)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(docx(paragraph("Words."))[:600], id="truncated"),
        pytest.param(docx("<w:p>" * 50_000 + "</w:p>" * 50_000), id="deep"),
        pytest.param(docx("<w:p>"), id="broken XML"),
        pytest.param(zipped({"word/document.xml": "<x/>"}), id="parts missing"),
        pytest.param(
            zipped({"word/document.xml": ENTITIES_OF_ENTITIES}),
            id="entities of entities",
        ),
    ],
)
def test_a_hostile_document_fails_alone(parser: Parser, data: bytes) -> None:
    with pytest.raises(SourceUnusable):
        parser.parse(data, "a.docx", None)

    assert parser.parse(docx(paragraph("Words.")), "b.docx", None).text == "Words."
