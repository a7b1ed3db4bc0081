"""The beginnings of postal codes, in the one form in which they are stored and compared with codes.

A pattern of the library stands for a finite set of shapes. A shape says which characters a code has at each place, and after how many of
them a space or hyphen stands. A text is read against the shapes of its country, so it may be written with these marks or without.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from mercato_server.domain import postal_rules

PREFIX_MAX = 20
"""Characters of a text that is read as a prefix. The longest postal code has ten."""
_CACHED = 16_384
"""Texts whose form is kept in memory; a longer one than PREFIX_MAX is not."""
_MARKS = frozenset(" -")
_DIGITS = frozenset("0123456789")
_TOKEN = re.compile(r"\(\?:|\\.|\[[^\]]*\]|\{\d+(?:,\d+)?\}|.")
_RANGE = re.compile(r"\\d|\\(?P<escaped>.)|(?P<low>.)-(?P<high>.)|(?P<one>.)")

Characters = frozenset[str]
"""The characters that are allowed at a place."""
Sequences = list[tuple[Characters, ...]]
"""The alternatives of a pattern."""


class _Shape(NamedTuple):
    """A form of a country's postal codes: its characters without marks, and the mark that stands after a number of them."""

    characters: tuple[Characters, ...]
    marks: dict[int, str]

    def begins(self, text: str) -> bool:
        """Return whether codes of this shape can begin with a text without marks."""
        return len(text) <= len(self.characters) and all(map(frozenset.__contains__, self.characters, text))

    def inside(self, length: int) -> frozenset[int]:
        """Return the places of the marks that stand before the last of so many characters."""
        return frozenset(place for place in self.marks if place < length)

    def ends_part(self, length: int) -> bool:
        """Return whether a code has a mark, or its end, after so many characters."""
        return length in self.marks or length == len(self.characters)

    def written(self, text: str) -> str:
        """Return a text with the marks that stand inside it."""
        for place in sorted(self.inside(len(text)), reverse=True):
            text = text[:place] + self.marks[place] + text[place:]
        return text


def normal_prefix(country_code: str, text: str) -> str | None:
    """Return the stored form of the beginning of postal codes, or None if no code of the country begins like that.

    It is in upper case, with the spaces and hyphens of the country, wherever the text has them. A text without them is read as the first
    part of a code, if it can be one: `M25` is the district M25, and not the sector 5 of M2, which is `M2 5`. A space at the end is kept
    where it excludes codes: `SW1 ` leaves out those of SW1A. The form of this form is itself.
    """
    return _normal(country_code, text) if len(text) <= PREFIX_MAX else None


@functools.lru_cache(maxsize=_CACHED)
def _normal(country_code: str, text: str) -> str | None:
    known = postal_rules.rules(country_code)
    if known is None or "postal_code" not in known.fields:
        return None
    bare, typed = _split(text)
    if not 1 <= len(bare) <= PREFIX_MAX:
        return None
    if known.postal_code is None:
        return bare if bare.isascii() and bare.isalnum() else None
    shapes = [shape for shape in _shapes(country_code).get(bare[0], ()) if shape.begins(bare)]
    chosen = _agreeing(shapes, len(bare), typed)
    if not chosen:
        return None
    prefix = chosen[0].written(bare)
    ending = {shape.marks[len(bare)] for shape in chosen if len(bare) in shape.marks}
    if len(bare) in typed and ending and not all(shape.ends_part(len(bare)) for shape in chosen):
        return prefix + min(ending)
    return prefix


def _split(text: str) -> tuple[str, frozenset[int]]:
    """Return a text in upper case without spaces and dashes, and after how many characters these stood."""
    bare, typed = "", set()
    for character in unicodedata.normalize("NFKC", text).upper():
        if character.isspace() or unicodedata.category(character) == "Pd":
            typed.add(len(bare))
        else:
            bare += character
    return bare, frozenset(typed - {0})


def _agreeing(shapes: Sequence[_Shape], length: int, typed: frozenset[int]) -> list[_Shape]:
    """Return the shapes that have their marks where a text of this length has them.

    If none has, the text counts as one without marks, and is read as the first part of a code if it can be one.
    """
    for wanted in (frozenset(place for place in typed if place < length), frozenset[int]()):
        if found := [shape for shape in shapes if shape.inside(length) == wanted]:
            return found
    return list(shapes)


@functools.cache
def _shapes(country_code: str) -> dict[str, list[_Shape]]:
    """Return the shapes of a country's postal codes by the character that they begin with."""
    known = postal_rules.rules(country_code)
    if known is None or known.postal_code is None:
        return {}
    shapes: dict[tuple[Characters, ...], _Shape] = {}
    for sequence in _Pattern(known.postal_code.pattern).sequences():
        shape = _shape(sequence)
        known_shape = shapes.get(shape.characters)
        if known_shape is None or bool(shape.marks) == known.separates:
            shapes[shape.characters] = shape
    found: dict[str, list[_Shape]] = {}
    for shape in shapes.values():
        for character in shape.characters[0]:
            found.setdefault(character, []).append(shape)
    return found


def _shape(sequence: tuple[Characters, ...]) -> _Shape:
    characters: list[Characters] = []
    marks: dict[int, str] = {}
    for allowed in sequence:
        if allowed <= _MARKS:
            marks[len(characters)] = "-" if "-" in allowed else " "
        else:
            characters.append(allowed)
    return _Shape(tuple(characters), marks)


class _Pattern:
    """A parser of the regular expressions that the library has for postal codes: no repetition without an end, no references."""

    def __init__(self, pattern: str) -> None:
        self._tokens = _TOKEN.findall(pattern)
        self._at = 0

    def sequences(self) -> Sequences:
        """Return what the alternatives allow, up to the end of the pattern or of a group."""
        found = self._sequence()
        while self._peek() == "|":
            self._at += 1
            found += self._sequence()
        return found

    def _sequence(self) -> Sequences:
        parts: list[Sequences] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return [tuple(one for part in parts_of_one for one in part) for parts_of_one in product(*parts)]

    def _atom(self) -> Sequences:
        token = self._tokens[self._at]
        self._at += 1
        if token in ("(", "(?:"):
            inner = self.sequences()
            self._at += 1  # the closing parenthesis
            return inner
        if token in ("^", "$", r"\b"):
            return [()]
        return [(frozenset(_allowed(token)),)]

    def _repeated(self, atom: Sequences) -> Sequences:
        match self._peek():
            case "?":
                low, high = 0, 1
            case bounds if bounds.startswith("{"):
                low, high = (int(bound) for bound in (bounds[1:-1].split(",") * 2)[:2])
            case _:
                return atom
        self._at += 1
        return [tuple(one for part in parts for one in part) for count in range(low, high + 1) for parts in product(atom, repeat=count)]

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""


def _allowed(token: str) -> Iterator[str]:
    """Yield the characters that a character, an escape or a class stands for."""
    for match in _RANGE.finditer(token[1:-1] if token.startswith("[") else token):
        if match[0] == r"\d":
            yield from _DIGITS
        elif match["low"]:
            yield from map(chr, range(ord(match["low"]), ord(match["high"]) + 1))
        else:
            yield match["escaped"] or match["one"]
