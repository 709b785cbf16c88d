"""The request that something begins with which goes on without it."""

import json

from app.core.logs import request_id
from app.core.tracing import current_traceparent

__all__ = ["origin"]


def origin() -> str:
    """Return the current request's id and trace, as far as there are, as JSON."""
    known = {"request_id": request_id.get(), "traceparent": current_traceparent()}
    return json.dumps({name: value for name, value in known.items() if value is not None})
