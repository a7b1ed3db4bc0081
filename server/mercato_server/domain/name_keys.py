"""The sort keys of names, by the Unicode Collation Algorithm (UTS #10) with its default table (DUCET, Unicode 10).

Bytewise the keys have the order of the algorithm: spaces, punctuation, signs, digits, then letters by alphabet. Accents decide between
equal letters, then case. Spaces and punctuation count, so "di Silva" is before "Diaz". The rule is a part of RULE_VERSION.
"""

import functools
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from mercato_server.domain.words import CACHED

if TYPE_CHECKING:
    from pyuca.collator import Collator_10_0_0

KEY_MAX_BYTES = 1_000
"""Longest key. A name of 200 characters may have a longer one, and PostgreSQL indexes 2,704 bytes at most. Of equal keys the id decides."""
_LEVEL = b"\0\0"
"""Separates levels. No weight is 0."""
_PLAIN = "\x20"
"""The lowest secondary weight, which each letter without an accent has."""
_LOWER = b"\x02"
"""The lowest tertiary weight, which each small letter has."""


class _Weights(NamedTuple):
    """The weights of a text on each level, without those that are 0."""

    letters: bytes
    """Two bytes each."""
    accents: str
    """A character each."""
    cases: bytes
    """A byte each."""


@functools.cache
def collator() -> "Collator_10_0_0":
    """Return the table of the algorithm. The first call takes a third of a second, and 12 MB of memory."""
    from pyuca.collator import Collator_10_0_0

    return Collator_10_0_0()


def name_key(name: str) -> bytes:
    """Return the sort key of a name, which has no NUL."""
    words = [_weights(word) for word in unicodedata.normalize("NFD", name).replace(" ", "\0 \0").split("\0")]
    letters = b"".join([word.letters for word in words])
    # The end of a level is below each weight, as the lowest weight is. So without the last of them the order is the same.
    accents = "".join([word.accents for word in words]).rstrip(_PLAIN).encode("utf-16-be")
    cases = b"".join([word.cases for word in words]).rstrip(_LOWER)
    return (letters + _LEVEL + accents + _LEVEL + cases)[:KEY_MAX_BYTES]


@functools.lru_cache(maxsize=CACHED)
def _weights(word: str) -> _Weights:
    """Return the weights of a word, or of a space. No contraction of the table has a space, so words are weighed alone."""
    elements = collator().collation_elements(word)
    letters, accents, cases = ([element[level] for element in elements if element[level]] for level in range(3))
    return _Weights(b"".join([weight.to_bytes(2) for weight in letters]), "".join(map(chr, accents)), bytes(cases))
