"""What the routes for OpenAI's clients ask for."""

from typing import Annotated

from fastapi import Depends, Request

from app.compat.openai.services import OpenAIServices

__all__ = ["OpenAIServicesDep"]


async def _services(request: Request) -> OpenAIServices:
    services: OpenAIServices = request.state.resources.openai
    return services


OpenAIServicesDep = Annotated[OpenAIServices, Depends(_services)]
