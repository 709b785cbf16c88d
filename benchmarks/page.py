"""What the page costs a browser: bytes, frames, and what moves while an answer is written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, Response

from benchmarks.environment import Environment, answering, free_port
from benchmarks.result import Result
from benchmarks.typist import TOKENS, TOKENS_PER_SEC
from tests.web.chromium import open_browser

__all__ = ["open_docs", "page"]

IDLE_SEC = 5
# Counts frames, and adds up what moved without anybody's doing.
WATCH = """() => {
  const watch = window.watch = { frames: 0, longest: 0, shifts: 0, began: performance.now() };
  let last = watch.began;
  const count = (now) => {
    watch.frames += 1;
    watch.longest = Math.max(watch.longest, now - last);
    last = now;
    watch.lasted = now - watch.began;
    watch.next = requestAnimationFrame(count);
  };
  watch.next = requestAnimationFrame(count);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) watch.shifts += entry.value;
  }).observe({ type: "layout-shift" });
}"""
STOP = "() => { cancelAnimationFrame(window.watch.next); return window.watch; }"


@asynccontextmanager
async def open_docs(environment: Environment, **variables: str) -> AsyncIterator[str]:
    """Serve a bRAG that knows its own documents; yield its URL."""
    async with environment.process("-m", "app", "ingest", "docs") as ingesting:
        await ingesting.wait()
    async with environment.server(**variables) as url:
        yield url


async def page(environment: Environment) -> list[Result]:
    """Measure the first load, and an answer of 500 tokens at 60 tokens a second."""
    port = free_port()
    async with environment.process("-m", "benchmarks.typist", str(port)):
        await answering(f"http://127.0.0.1:{port}/")
        language_model = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
            "OPENAI_MODELS": "typist",
        }
        async with (
            open_docs(environment, **language_model) as url,
            open_browser() as browser,
        ):
            tab = await browser.new_page(viewport={"width": 1280, "height": 800})
            return [*await _first_load(tab, url), *await _answer(tab)]


async def _first_load(tab: Page, url: str) -> list[Result]:
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    tab.on("response", note)
    await tab.goto(url, wait_until="networkidle")
    tab.remove_listener("response", note)
    plain = sum([len(await answer.body()) for answer in answers])
    sent = sum([(await answer.request.sizes())["responseBodySize"] for answer in answers])
    return [
        Result("first load, requests", len(answers), at_most=8),
        Result(
            "first load, uncompressed", plain / 1000, "KB", at_most=100, parts=f"{sent} bytes sent"
        ),
    ]


async def _answer(tab: Page) -> list[Result]:
    await tab.evaluate(WATCH)
    await tab.wait_for_timeout(IDLE_SEC * 1000)
    idle = await tab.evaluate(STOP)
    await tab.evaluate(WATCH)
    await tab.get_by_label("Your question").fill("How do I ingest a folder?")
    await tab.keyboard.press("Enter")
    await tab.wait_for_selector("article.answer[aria-busy=false] .tools button", timeout=120_000)
    busy = await tab.evaluate(STOP)
    at_rest, writing = (watch["frames"] / watch["lasted"] * 1000 for watch in (idle, busy))
    return [
        Result(
            f"frames/s while {TOKENS} tokens are written / with nothing to do",
            writing / at_rest,
            at_least=0.95,
            parts=f"{writing:.1f} / {at_rest:.1f} frames/s; longest pause {busy['longest']:.0f} ms "
            f"/ {idle['longest']:.0f} ms; {TOKENS_PER_SEC} tokens/s",
        ),
        Result("layout shift meanwhile", busy["shifts"], at_most=0.02),
    ]
