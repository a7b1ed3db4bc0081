"""Text of a shop, made harmless for a terminal: a product's name must not move the cursor or hide what follows it."""

import re

HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Control characters, those that change the direction of text, and halves of characters."""
SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def harmless(text: str) -> str:
    """Return a text in one line: characters that steer a terminal become escapes of Python."""
    return HARMFUL.sub(lambda found: _escape(found.group()), text)


def cell(text: str) -> str:
    """Return a text as a cell of TSV. A backslash is doubled, so that escapes can be told from text."""
    return harmless(text.replace("\\", "\\\\"))


def harmless_json(text: str) -> str:
    """Return a JSON text with the characters that steer a terminal as escapes of JSON."""
    return HARMFUL.sub(lambda found: found.group() if found.group() == "\n" else f"\\u{ord(found.group()):04x}", text)


def _escape(character: str) -> str:
    number = ord(character)
    return SHORT.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
