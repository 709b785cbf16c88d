"""Quotations as Markdown: sentences of passages in their order, the passage's `[n]` behind each."""

import re
from collections.abc import Iterable, Sequence

from app.chat.sentences import Kind, Sentence

__all__ = ["Quotation", "render_quotes"]

# A passage's number, its sentences, and the indices of those that are quoted.
Quotation = tuple[int, Sequence[Sentence], Iterable[int]]


def render_quotes(quotations: Iterable[Quotation]) -> str | None:
    """Return all quotations, one passage after the other; None if nothing is quoted."""
    texts = [_render(number, sentences, sorted(chosen)) for number, sentences, chosen in quotations]
    return "\n\n".join(text for text in texts if text) or None


def _render(number: int, sentences: Sequence[Sentence], chosen: Sequence[int]) -> str:
    rendered = ""
    before: Sentence | None = None
    for index in chosen:
        sentence = sentences[index]
        if before is not None:
            rendered += _separator(before, sentence)
        rendered += _quote(sentence, before, f"[{number}]", _depth(sentences, index))
        before = sentence
    return rendered


def _separator(before: Sentence, sentence: Sentence) -> str:
    if before.kind is Kind.CODE or sentence.kind is Kind.CODE:
        return "\n\n"
    if before.kind is Kind.ROW and _same_table(before, sentence):
        return "\n"
    if before.block == sentence.block:
        return " "
    is_item_next = bool(sentence.marker) and (bool(before.marker) or sentence.parent is not None)
    return "\n" if is_item_next and before.kind is Kind.PROSE else "\n\n"


def _quote(sentence: Sentence, before: Sentence | None, cite: str, depth: int) -> str:
    if sentence.kind is Kind.CODE:
        return f"{sentence.text}\n\n{cite}"
    text = f"{_escape_markers(sentence.text)} {cite}"
    if sentence.kind is Kind.ROW:
        return _row(sentence, before, text)
    if sentence.marker:
        marker = sentence.marker if sentence.is_step else "-"
        return f"{'   ' * depth}{marker} {text}"
    return text


def _row(row: Sentence, before: Sentence | None, text: str) -> str:
    """Show a row in its table, below the header."""
    if not row.table_header:
        return f"- {text}"
    line = f"| {text} |"
    if before is not None and _same_table(before, row):
        return line
    rule = "|---" * len(_CELL_END.split(row.table_header)) + "|"
    return f"| {row.table_header} |\n{rule}\n{line}"


def _same_table(one: Sentence, other: Sentence) -> bool:
    return one.kind is other.kind is Kind.ROW and one.table_header == other.table_header


def _depth(sentences: Sequence[Sentence], index: int) -> int:
    """Count the items around an item."""
    depth = 0
    parent = sentences[index].parent
    while parent is not None:
        depth += sentences[parent].parent is not None or bool(sentences[parent].marker)
        parent = sentences[parent].parent
    return depth


def _escape_markers(text: str) -> str:
    """Keep a `[1]` that the passage itself has from passing for a citation."""
    return _MARKER_OR_CODE.sub(lambda found: found[0] if found[1] is None else "\\[", text)


_CELL_END = re.compile(r"(?<!\\)\|")
# Inside code nothing is a citation, and nothing can be escaped.
_MARKER_OR_CODE = re.compile(
    r"`[^`]+`|(?<!\\)(\[)(?=\[?[ ]?\d[\d\s,;:\u2010-\u2015-]*(?:\u2020[^\[\]]*)?\](?!\())"
)
