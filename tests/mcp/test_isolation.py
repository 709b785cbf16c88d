"""Two people on one server: whatever tool one calls, nothing of the other's comes out of it."""

from typing import Any

from mcp import Client

from tests.mcp.clients import connect
from tests.test_isolation import SECRET, TwoPeople, conversations, people, runs

__all__ = ["conversations", "people", "runs"]


async def _everything(tools: Client, ids: dict[str, str]) -> dict[str, str]:
    """Return what each tool says of what is Ann's, asked for in every way there is."""
    question = "When does the boat leave?"
    narrowed = {"source_ids": [ids["source_id"]], "path_prefixes": [f"{SECRET}.md"]}
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "ask": ("ask", {"question": question}),
        "ask there": ("ask", {"question": question, **narrowed}),
        "search": ("search", {"query": question}),
        "search there": ("search", {"query": question, "mode": "bm25", **narrowed}),
        "list_sources": ("list_sources", {}),
        "get_document": ("get_document", {"document_id": ids["document_id"]}),
    }
    return {
        name: (await tools.call_tool(tool, given)).model_dump_json()
        for name, (tool, given) in calls.items()
    }


async def test_no_tool_tells_anything_of_anothers(people: TwoPeople) -> None:
    url = str(people.client.base_url).rstrip("/")
    before = people.owned()

    async with connect(url, headers=people.bob) as tools:
        of_bob = await _everything(tools, people.ids)
    async with connect(url, headers=people.ann) as tools:
        of_ann = await _everything(tools, people.ids)

    for name, told in of_bob.items():
        assert SECRET not in told, name
        assert people.ids["source_id"] not in told, name
        assert people.ids["document_id"] not in told, name
    # Else it would hold for what nobody finds.
    for name, told in of_ann.items():
        assert (SECRET if name != "list_sources" else people.ids["source_id"]) in told, name
    kept = people.owned()
    assert {name: rows for name, rows in kept.items() if name != "message"} == {
        name: rows for name, rows in before.items() if name != "message"
    }
    # Two questions of hers and their answers; Bob's are his own.
    assert len(kept["message"]) == len(before["message"]) + 4
