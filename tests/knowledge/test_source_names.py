"""What a source is called to those who are not to know where it lies."""

import pytest

from app.knowledge.source_names import cited_name, public_name


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/srv/team/handbook", "handbook"),
        ("/srv/team/handbook/", "handbook"),
        ("/srv/repos/handbook.git#main (docs/en, docs/de)", "handbook"),
        ("file:///srv/repos/handbook.git", "handbook"),
        ("acme/handbook#release/1.0", "handbook"),
        ("https://git.example.com/acme/handbook.git (docs)", "handbook"),
        ("ssh://git@git.example.com:2222/acme/handbook.git", "handbook"),
        ("git@git.example.com:acme/handbook.git", "handbook"),
        ("git@git.example.com:handbook.git", "handbook"),
        ("https://docs.example.com/", "docs.example.com"),
        ("https://docs.example.com/guide?key=secret", "guide"),
        ("uploads", "uploads"),
        ("shared uploads", "shared uploads"),
        ("/", "source"),
    ],
)
def test_without_a_name_it_is_the_last_part_of_its_place(location: str, name: str) -> None:
    assert public_name("", location) == name
    assert public_name(location, location) == name
    assert public_name("Ours", location) == "Ours"


@pytest.mark.parametrize(
    ("kind", "location", "name"),
    [
        ("folder", "/srv/team/handbook", "handbook"),
        ("git", "/srv/repos/handbook.git#main", "handbook"),
        ("git", "git@git.example.com:acme/handbook.git", "handbook"),
        ("git", "https://git.example.com/acme/handbook.git", None),
        ("github", "acme/handbook", None),
        ("web", "https://docs.example.com/", None),
    ],
)
def test_an_answer_names_what_is_on_the_web_and_no_place_on_the_server(
    kind: str, location: str, name: str | None
) -> None:
    for unnamed in ("", location):
        assert cited_name(kind, unnamed, location, mine=True) == location
        assert cited_name(kind, unnamed, location, mine=False) == (name or location)
    for mine in (True, False):
        assert cited_name(kind, "Ours", location, mine=mine) == "Ours"
