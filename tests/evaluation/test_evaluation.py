"""Whole evaluations, over knowledge bases of their own."""

from pathlib import Path

import pytest

from app.core.exceptions import InvalidRequest
from app.evaluation.collection import load_collection
from app.evaluation.evaluation import evaluate, measurable
from app.evaluation.runs import Run
from app.knowledge.retrieval import SearchMode
from settings import Settings
from tests.evaluation.collections import ANIMALS, lines, write_animals, write_collection
from tests.support import fetch


class Stages:
    """What an evaluation says that it does."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}

    def __call__(self, name: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        self.totals[name] = total


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_animals(tmp_path / f"Animals & cö {'x' * 100}")


def means(run: Run) -> dict[str, float]:
    return {name: interval.mean for name, interval in run.metrics.items()}


async def test_documents_and_spans_are_measured_with_the_numbers_that_must_come_out(
    settings: Settings, folder: Path, stages: Stages
) -> None:
    run = await evaluate(
        settings, load_collection(folder), stages, mode=SearchMode.HYBRID, answers=False
    )

    assert run.questions.keys() == {"1", "2"}
    assert run.documents["1"][0] == "ducks"
    assert run.documents["2"][0] == "bats"
    assert means(run) == pytest.approx(
        {
            "ndcg@10": sum(run.scores["ndcg@10"].values()) / 2,
            "recall@5": 1.0,
            "recall@10": 1.0,
            "recall@100": 1.0,
            "mrr@10": 1.0,
            "gold@5": 1.0,
            "span_recall@5": 1.0,
            "span_precision@5": run.scores["span_precision@5"]["1"],
            "span_iou@5": run.scores["span_precision@5"]["1"],
        }
    )
    # 27 gold characters; every document is a passage, and found.
    assert run.scores["span_precision@5"]["1"] == pytest.approx(27 / (48 + 51 + 50))
    assert run.milliseconds.keys() == {"1", "2"}


async def test_the_second_run_embeds_only_what_is_new(settings: Settings, folder: Path) -> None:
    async def texts_embedded() -> int:
        stages = Stages()
        collection = load_collection(folder)
        run = await evaluate(settings, collection, stages, mode=SearchMode.BM25, answers=False)
        there = {document.id for document in collection.documents}
        assert {name for found in run.documents.values() for name in found} <= there
        return stages.totals.get("embedding", 0)

    first = await texts_embedded()
    second = await texts_embedded()
    # One stays, one is renamed, one is changed.
    corpus = [
        {"id": "ducks", "title": "Ducks", "text": ANIMALS["ducks"]},
        {"id": "flying", "title": "Bats", "text": ANIMALS["bats"]},
        {"id": "camels", "title": "Camels", "text": "Camels hunt nothing."},
    ]
    qrels = "1\tducks\t1\n2\tflying\t1\n"
    write_collection(folder, {"corpus.jsonl": lines(corpus), "qrels.tsv": qrels})
    third = await texts_embedded()
    fourth = await texts_embedded()

    assert (first, second, third, fourth) == (3, 0, 1, 0)


async def test_the_users_own_knowledge_base_is_not_touched(
    settings: Settings, folder: Path, stages: Stages
) -> None:
    assert settings.database_url is not None

    await evaluate(settings, load_collection(folder), stages, mode=SearchMode.BM25, answers=False)

    for table in ("source", "document", "message"):
        rows = fetch(settings.database_url.get_secret_value(), f"SELECT count(*) FROM {table}")
        assert rows == [(0,)]
    assert sorted(path.name for path in settings.var_dir.iterdir()) == ["eval", "models"]


async def test_bm25_finds_words_where_vectors_find_meaning(
    settings: Settings, folder: Path, stages: Stages
) -> None:
    write_collection(
        folder,
        {
            "queries.jsonl": lines([{"id": "q", "text": "Mammals flying after dark?"}]),
            "qrels.tsv": "q\tbats\t1\n",
        },
    )
    (folder / "spans.jsonl").unlink()
    collection = load_collection(folder)

    bm25 = await evaluate(settings, collection, stages, mode=SearchMode.BM25, answers=False)
    dense = await evaluate(settings, collection, stages, mode=SearchMode.DENSE, answers=False)

    assert bm25.documents == {"q": []}
    assert means(bm25)["ndcg@10"] == 0.0
    assert means(dense)["ndcg@10"] == 1.0


async def test_a_document_of_many_passages_is_ranked_once_and_crowds_out_none(
    settings: Settings, folder: Path, stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.evaluation.asking.FIRST_DEPTH", 2)
    night = "At night, bats hunt insects, and they hunt them at night by echo. " * 10
    sections = "".join(f"## Night {n}\n\n{night}\n\n" for n in range(10))
    corpus = [{"id": "bats", "text": sections}, {"id": "owls", "text": "Owls hunt, too."}]
    write_collection(
        folder,
        {
            "corpus.jsonl": lines(corpus),
            "queries.jsonl": lines([{"id": "q", "text": "What do bats hunt at night?"}]),
            "qrels.tsv": "q\tbats\t1\nq\towls\t1\n",
        },
    )
    (folder / "spans.jsonl").unlink()

    run = await evaluate(
        settings, load_collection(folder), stages, mode=SearchMode.HYBRID, answers=False
    )

    assert run.documents == {"q": ["bats", "owls"]}
    assert means(run)["recall@5"] == 1.0


async def test_spans_of_whole_texts_are_looked_for_in_these(
    settings: Settings, folder: Path, stages: Stages
) -> None:
    write_collection(
        folder,
        {
            "articles/Birds.md": "# Birds\n\nDucks have feathers that repel water.\n",
            "spans.jsonl": lines([{"id": "1", "doc": "Birds.md", "quotes": ["repel water"]}]),
        },
    )

    run = await evaluate(
        settings, load_collection(folder), stages, mode=SearchMode.HYBRID, answers=False
    )

    assert {place.document for place in run.places["1"]} == {"Birds.md"}
    assert run.documents["1"][0] == "ducks"
    assert means(run)["gold@5"] == 1.0


async def test_answers_are_given_cited_and_refused(
    settings: Settings, folder: Path, stages: Stages
) -> None:
    run = await evaluate(
        settings, load_collection(folder), stages, mode=SearchMode.HYBRID, answers=True
    )

    measured = means(run)
    assert measured["answered"] == 1.0
    assert measured["false_refusals"] == 0.0
    assert run.scores["refused"] == {"x": 1.0}
    assert run.scores["gold_in_answer"] == {"1": 1.0}
    assert measured["citation_precision"] == 1.0
    assert measured["citation_coverage"] == 1.0


def test_what_can_be_measured_depends_on_what_is_judged(folder: Path) -> None:
    everything = measurable(load_collection(folder), answers=True)
    without_answers = measurable(load_collection(folder), answers=False)
    (folder / "spans.jsonl").unlink()
    (folder / "qrels.tsv").unlink()
    refusals = measurable(load_collection(folder), answers=True)

    assert everything - without_answers == {
        "answered",
        "false_refusals",
        "refused",
        "gold_in_answer",
        "citation_precision",
        "citation_coverage",
    }
    assert refusals == {"refused"}
    with pytest.raises(InvalidRequest, match="add --answers"):
        measurable(load_collection(folder), answers=False)


async def test_an_evaluation_that_fails_leaves_no_database_running(
    settings: Settings, folder: Path
) -> None:
    def stop(name: str, _done: int, _total: int) -> None:
        if name == "searching":
            raise KeyError(name)

    with pytest.raises(KeyError):
        await evaluate(settings, load_collection(folder), stop, mode=SearchMode.BM25, answers=False)

    assert not list(settings.var_dir.glob("eval/*/postgres/cluster/postmaster.pid"))
