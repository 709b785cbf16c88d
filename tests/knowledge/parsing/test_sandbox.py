"""Hostile documents die in a process of their own, and that process dies with its parent."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.knowledge.exceptions import SourceUnavailable, SourceUnusable
from app.knowledge.parsing import sandbox
from app.knowledge.parsing.sandbox import Parser
from settings import ROOT
from tests.knowledge.parsing.documents import docx, endless_pdf, paragraph, pdf

PAGE = b"<html><p>Words.</p>"


def child_of(parser: Parser) -> "subprocess.Popen[bytes]":
    assert parser._child is not None
    return parser._child._process


def test_texts_need_no_process() -> None:
    with Parser() as parser:
        assert parser.parse(b"# Title", "a.md", None).text == "# Title"
        assert parser._child is None


@pytest.mark.parametrize(
    ("path", "data", "text", "markdown"),
    [
        ("a.md", b"<b>Words.</b>", "<b>Words.</b>", True),
        ("a.mdx", b"<b>Words.</b>", "Words.", True),
        ("a.rst", b"Title\n*****\n", "# Title\n\n", True),
        ("a.txt", b"Title\n*****\n", "Title\n*****\n", False),
        ("a.txt", "Größe".encode("utf-16"), "Größe", False),
    ],
)
def test_texts_are_read_by_their_kind(path: str, data: bytes, text: str, markdown: bool) -> None:
    with Parser() as parser:
        parsed = parser.parse(data, path, None)

    assert (parsed.text, parsed.markdown) == (text, markdown)


@pytest.mark.parametrize("data", [b"", b" \n\t\n", b"\xef\xbb\xbf"])
def test_a_text_without_words_is_empty(data: bytes) -> None:
    with Parser() as parser, pytest.raises(SourceUnusable, match=r"^is empty$"):
        parser.parse(data, "a.md", None)


def test_a_guessed_encoding_is_noted() -> None:
    with Parser() as parser:
        parsed = parser.parse("Größe".encode("cp1252"), "a.md", None)

    assert parsed.note == "not UTF-8; read as Windows-1252"


def test_one_process_parses_one_document_after_the_other() -> None:
    with Parser() as parser:
        parser.parse(PAGE, "a.html", None)
        first = child_of(parser)
        parser.parse(docx(paragraph("Words.")), "a.docx", None)

        assert child_of(parser) is first
    assert first.returncode is not None


def test_a_document_that_takes_too_long_fails_alone() -> None:
    with Parser(timeout_sec=1) as parser:
        with pytest.raises(SourceUnusable, match="takes longer than 1 s to read"):
            parser.parse(endless_pdf(), "a.pdf", None)

        assert parser.parse(pdf("Words."), "b.pdf", None).text == "Words."


def test_a_document_that_takes_too_much_memory_fails_alone() -> None:
    with Parser(memory_bytes=100_000_000) as parser:
        parser.parse(PAGE, "a.html", None)
        with pytest.raises(SourceUnusable, match=r"needs more than 0\.1 GB of memory"):
            parser.parse(docx("<w:p/>" * 300_000), "a.docx", None)

        assert parser.parse(PAGE, "b.html", None).text == "Words."


def test_a_process_that_has_grown_is_replaced_before_it_fails_the_next_document() -> None:
    with Parser(memory_bytes=450_000_000) as parser:
        parser.parse(b"<html>" + b"<p>Words.</p>" * 100_000, "a.html", None)
        first = child_of(parser)
        assert first.wait(timeout=10) == 0

        assert parser.parse(PAGE, "b.html", None).text == "Words."
        assert child_of(parser) is not first


def test_a_process_that_dies_between_two_documents_is_replaced() -> None:
    with Parser() as parser:
        parser.parse(PAGE, "a.html", None)
        child_of(parser).kill()

        assert parser.parse(PAGE, "b.html", None).text == "Words."


@pytest.mark.parametrize(
    ("by_signal", "error", "message"),
    [
        (signal.SIGKILL, SourceUnavailable, "its parser was killed"),
        (signal.SIGSEGV, SourceUnusable, "its parser crashed"),
    ],
)
def test_a_crash_is_the_documents_fault_and_a_kill_is_not(
    monkeypatch: pytest.MonkeyPatch, by_signal: int, error: type[Exception], message: str
) -> None:
    monkeypatch.setattr(sandbox, "_CHILD_MODULE", "tests.knowledge.parsing.dying_child")
    # Its second argument is the signal here.
    with Parser(memory_bytes=by_signal) as parser, pytest.raises(error, match=message):
        parser.parse(PAGE, "a.html", None)


def test_a_parser_that_does_not_start_is_no_fault_of_the_document(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox, "_CHILD_MODULE", "no.such.module")
    with Parser() as parser, pytest.raises(SourceUnavailable, match="does not start"):
        parser.parse(PAGE, "a.html", None)

    assert "no.such" in capfd.readouterr().err


PARENT = """
import sys
from app.knowledge.parsing.sandbox import Parser

parser = Parser(timeout_sec=600)
parser.parse(b"<html><p>Words.</p>", "a.html", None)
print(parser._child._process.pid, flush=True)
data = sys.stdin.buffer.read()
if data:
    parser.parse(data, "a.pdf", None)
sys.stdin.buffer.raw.readall()
"""


@contextlib.contextmanager
def parent() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A process with a parser, and the id of that one's child."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        yield process, int(process.stdout.readline())
        process.kill()


def assert_both_end(process: "subprocess.Popen[bytes]", child: int) -> None:
    # Standard error is open as long as one of them lives.
    assert process.stderr
    ended, _, _ = select.select([process.stderr], [], [], 30)
    if not ended:
        os.kill(child, signal.SIGKILL)
    assert ended
    assert process.stderr.read() == b""


def test_an_idle_process_ends_with_its_killed_parent() -> None:
    with parent() as (process, child):
        process.kill()

        assert_both_end(process, child)


def test_a_busy_process_ends_with_its_killed_parent() -> None:
    with parent() as (process, child):
        before = seconds_of_cpu(child)
        assert process.stdin
        process.stdin.write(endless_pdf())
        process.stdin.close()
        while seconds_of_cpu(child) < before + 0.2:
            time.sleep(0.01)
        process.kill()

        assert_both_end(process, child)


def seconds_of_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
