"""The code blocks of a page of the documentation, with the headings that they are under."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

_PART = re.compile(r"^#+ (?P<heading>[^\n]+)$|^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A code block."""

    heading: str
    """The nearest heading above it."""
    language: str
    code: str


def blocks(page: Path, language: str = "") -> list[Block]:
    """Return the blocks of a page, if wanted those in one language."""
    found, heading = [], ""
    for part in _PART.finditer(page.read_text()):
        heading = part["heading"] or heading
        if part["code"] is not None and part["language"] == (language or part["language"]):
            found.append(Block(heading, part["language"], textwrap.dedent(part["code"])))
    return found
