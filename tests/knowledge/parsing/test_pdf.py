"""The text of PDFs, page by page."""

import io

import pytest
from pypdf import PdfReader, PdfWriter

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.sandbox import Parser
from tests.knowledge.parsing.documents import pdf, pdf_of_objects, pdf_of_pages, stream

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"


def encrypted(password: str) -> bytes:
    writer = PdfWriter(PdfReader(io.BytesIO(pdf("Secret words."))))
    writer.encrypt(password, "of the owner", algorithm="RC4-128")
    result = io.BytesIO()
    writer.write(result)
    return result.getvalue()


def test_pages_follow_each_other_with_a_blank_line_between(parser: Parser) -> None:
    parsed = parser.parse(pdf("First line.\nSecond line.", "Page two."), "a.pdf", None)

    assert parsed.text == "First line.\nSecond line.\n\nPage two."
    assert not parsed.markdown
    assert parsed.media_type == "application/pdf"


def test_words_that_a_line_end_divides_are_joined(parser: Parser) -> None:
    parsed = parser.parse(pdf("It is inter-\nnational since 1990-\n2000."), "a.pdf", None)

    assert parsed.text == "It is international since 1990-\n2000."


def test_nul_characters_which_no_database_takes_are_left_out(parser: Parser) -> None:
    parsed = parser.parse(pdf("One\\000two.", title="a\\000b"), "a.pdf", None)

    assert (parsed.text, parsed.title) == ("Onetwo.", "ab")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("A Book of Queues", "A Book of Queues"),
        ("Microsoft Word - draft 3", None),
        ("draft.docx", None),
        ("untitled", None),
        (None, None),
    ],
)
def test_a_title_counts_unless_a_program_made_it_up(
    parser: Parser, title: str | None, expected: str | None
) -> None:
    assert parser.parse(pdf("Words.", title=title), "a.pdf", None).title == expected


def test_a_page_that_can_not_be_read_costs_only_itself(parser: Parser) -> None:
    bomb = b" " * 100_000_000
    data = pdf_of_pages([b"BT /F1 12 Tf (One.) Tj ET", bomb, b"BT /F1 12 Tf (Three.) Tj ET"])

    parsed = parser.parse(data, "a.pdf", None)

    assert parsed.text == "One.\n\nThree."
    assert parsed.note == "pages that can't be read: 2"


def test_a_pdf_that_only_its_owner_may_change_is_read(parser: Parser) -> None:
    assert parser.parse(encrypted(""), "a.pdf", None).text == "Secret words."


def test_a_pdf_with_a_password_is_refused(parser: Parser) -> None:
    with pytest.raises(SourceUnusable, match="is encrypted: save it without a password"):
        parser.parse(encrypted("of the reader"), "a.pdf", None)


def test_a_pdf_of_pictures_is_refused(parser: Parser) -> None:
    with pytest.raises(SourceUnusable, match="has no text, only pictures"):
        parser.parse(pdf_of_pages([b"0 0 9 9 re f"]), "a.pdf", None)


def page_tree_loop() -> bytes:
    return pdf_of_objects([CATALOG, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"])


def deep_page_tree() -> bytes:
    node = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>"
    nodes = [node % (3 + depth) for depth in range(20_000)]
    return pdf_of_objects([CATALOG, *nodes, b"<< /Type /Page /MediaBox [0 0 9 9] >>"])


def form_loop() -> bytes:
    resources = b"/Resources << /XObject << /X 5 0 R >> >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R %s >>" % resources
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] %s" % resources
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return pdf_of_objects([CATALOG, pages, page, stream(b"/X Do"), stream(b"/X Do /X Do", form)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(page_tree_loop(), id="page tree with a loop"),
        pytest.param(deep_page_tree(), id="deep page tree"),
        pytest.param(form_loop(), id="form that draws itself"),
        pytest.param(pdf_of_pages([b" " * 200_000_000]), id="compression bomb"),
        pytest.param(pdf_of_objects([b"[" * 100_000]), id="deep array"),
        pytest.param(pdf("Words.")[:400], id="truncated"),
        pytest.param(b"%PDF-1.7\n" + bytes(range(1, 256)) * 40_000, id="10 MB of garbage"),
    ],
)
def test_a_hostile_pdf_fails_alone(parser: Parser, data: bytes) -> None:
    with pytest.raises(SourceUnusable):
        parser.parse(data, "a.pdf", None)

    assert parser.parse(pdf("Words."), "b.pdf", None).text == "Words."
