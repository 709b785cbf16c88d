"""What the page is served with."""

from pathlib import Path
from typing import Final

__all__ = ["CONTENT_SECURITY_POLICY", "STATIC_DIR"]

STATIC_DIR: Final = Path(__file__).parent / "static"

# Nothing inline, nothing from elsewhere: what a document brings along can neither run nor load.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
