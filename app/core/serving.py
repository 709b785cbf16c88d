"""How HTTP is served, by whatever serves it: `serve`, gunicorn's workers, the tests."""

from typing import Any, Final

from app.core.guarded_protocol import GuardedProtocol
from app.core.stopping import STREAMS_SEC

__all__ = ["SERVER_OPTIONS"]

# Keyword arguments of `uvicorn.Config`.
SERVER_OPTIONS: Final[dict[str, Any]] = {
    "http": GuardedProtocol,
    # There is no WebSocket here: a request for one is a request like any other.
    "ws": "none",
    # Longer than the 60 s after which proxies give up connections that are not used: a request
    # must not meet one that is just being closed.
    "timeout_keep_alive": 65,
    # Streams that are still open so long after the server was asked to stop are cut off.
    "timeout_graceful_shutdown": STREAMS_SEC,
    # Which program answers is nobody's business.
    "server_header": False,
    # create_app configures logs, uvicorn's own included.
    "log_config": None,
}
