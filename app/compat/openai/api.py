"""Routes of OpenAI's API, over the same services: any OpenAI client talks to your documents."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import PathConvertor, register_url_convertor

from app.accounts.dependencies import AskerDep, AskScopeDep, StreamDep
from app.compat.openai.catalogue import Model, ModelList
from app.compat.openai.dependencies import OpenAIServicesDep
from app.compat.openai.errors import OpenAIErrorResponse, OpenAIRoute, encode_error
from app.compat.openai.requests import ChatRequest, read_body
from app.compat.openai.schemas import (
    CHAT_REQUEST,
    CHAT_RESPONSE,
    EMBEDDING_REQUEST,
    EMBEDDING_RESPONSE,
)
from app.core.streaming import while_reader_waits

__all__ = ["router"]

Responses = dict[int | str, dict[str, Any]]

FAILURES: Final[Responses] = {
    401: {"model": OpenAIErrorResponse, "description": "There is no valid token."},
    403: {"model": OpenAIErrorResponse, "description": "The token lacks the scope `ask`."},
    429: {
        "model": OpenAIErrorResponse,
        "description": "Too many requests, tokens, or answers in the making; or the language "
        "model's server limits the rate. `Retry-After` says for how many seconds.",
    },
    503: {"model": OpenAIErrorResponse, "description": "A part is unavailable."},
}
NOT_FOUND: Final[Responses] = {
    404: {"model": OpenAIErrorResponse, "description": "There is no such model."}
}
INVALID: Final[Responses] = {
    400: {
        "model": OpenAIErrorResponse,
        "description": "The request is not valid, or asks for what can't be done here.",
    },
    413: {"model": OpenAIErrorResponse, "description": "The body is too large."},
    415: {"model": OpenAIErrorResponse, "description": "The body is not said to be JSON."},
}
UPSTREAM: Final[Responses] = {
    502: {"model": OpenAIErrorResponse, "description": "The language model failed."},
    504: {"model": OpenAIErrorResponse, "description": "The language model took too long."},
}


class _NameConvertor(PathConvertor):
    """Any text, lines too: elsewhere what has more than one is no path, and its error not ours."""

    regex = "(?s:.*)"


register_url_convertor("model_name", _NameConvertor())
router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute, responses=FAILURES)


@router.get("/models")
async def list_models(services: OpenAIServicesDep, _: AskScopeDep) -> ModelList:
    """The models that chat completions can be asked of; `brag` answers from your documents."""
    return services.catalogue.list()


@router.get(
    "/models/{model:model_name}",
    responses=NOT_FOUND,
    openapi_extra={
        "parameters": [
            {
                "name": "model",
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "example": "brag",
            }
        ]
    },
)
async def get_model(request: Request, services: OpenAIServicesDep, _: AskScopeDep) -> Model:
    """One of them."""
    return services.catalogue.find(request.path_params["model"])


@router.post(
    "/chat/completions",
    response_class=Response,
    responses=NOT_FOUND | INVALID | UPSTREAM | CHAT_RESPONSE,
    openapi_extra=CHAT_REQUEST,
)
async def create_chat_completion(
    request: Request, caller: AskerDep, services: OpenAIServicesDep, stream: StreamDep
) -> Response:
    """Answer as OpenAI does: from your documents with the model `brag`, else passed through.

    A request for another model goes to the language model as it is, tools included; nothing of it
    is stored.
    """
    asked = ChatRequest.of(await read_body(request))
    model = services.catalogue.grounded(asked.model)
    if asked.is_streamed:
        opening = (
            services.passthrough.stream(asked, caller)
            if model is None
            else services.answering.stream(asked, model, caller)
        )
        return stream(await while_reader_waits(request, opening), encode_error=encode_error)
    if model is None:
        answer = await while_reader_waits(request, services.passthrough.complete(asked, caller))
        return Response(answer, media_type="application/json")
    completing = services.answering.complete(asked, model, caller)
    return JSONResponse(await while_reader_waits(request, completing))


@router.post(
    "/embeddings",
    response_class=Response,
    responses=NOT_FOUND | INVALID | EMBEDDING_RESPONSE,
    openapi_extra=EMBEDDING_REQUEST,
)
async def create_embeddings(
    request: Request, services: OpenAIServicesDep, caller: AskScopeDep
) -> Response:
    """Embed texts with the knowledge base's own model, as its passages are embedded."""
    embedding = services.embeddings.create(await read_body(request), caller)
    return Response(await while_reader_waits(request, embedding), media_type="application/json")
