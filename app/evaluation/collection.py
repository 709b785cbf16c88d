"""Judged questions over documents: a folder in the layout of BEIR, checked as a whole.

corpus.jsonl        {"id", "title", "text"}: the documents
collection.json     instead of it, {"root", "paths"}: Markdown files, named as seen from the root
queries.jsonl       {"id", "text"}: the questions; with {"earlier": [...]}, one that follows these
                    in a chat is searched for as it is without a language model
qrels.tsv           a header; query-id, corpus-id, score: which documents are relevant
spans.jsonl         {"id", "doc", "spans": [[start, end], ...]}: where the answer stands, in
                    characters, end exclusive; or {"id", "doc", "quotes": [...]}: its words
articles/, docs/    the files that spans.jsonl names, where those are no documents of the corpus
unanswerable.jsonl  {"id", "text"}: questions that the documents don't answer

A collection needs documents, questions, and at least one of the three files with judgements.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError, model_validator

from app.chat.carry_over import carry_over
from app.core.exceptions import InvalidRequest
from app.core.text import storable

__all__ = ["Collection", "Gold", "JudgedDocument", "load_collection"]

TEXT_FOLDERS: Final = ("articles", "docs")
MARKDOWN_SUFFIXES: Final = (".md", ".mdx")
_COLUMNS: Final = 3


class _Named(BaseModel):
    id: Annotated[str, AfterValidator(storable)]


class JudgedDocument(_Named):
    """A document, with the id that judgements name it by."""

    title: str = ""
    text: Annotated[str, AfterValidator(storable)]


class Gold(NamedTuple):
    """Where an answer stands: ranges of characters of one document, end exclusive."""

    document: str
    spans: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents and questions; judgements are by the id of a question.

    `texts` are the documents that `gold` points into: the corpus itself, or whole texts of which
    the corpus holds the parts.
    """

    folder: Path
    documents: Sequence[JudgedDocument]
    texts: Sequence[JudgedDocument]
    questions: Mapping[str, str]
    relevant: Mapping[str, Mapping[str, int]]
    gold: Mapping[str, Gold]
    unanswerable: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name the collection: its folder's name."""
        return self.folder.name

    @property
    def has_whole_texts(self) -> bool:
        """Tell whether `texts` are others than `documents`."""
        return self.texts is not self.documents


class _Question(_Named):
    text: Annotated[str, AfterValidator(storable)]
    earlier: list[Annotated[str, AfterValidator(storable)]] = []


class _Spans(_Named):
    doc: str
    spans: list[tuple[int, int]] = []
    quotes: list[Annotated[str, AfterValidator(storable)]] = []

    @model_validator(mode="after")
    def _one_of_both(self) -> "_Spans":
        if bool(self.spans) == bool(self.quotes):
            raise ValueError('needs "spans" or "quotes"')
        return self


class _Files(BaseModel):
    root: str
    paths: list[str]


Row = TypeVar("Row", bound=_Named)


def load_collection(folder: Path) -> Collection:
    """Read a collection.

    Raises:
        InvalidRequest: it is none, or something in it is wrong; names the file and the line.
    """
    folder = folder.resolve()
    try:
        return _load(folder)
    except OSError as error:
        raise InvalidRequest(f"{error.filename} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"A file in {folder} is not UTF-8: {error.reason}.") from None


def _load(folder: Path) -> Collection:
    if not (folder / "queries.jsonl").is_file():
        raise InvalidRequest(
            f"{folder} is no collection: it has no queries.jsonl. A collection is a folder with "
            "corpus.jsonl, queries.jsonl and qrels.tsv, as BEIR has them."
        )
    documents = _load_documents(folder)
    questions = _load_questions(folder / "queries.jsonl")
    relevant = _load_relevant(folder / "qrels.tsv", questions, {doc.id for doc in documents})
    spans = list(_rows(folder / "spans.jsonl", _Spans))
    texts = _load_texts(folder, documents, [row for _, row in spans])
    collection = Collection(
        folder=folder,
        documents=documents,
        texts=texts,
        questions=questions,
        relevant=relevant,
        gold=dict(_find_gold(spans, questions, {doc.id: doc.text for doc in texts})),
        unanswerable=_load_questions(folder / "unanswerable.jsonl"),
    )
    if not (collection.relevant or collection.gold or collection.unanswerable):
        raise InvalidRequest(
            f"{folder} judges nothing: it needs qrels.tsv, spans.jsonl or unanswerable.jsonl."
        )
    return collection


def _load_documents(folder: Path) -> list[JudgedDocument]:
    if (folder / "collection.json").is_file():
        documents = list(_referenced_files(folder / "collection.json"))
    else:
        if not (folder / "corpus.jsonl").is_file():
            raise InvalidRequest(f"{folder} has no documents: it needs corpus.jsonl.")
        documents = list(_by_id(folder / "corpus.jsonl", JudgedDocument).values())
    if not documents:
        raise InvalidRequest(f"{folder} has no documents.")
    return documents


def _referenced_files(path: Path) -> Iterator[JudgedDocument]:
    try:
        files = _Files.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidRequest(f"{path}: {_problem(error)}.") from None
    root = (path.parent / files.root).resolve()
    for name in files.paths:
        named = root / name
        if not named.exists():
            raise InvalidRequest(f"{path} names {named}, which is not there.")
        found = [named] if named.is_file() else _markdown_files(named)
        yield from (_read_text(file, file.relative_to(root).as_posix()) for file in found)


def _markdown_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in MARKDOWN_SUFFIXES)


