"""What a folder of judged questions may look like, and what is said of one that is broken."""

from pathlib import Path

import pytest

from app.core.exceptions import InvalidRequest
from app.evaluation.collection import Gold, load_collection
from settings import ROOT
from tests.evaluation.collections import lines, write_animals, write_collection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_animals(tmp_path / "animals")


def test_judgements_are_by_question(folder: Path) -> None:
    collection = load_collection(folder)

    assert collection.name == "animals"
    assert [document.id for document in collection.documents] == ["ducks", "bats", "camels"]
    assert collection.relevant == {"1": {"ducks": 1}, "2": {"bats": 1, "camels": 1}}
    assert list(collection.unanswerable) == ["x"]


def test_a_question_to_which_nothing_is_relevant_is_not_judged(folder: Path) -> None:
    (folder / "qrels.tsv").write_text("1\tducks\t0\n2\tbats\t2\n2\tducks\t0\n")

    assert load_collection(folder).relevant == {"2": {"bats": 2, "ducks": 0}}


def test_a_follow_up_is_searched_for_as_it_is_in_a_chat(folder: Path) -> None:
    (folder / "queries.jsonl").write_text(
        lines(
            [
                {"id": "1", "text": "And when do they fly?", "earlier": ["Where do bats live?"]},
                {"id": "2", "text": "Where do ducks swim?", "earlier": ["Where do bats live?"]},
            ]
        )
    )

    questions = load_collection(folder).questions

    assert questions == {"1": "bats live: And when do they fly?", "2": "Where do ducks swim?"}


def test_quotes_are_found_however_the_text_is_wrapped(folder: Path) -> None:
    text = "Ducks swim. Their\nfeathers repel\nwater."
    (folder / "corpus.jsonl").write_text(lines([{"id": "ducks", "text": text}]))
    (folder / "qrels.tsv").unlink()

    gold = load_collection(folder).gold

    assert gold == {"1": Gold("ducks", [(12, 39)])}
    assert text[12:39] == "Their\nfeathers repel\nwater."


def test_spans_may_point_into_whole_texts_beside_the_corpus(folder: Path) -> None:
    write_collection(folder, {"articles/Birds.md": "# Birds\n\nDucks swim on ponds.\n"})
    (folder / "spans.jsonl").write_text(
        lines([{"id": "1", "doc": "Birds.md", "spans": [[9, 14], [24, 29]]}])
    )

    collection = load_collection(folder)

    assert collection.has_whole_texts
    assert [text.id for text in collection.texts] == ["Birds.md"]
    assert collection.gold == {"1": Gold("Birds.md", [(9, 14), (24, 29)])}


def test_the_corpus_may_be_files_elsewhere(folder: Path, tmp_path: Path) -> None:
    write_collection(tmp_path, {"README.md": "# Read\n", "docs/a/b.mdx": "# B\n", "docs/c": "C"})
    write_collection(
        folder,
        {
            "collection.json": '{"root": "..", "paths": ["README.md", "docs"]}',
            "qrels.tsv": "1\tREADME.md\t1\n2\tdocs/a/b.mdx\t1\n",
        },
    )
    (folder / "spans.jsonl").unlink()

    documents = load_collection(folder).documents

    assert {document.id: document.text for document in documents} == {
        "README.md": "# Read\n",
        "docs/a/b.mdx": "# B\n",
    }


def test_bRAGs_own_questions_fit_its_own_documents() -> None:  # noqa: N802 -- its name
    collection = load_collection(ROOT / "evaluation" / "brag_docs")

    assert collection.relevant.keys() == collection.questions.keys()
    assert collection.gold
    assert collection.unanswerable


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("queries.jsonl", '{"id": "1", "text": "Why?"}\n{"id": 2', "queries.jsonl, line 2: is not"),
        ("queries.jsonl", '{"id": "1"}', "queries.jsonl, line 1: text: Field required"),
        ("queries.jsonl", '{"id": "1", "text": " "}', "line 1: text: must not be empty"),
        (
            "queries.jsonl",
            '{"id": "1", "text": "Why?"}\n\n{"id": "1", "text": "How?"}',
            "queries.jsonl, line 3: the id '1' stands there for the second time",
        ),
        ("corpus.jsonl", '["ducks"]', "corpus.jsonl, line 1"),
        ("corpus.jsonl", "", "has no documents"),
        ("qrels.tsv", "1 ducks 1\n1 ducks 1\n", "qrels.tsv, line 2: must be query-id, corpus-id"),
        ("qrels.tsv", "q\td\ts\n1\tducks\tyes\n", "line 2: must be query-id, corpus-id"),
        ("qrels.tsv", "q\td\ts\n1\tgeese\t1\n", "qrels.tsv, line 2: there is no document 'geese'"),
        ("qrels.tsv", "q\td\ts\n9\tducks\t1\n", "qrels.tsv, line 2: there is no question '9'"),
        (
            "spans.jsonl",
            '{"id": "1", "doc": "ducks", "spans": [[0, 9999]]}',
            "spans.jsonl, line 1: there are no characters 0 to 9999 in ducks, which has 48",
        ),
        (
            "spans.jsonl",
            '{"id": "1", "doc": "ducks", "quotes": ["Ducks fly."]}',
            "line 1: ducks must hold these words once, and holds them 0 times: 'Ducks fly.'",
        ),
        ("spans.jsonl", '{"id": "1", "doc": "ducks"}', 'line 1: needs "spans" or "quotes"'),
        (
            "spans.jsonl",
            '{"id": "1", "doc": "geese", "spans": [[0, 1]]}',
            "spans.jsonl, line 1: there is no document 'geese'",
        ),
        ("collection.json", '{"root": ".."}', "collection.json: paths: Field required"),
        ("collection.json", '{"root": "..", "paths": ["gone.md"]}', "gone.md, which is not there"),
    ],
)
def test_what_is_broken_is_named_with_its_line(
    folder: Path, name: str, content: str, words: str
) -> None:
    (folder / name).write_text(content)

    with pytest.raises(InvalidRequest) as raised:
        load_collection(folder)

    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (["queries.jsonl"], "is no collection: it has no queries.jsonl"),
        (["corpus.jsonl"], "it needs corpus.jsonl"),
        (["qrels.tsv", "spans.jsonl", "unanswerable.jsonl"], "judges nothing"),
    ],
)
def test_what_is_missing_is_named(folder: Path, missing: list[str], words: str) -> None:
    for name in missing:
        (folder / name).unlink()

    with pytest.raises(InvalidRequest, match=words):
        load_collection(folder)


def test_a_file_that_is_no_text_is_named(folder: Path) -> None:
    (folder / "queries.jsonl").write_bytes(b"\xff\xfe{")

    with pytest.raises(InvalidRequest, match=r"is not UTF-8"):
        load_collection(folder)
