"""Files of a folder that are uploaded with their places in it."""

import httpx2
import pytest

from tests.knowledge.sources.test_api import assert_refused

ONE_AND_TWO = [("file", ("index.md", b"One.")), ("file", ("index.md", b"Two."))]


async def test_files_of_one_name_are_told_apart_by_their_folders(
    ingest_api: httpx2.AsyncClient,
) -> None:
    paths = {"path": ["guide/index.md", "Ümläute/index.md"]}

    response = await ingest_api.post("/v1/documents", files=ONE_AND_TWO, data=paths)

    assert response.status_code == 202, response.text
    documents = response.json()["documents"]
    assert [document["path"] for document in documents] == paths["path"]
    assert len({document["id"] for document in documents}) == 2


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["guide/index.md"], "for each file"),
        (["a.md", "b.md", "c.md"], "for each file"),
        (["a.md", "a.md"], "several of the name a.md"),
        (["a.md", "../b.md"], "must look like guide/intro.md"),
        (["a.md", "/b.md"], "must look like guide/intro.md"),
        (["a.md", ""], "must not be empty"),
        (["a.md", "b\0.md"], "NUL"),
        (["a.md", "b" * 501], "longer than 500"),
    ],
)
async def test_paths_that_name_nothing_are_refused(
    ingest_api: httpx2.AsyncClient, paths: list[str], words: str
) -> None:
    response = await ingest_api.post("/v1/documents", files=ONE_AND_TWO, data={"path": paths})

    assert_refused(response, 422, "invalid_request", words)
    assert (await ingest_api.get("/v1/ingestions")).json() == []
