"""Commands that ask the documents."""

# ruff: noqa: PLC0415 -- see the package

from typing import Annotated, Any, Literal

import typer

from app.cli.commands.shared import (
    ASKING,
    AsJson,
    Token,
    Url,
    examples,
    failures,
    group,
)
from app.cli.printing import print_json
from app.core.exceptions import InvalidRequest
from app.core.text import storable

__all__ = ["cli"]

cli = group()

Mode = Annotated[
    Literal["hybrid", "dense", "bm25"] | None,
    typer.Option(help="Find passages by meaning (dense), words (bm25) or both, as by default."),
]
PathPrefix = Annotated[
    list[str] | None,
    typer.Option(help="Only what lies below this folder; may be repeated.", metavar="FOLDER"),
]
Model = Annotated[
    str | None, typer.Option(help="One of the server's language models.", metavar="NAME")
]


@cli.command(
    rich_help_panel=ASKING,
    epilog=examples(
        'brag ask "How do I ingest a folder?"',
        'brag ask "What is new?" --path-prefix docs/releases --mode bm25',
        'brag ask "Who is on call?" --url https://brag.example.org',
        "brag ask \"What is new?\" --json | jq -r '.citations[].quote'",
    ),
)
def ask(
    question: Annotated[str, typer.Argument(help="What you want to know.", metavar="QUESTION")],
    *,
    mode: Mode = None,
    path_prefix: PathPrefix = None,
    model: Model = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Answer a question from the documents, and say where each statement stands.

    Exit codes: 0 answered, also that nothing was found; 1 failed; 2 its options
    make no sense; 130 interrupted, which stops the answer.
    """
    from app.cli.answering import print_answer, question_body
    from app.cli.session import open_session

    with failures(as_json=as_json):
        body = question_body(
            _filled(question, "question"),
            mode=mode,
            path_prefixes=path_prefix or [],
            model=model,
        )
        with open_session(url, token) as session:
            if as_json:
                print_json(session.run(session.connection.ask, "/v1/qa-create", body))
            else:
                session.run(print_answer, session.connection, "/v1/qa-stream", body)


@cli.command(
    rich_help_panel=ASKING,
    epilog=examples(
        "brag chat",
        "brag chat --continue",
        "brag chat --resume 1f0c --url https://brag.example.org",
        "printf 'What is a run?\\nHow do I cancel one?\\n' | brag chat --json",
    ),
)
def chat(
    *,
    resume: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Go on with this chat; its id's beginning is enough."),
    ] = None,
    latest: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on with the latest chat.")
    ] = False,
    mode: Mode = None,
    path_prefix: PathPrefix = None,
    model: Model = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each answer as a line of JSON, and nothing else.")
    ] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Hold a conversation: each question may refer to what was said before.

    Commands such as /new and /sources are listed by /help. Ctrl-C stops an
    answer, Ctrl-D ends. From a pipe, each line is a question.

    Exit codes: 0 done; 1 something failed, of a pipe's questions at least one;
    2 its options make no sense; 130 interrupted.
    """
    from app.cli.answering import question_body
    from app.cli.chatting import Conversation
    from app.cli.session import open_session

    if resume is not None and latest:
        raise typer.BadParameter("--resume and --continue both name a chat: leave one out.")
    with failures(as_json=as_json), open_session(url, token) as session:
        given = question_body("", mode=mode, path_prefixes=path_prefix or [], model=model)
        conversation = Conversation(session, given, as_json)
        if resume is not None or latest:
            conversation.resume(resume)
        conversation.hold()
        # Somebody at a terminal has seen what failed.
        raise typer.Exit(1 if conversation.failures and not conversation.is_terminal else 0)


@cli.command(
    rich_help_panel=ASKING,
    epilog=examples(
        'brag search "which files are skipped" -n 3',
        "brag search backup --mode bm25 --json | jq '.hits[0].text'",
    ),
)
def search(
    query: Annotated[str, typer.Argument(help="What to look for.", metavar="QUERY")],
    *,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100, help="How many at most.")
    ] = 5,
    mode: Mode = None,
    path_prefix: PathPrefix = None,
    as_json: AsJson = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Show the passages that fit a query best, without asking a language model.

    Exit codes: 0 done, also when nothing was found; 1 failed; 2 its options
    make no sense; 130 interrupted.
    """
    from app.cli.session import open_session

    with failures(as_json=as_json):
        body: dict[str, Any] = {"query": _filled(query, "query"), "top_k": limit}
        if mode:
            body["mode"] = mode
        if path_prefix:
            body["filters"] = {"path_prefixes": path_prefix}
        with open_session(url, token) as session:
            found = session.run(session.connection.post, "/v1/search", body)
        if as_json:
            print_json(found)
        else:
            _print_hits(found["hits"])


def _print_hits(hits: list[dict[str, Any]]) -> None:
    from app.cli.footnotes import place
    from app.cli.printing import printable

    for hit in hits:
        typer.echo(f"{hit['score']:.3f}  {place(hit)}")
        typer.echo("       " + printable(" ".join(hit["text"].split()))[:200])
    if not hits:
        typer.echo("Nothing found. Is anything ingested? Try: python -m app ingest PATH")


def _filled(words: str, name: str) -> str:
    try:
        return storable(words)
    except ValueError as error:
        raise InvalidRequest(f"The {name} {error}.") from None
