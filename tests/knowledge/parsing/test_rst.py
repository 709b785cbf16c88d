"""Section titles of reStructuredText become headings; all else stays as it is."""

from app.knowledge.chunking import split
from app.knowledge.parsing.rst import rst_to_markdown

SPHINX_PAGE = """\
.. _queues:

======
Queues
======

A queue holds jobs, see :ref:`workers`.

.. versionadded:: 2.1
   Priorities.

Limits
------

.. code-block:: python

   # Not a heading
   queue.put(job)

1. First steps
~~~~~~~~~~~~~~

* one
* two

:mod:`queue` -- the module
--------------------------

=====  =====
Plan   Jobs
=====  =====
Free   100
=====  =====
"""


def test_titles_become_headings_of_the_level_at_which_their_rule_first_appeared() -> None:
    lines = rst_to_markdown(SPHINX_PAGE).split("\n")

    assert [line for line in lines if line.startswith("#")] == [
        "# Queues",
        "## Limits",
        "### 1. First steps",
        "## :mod:`queue` -- the module",
    ]


def test_everything_else_stays_on_its_line() -> None:
    before, after = SPHINX_PAGE.split("\n"), rst_to_markdown(SPHINX_PAGE).split("\n")

    changed = {
        old.strip(): new.strip()
        for old, new in zip(before, after, strict=True)
        if old.strip() != new.strip()
    }
    assert changed == {
        "======": "",
        "Queues": "# Queues",
        "Limits": "## Limits",
        "------": "",
        "1. First steps": "### 1. First steps",
        "~~~~~~~~~~~~~~": "",
        ":mod:`queue` -- the module": "## :mod:`queue` -- the module",
        "--------------------------": "",
    }


def test_passages_know_the_titles_above_them() -> None:
    passages = split(rst_to_markdown(SPHINX_PAGE), max_characters=200)

    assert [passage.heading_path for passage in passages] == [
        ("Queues",),
        ("Queues", "Limits"),
        ("Queues", "Limits", "1. First steps"),
        ("Queues", ":mod:queue -- the module"),
    ]


def test_a_rule_over_the_title_makes_another_level_than_the_same_rule_under_it_alone() -> None:
    text = "====\nBook\n====\n\nChapter\n=======\n"

    assert rst_to_markdown(text) == "\n# Book\n\n\n## Chapter\n\n"


def test_a_title_may_follow_right_after_another() -> None:
    assert rst_to_markdown("Book\n====\nChapter\n-------\n") == "# Book\n\n## Chapter\n\n"


def test_windows_newlines_make_no_difference() -> None:
    assert rst_to_markdown("Book\r\n====\r\n\r\nWords.\r\n").split() == ["#", "Book", "Words."]


def test_what_only_looks_like_a_title_is_none() -> None:
    for text in [
        "Words that go on\nand on\n======\n",
        "A long line of words\n...\n",
        "- item\n------\n",
        ".. note\n-------\n",
        "=====  =====\nPlan   Jobs\n=====  =====\n",
    ]:
        assert not rst_to_markdown(text).lstrip().startswith("#")


def test_what_markdown_would_misread_starts_no_section() -> None:
    text = "Book\n====\n\nSee::\n\n  # comment\n  Name\n  ----\n\n  ```\n\nLast\n====\n\nWords.\n"

    passages = split(rst_to_markdown(text), max_characters=20)

    assert {passage.heading_path for passage in passages} == {("Book",), ("Last",)}
