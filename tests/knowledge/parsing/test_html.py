"""A page's main content as Markdown."""

import pytest

from app.knowledge.exceptions import SourceUnusable
from app.knowledge.parsing.sandbox import Parser

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><title>Queues — Acme
 Docs</title><style>.x { color: red }</style><script>track("visit");</script></head>
<body>
<header><nav><ul><li><a href="/">Home</a></li><li><a href="/docs">All docs</a></li></ul></nav>
</header>
<main><article>
<h1>Queues<a class="headerlink" href="#queues">¶</a></h1>
<p>A queue holds <strong>jobs</strong> until a
<a href="/worker" title="hover">worker</a> takes them with <code>take_next()</code>;
see <a href="#limits">the limits</a>.</p>
<h2 id="limits">Limits</h2>
<table><tr><th>Plan</th><th>Jobs</th></tr><tr><td>Free</td><td>100</td></tr></table>
<h3>Steps</h3>
<ol><li>Install the client<ul><li>with pip</li></ul></li><li>Start a worker</li></ol>
<pre><code class="language-python"><span>def</span> run(x):
    # not a heading
    return x &lt; 3
</code></pre>
<p>The last words of the page.</p>
</article></main>
<footer>© 2026 Acme. <a href="/privacy">Privacy</a></footer>
</body></html>
"""


def text_of(parser: Parser, html: str | bytes, media_type: str | None = None) -> str:
    data = html if isinstance(html, bytes) else html.encode()
    return parser.parse(data, "page.html", media_type).text


def test_headings_lists_tables_code_and_links_become_markdown(parser: Parser) -> None:
    parsed = parser.parse(PAGE.encode(), "page.html", None)

    assert parsed.markdown
    for part in [
        "# Queues\n",
        "[worker](/worker) takes them with `take_next()`;\nsee the limits.",
        "\n## Limits\n",
        "| Plan | Jobs |",
        "| Free | 100 |",
        "\n### Steps\n",
        "1. Install the client\n",
        "- with pip",
        "2. Start a worker",
        "```python\ndef run(x):\n    # not a heading\n    return x < 3\n```",
        "The last words of the page.",
    ]:
        assert part in parsed.text


@pytest.mark.parametrize("words", ["track", "color", "Home", "All docs", "Privacy", "¶", "hover"])
def test_scripts_styles_navigation_and_permalinks_are_left_out(parser: Parser, words: str) -> None:
    assert words not in text_of(parser, PAGE)


@pytest.mark.parametrize(
    ("html", "title"),
    [
        (PAGE, "Queues — Acme Docs"),
        (
            "<html><title> </title><h1>The <b>first</b> heading</h1><p>Words.</p>",
            "The first heading",
        ),
        ("<html><body><p>Words.</p>", None),
    ],
)
def test_a_page_is_named_by_its_title_or_first_heading(
    parser: Parser, html: str, title: str | None
) -> None:
    assert parser.parse(html.encode(), "page.html", None).title == title


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<main>", "</main>"),
        ('<div role="main">', "</div>"),
        ("<article>", "</article>"),
        ("<main><p>Breadcrumb</p><article>", "</article></main>"),
    ],
)
def test_what_a_page_calls_its_main_content_is_taken_whole(
    parser: Parser, before: str, after: str
) -> None:
    links = "<ul><li><a href='/a'>Letter a</a></li><li><a href='/b'>Letter b</a></li></ul>"
    html = f"<html><body><div>Menu</div>{before}{links}{after}<div>Imprint</div></body></html>"

    assert text_of(parser, html) == "- [Letter a](/a)\n- [Letter b](/b)"


def test_a_page_that_does_not_say_loses_its_menus_all_the_same(parser: Parser) -> None:
    html = PAGE.replace("main>", "div>").replace("article>", "div>")

    text = text_of(parser, html)

    assert "The last words of the page." in text
    assert "Home" not in text
    assert "Privacy" not in text


def test_code_keeps_its_language(parser: Parser) -> None:
    pre = "<pre><code>x = 1</code></pre>"
    for html in [
        f"<html><main>{pre.replace('<code', '<code class=language-python')}</main>",
        f"<html><main><div class='highlight-python notranslate'><div>{pre}</div></div></main>",
    ]:
        assert text_of(parser, html) == "```python\nx = 1\n```"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        ("<html><p>Größe 東京</p>".encode(), None),
        ("<html><p>Größe 東京</p>".encode(), "text/html; charset=iso-8859-1"),
        ("<html><p>Größe 東京</p>".encode("utf-16"), None),
        ("\ufeff<html><p>Größe 東京</p>".encode(), None),
        (b"<html><meta charset='euc-jp'><p>" + "東京".encode("euc-jp") + b"</p>", None),
        (b"<html><p>" + "東京".encode("cp932") + b"</p>", 'text/html; charset="Shift_JIS"'),
        (
            b'<html><meta http-equiv="Content-Type" content="text/html; charset=gb2312"><p>'
            + "東京".encode("gb18030")
            + b"</p>",
            None,
        ),
    ],
)
def test_any_encoding_is_read_that_a_page_or_its_server_declares(
    parser: Parser, data: bytes, media_type: str | None
) -> None:
    parsed = parser.parse(data, "page.html", media_type)

    assert "東京" in parsed.text
    assert parsed.note is None


def test_a_page_that_declares_nothing_may_be_windows_1252(parser: Parser) -> None:
    parsed = parser.parse("<html><p>Größe €</p>".encode("cp1252"), "page.html", None)

    assert parsed.text == "Größe €"
    assert parsed.note == "not UTF-8; read as Windows-1252"


def test_an_encoding_that_does_not_exist_or_is_none_for_text_is_ignored(parser: Parser) -> None:
    for name in ["no-such", "zlib", "rot13"]:
        html = f"<html><meta charset='{name}'><p>Größe</p>".encode("cp1252")
        assert text_of(parser, html) == "Größe"


@pytest.mark.parametrize("tag", ["main", "div"])
def test_names_with_underscores_stay_searchable(parser: Parser, tag: str) -> None:
    words = "Set max_page_size to a*b. " * 20
    html = f"<html><body><{tag}><p>{words}</p><pre>a\\_b</pre></{tag}></body></html>"

    text = text_of(parser, html)

    assert "Set max_page_size to a*b." in text
    assert "a\\_b" in text


@pytest.mark.parametrize(
    "html", ["<html>", "<html><body></body></html>", "<html><script>x</script>"]
)
def test_a_page_without_words_is_empty(parser: Parser, html: str) -> None:
    with pytest.raises(SourceUnusable, match=r"^is empty$"):
        text_of(parser, html)


def test_a_page_may_be_nested_deeply(parser: Parser) -> None:
    assert "Words." in text_of(parser, "<html>" + "<div>" * 1_500 + "<p>Words.")


def test_a_page_nested_without_end_is_refused(parser: Parser) -> None:
    with pytest.raises(SourceUnusable, match="is nested too deeply to be read"):
        text_of(parser, "<html>" + "<div>" * 100_000 + "<p>Words.")


def test_a_book_on_one_page_is_read_whole(parser: Parser) -> None:
    chapter = f"<h2>Chapter</h2><p>{'Some words of it. ' * 100}</p>"

    html = f"<html><title>Book</title><body>{chapter * 1_200}<p>The end.</p></body></html>"

    text = text_of(parser, html)

    assert text.startswith("## Chapter\n\nSome words of it.")
    assert text.endswith("The end.")
