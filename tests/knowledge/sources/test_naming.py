"""Sources that are named by where they are, without a kind."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.knowledge.people import People

JSON = dict[str, Any]


def named(location: str, **fields: Any) -> JSON:
    return {"config": {"kind": "auto", "location": location, **fields}, "sync": False}


@pytest.mark.parametrize(
    ("location", "config"),
    [
        ("https://docs.example.org/", {"kind": "web", "url": "https://docs.example.org/"}),
        (
            "https://github.com/acme/handbook",
            {"kind": "git", "url": "https://github.com/acme/handbook"},
        ),
        ("git@example.org:team/docs", {"kind": "git", "url": "git@example.org:team/docs"}),
    ],
)
async def test_the_kind_is_told_from_the_location(
    ingest_api: httpx2.AsyncClient, location: str, config: JSON
) -> None:
    response = await ingest_api.post("/v1/sources", json=named(f" {location} "))

    source = response.json()
    assert response.status_code == 201, response.text
    assert source["kind"] == config["kind"]
    assert source["config"].items() >= config.items()


async def test_a_path_names_a_folder_on_the_server(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    source = (await ingest_api.post("/v1/sources", json=named(str(folder)))).json()

    assert (source["kind"], source["config"]) == ("folder", {"kind": "folder", "path": str(folder)})


async def test_options_go_along(ingest_api: httpx2.AsyncClient) -> None:
    git = named("https://example.org/a.git", branch="next", path_prefixes=["docs"])
    web = named("https://example.org/", path_prefixes=["/docs/"])

    configs = [
        (await ingest_api.post("/v1/sources", json=body)).json()["config"] for body in (git, web)
    ]

    assert (configs[0]["branch"], configs[0]["path_prefixes"]) == ("next", ["docs"])
    assert configs[1]["path_prefixes"] == ["/docs/"]


@pytest.mark.parametrize(
    ("location", "fields", "words"),
    [
        ("docs.example.org/guide", {}, "https://"),
        ("/etc", {}, "INGEST_ROOTS"),
        ("/etc/a.bundle", {}, "INGEST_ROOTS"),
        ("s3://bucket/docs", {}, "nothing from s3://"),
        ("https://[example.org/", {}, "not a valid URL"),
        ("https://me:secret@example.org/", {}, "password"),
        ("https://example.org/", {"branch": "main"}, "add .git"),
        ("/tmp", {"path_prefixes": ["docs"]}, "neither branch"),
        ("", {}, "location"),
    ],
)
async def test_what_names_nothing_is_refused(
    ingest_api: httpx2.AsyncClient, location: str, fields: JSON, words: str
) -> None:
    response = await ingest_api.post("/v1/sources", json=named(location, **fields))

    assert response.status_code == 422, response.text
    assert words in response.json()["detail"]


async def test_somebody_who_is_no_admin_reads_github_through_its_api(people: People) -> None:
    location = "https://github.com/acme/handbook.git"
    with_options = named(location, branch="next", path_prefixes=["docs"])

    of_ann = await people.send(people.ann, "POST", "/v1/sources", **with_options)
    of_admin = await people.send(people.admin, "POST", "/v1/sources", **named(location))
    elsewhere = await people.send(people.ann, "POST", "/v1/sources", **named("a@b.example:docs"))
    folder = await people.send(people.ann, "POST", "/v1/sources", **named("/etc"))

    assert (
        of_ann.json()["config"].items()
        >= {
            "kind": "github",
            "repository": "acme/handbook",
            "branch": "next",
            "path_prefixes": ["docs"],
        }.items()
    )
    assert of_admin.json()["kind"] == "git"
    assert (elsewhere.status_code, folder.status_code) == (403, 403)


async def test_a_source_keeps_the_kind_that_was_found(
    ingest_api: httpx2.AsyncClient, folder: Path
) -> None:
    created = (await ingest_api.post("/v1/sources", json=named(str(folder)))).json()

    twin = await ingest_api.post(
        "/v1/sources", json={"config": {"kind": "folder", "path": str(folder)}, "sync": False}
    )
    changed = await ingest_api.patch(
        f"/v1/sources/{created['id']}",
        json={"config": {"kind": "auto", "location": "https://example.org/"}},
    )

    assert twin.status_code == 409
    assert changed.status_code == 422
