"""Find the fences of a page in Markdown: its blocks of code between lines of backticks or tildes, with all that follows on the first."""

import re
import textwrap
from dataclasses import dataclass

_HEADING = re.compile(r"#+ (?P<heading>.+)")
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code."""

    heading: str
    """The nearest heading above it."""
    info: str
    """The text behind the opening marks, such as a language and attributes."""
    code: str
    """The lines inside, without the indentation that they share."""
    first: int
    """Index of the opening line among the lines of the page."""
    last: int
    """Index of the closing line."""

    @property
    def language(self) -> str:
        """The first word of the info, empty without one."""
        return self.info.split()[0] if self.info.split() else ""


def fences(text: str) -> list[Fence]:
    """Return the fences of a page in their order; raises ValueError for one that is never closed."""
    found, heading, opened = [], "", None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        marks = _FENCE.fullmatch(line)
        if opened is None:
            if titled := _HEADING.fullmatch(line):
                heading = titled["heading"]
            elif marks:
                opened = (number, marks)
        elif marks and not marks["info"].strip() and marks["mark"].startswith(opened[1]["mark"]):
            code = "".join(f"{each}\n" for each in lines[opened[0] + 1 : number])
            found.append(Fence(heading, opened[1]["info"].strip(), textwrap.dedent(code), opened[0], number))
            opened = None
    if opened:
        raise ValueError(f"line {opened[0] + 1}: the fence is never closed")
    return found
