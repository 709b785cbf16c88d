"""What the routes for OpenAI's clients ask for."""

from typing import Annotated

from fastapi import Depends, Request

from app.chat.dependencies import ChatServiceDep
from app.compat.openai.answering import Answering
from app.compat.openai.catalogue import Catalogue
from app.compat.openai.embedding import Embeddings
from app.compat.openai.passthrough import Passthrough
from app.core.dependencies import SettingsDep

__all__ = ["AnsweringDep", "CatalogueDep", "EmbeddingsDep", "PassthroughDep"]


async def _catalogue(settings: SettingsDep) -> Catalogue:
    return Catalogue(settings.models)


async def _answering(settings: SettingsDep, chat: ChatServiceDep) -> Answering:
    return Answering(settings, chat)


async def _passthrough(request: Request) -> Passthrough:
    passthrough: Passthrough = request.state.resources.passthrough
    return passthrough


async def _embeddings(request: Request) -> Embeddings:
    embeddings: Embeddings = request.state.resources.embeddings
    return embeddings


AnsweringDep = Annotated[Answering, Depends(_answering)]
CatalogueDep = Annotated[Catalogue, Depends(_catalogue)]
EmbeddingsDep = Annotated[Embeddings, Depends(_embeddings)]
PassthroughDep = Annotated[Passthrough, Depends(_passthrough)]
