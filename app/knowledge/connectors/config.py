"""What a user says of a source: one model for each kind."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.text import storable

__all__ = [
    "DEFAULT_PATTERNS",
    "AutoConfig",
    "FolderConfig",
    "GitConfig",
    "GitHubConfig",
    "NewSourceConfig",
    "SourceConfig",
    "WebConfig",
]

DEFAULT_PATTERNS = ["**/*.md", "**/*.mdx", "**/*.txt", "**/*.rst"]

Text = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(storable)]
Texts = Annotated[list[Text], Field(max_length=100)]


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class FolderConfig(_Config):
    """A folder on the server."""

    kind: Literal["folder"]
    path: Text


class _Repository(_Config):
    branch: Text | None = Field(None, description="By default the repository's own.")
    path_prefixes: Texts = Field([], description="Only what lies below one of these.")
    patterns: Texts = Field(DEFAULT_PATTERNS, description="Only files that match one of these.")
    token_name: Text | None = Field(
        None, description="For a private repository: a name of the setting SOURCE_TOKENS."
    )


class GitConfig(_Repository):
    """A repository that git can clone: https, ssh, file, or a bundle."""

    kind: Literal["git"]
    url: Text


class GitHubConfig(_Repository):
    """A repository that is read through GitHub's REST API."""

    kind: Literal["github"]
    repository: Annotated[str, Field(pattern=r"^[\w.-]{1,100}/[\w.-]{1,100}$")] = Field(
        description="owner/name"
    )


class WebConfig(_Config):
    """The pages of a site: those of a sitemap, or those that links lead to."""

    kind: Literal["web"]
    url: Text = Field(description="A sitemap (.xml, .xml.gz) or the page to start from.")
    path_prefixes: Texts = Field([], description="Only pages whose path begins with one of these.")
    max_depth: int = Field(3, ge=0, le=20, description="Links to follow from the start page.")
    max_pages: int = Field(500, ge=1, le=20_000)


class AutoConfig(_Config):
    """A folder, a repository or a site, whichever its location looks like."""

    kind: Literal["auto"]
    location: Text = Field(
        description="A URL, or the path of a folder on the server.",
        examples=["https://github.com/fastapi/fastapi"],
    )
    branch: Text | None = Field(None, description="Of a repository.")
    path_prefixes: Texts = Field([], description="Of a repository or a site.")


SourceConfig = Annotated[
    FolderConfig | GitConfig | GitHubConfig | WebConfig, Field(discriminator="kind")
]
NewSourceConfig = Annotated[
    FolderConfig | GitConfig | GitHubConfig | WebConfig | AutoConfig, Field(discriminator="kind")
]
