"""Descriptions of products in HTML: which HTML is kept, and the plain text of it.

The kept elements and attributes are an allow-list: nothing that runs, loads frames, or styles the page around the description. Links and
pictures are http or https; links may also be mail addresses and telephone numbers.
"""

import re
from html.parser import HTMLParser

import nh3

DESCRIPTION_HTML_MAX = 50_000
"""Characters of a description in HTML, as given and as kept."""
TAGS_MAX = 5_000
"""Signs `<` of a description: the time to parse wrongly nested tags grows with the square of their number."""

_TEXT = {
    "a", "abbr", "b", "bdi", "bdo", "br", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd", "mark", "q", "s", "samp", "small",
    "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
}  # fmt: skip
_BLOCKS = {
    "blockquote", "caption", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
_CLEANER = nh3.Cleaner(
    tags=_TEXT | _BLOCKS | {"img", "col", "colgroup"},
    clean_content_tags={"script", "style", "iframe", "object", "noscript", "template", "title", "textarea"},
    attributes={
        "a": {"href", "title"},
        "abbr": {"title"},
        "bdo": {"dir"},
        "col": {"span"},
        "colgroup": {"span"},
        "img": {"src", "alt", "title", "width", "height"},
        "li": {"value"},
        "ol": {"start"},
        "td": {"colspan", "rowspan"},
        "th": {"colspan", "rowspan", "scope"},
        "time": {"datetime"},
    },
    url_schemes={"http", "https", "mailto", "tel"},
    link_rel="nofollow noopener noreferrer",
)
_PASSES_MAX = 4
_CELLS = {"td", "th"}
_APART = {"blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"}
"""Blocks with an empty line before and after them."""
_SPACES = re.compile(r"[ \t\f\r\n\u00a0]+")


class UnstableHtmlError(Exception):
    """The HTML still changes when it is cleaned again, so it is not kept."""


def cleaned(html: str) -> str:
    """Return the HTML that is kept of `html`; cleaning that once more gives the same. Raises UnstableHtmlError.

    A parser may read the result of one pass in another way than it was meant; the second pass shows whether it does.
    """
    for _ in range(_PASSES_MAX):
        html, before = _CLEANER.clean(html).strip(), html
        if html == before:
            return html
    raise UnstableHtmlError


def text_of(html: str) -> str:
    """Return the text of cleaned HTML: blocks begin lines, paragraphs are apart, cells of a row are apart by a space."""
    reader = _Text()
    reader.feed(html)
    reader.close()
    return "\n".join(_SPACES.sub(" ", line).strip() for line in "".join(reader.parts).split("\n")).strip()


def shortened(text: str, longest: int) -> str:
    """Return the beginning of a text, of at most `longest` characters and cut at a white space if it has one."""
    if len(text) <= longest:
        return text
    head, _, _ = text[: longest + 1].rpartition(_last_space(text[: longest + 1]))
    return head.rstrip() or text[:longest]


def _last_space(text: str) -> str:
    return max(" ", "\n", key=text.rfind)


class _Text(HTMLParser):
    """Collects the text of HTML with the breaks of its lines."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._breaks = 0
        """Line breaks before the next word."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the signature of HTMLParser
        if tag == "br":
            self._breaks = min(self._breaks + 1, 2)
        elif tag in _BLOCKS and tag not in _CELLS:
            self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _CELLS:
            self.parts.append(" ")
        elif tag in _BLOCKS:
            self._break(tag)

    def handle_data(self, data: str) -> None:
        text = _SPACES.sub(" ", data)
        if text != " ":
            self.parts.append("\n" * self._breaks)
            self._breaks = 0
        self.parts.append(text)

    def _break(self, tag: str) -> None:
        self._breaks = max(self._breaks, 2 if tag in _APART else 1)
