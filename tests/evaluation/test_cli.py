"""`python -m app eval`, as its users run it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.__main__ import cli
from settings import Settings
from tests.evaluation.collections import lines, write_animals, write_collection
from tests.processes import run_app

Eval = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_animals(tmp_path / "animals")


@pytest.fixture
def evaluate(settings: Settings) -> Eval:
    def evaluate(*arguments: str | Path) -> Result:
        return CliRunner().invoke(
            cli, ["eval", *map(str, arguments)], env={"VAR_DIR": str(settings.var_dir)}
        )

    return evaluate


def test_a_table_for_people_and_json_for_programs(
    evaluate: Eval, settings: Settings, folder: Path
) -> None:
    table = evaluate(folder)
    as_json = run_app(settings.var_dir, "eval", str(folder), "--json")

    assert (table.exit_code, table.stderr) == (0, "")
    assert table.stdout.startswith("animals: 2 questions, 3 documents, hybrid, sentence-tran")
    assert "mrr@10                1.0000   1.0000 to 1.0000        2\n" in table.stdout
    assert (as_json.returncode, as_json.stderr) == (0, "")
    report = json.loads(as_json.stdout)
    assert report["collection"] == "animals"
    assert report["mode"] == "hybrid"
    assert (report["questions"], report["documents"]) == (2, 3)
    assert report["mrr@10"] == report["recall@100"] == 1.0
    assert report["intervals"]["mrr@10"] == [1.0, 1.0]
    assert report["measured_on"]["gold@5"] == 1
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p95"]
    assert report["differences"] == {}


def test_a_number_below_its_floor_fails(evaluate: Eval, folder: Path) -> None:
    write_collection(folder, {"qrels.tsv": "1\tducks\t1\n2\tcamels\t1\n"})

    reached = evaluate(folder, "--fail-below", "recall@10=1", "--fail-below", "mrr@10=0.6")
    missed = evaluate(folder, "--fail-below", "recall@10=1", "--fail-below", "mrr@10=0.9")

    assert (reached.exit_code, reached.stderr) == (0, "")
    assert missed.exit_code == 1
    assert missed.stderr.startswith("mrr@10 is 0.")
    assert missed.stderr.endswith(": the floor is 0.9.\n")
    assert "mrr@10" in missed.stdout


def test_a_later_run_is_compared_with_a_saved_one(
    evaluate: Eval, folder: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "run.json"
    evaluate(folder, "--save", saved)
    write_collection(folder, {"qrels.tsv": "1\tducks\t1\n2\tbats\t1\n"})
    corpus = [
        {"id": "ducks", "text": "Bats hunt insects at night, and so on."},
        {"id": "bats", "text": "Their feathers repel water."},
    ]
    write_collection(folder, {"corpus.jsonl": lines(corpus)})
    (folder / "spans.jsonl").unlink()

    table = evaluate(folder, "--compare", saved)
    as_json = evaluate(folder, "--compare", saved, "--json")

    assert table.exit_code == 0, table.stderr
    assert "mrr@10               -0.5000   -0.5000 to -0.5000       0      2\n" in table.stdout
    assert "worse by ndcg@10, the biggest change first:" in table.stdout
    assert "2  What do bats hunt at night?" in table.stdout
    difference = json.loads(as_json.stdout)["differences"]["mrr@10"]
    assert difference == {
        "mean": -0.5,
        "interval": [-0.5, -0.5],
        "better": [],
        "worse": ["1", "2"],
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fail-below", "ndcg=0.7"], "The metrics are ndcg@10, recall@5,"),
        (["--fail-below", "ndcg@10"], "must be METRIC=VALUE, such as ndcg@10=0.70"),
        (["--fail-below", "ndcg@10=high"], "'high' is no number"),
        (["--fail-below", "ndcg@10=nan"], "'nan' is no floor; it is from 0 to 1"),
        (["--fail-below", "ndcg@10=-inf"], "'-inf' is no floor"),
        (["--fail-below", "answered=0.5"], "doesn't measure answered, but ndcg@10"),
        (["--compare", "/does/not/exist.json"], "/does/not/exist.json can't be read"),
        (["--save", "/does/not/exist/run.json"], "There is no folder /does/not/exist"),
        (["--mode", "magic"], "magic"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_embedded(
    evaluate: Eval, settings: Settings, folder: Path, arguments: list[str], words: str
) -> None:
    result = evaluate(folder, *arguments)

    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert not (settings.var_dir / "eval").exists()


def test_a_folder_that_is_no_collection_is_told_what_it_lacks(
    evaluate: Eval, tmp_path: Path
) -> None:
    result = evaluate(tmp_path)

    assert result.exit_code == 2
    assert result.stderr == (
        f"{tmp_path} is no collection: it has no queries.jsonl. A collection is a folder with "
        "corpus.jsonl, queries.jsonl and qrels.tsv, as BEIR has them.\n"
    )
