"""MDX loses its imports and tags, and nothing else."""

import pytest

from app.knowledge.chunking import split
from app.knowledge.parsing.mdx import mdx_to_markdown

PAGE = """\
---
title: "Using <Tabs>"
---

import { Callout, Tabs } from "@/components";
import {
  Snippet,
} from '@/code'
export const meta = {
  sdk: "python",

  version: 2,
};

# Tasks

Before the callout.

<Callout type="info" onClick={() => { go("}") }}>
  A task is **one** function, see [workers](/workers).
</Callout>

<Snippet
  src={snippets.python.task}
  theme="dark"
/>

Call `client.run<T>()` or a<b>c</b>d.{/* no comment */}

```tsx
import { Tabs } from "nextra";
<Tabs>{items}</Tabs>
```
"""


def test_statements_tags_and_comments_are_taken_out_and_every_word_stays() -> None:
    result = mdx_to_markdown(PAGE)

    assert [line for line in result.split("\n") if line] == [
        "---",
        'title: "Using <Tabs>"',
        "---",
        "# Tasks",
        "Before the callout.",
        "A task is **one** function, see [workers](/workers).",
        "Call `client.run<T>()` or a c d.",
        "```tsx",
        'import { Tabs } from "nextra";',
        "<Tabs>{items}</Tabs>",
        "```",
    ]


def test_every_line_keeps_its_number() -> None:
    before, after = PAGE.split("\n"), mdx_to_markdown(PAGE).split("\n")

    assert len(before) == len(after)
    for words in ["# Tasks", "Before the callout.", "```tsx", "<Tabs>{items}</Tabs>"]:
        assert before.index(words) == after.index(words)


def test_windows_newlines_make_no_difference() -> None:
    result = mdx_to_markdown(PAGE.replace("\n", "\r\n"))

    assert result.split() == mdx_to_markdown(PAGE).split()


@pytest.mark.parametrize(
    "text",
    [
        "Plain *Markdown* with [a link](https://example.com/a?b=<c>).",
        "`<Tabs>` and ``a ` <b>`` stay.",
        "If a < b and c > d, then <https://example.com> or <me@example.com>.",
        "Put your <token> here, and your <user-name> there.",
        "A generic Map<string, List<number>> in prose.",
        r"Escaped \<Tabs> and \{braces}.",
        "The version is {props.version}.",
        "~~~\n<Tabs>\n~~~",
        "- item\n\n      ````\n      ```\n      <Tabs></Tabs>\n      ````",
        "> ```\n> <b>code</b>\n> ```",
        "import duties rise.\n\nexport them from 'here'.",
        "Words,\nimport x from 'y' in the middle of a paragraph.",
        "<Unclosed\n\nwords",
        "`unclosed\n\nparagraph",
        "{/* unclosed",
    ],
)
def test_what_is_no_jsx_stays_as_it_is(text: str) -> None:
    assert mdx_to_markdown(text) == text


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("one<br/>two<br />three", "one two three"),
        ("<>Words.</>", "Words."),
        ("see the{' '}\nlink", "see the \nlink"),
        ("<!-- hidden -->Words.", "Words."),
        ("<Card.Title>Words.</Card.Title>", "Words."),
        ("| <Mcp /> | cell |", "|  | cell |"),
        ('<Tabs.Tab title="Python">\n\nWords.\n\n</Tabs.Tab>', "Python\n\nWords.\n\n"),
        ('<img src="a.png" alt="A diagram" />', "A diagram"),
        ("<a href={`/x/${y}`}>Words.</a>", "Words."),
        ('<Icon label={<b title="x">y</b>} />Words.', "Words."),
    ],
)
def test_what_a_reader_sees_stays(markup: str, words: str) -> None:
    assert mdx_to_markdown(markup) == words


def test_what_stands_in_components_is_moved_to_the_left_with_its_structure() -> None:
    text = """\
<Tabs>
    <Tab>
        ### Heading

        - item
          - inner

        ```python
        if True:
            pass
        ```
    </Tab>
</Tabs>

1. step

   <Callout>
     inside the step
   </Callout>
"""

    assert (
        mdx_to_markdown(text).strip()
        == """\
### Heading

- item
  - inner

```python
if True:
    pass
```



1. step


   inside the step""".strip()
    )


def test_headings_in_components_head_their_passages() -> None:
    text = "# Guide\n\n<Steps>\n    <Step>\n    ## Install\n\n    Run it.\n    </Step>\n</Steps>\n"

    [passage] = split(mdx_to_markdown(text), max_characters=900)

    assert passage.heading_path == ("Guide", "Install")


def test_a_statement_whose_brackets_never_close_costs_no_prose() -> None:
    text = "export const a = {\n\n# Title\n\nWords.\n"

    assert mdx_to_markdown(text) == text


@pytest.mark.parametrize(
    "unit", ["<a {", "<A b='", "{/*", "<!--", "`` ` ", "export const a = {\n\n"]
)
def test_hostile_text_is_read_to_its_end(unit: str) -> None:
    text = unit * 100_000

    assert len(mdx_to_markdown(text)) == len(text)
