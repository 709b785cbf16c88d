"""examples/ask.mjs, in a page's script."""

from playwright.async_api import Route

from settings import ROOT, Settings
from tests.conftest import Ingest
from tests.web.conftest import OpenSite

READ = """
async (url) => {
  const { ask } = await import("/ask.mjs");
  const events = [];
  for await (const event of ask("When does the ferry leave?", { url })) events.push(event);
  const refused = await ask("", { url }).next().catch((error) => error.message);
  return { events, refused };
}
"""


async def test_a_script_reads_an_answer_as_it_comes(
    settings: Settings, ingest: Ingest, open_site: OpenSite
) -> None:
    await ingest({"ferry.md": "# Ferry\n\nThe ferry leaves at seven in the morning.\n"})
    site = await open_site(settings)
    site.allow("422")

    async def example(route: Route) -> None:
        await route.fulfill(path=ROOT / "examples" / "ask.mjs", content_type="text/javascript")

    await site.page.route("**/ask.mjs", example)
    await site.open()
    read = await site.page.evaluate(READ, site.url)

    names = [event["name"] for event in read["events"]]
    assert (names[0], names[-2:]) == ("sources", ["citations", "done"])
    text = "".join(one["data"]["content"] for one in read["events"] if one["name"] == "message")
    assert text == "The ferry leaves at seven in the morning. [1]"
    assert read["refused"] == "message: must not be empty"
