"""A conversation on the terminal, or from a pipe: a line is a question."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import TextIOWrapper
from typing import Any, Final

import typer
from rich.console import Console
from rich.text import Text

from app.cli.answering import Answered, print_answer
from app.cli.errors import RequestFailed, described
from app.cli.footnotes import print_sources
from app.cli.printing import printable, printable_lines
from app.cli.session import Session
from app.core.text import storable

__all__ = ["Conversation"]

HELP: Final = """\
/new          begin another chat
/chats        your latest chats
/resume ID    go on with one of them; the first characters of its id are enough
/sources      the passages that the last answer was made from
/help         this list
/quit         the end, and so is Ctrl-D

Ctrl-C stops an answer; what there is of it is kept."""
LISTED_CHATS: Final = 10
SHOWN_MESSAGES: Final = 4
ID_CHARACTERS: Final = 8
WHOLE_ID_CHARACTERS: Final = 36
ID_ALPHABET: Final = frozenset("0123456789abcdef-")


@dataclass(slots=True)
class Conversation:
    """Questions and answers in one chat after the other."""

    session: Session
    # What every question is asked with: mode, filters, model.
    given: dict[str, Any]
    as_json: bool = False
    chat_id: str | None = None
    answered: Answered = field(default_factory=Answered)
    failures: int = 0
    is_terminal: bool = field(init=False)
    _console: Console = field(init=False)

    def __post_init__(self) -> None:
        """Look whether somebody is there."""
        self.is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not self.as_json
        self._console = Console(highlight=False)
        if isinstance(sys.stdin, TextIOWrapper):
            # What can't be decoded is one line's fault.
            sys.stdin.reconfigure(errors="surrogateescape")

    def hold(self) -> None:
        """Answer lines until there is none any more."""
        if self.is_terminal:
            # Lines can be edited and called up again, where Python has that.
            import readline  # noqa: F401, PLC0415

            self._say("Ask, or /help. Ctrl-D ends.")
        while (line := self._read()) is not None and line != "/quit":
            try:
                self._do(line)
            except KeyboardInterrupt:
                self._settle()
                if not self.is_terminal:
                    raise
                self._say("Stopped.")
            except RequestFailed as error:
                self.failures += 1
                if self.as_json:
                    self._print_json({"error": described(error)})
                typer.echo(error, err=True)

    def resume(self, prefix: str | None) -> None:
        """Go on with a chat: the one whose id begins so, or the latest.

        Raises:
            RequestFailed: there is none, or there are several.
        """
        found = self._chats(prefix)
        if not found or (prefix and len(found) > 1):
            many = "several chats" if found else "no chat"
            which = f"whose id begins with {printable(prefix)}" if prefix else "yet"
            raise RequestFailed("chat_not_found", f"There is {many} {which}.")
        self.chat_id = found[0]["id"]
        self.answered = Answered()
        if not self.as_json:
            self._say(f"Chat {self.chat_id}: {printable(found[0]['title'])}")
            self._show_latest()

    def _chats(self, prefix: str | None) -> list[Any]:
        """Return the chats whose id begins so; without anything, the latest."""
        if prefix is None:
            return list(self._get("/v1/chats", limit=1))
        if len(prefix) == WHOLE_ID_CHARACTERS and set(prefix) <= ID_ALPHABET:
            return [self._get(f"/v1/chats/{prefix}")]
        chats = self.session.run(partial(self.session.connection.pages, limit=200), "/v1/chats")
        return [one for one in chats if one["id"].startswith(prefix)]

    def _read(self) -> str | None:
        """Return the next line that holds something; None at the end."""
        while True:
            try:
                line = input("> ") if self.is_terminal else sys.stdin.readline()
            except KeyboardInterrupt:
                if not self.is_terminal:
                    raise
                # What was typed is thrown away.
                typer.echo()
                continue
            except EOFError:
                typer.echo()
                return None
            if not self.is_terminal and not line:
                return None
            if line.strip():
                return line.strip()

    def _do(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        commands: dict[str, Callable[[], None]] = {
            "/new": self._begin,
            "/chats": self._list,
            "/resume": lambda: self.resume(argument.strip() or None),
            "/sources": lambda: print_sources(self._console, self.answered.sources),
            "/help": lambda: self._say(HELP),
        }
        if name in commands:
            commands[name]()
        elif name.startswith("/") and "/" not in name[1:]:
            raise RequestFailed("no_such_command", f"There is no {printable(name)}; see /help.")
        else:
            self._ask(line)

    def _ask(self, question: str) -> None:
        try:
            storable(question)
        except ValueError as error:
            # Bytes that are no UTF-8, as a rule.
            raise RequestFailed("invalid_request", f"The question {error}.") from None
        if self.chat_id is None:
            self.chat_id = self.session.run(self.session.connection.post, "/v1/chats")["id"]
        connection, path = self.session.connection, f"/v1/chats/{self.chat_id}/messages"
        body = {**self.given, "message": question}
        if self.as_json:
            self._print_json(self.session.run(connection.post, path, body))
        else:
            self.answered = self.session.run(
                print_answer, connection, path, {**body, "stream": True}
            )
            typer.echo()

    def _begin(self) -> None:
        # It is made with its first question, so that none stays empty.
        self.chat_id, self.answered = None, Answered()
        self._say("A new chat.")

    def _list(self) -> None:
        for chat in self._get("/v1/chats", limit=LISTED_CHATS):
            typer.echo(
                f"{chat['id'][:ID_CHARACTERS]}  {chat['updated_at'][:10]}  "
                f"{printable(chat['title'])}"
            )

    def _show_latest(self) -> None:
        messages = self._get(f"/v1/chats/{self.chat_id}/messages", limit=SHOWN_MESSAGES)
        for message in reversed(messages):
            mark = "> " if message["role"] == "user" else ""
            self._console.print(
                Text(mark + printable_lines(message["message"]), "dim"), soft_wrap=True
            )

    def _settle(self) -> None:
        """Stop an answer that goes on although nobody reads it: the next question waits for it."""
        if self.chat_id is None:
            return
        try:
            if answer_id := self._get(f"/v1/chats/{self.chat_id}")["generating"]:
                self.session.run(self.session.connection.post, f"/v1/messages/{answer_id}/cancel")
        except RequestFailed:
            # The next question says so.
            return

    def _get(self, path: str, **params: Any) -> Any:
        async def get() -> Any:
            return await self.session.connection.get(path, **params)

        return self.session.run(get)

    def _say(self, words: str) -> None:
        if self.is_terminal:
            self._console.print(Text(words, "dim"), soft_wrap=True)

    def _print_json(self, value: object) -> None:
        typer.echo(json.dumps(value, ensure_ascii=False))
