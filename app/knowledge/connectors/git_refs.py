"""Which commit a repository's branch is at."""

import re
from dataclasses import dataclass
from typing import Final

from app.knowledge.connectors.git_process import Git
from app.knowledge.exceptions import SourceUnusable

__all__ = ["Tip", "check_branch", "find_tip"]

_TIMEOUT_SEC: Final = 30.0
# What git refuses in a name. Its patterns are among it, and so is what would be an option.
_NO_NAME: Final = re.compile(r"[ ~^:?*\[\\]|\.\.|@\{|//|^[/-]|[/.]$|(^|/)\.|\.lock(/|$)|^@$")


@dataclass(frozen=True, slots=True)
class Tip:
    """A ref of a remote repository, and the commit that it is at."""

    ref: str
    commit: str


def check_branch(branch: str | None) -> None:
    """Check the name of a branch or a tag.

    Raises:
        SourceUnusable: nothing can be called so.
    """
    if branch is not None and (_NO_NAME.search(branch) or not branch.isprintable()):
        raise SourceUnusable("No branch can have such a name.")


def find_tip(git: Git, branch: str | None) -> Tip:
    """Ask the remote for a branch, or else a tag, of this name; by default for its own branch.

    Raises:
        GitFailed: it does not answer.
        SourceUnusable: there is none.
    """
    tag = f"refs/tags/{branch}"
    # An annotated tag has an id of its own; `^{}` is its commit.
    peeled = f"{tag}^{{}}"
    wanted = ["HEAD"] if branch is None else [f"refs/heads/{branch}", peeled, tag]
    commits: dict[str, str] = {}
    with git.network("ls-remote", "--", "origin", *wanted, timeout_sec=_TIMEOUT_SEC) as output:
        for line in output:
            # Of other refs too, whose names end with the same.
            commit, _, ref = line.decode(errors="replace").rstrip("\n").partition("\t")
            commits[ref] = commit
    for ref in wanted:
        if ref in commits:
            return Tip(ref.removesuffix("^{}"), commits[ref])
    if branch is None:
        raise SourceUnusable("The repository has no commit on its own branch: name another one.")
    raise SourceUnusable(f"The repository has neither a branch nor a tag {branch}.")
