"""What an answer looks like on a page: safe whoever has written it."""

import re
import time

import pytest

from app.chat.markdown import MAX_CHARACTERS, to_blocks

REL = 'target="_blank" rel="noopener noreferrer nofollow"'


def to_html(text: str) -> str:
    return "".join(to_blocks(text))


def test_markdown_becomes_html_block_by_block() -> None:
    text = "# Title\n\nSome *words*,\n\n- a\n- ~~b~~\n\n| x |\n|---|\n| 1 |\n\n```py\nx = 1\n```\n"

    blocks = to_blocks(text)

    assert [re.sub(r"\s+", "", block) for block in blocks] == [
        "<h3>Title</h3>",
        "<p>Some<em>words</em>,</p>",
        "<ul><li>a</li><li><s>b</s></li></ul>",
        "<table><thead><tr><th>x</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>",
        "<pre><code>x=1</code></pre>",
    ]


def test_markers_become_citations_but_not_in_code_or_links() -> None:
    html = to_html(
        "So it is. [1][2] But `rows[3]` and [4](https://a.example) are none.\n\n    [5]\n"
    )

    assert re.findall(r"<cite.*?</cite>", html) == [
        '<cite data-marker="1">[1]</cite>',
        '<cite data-marker="2">[2]</cite>',
    ]


def test_a_definition_makes_no_link_of_a_marker() -> None:
    html = to_html("See [1].\n\n[1]: https://evil.example")

    assert html.count('<cite data-marker="1">') == 2


@pytest.mark.parametrize(
    ("text", "url", "rest"),
    [
        ("see https://a.example/x.", "https://a.example/x", "."),
        ("(http://a.example/b_(c))", "http://a.example/b_(c)", ")"),
        ("<https://a.example>", "https://a.example", ""),
        ("[words](https://a.example?a=1&b=2)", "https://a.example?a=1&amp;b=2", ""),
        ("[mail](mailto:a@a.example)", "mailto:a@a.example", ""),
    ],
)
def test_addresses_become_links_that_tell_nobody(text: str, url: str, rest: str) -> None:
    html = to_html(text)

    assert f'<a href="{url}" {REL}>' in html
    assert html.endswith(f"</a>{rest}</p>\n")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<style>*{display:none}</style>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "[x](//evil.example)",
    "[x](/v1/logout)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    '![x"onerror="alert(1)](x)',
    '[x](https://a.example "\'><script>alert(1)</script>")',
    '[x](https://a.example/"onclick="alert(1))',
    'https://a.example/"onmouseover="alert(1)',
    '```"><script>alert(1)</script>\n</code></pre><script>alert(1)</script>\n```',
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<math><mi xlink:href='data:x,<script>alert(1)</script>'>",
    "<div><p><b>never closed [1",
    "<!-- <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<cite data-marker=1 onclick=alert(1)>",
    "|<script>|\n|---|\n|<img src=x onerror=alert(1)>|",
]
ALLOWED = re.compile(
    rf"</?(?:p|h[3-6]|ul|ol|li|blockquote|pre|code|em|strong|s|hr|br|table|thead|tbody|tr|th|td)>"
    rf'|<a (?:href="(?:https?://|mailto:)[^"<>]*" )?(?:title="[^"<>]*" )?{REL}>|</a>'
    r'|<cite data-marker="\d+">|</cite>'
)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_comes_through(text: str) -> None:
    html = to_html(f"Before {text} after\n\n{text}\n\n> - {text}")

    # Not a tag but those that are meant; all else is text.
    assert "<" not in ALLOWED.sub("", html), html


def test_a_picture_is_a_link_and_loads_nothing() -> None:
    html = to_html("![a chart](https://a.example/chart.png)")

    assert html == f'<p><a href="https://a.example/chart.png" {REL}>a chart</a></p>\n'


BOMBS = {
    "brackets": "[" * 100_000,
    "pictures": "![" * 50_000,
    "links": "[a](http://b " * 8_000,
    "addresses": "http://a.b/(" * 8_000,
    "emphasis": "**a" * 30_000,
    "strikes": "~~a" * 30_000,
    "quotes": ">" * 100_000,
    "lists": "\n".join(" " * number + "- x" for number in range(400)),
    "wide table": "|a" * 5_000 + "\n" + "|-" * 5_000 + "\n" + "|b" * 5_000,
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("length", [4_000, MAX_CHARACTERS, 100_000])
def test_no_text_takes_long_or_goes_deep(name: str, length: int) -> None:
    started = time.process_time()

    html = to_html(BOMBS[name][:length])

    # A few seconds at most on a slow machine, not minutes: a thread is busy with it.
    assert time.process_time() - started < 20
    depth = deepest = 0
    for tag in re.findall(r"</?[a-z]+", html):
        depth += -1 if tag.startswith("</") else tag not in ("<br", "<hr")
        deepest = max(deepest, depth)
    assert deepest < 100


def test_a_huge_text_is_shown_as_it_is() -> None:
    html = to_html("<b>\n\n" + "*a* " * MAX_CHARACTERS)

    assert html.startswith("<p>&lt;b&gt;</p><p>*a* *a* ")
