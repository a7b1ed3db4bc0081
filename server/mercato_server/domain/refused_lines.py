"""Lines of files that an import refuses."""

from typing import NamedTuple


class Refused(NamedTuple):
    """A line that cannot be imported, and the reason."""

    line: int
    reason: str
