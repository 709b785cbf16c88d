"""Links that lead to the very lines of a file on its forge."""

import re
from typing import Final

from app.knowledge.parsing.models import Kind

__all__ = ["place_url"]

# Only of these is the stored text the file's own, line for line. All others were converted.
_OWN_LINES: Final = {Kind.MARKDOWN, Kind.TEXT}

# The part of a forge's URL that says "this file at this commit", what shows a rendered file as
# source, and how its lines are named: one, several. GitHub's pattern comes after GitLab's, as its
# part is in the other's.
_FORGES: Final = (
    ("/-/blob/", "plain=1", "L{0}", "L{0}-{1}"),  # GitLab
    ("/blob/", "plain=1", "L{0}", "L{0}-L{1}"),  # GitHub
    ("/src/commit/", "display=source", "L{0}", "L{0}-L{1}"),  # Gitea, Forgejo, Codeberg
    ("/src/", "fileviewer=file-view-default", "lines-{0}", "lines-{0}:{1}"),  # Bitbucket
)
_COMMIT: Final = "(?:[0-9a-f]{40}|[0-9a-f]{64})/[^?#]+"
_PATTERNS: Final = tuple(re.compile(rf"https?://[^?#]+{forge[0]}{_COMMIT}") for forge in _FORGES)


def place_url(url: str, media_type: str | None, *, line_start: int, line_end: int) -> str:
    """Return the link to some lines of a document, counted from 1, both included.

    It is the document's own URL where there are no such lines: of a web page, of a text that was
    converted (MDX, reStructuredText, HTML, PDF, Word), on a forge that isn't known.
    """
    if media_type not in _OWN_LINES:
        return url
    for pattern, (_, query, one, several) in zip(_PATTERNS, _FORGES, strict=True):
        if pattern.fullmatch(url):
            lines = (one if line_start == line_end else several).format(line_start, line_end)
            return f"{url}?{query}#{lines}"
    return url
