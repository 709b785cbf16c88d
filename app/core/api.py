"""Routes about the service itself."""

from anyio import to_thread
from fastapi import APIRouter, Request, Response

import app
from app.core.exposition import CONTENT_TYPE, render
from app.core.models import Health, PartStatus, Readiness, Version
from app.core.sampling import show_index, show_pool

router = APIRouter(tags=["service"])


@router.get("/healthcheck")
async def healthcheck() -> Version:
    """Tell the running version; it asks no other part."""
    return Version(version=app.__version__)


@router.get("/health")
async def health() -> Health:
    """Tell that the process answers; it asks no other part."""
    return Health(status="healthy")


@router.get("/readiness", responses={503: {"model": Readiness}})
async def readiness(request: Request, response: Response) -> Readiness:
    """Tell, part by part, whether questions can be answered now; 503 when a part is down."""
    parts: dict[str, PartStatus] = await request.state.resources.check()
    ready = all(part.status != "down" for part in parts.values())
    response.status_code = 200 if ready else 503
    return Readiness(status="ready" if ready else "unavailable", parts=parts)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {CONTENT_TYPE: {"example": "brag_workers 3.0\n"}}}},
)
async def metrics(request: Request) -> Response:
    """Tell a monitoring system about requests, answers, parts and queues, in Prometheus' format."""
    resources = request.state.resources
    parts: dict[str, PartStatus] = await resources.check()
    show_index(parts["index"])
    show_pool(resources.database)
    # Of several processes it reads a file each.
    body = await to_thread.run_sync(render, parts, await resources.queue())
    return Response(body, media_type=CONTENT_TYPE)
