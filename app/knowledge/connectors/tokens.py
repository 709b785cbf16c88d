"""Which token a source may use: one that the operator has named for its very host."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from app.knowledge.connectors.config import GitConfig, GitHubConfig
from app.knowledge.exceptions import SourceUnusable
from settings import Settings

__all__ = ["token_for"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def token_for(settings: Settings, config: GitConfig | GitHubConfig) -> SecretStr | None:
    """Return the token that a source names, None if it names none.

    Raises:
        SourceUnusable: there is none of that name for this host, or it would travel in clear.
    """
    if config.token_name is None:
        return None
    url = config.url if isinstance(config, GitConfig) else settings.github_api_url
    scheme, host = _scheme_and_host(url)
    if isinstance(config, GitHubConfig):
        # The same token as for cloning from there.
        host = host.removeprefix("api.")
    if scheme == "http" and host not in LOOPBACK:
        raise SourceUnusable("A token is sent over https only.")
    # Whoever may name a source must not send a token to a host of his own.
    token = settings.source_tokens.get(f"{config.token_name}@{host}".lower())
    if token is None:
        raise SourceUnusable(
            f"There is no token {config.token_name} for {host or 'this URL'}: the setting "
            "SOURCE_TOKENS names them."
        )
    return token


def _scheme_and_host(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), (parts.hostname or "").lower()
    except ValueError:
        return "", ""
