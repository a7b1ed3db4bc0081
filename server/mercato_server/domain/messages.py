"""The messages of errors: templates with values, and lists of several parts."""

from collections.abc import Mapping, Sequence
from typing import Protocol

Value = str | int
"""A value in a message."""
LISTED_MAX = 10
"""The number of parts in a message. The details of an error have more."""


class Part(Protocol):
    """A part of a message, such as a violation of a request."""

    @property
    def text(self) -> str:
        """The part as the message has it."""

    @property
    def variables(self) -> Mapping[str, Value]:
        """The values in the text."""


def written(template: str, values: Mapping[str, Value]) -> str:
    """Return a template with its values, as str.format writes them. A text without values is no template: it may have braces."""
    return template.format_map(values) if values else template


def listed(parts: Sequence[Part], separator: str) -> tuple[str, dict[str, str]]:
    """Return the text of the first parts and the number of the others, and the values of this text.

    The values of the first part have their names. Those of part N have names that end with `_N`.
    """
    text, more, values = separator.join(part.text for part in parts[:LISTED_MAX]), len(parts) - LISTED_MAX, dict[str, str]()
    for number, part in enumerate(parts[:LISTED_MAX], 1):
        values |= {f"{name}_{number}" if number > 1 else name: str(value) for name, value in part.variables.items()}
    return (f"{text}{separator}{more} more", {**values, "more": str(more)}) if more > 0 else (text, values)
