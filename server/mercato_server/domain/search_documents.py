"""The words by which a search finds a product, and the words that a shop knows from its names."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mercato_server.domain.spelling import is_spelled
from mercato_server.domain.words import CACHED, STOP_WORDS, WORD_MAX, Compound, compounds, compounds_of, fold, stem

RULE_VERSION = 2
"""The version of the rule in this module and in words.py. Another rule gets another number: see docs/search.md."""
SKU_SIGN = "="
"""The first character of a lexeme of a SKU. No word of a text begins with it, so a SKU `RUN-1` is not found as "running"."""
HEAD, NAME, DESCRIPTION, SKU_PART = "ABCD"
"""Weights of a lexeme: the thing itself ("Shoes" in "Trail Shoes, blue"), the rest of the name, the description, a part of a SKU."""

_PLACES_MAX = 16
"""Places of a lexeme that are kept; more do not change its rank."""
_PLACE_MAX = 16_383
"""The last place that a tsvector can hold."""
_GAP = 10
"""Places between two texts, so that no phrase goes from one into the other."""
_SKU_RUN = 6
"""Parts of a SKU that are found when they are typed as one word; the whole is always."""
_AFTER_HEAD = re.compile(r"[,;:(\[|]| - | (?:with|for|in|by|from|without) ")
_HEAD_LETTERS = 3


@dataclass(frozen=True, slots=True)
class ProductWords:
    """The words of a product's texts."""

    lexemes: str
    """A tsvector in PostgreSQL's own spelling."""
    vocabulary: Sequence[str]
    """The words of letters that the name has, each once, in order."""


class _Read(NamedTuple):
    """A compound as a document has it."""

    lexemes: Sequence[tuple[str, int, bool]]
    """Each lexeme with its place, and whether it is a stop word."""
    places: int
    words: Sequence[str]
    """Its parts, neighbours as one word, and all as one."""
    is_thing: bool
    """Whether it may name a thing: it is no number and no size."""


def product_words(name: str, description: str, sku: str | None) -> ProductWords:
    """Return the words of a product."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    folded = fold(name)
    named = _read(folded)
    head = _head(folded)
    place = 1
    for index, each in enumerate(named):
        weight = HEAD if index == head else NAME
        for lexeme, offset, _ in each.lexemes:
            found[lexeme].append((place + offset, weight))
        place += each.places
    place += _GAP
    for each in _read(fold(description)):
        for lexeme, offset, is_stop_word in each.lexemes:
            if not is_stop_word:
                found[lexeme].append((place + offset, DESCRIPTION))
        place += each.places
    for lexeme, weight in _sku(sku or ""):
        found[lexeme].append((place + _GAP, weight))
    lexemes = " ".join([f"{quoted(lexeme)}:{_places(found[lexeme])}" for lexeme in sorted(found)])  # the order of UTF-8 is that of str
    return ProductWords(lexemes, sorted({word for each in named for word in each.words if is_spelled(word)}))


def _read(folded: str) -> list[_Read]:
    return [each for chunk in folded.split() for each in (_read_short(chunk) if len(chunk) <= WORD_MAX else _read_chunk(chunk))]


def _read_chunk(chunk: str) -> Sequence[_Read]:
    return tuple(_unspaced(each.parts[0]) if each.kind == "c" else _spaced(each) for each in compounds_of(chunk))


_read_short = lru_cache(maxsize=CACHED)(_read_chunk)


def _unspaced(text: str) -> _Read:
    """Read a text without spaces: each character and each pair of neighbours."""
    pairs = [(text[index : index + 2], index, False) for index in range(len(text) - 1)]
    return _Read([*((char, index, False) for index, char in enumerate(text)), *pairs], len(text), (), is_thing=True)


def _spaced(compound: Compound) -> _Read:
    """Read a compound. A joined word has the places of its first and its last part, so that phrases go on before and after it."""
    count = len(compound.parts)
    lexemes = [(stem(part), index, part in STOP_WORDS) for index, part in enumerate(compound.parts)]
    words = [*compound.parts]
    for first, last in dict.fromkeys([*((start, start + 2) for start in range(count - 1)), *([(0, count)] if count > 1 else [])]):
        if word := compound.joined(first, last):
            lexemes += [(stem(word), first, False), (stem(word), last - 1, False)]
            words.append(word)
    if compound.possessive:
        lexemes.append((stem(compound.possessive), count - 1, False))
        words.append(compound.possessive)
    is_thing = any(part.isalpha() and len(part) >= _HEAD_LETTERS for part in compound.parts)
    return _Read(lexemes, count, words, is_thing)


def quoted(lexeme: str) -> str:
    """Return a lexeme as a tsvector or tsquery spells it. No lexeme has a quotation mark or a backslash: they are no parts of words."""
    return f"'{lexeme}'"


def _places(places: list[tuple[int, str]]) -> str:
    """Return the places of a lexeme as a tsvector spells them: sorted, each once with its highest weight, the lowest without a letter."""
    if len(places) == 1 and places[0][0] <= _PLACE_MAX:
        return f"{places[0][0]}{places[0][1].removeprefix(SKU_PART)}"
    weights: dict[int, str] = {}
    for place, weight in sorted((min(place, _PLACE_MAX), weight) for place, weight in places):
        weights.setdefault(place, weight)
    return ",".join(f"{place}{weight.removeprefix(SKU_PART)}" for place, weight in [*weights.items()][:_PLACES_MAX])


def _head(folded: str) -> int:
    """Return the index of the compound that names the thing: the last one before a comma or a preposition, sizes and numbers aside."""
    after = _AFTER_HEAD.search(folded, 1)
    words = _read(folded[: after.start()] if after else folded)
    return max((index for index, each in enumerate(words) if each.is_thing), default=0)


def _sku(sku: str) -> Iterable[tuple[str, str]]:
    """Yield the lexemes of a SKU with their weights: the whole as it is written without its signs, and runs of its parts."""
    parts = [part for each in compounds(fold(sku)) for part in (each.parts if each.kind == "a" else tuple("".join(each.parts)))]
    for first in range(len(parts)):
        for last in range(first + 1, min(first + _SKU_RUN, len(parts)) + 1):
            yield SKU_SIGN + "".join(parts[first:last])[:WORD_MAX], SKU_PART
    if parts:
        yield SKU_SIGN + "".join(parts)[:WORD_MAX], HEAD