def _load_questions(path: Path) -> dict[str, str]:
    return {
        name: carry_over(row.text, row.earlier) for name, row in _by_id(path, _Question).items()
    }


def _load_relevant(
    path: Path, questions: Mapping[str, str], documents: set[str]
) -> dict[str, dict[str, int]]:
    relevant: dict[str, dict[str, int]] = {}
    for number, line in _lines(path):
        columns = line.rstrip("\r\n").split("\t")
        if number == 1 and not columns[-1].isdecimal():
            continue
        where = f"{path}, line {number}"
        if len(columns) != _COLUMNS or not columns[2].isdecimal():
            raise InvalidRequest(
                f"{where}: must be query-id, corpus-id and score, separated by tabs; the score is "
                "a whole number."
            )
        question, document, score = columns
        _require_known(where, "question", question, questions)
        _require_known(where, "document", document, documents)
        relevant.setdefault(question, {})[document] = int(score)
    # trec_eval leaves out questions to which nothing is relevant, too.
    return {question: scores for question, scores in relevant.items() if any(scores.values())}


def _load_texts(
    folder: Path, documents: Sequence[JudgedDocument], spans: Sequence[_Spans]
) -> Sequence[JudgedDocument]:
    if {row.doc for row in spans} <= {document.id for document in documents}:
        return documents
    for name in TEXT_FOLDERS:
        if (folder / name).is_dir():
            files = sorted((folder / name).rglob("*.md"))
            return [_read_text(file, file.relative_to(folder / name).as_posix()) for file in files]
    return documents


def _find_gold(
    spans: Sequence[tuple[str, _Spans]], questions: Mapping[str, str], texts: Mapping[str, str]
) -> Iterator[tuple[str, Gold]]:
    for where, row in spans:
        _require_known(where, "question", row.id, questions)
        _require_known(where, "document", row.doc, texts)
        text = texts[row.doc]
        found = row.spans or [_find_quote(where, row.doc, text, quote) for quote in row.quotes]
        for start, end in found:
            if not 0 <= start < end <= len(text):
                raise InvalidRequest(
                    f"{where}: there are no characters {start} to {end} in {row.doc}, which has "
                    f"{len(text)}."
                )
        yield row.id, Gold(row.doc, found)


def _find_quote(where: str, name: str, text: str, quote: str) -> tuple[int, int]:
    # A text may be wrapped anew.
    pattern = r"\s+".join(map(re.escape, quote.split()))
    found = [match.span() for match in re.finditer(pattern, text)]
    if len(found) != 1:
        raise InvalidRequest(
            f"{where}: {name} must hold these words once, and holds them {len(found)} times: "
            f"{quote!r}."
        )
    return found[0]


def _require_known(
    where: str, kind: str, name: str, known: Mapping[str, object] | set[str]
) -> None:
    if name not in known:
        raise InvalidRequest(f"{where}: there is no {kind} {name!r}.")


def _by_id(path: Path, kind: type[Row]) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for where, row in _rows(path, kind):
        if row.id in rows:
            raise InvalidRequest(f"{where}: the id {row.id!r} stands there for the second time.")
        rows[row.id] = row
    return rows


def _rows(path: Path, kind: type[Row]) -> Iterator[tuple[str, Row]]:
    """Yield each line's place and its content; nothing if there is no such file."""
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        try:
            yield where, kind.model_validate_json(line)
        except ValidationError as error:
            raise InvalidRequest(f"{where}: {_problem(error)}.") from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())


def _read_text(file: Path, name: str) -> JudgedDocument:
    try:
        return JudgedDocument(id=name, text=file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise InvalidRequest(f"{file}: {_problem(error)}.") from None


def _problem(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "json_invalid":
        return "is not JSON"
    place = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message
