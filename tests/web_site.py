"""A web site on loopback that answers what a test tells it, and a source that reads it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.knowledge.connectors.config import WebConfig
from app.knowledge.connectors.models import Entry, Fetched, Gone, Listing, NotModified
from app.knowledge.connectors.web import WebConnector

__all__ = ["Site", "Source", "links", "paths"]

Answer = Callable[[Request], Response]


@dataclass
class Site:
    """A site's pages by path and query; everything else is 404."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def put(
        self,
        target: str,
        body: str | bytes = "",
        status: int = 200,
        *,
        kind: str = "text/html",
        **headers: str,
    ) -> None:
        """Answer a path with this, from now on; `_` in a header's name stands for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[target] = lambda _: Response(
            body, status, headers={"content-type": kind, **named}
        )

    def sitemap(self, target: str, *locations: str, root: str = "urlset") -> None:
        """Answer with a sitemap; paths become addresses of this site."""
        item = "url" if root == "urlset" else "sitemap"
        addresses = (self.url + text if text.startswith("/") else text for text in locations)
        items = "".join(f"<{item}><loc>{address}</loc></{item}>" for address in addresses)
        namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
        self.put(
            target,
            f'<?xml version="1.0"?><{root} xmlns="{namespace}">{items}</{root}>',
            kind="application/xml",
        )

    def asked(self) -> list[str]:
        """Return what was asked for but robots.txt, in order."""
        targets = map(_target, self.requests)
        return [target for target in targets if target != "/robots.txt"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            return
        request = Request(scope, receive)
        self.requests.append(request)
        answer = self.answers.get(_target(request))
        response = answer(request) if answer else Response("not here", 404)
        await response(scope, receive, send)


class Source:
    """A source of a site; each method stands for a job, with a connector of its own."""

    def __init__(self, site: Site, target: str = "/", **config: Any) -> None:
        self.config = WebConfig(kind="web", url=site.url + target, **config)
        self.options: dict[str, Any] = {"allow_private": True, "max_bytes": 1_000_000}

    async def start(self) -> Listing:
        """List the site."""
        return await anyio.to_thread.run_sync(self._start)

    async def fetch(
        self, path: str, state: dict[str, Any] | None = None, *, depth: int = 1
    ) -> Fetched | NotModified | Gone:
        """Fetch a page."""
        return await anyio.to_thread.run_sync(self._fetch, path, state or {}, depth)

    async def fetched(self, path: str, *, depth: int = 1) -> Fetched:
        """Fetch a page that is there."""
        result = await self.fetch(path, depth=depth)
        assert isinstance(result, Fetched), result
        return result

    async def gone(self, path: str, *, depth: int = 1) -> str:
        """Fetch a page that is not to be taken in; return why."""
        result = await self.fetch(path, depth=depth)
        assert isinstance(result, Gone), result
        return result.reason

    async def crawl(self) -> dict[str, Fetched | NotModified | Gone]:
        """Fetch everything as the worker does, with the limit of pages; breadth first."""
        listing = await self.start()
        depths = {entry.path: 0 for entry in listing.entries}
        results: dict[str, Fetched | NotModified | Gone] = {}
        while waiting := [path for path in depths if path not in results]:
            path = waiting[0]
            results[path] = await self.fetch(path, depth=depths[path])
            for link in links(results[path]):
                if len(depths) < self.config.max_pages:
                    depths.setdefault(link, depths[path] + 1)
        return results

    def _start(self) -> Listing:
        with WebConnector(self.config, **self.options) as connector:
            return connector.start({})

    def _fetch(self, path: str, state: dict[str, Any], depth: int) -> Fetched | NotModified | Gone:
        with WebConnector(self.config, **self.options) as connector:
            return connector.fetch(Entry(path), state, depth=depth)


def links(result: Fetched | NotModified | Gone) -> list[str]:
    """Return the names of the pages that a page leads to."""
    return [entry.path for entry in getattr(result, "links", [])]


def paths(listing: Listing) -> list[str]:
    """Return the names of what is listed."""
    return [entry.path for entry in listing.entries]


def _target(request: Request) -> str:
    target: str = request.scope["raw_path"].decode()
    query: bytes = request.scope["query_string"]
    return f"{target}?{query.decode()}" if query else target
