"""Logs: lines for a person at a desk, one JSON object a line in production.

Texts of users, prompts, answers and keys are never logged at INFO or above.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

__all__ = ["configure_logs", "log_fields", "request_id"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
# What each JSON line says besides: the trace, the run that a job is of.
log_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default={})  # noqa: B039 -- never changed

STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Their INFO lines are about themselves, and the DEBUG lines of some hold whole requests or answers.
QUIET = {
    "httpx": "WARNING",
    "httpx2": "WARNING",
    "openai": "INFO",
    "fastembed": "WARNING",
    "mcp": "WARNING",
    "sse_starlette": "INFO",
}

# Sessions' and programs' tokens, which somebody may have put into a path.
OWN_TOKENS = re.compile(r"\b(brags?_)[\w-]{30,}", re.ASCII)


def configure_logs(*, level: str, as_json: bool) -> None:
    """Send every log of the process to standard error in one format."""
    handler = logging.StreamHandler(sys.stderr)
    # The loggers in QUIET have levels of their own, which alone would let more through.
    handler.setLevel(level)
    handler.setFormatter(JSONFormatter() if as_json else TerminalFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # The servers bring handlers of their own; one format is enough.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Our own middleware logs requests, with their id and duration.
    logging.getLogger("uvicorn.access").disabled = True
    for name, quiet_level in QUIET.items():
        logging.getLogger(name).setLevel(quiet_level)


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, request id and extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        entry: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            entry["request_id"] = current
        entry |= {**log_fields.get(), **_extra(record)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        # ASCII, whatever the encoding of standard error and what readers take for a line's end.
        return _masked(json.dumps(entry, default=str))


class TerminalFormatter(logging.Formatter):
    """A short line: time, level, message and extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = f"{clock} {record.levelname.lower():<8}{record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return _masked(line)


def _masked(line: str) -> str:
    return OWN_TOKENS.sub(r"\1...", line) if "brag" in line else line


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {
        key: value
        for key, value in vars(record).items()
        if key not in STANDARD_FIELDS and key != "color_message" and value is not None
    }


def _utc(seconds: float) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{stamp}.{int(seconds % 1 * 1000):03d}Z"
