"""What a request is called in metrics and traces: by its route's template, never by its path."""

from typing import Final

from starlette.types import Scope

__all__ = ["UNKNOWN", "method_of", "route_of"]

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
# Where no route is.
UNKNOWN: Final = "unknown"


def method_of(scope: Scope) -> str:
    """Return a request's method, if it is one."""
    method: str = scope["method"]
    return method if method in METHODS else "other"


def route_of(scope: Scope) -> str:
    """Return the template of the route that has handled a request: `/v1/chats/{chat_id}`.

    All that a mounted application serves is one: `/static/*`.
    """
    mounted = ""
    if "app_root_path" in scope:
        mounted = scope["root_path"].removeprefix(scope["app_root_path"])
    # A route of a router in a router knows its own part of the path only; FastAPI's context, all.
    context = scope.get("fastapi", {}).get("effective_route_context")
    for route in (context, scope.get("route")):
        if template := getattr(route, "path_format", None):
            return f"{mounted}{template}"
    if mounted:
        return f"{mounted}/*"
    # /docs, /openapi.json: routes that FastAPI knows nothing of tell no template.
    is_fixed = "endpoint" in scope and not scope.get("path_params")
    return str(scope["path"]) if is_fixed else UNKNOWN
