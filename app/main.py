"""The application: `uvicorn --factory app.main:create_app`."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

from anyio import to_thread
from fastapi import FastAPI

import app
from app.accounts.api import router as accounts_router
from app.accounts.login_api import router as login_router
from app.accounts.responses import NEEDS_SCOPE, NEEDS_TOKEN
from app.chat.api import router as chat_router
from app.chat.chats.api import router as chats_router
from app.chat.chats.asking_api import router as asking_router
from app.chat.usage_api import router as usage_router
from app.compat.api import router as compat_router
from app.compat.openai.api import router as openai_router
from app.core.api import router as core_router
from app.core.cors import allow_origins
from app.core.describing import describe_alike, operation_id
from app.core.foreign_pages import RefuseForeignPages
from app.core.handlers import install_handlers
from app.core.logs import configure_logs
from app.core.metrics import measure_stages
from app.core.middleware import BodyLimit, PlainStartupErrors, RequestContext
from app.core.reference import router as reference_router
from app.core.reporting import report_errors
from app.core.sampling import sampled
from app.core.security_headers import secure_responses
from app.core.startup import checked_settings
from app.core.tracing import configure_tracing, shut_down_tracing
from app.knowledge.documents.api import router as documents_router
from app.knowledge.ingestions.api import router as ingestions_router
from app.knowledge.search.api import router as search_router
from app.knowledge.sources.api import router as sources_router
from app.mcp.api import router as mcp_router
from app.mcp.service import McpService
from app.resources.service import Resources, open_resources
from app.web.api import page_router
from app.worker.embedded import embedded_worker
from settings import Settings

__all__ = ["create_app"]

DESCRIPTION = """
Answers questions from your own documents.

Errors of every route are `{"detail": message, "error": {code, message, details, request_id}}`.
"""


class State(TypedDict):
    """What the lifespan hands to every request, as `request.state`."""

    resources: Resources
    mcp: McpService


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application; its parts are opened when it starts serving."""
    settings = settings or checked_settings()
    configure_logs(level=settings.log_level, as_json=settings.is_production)
    report_errors(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            configure_tracing()
            # After all else: what is closed below still has spans.
            stack.push_async_callback(to_thread.run_sync, shut_down_tracing)
            measure_stages()
            resources = await stack.enter_async_context(open_resources(settings))
            await stack.enter_async_context(sampled(resources.database, resources.check_index))
            if resources.is_embedded:
                await stack.enter_async_context(embedded_worker(settings, resources.database))
            mcp = McpService(resources)
            stack.push_async_callback(mcp.aclose)
            # What is loaded by now stays. Looking through it for garbage, again and again, would
            # stop every stream for a tenth of a second.
            gc.collect()
            gc.freeze()
            yield {"resources": resources, "mcp": mcp}

    api = FastAPI(
        title=settings.app_name,
        version=app.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=operation_id,
        # FastAPI's own spans have paths and queries in them.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # Ours has everything from here.
        docs_url=None,
        redoc_url=None,
    )
    # The last one added is the outermost.
    api.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        exceptions={"/v1/documents": settings.max_upload_bytes},
    )
    api.add_middleware(RefuseForeignPages, settings=settings)
    api.add_middleware(RequestContext)
    api.add_middleware(PlainStartupErrors)
    install_handlers(api)
    allow_origins(api, settings.cors_origins)
    secure_responses(api, settings.public_url)
    api.include_router(core_router)
    api.include_router(reference_router)
    api.include_router(login_router)
    api.include_router(accounts_router, responses=NEEDS_TOKEN)
    api.include_router(chat_router, responses=NEEDS_SCOPE)
    # The nearer to the top, the sooner found: for what is passed through, it matters.
    api.include_router(openai_router)
    api.include_router(chats_router, responses=NEEDS_SCOPE)
    api.include_router(asking_router, responses=NEEDS_SCOPE)
    api.include_router(usage_router, responses=NEEDS_SCOPE)
    api.include_router(sources_router, responses=NEEDS_SCOPE)
    api.include_router(documents_router, responses=NEEDS_SCOPE)
    api.include_router(ingestions_router, responses=NEEDS_SCOPE)
    api.include_router(search_router, responses=NEEDS_SCOPE)
    api.include_router(compat_router)
    api.include_router(page_router(settings))
    api.include_router(mcp_router)
    describe_alike(api)
    return api
