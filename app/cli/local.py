"""What a server would do, done in this process: the routes that commands need, over its parts.

Whoever runs commands here owns everything here: they act for the local account, whatever AUTH
demands of others, and nothing limits them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI

from app.chat.api import router as chat_router
from app.chat.chats.api import router as chats_router
from app.chat.chats.asking_api import router as asking_router
from app.cli.starting import command_settings
from app.core.asgi_transport import ASGIApp, Message, Receive, Send, StreamingASGITransport
from app.core.handlers import install_handlers
from app.core.links import public_url
from app.knowledge.search.api import router as search_router
from app.resources.service import Resources, open_resources
from settings import Auth

__all__ = ["open_local"]

UNLIMITED: dict[str, Any] = {
    "auth": Auth.OFF,
    "requests_per_minute": 0,
    "tokens_per_day": 0,
    "concurrent_generations": 0,
}


@asynccontextmanager
async def open_local() -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    """Open the parts, and a client of them; yield it with the URL of the page.

    Raises:
        StartupError: a part can't be opened; says what to do.
    """
    settings = command_settings().model_copy(update=UNLIMITED)
    async with open_resources(settings) as resources:
        transport = StreamingASGITransport(_with_state(_application(), resources))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, public_url(settings)


def _application() -> FastAPI:
    api = FastAPI(openapi_url=None)
    install_handlers(api)
    for router in (chat_router, chats_router, asking_router, search_router):
        api.include_router(router)
    return api


def _with_state(app: FastAPI, resources: Resources) -> ASGIApp:
    """Give every request what a server's lifespan does."""

    async def with_state(scope: Message, receive: Receive, send: Send) -> None:
        scope["state"] = {"resources": resources}
        await app(scope, receive, send)

    return with_state
