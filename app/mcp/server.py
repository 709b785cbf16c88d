"""The tools as the MCP SDK serves them, over whatever transport."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as ListedTool
from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

import app
from app.accounts.exceptions import Forbidden
from app.accounts.models import Caller
from app.core.exceptions import AppError
from app.core.handlers import error_response, invalid_request
from app.mcp.tools import INSTRUCTIONS, TOOLS, Result, Tool
from app.resources.service import Resources
from settings import Settings

__all__ = ["create_server"]

logger = logging.getLogger("app.mcp")

Context = ServerRequestContext[Any, Any]
CallerOf = Callable[[Context], Caller]

# Clients give up on tools that say nothing, often after a minute.
PROGRESS_SEC: Final = 5


def create_server(resources: Resources, caller_of: CallerOf) -> Server[Any]:
    """Return the server of the tools; `caller_of` tells whose a request is."""
    listed = {name: _listed(tool, resources.settings) for name, tool in TOOLS.items()}

    async def list_tools(context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        scopes = caller_of(context).scopes
        return ListToolsResult(
            tools=[listed[name] for name, tool in TOOLS.items() if tool.scope in scopes]
        )

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"There is no such tool. There are {', '.join(TOOLS)}.")
        return await _call(resources, caller_of(context), tool, params.arguments or {}, context)

    return Server(
        "brag",
        version=app.__version__,
        title=resources.settings.app_name,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=lambda name: listed[name].input_schema if name in listed else None,
    )


async def _call(
    resources: Resources, caller: Caller, tool: Tool, given: dict[str, Any], context: Context
) -> CallToolResult:
    """Call a tool; whatever goes wrong is a result that a model can read."""
    started = time.perf_counter()
    code = None
    try:
        async with _progress(context, tool):
            result = await _run(resources, caller, tool, given)
        return _succeeded(result)
    except AppError as error:
        code = error.code
        return _failed(error)
    except Exception:
        code = AppError.code
        logger.exception("the tool %s failed", tool.name)
        return _failed(AppError("Something went wrong on our side."))
    finally:
        elapsed = round((time.perf_counter() - started) * 1000, 1)
        logger.info("tool %s", tool.name, extra={"error": code, "ms": elapsed})


async def _run(resources: Resources, caller: Caller, tool: Tool, given: dict[str, Any]) -> Result:
    if tool.scope not in caller.scopes:
        raise Forbidden(f"This token lacks the scope {tool.scope}.")
    try:
        arguments = tool.arguments.model_validate(given)
    except ValidationError as error:
        raise invalid_request(error.errors()) from None
    return await tool.run(resources, caller, arguments)


@asynccontextmanager
async def _progress(context: Context, tool: Tool) -> AsyncGenerator[None]:
    """Say every few seconds that a tool is still at work, if the client wants to know."""
    telling = asyncio.create_task(_tell(context, tool))
    try:
        yield
    finally:
        telling.cancel()
        # A client that is gone is told nothing, and no error of ours.
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(context: Context, tool: Tool) -> None:
    seconds = 0
    while True:
        await asyncio.sleep(PROGRESS_SEC)
        seconds += PROGRESS_SEC
        await context.session.report_progress(seconds, message=f"{tool.title}: {seconds} s so far.")


def _succeeded(result: Result) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=result.to_text())],
        structured_content=result.model_dump(mode="json"),
    )


def _failed(error: AppError) -> CallToolResult:
    """Return an error as a tool's result: its sentence to read, its code and id for programs."""
    told = error_response(error).error.model_dump(mode="json")
    return CallToolResult(
        content=[TextContent(type="text", text=error.message)],
        is_error=True,
        _meta={"error": told},
    )


def _listed(tool: Tool, settings: Settings) -> ListedTool:
    """Return what clients are told of a tool."""
    schema = _schema(tool.arguments, "validation")
    for name in tool.lengths:
        schema["properties"][name]["maxLength"] = settings.max_message_characters
    return ListedTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=schema,
        output_schema=_schema(tool.result, "serialization"),
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.is_read_only,
            destructive_hint=False,
            idempotent_hint=tool.is_read_only,
            open_world_hint=False,
        ),
    )


class _Untitled(GenerateJsonSchema):
    """Leaves out titles that only repeat names: every client sends all of this to its model."""

    def field_title_should_be_set(self, _: Any) -> bool:
        return False


def _schema(model: type[BaseModel], mode: Any) -> dict[str, Any]:
    schema = model.model_json_schema(mode=mode, schema_generator=_Untitled)
    return {key: value for key, value in schema.items() if key not in ("title", "description")}
