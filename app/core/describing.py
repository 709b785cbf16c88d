"""What OpenAPI says of every route alike, so that no route has to."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

from app.core.examples import EXAMPLES, FORMATS, UNKNOWN

__all__ = ["describe_alike", "operation_id"]

Schema = dict[str, Any]

ERROR: Final = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorResponse"}}}
OF_BODIES: Final = {
    "413": "The body is too large.",
    "415": "The body is of another type than those that are listed.",
    "422": "The request is not valid.",
}
CODES: Final = {
    "401": "unauthorized",
    "403": "forbidden",
    "404": "not_found",
    "409": "conflict",
    "413": "payload_too_large",
    "415": "unsupported_media_type",
    "422": "invalid_request",
    "429": "too_many_requests",
    "502": "upstream_failed",
    "503": "database_unavailable",
    "504": "upstream_timed_out",
}
OPENAI: Final = "openai"
REQUEST_ID: Final = "4f0c2b7a9d7c4d3d9e0a5a2f8b1c6e7d"
PLAIN: Final[dict[str | None, Any]] = {"number": 0.5, "boolean": True}
# How deep an example goes into shapes that contain themselves.
DEPTH: Final = 8


def operation_id(route: APIRoute) -> str:
    """Name an operation for generated clients: as its function is named."""
    return f"compat_{route.name}" if route.path.startswith("/api/v1/") else route.name


def describe_alike(api: FastAPI) -> None:
    """Add to an application's description what holds for all routes.

    What may be answered to any request with a body, in the shape that errors have; and examples,
    made of those that the fields have.
    """
    build = api.openapi

    def openapi() -> Schema:
        if api.openapi_schema is None:
            description = build()
            for operations in description["paths"].values():
                for operation in operations.values():
                    _describe(operation, description["components"]["schemas"])
            # FastAPI's own shapes for what we answer in ours.
            for unused in ("HTTPValidationError", "ValidationError"):
                description["components"]["schemas"].pop(unused, None)
        assert api.openapi_schema is not None
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]


def _describe(operation: Schema, schemas: Schema) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        responses["422"] = {"description": OF_BODIES["422"], "content": ERROR}
    if body := operation.get("requestBody"):
        # OpenAI's clients get errors of another shape, which their routes describe.
        others = OF_BODIES if OPENAI not in operation.get("tags", ()) else {}
        for status, description in others.items():
            responses.setdefault(status, {"description": description, "content": ERROR})
        body["content"] = _with_example(body["content"], schemas)
    for status, response in responses.items():
        if response.get("content") == ERROR:
            example = _example_of_error(status, response["description"])
            response["content"] = {"application/json": ERROR["application/json"] | example}
        elif "content" in response:
            response["content"] = _with_example(response["content"], schemas)


def _with_example(content: Schema, schemas: Schema) -> Schema:
    media = content.get("application/json")
    if media is None or media.keys() & {"example", "examples"}:
        return content
    return content | {"application/json": media | {"example": _example(media["schema"], schemas)}}


def _example_of_error(status: str, description: str) -> Schema:
    code = CODES.get(status, "error")
    error = {"code": code, "message": description, "details": {}, "request_id": REQUEST_ID}
    return {"example": {"detail": description, "error": error}}


def _example(schema: Schema, schemas: Schema, name: str = "", depth: int = DEPTH) -> Any:
    """Make an example of a shape from those of its parts."""
    if "$ref" in schema:
        of_field = {key: value for key, value in schema.items() if key != "$ref"}
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]] | of_field
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if variants := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return _example(variants[0], schemas, name, depth)
    return _example_of_type(schema, schemas, name, depth)


def _example_of_type(schema: Schema, schemas: Schema, name: str, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        parts = schema.get("properties", {}) if depth else {}
        return {part: _example(parts[part], schemas, part, depth - 1) for part in parts}
    if kind == "array":
        return [_example(schema["items"], schemas, name, depth - 1)] if depth else []
    if kind == "string":
        return FORMATS.get(schema.get("format", "")) or EXAMPLES.get(name, UNKNOWN)
    if kind == "integer":
        return max(1, schema.get("minimum", 0))
    return PLAIN.get(kind)
