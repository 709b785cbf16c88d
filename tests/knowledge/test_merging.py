"""Chunks that follow one another read as one passage."""

from uuid import UUID

import pytest

from app.knowledge.chunking import MAX_CHARACTERS
from app.knowledge.merging import Merged, Place, merge

GUIDE, MANUAL = UUID(int=1), UUID(int=2)
LENGTH = 400


def chunk(ordinal: int, *, of: UUID = GUIDE, length: int = LENGTH) -> Place:
    """A chunk of a document whose chunks are all of one length, with blank lines between them."""
    start = ordinal * (length + 2)
    return Place(of, ordinal, start, start + length)


def ordinals(places: list[Place], merged: list[Merged]) -> list[list[int]]:
    return [[places[member].ordinal for member in passage.members] for passage in merged]


def test_without_chunks_there_is_no_passage() -> None:
    assert merge([], limit=5) == []


def test_chunks_that_do_not_touch_stay_apart_in_their_order() -> None:
    places = [chunk(7), chunk(1), chunk(5), chunk(3)]

    assert merge(places, limit=5) == [
        Merged(GUIDE, place.start, place.end, [rank]) for rank, place in enumerate(places)
    ]


@pytest.mark.parametrize("places", [[chunk(3), chunk(4)], [chunk(4), chunk(3)]])
def test_neighbours_become_one_passage_from_the_first_to_the_last(places: list[Place]) -> None:
    assert merge(places, limit=5) == [Merged(GUIDE, chunk(3).start, chunk(4).end, [0, 1])]


def test_a_passage_has_the_rank_of_its_best_chunk() -> None:
    places = [chunk(9), chunk(1), chunk(5), chunk(2), chunk(8)]

    assert ordinals(places, merge(places, limit=5)) == [[9, 8], [1, 2], [5]]


def test_two_passages_become_one_when_what_is_between_them_is_found() -> None:
    places = [chunk(9), chunk(1), chunk(3), chunk(2)]

    merged = merge(places, limit=5)

    assert ordinals(places, merged) == [[9], [1, 3, 2]]
    assert (merged[1].start, merged[1].end) == (chunk(1).start, chunk(3).end)


def test_a_chain_of_neighbours_becomes_one_passage_in_any_order() -> None:
    places = [chunk(ordinal, length=100) for ordinal in (4, 2, 6, 3, 7, 5, 1)]

    [merged] = merge(places, limit=3)

    assert merged == Merged(GUIDE, places[-1].start, places[4].end, [*range(7)])


def test_chunks_of_different_documents_are_no_neighbours() -> None:
    places = [chunk(1), chunk(2, of=MANUAL)]

    assert [passage.document_id for passage in merge(places, limit=5)] == [GUIDE, MANUAL]


def test_there_are_no_more_passages_than_asked_for() -> None:
    places = [chunk(1), chunk(3), chunk(5), chunk(7)]

    assert ordinals(places, merge(places, limit=2)) == [[1], [3]]


def test_room_that_neighbours_leave_is_filled_with_the_next_chunks() -> None:
    places = [chunk(1), chunk(2), chunk(5), chunk(9)]

    assert ordinals(places, merge(places, limit=2)) == [[1, 2], [5]]


def test_there_is_no_more_text_than_in_as_many_full_chunks_as_asked_for() -> None:
    places = [chunk(ordinal, length=MAX_CHARACTERS) for ordinal in (1, 2, 3, 7)]

    assert ordinals(places, merge(places, limit=2)) == [[1, 2]]


def test_a_single_chunk_is_a_passage_however_long() -> None:
    place = chunk(0, length=10 * MAX_CHARACTERS)

    assert merge([place], limit=1) == [Merged(GUIDE, 0, place.end, [0])]


def test_none_asked_for_is_none_given() -> None:
    assert merge([chunk(1)], limit=0) == []
