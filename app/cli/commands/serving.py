"""Commands that serve."""

# ruff: noqa: PLC0415 -- see the package

from typing import Annotated

import typer

from app.cli.commands.shared import (
    OPERATING,
    Token,
    Url,
    examples,
    failures,
    group,
)
from app.cli.starting import command_settings

__all__ = ["cli"]

cli = group()


@cli.command(rich_help_panel=OPERATING, epilog=examples("brag serve", "PORT=8080 brag serve"))
def serve(
    *,
    reload: Annotated[bool, typer.Option("--reload", help="Restart when code changes.")] = False,
) -> None:
    """Serve the API in one process."""
    import uvicorn

    from app.core.logs import configure_logs
    from app.core.open_files import allow_connections
    from app.core.serving import SERVER_OPTIONS
    from app.core.startup import checked_settings, require_free_port
    from settings import ROOT

    with failures():
        settings = checked_settings()
        allow_connections()
        require_free_port(settings.host, settings.port)
        configure_logs(level=settings.log_level, as_json=settings.is_production)
        uvicorn.run(
            "app.main:create_app",
            factory=True,
            host=settings.host,
            port=settings.port,
            reload=reload,
            reload_dirs=[str(ROOT / name) for name in ("app", "db", "settings")]
            if reload
            else None,
            reload_includes=["*.py", "*.html", "*.css", "*.js"] if reload else None,
            **SERVER_OPTIONS,
        )


@cli.command(rich_help_panel=OPERATING, epilog=examples("brag mcp", "brag mcp --url https://…"))
def mcp(*, url: Url = None, token: Token = None) -> None:
    """Serve the tools for agents (MCP) on standard input and output."""
    from app.mcp.stdio import serve_documents_here, serve_documents_of

    with failures():
        settings = command_settings()
        if url is None:
            serve_documents_here(settings)
        else:
            serve_documents_of(url, token)
