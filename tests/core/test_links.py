"""Links to the page."""

from uuid import UUID

import pytest

from app.core.links import document_url, public_url
from settings import Settings

DOCUMENT = UUID("0199f0a2-7a3e-7c1e-9d2b-0f6a3c5b8d11")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"host": "127.0.0.1", "port": 8123}, "http://127.0.0.1:8123"),
        ({"host": "::1", "port": 8000}, "http://[::1]:8000"),
        ({"public_url": "https://brag.example/"}, "https://brag.example"),
    ],
)
def test_links_begin_where_people_reach_brag(given: dict[str, object], expected: str) -> None:
    assert public_url(Settings.model_validate(given)) == expected


def test_a_document_has_a_link_to_the_page_and_a_passage_its_place_in_it() -> None:
    settings = Settings(public_url="https://brag.example")

    whole = document_url(settings, DOCUMENT)

    assert whole == f"https://brag.example/#/documents/{DOCUMENT}"
    assert document_url(settings, DOCUMENT, 120, 172) == f"{whole}?start=120&end=172"
    assert document_url(settings, DOCUMENT, 0, 5) == f"{whole}?start=0&end=5"
