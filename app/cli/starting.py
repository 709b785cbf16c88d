"""What commands of this folder's own knowledge base begin with."""

# ruff: noqa: PLC0415 -- as in the commands, which start fast

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings

__all__ = ["command_settings"]


def command_settings() -> "Settings":
    """Load the settings; of logs, only what is wrong goes to standard error."""
    from app.core.logs import configure_logs
    from app.core.startup import checked_settings

    settings = checked_settings()
    configure_logs(level="WARNING", as_json=settings.is_production)
    return settings
