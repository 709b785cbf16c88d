"""A Qdrant server that speaks as much of the REST API as bRAG uses; Qdrant's local mode answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Header, HTTPException, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from qdrant_client import AsyncQdrantClient, models

__all__ = ["QdrantStub"]


class QdrantStub:
    """A server that comes and goes; its port and its data stay."""

    def __init__(self, *, api_key: str | None = None) -> None:
        self.client = AsyncQdrantClient(":memory:")
        self._api_key = api_key
        # Bound and never listening: nobody else gets the port, and connections are refused.
        self._reserved = _bind(0)
        self._port: int = self._reserved.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it answers, when it does."""
        return f"http://127.0.0.1:{self._port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer until the block ends."""
        app = FastAPI()
        app.include_router(_routes(self.client, self._api_key), prefix="/collections")
        listener = _bind(self._port)
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            yield
        finally:
            server.should_exit = True
            await task

    async def close(self) -> None:
        """Forget everything."""
        await self.client.close()
        self._reserved.close()


def _bind(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


def _answer(result: Any) -> Response:
    return JSONResponse({"time": 0.0, "status": "ok", "result": jsonable_encoder(result)})


def _routes(client: AsyncQdrantClient, api_key: str | None) -> APIRouter:  # noqa: C901 - a route each
    router = APIRouter()
    done = models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)

    async def check(given: str | None) -> None:
        if given != api_key:
            raise HTTPException(401)

    @router.get("")
    async def list_all() -> Response:
        return _answer(await client.get_collections())

    @router.get("/{name}/exists")
    async def exists(name: str, given: str | None = Header(None, alias="api-key")) -> Response:
        await check(given)
        return _answer({"exists": await client.collection_exists(name)})

    @router.get("/{name}")
    async def get(name: str) -> Response:
        return _answer(await client.get_collection(name))

    @router.put("/{name}")
    async def create(name: str, body: models.CreateCollection) -> Response:
        await client.create_collection(
            name,
            vectors_config=body.vectors,
            sparse_vectors_config=body.sparse_vectors,
            metadata=body.metadata,
        )
        return _answer(True)

    @router.patch("/{name}")
    async def update(name: str, body: models.UpdateCollection) -> Response:
        await client.update_collection(name, metadata=body.metadata)
        return _answer(True)

    @router.delete("/{name}")
    async def delete(name: str) -> Response:
        return _answer(await client.delete_collection(name))

    @router.put("/{name}/index")
    async def index() -> Response:
        return _answer(done)

    @router.put("/{name}/points")
    async def upsert(name: str, body: models.PointsList) -> Response:
        return _answer(await client.upsert(name, body.points))

    @router.post("/{name}/points/delete")
    async def delete_points(name: str, body: models.PointIdsList) -> Response:
        return _answer(await client.delete(name, body))

    @router.post("/{name}/points/count")
    async def count(name: str) -> Response:
        return _answer(await client.count(name))

    @router.post("/{name}/points/scroll")
    async def scroll(name: str, body: models.ScrollRequest) -> Response:
        points, after = await client.scroll(
            name, limit=body.limit or 10, offset=body.offset, with_payload=True
        )
        return _answer(models.ScrollResult(points=points, next_page_offset=after))

    @router.post("/{name}/points/query/batch")
    async def query(name: str, body: models.QueryRequestBatch) -> Response:
        # The local mode warns of what it has no use for.
        searches = [search.model_copy(update={"params": None}) for search in body.searches]
        return _answer(await client.query_batch_points(name, searches))

    return router
