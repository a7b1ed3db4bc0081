"""Check the links of a built site: each leads to a file and an anchor of the site, and no page loads anything from another host."""

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("form", "action"), ("object", "data")}
"""Attributes that a browser follows by itself; others wait for a click."""


class _Page(HTMLParser):
    """The links of a page, and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value or "")
            elif name in {"href", "src", "action", "data"} and value is not None:
                self.links.append((tag, name, value))


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _pages(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


def broken(site: Path) -> Iterator[str]:
    """Yield each link of a page that leads to no file or no anchor of the site."""
    for path in _pages(site):
        for _tag, _name, link in _read(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            shown = f"{path.relative_to(site)}: {link}"
            if not target.is_file():
                yield shown
            elif parts.fragment and target.suffix == ".html" and not _has(target, unquote(parts.fragment)):
                yield f"{shown} (no such anchor)"


def _has(page: Path, anchor: str) -> bool:
    return anchor in _read(page).anchors or anchor == "__top"


def foreign(site: Path) -> Iterator[str]:
    """Yield each address of another host that a page makes a browser load."""
    for path in _pages(site):
        for tag, name, link in _read(path).links:
            parts = urlsplit(link)
            if (tag, name) in LOADED and (parts.scheme in {"http", "https"} or parts.netloc):
                yield f"{path.relative_to(site)}: {tag} loads {link}"
