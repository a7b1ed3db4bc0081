"""Gather the pages of the site: those of the repository, with links that lead to each other, and diagrams as pictures.

A link to a file that is no page becomes its text and the path of the file: the site names no other host.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from fences import fences

ROOT = Path(__file__).parent.parent
TITLES = {"README.md": "mercato.md", "docs/README.md": "index.md"}
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>(?:`[^`]*`|[^\]`])*)\]\((?P<path>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
PICTURES = {".png", ".svg", ".webp", ".jpg"}


def sources(root: Path = ROOT) -> dict[Path, str]:
    """Return the pages of a checkout, each with its place in the site."""
    pages = [*sorted(root.glob("*.md")), *sorted((root / "docs").glob("*.md"))]
    names = {page: page.relative_to(root).as_posix() for page in pages}
    return {
        page: TITLES.get(name, PurePosixPath(name).name.lower() if "/" not in name else PurePosixPath(name).name)
        for page, name in names.items()
    }


def gather(into: Path, root: Path = ROOT) -> list[str]:
    """Write the pages and their pictures below a directory, and return the diagrams that they show as `images/diagram-N.svg`."""
    places, diagrams = sources(root), list[str]()
    for page, place in places.items():
        text = _with_diagrams(page.read_text(encoding="utf-8"), diagrams)
        target = into / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(outside_fences(text, partial(_relinked, page=page, places=places, root=root)), encoding="utf-8")
    for picture in sorted((root / "docs/images").iterdir()):
        copy = into / "images" / picture.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(picture.read_bytes())
    return diagrams


def _with_diagrams(text: str, diagrams: list[str]) -> str:
    """Return a page whose diagrams are pictures, and add them to the list."""
    lines = text.splitlines()
    for fence in reversed(drawn := [each for each in fences(text) if each.language == "mermaid"]):
        number = len(diagrams) + drawn.index(fence)
        lines[fence.first : fence.last + 1] = [f"![Diagram: {fence.heading.replace('`', '')}](images/diagram-{number}.svg)"]
    diagrams += [fence.code for fence in drawn]
    return "\n".join(lines) + "\n"


def outside_fences(text: str, change: Callable[[str], str]) -> str:
    """Return a page with its prose changed, and its fences as they are."""
    lines, parts, after = text.splitlines(), list[str](), 0
    for fence in fences(text):
        parts += [change("\n".join(lines[after : fence.first])), "\n".join(lines[fence.first : fence.last + 1])]
        after = fence.last + 1
    parts.append(change("\n".join(lines[after:])))
    return "\n".join(parts) + "\n"


def _relinked(prose: str, page: Path, places: Mapping[Path, str], root: Path) -> str:
    def link(match: re.Match[str]) -> str:
        path, anchor = match["path"], match["anchor"] or ""
        if not path or "://" in path or path.startswith("mailto:") or match["picture"]:
            return match[0]
        target = (page.parent / path).resolve()
        if target in places:
            return f"[{match['text']}]({places[target]}{anchor})"
        if target.suffix in PICTURES and target.is_relative_to(root / "docs/images"):
            return f"[{match['text']}](images/{target.name})"
        name = target.relative_to(root.resolve()).as_posix()
        said = match["text"].strip("`")
        return f"`{name}`" if said.rstrip("/") in name else f"{match['text']} (`{name}`)"

    spans = [match.span() for match in CODE.finditer(prose)]

    def outside_code(match: re.Match[str]) -> str:
        inside = any(first <= match.start() and match.end() <= last for first, last in spans)
        return match[0] if inside else link(match)

    return LINK.sub(outside_code, prose)
