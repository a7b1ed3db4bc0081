"""The correction of misspelled words: the distance of two spellings, and the keys by which words at most so far apart find each other."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mercato_server.domain.words import stem

SHORT, MIDDLE = 2, 5
"""A word of up to so many letters may have no typo, or one; a longer one two."""
SPELLED_MAX = 32
"""Letters of the longest word that is corrected."""
_KEY_MAX = 7
"""Letters of a word from which its keys are made. Words that differ by two edits share a key of any beginning longer than that."""


class Candidate(NamedTuple):
    """A word of the shop that may be meant by a misspelled one, and how many products have it."""

    word: str
    products: int


def is_spelled(word: str) -> bool:
    """Return whether a word has only letters, and is long enough to be known to the shop. Numbers and SKUs are not corrected."""
    return SHORT <= len(word) <= SPELLED_MAX and word.isalpha()


def edits_max(word: str) -> int:
    """Return how many edits a word may be away from the right one."""
    return 0 if len(word) <= SHORT else 1 if len(word) <= MIDDLE else 2


def keys(word: str) -> list[str]:
    """Return the keys of a word: its beginning without up to as many letters as it may have typos.

    Two words that `distance` allows to be the same have a key in common (the deletion neighbourhood of SymSpell). The first letter stays.
    """
    return sorted({key for form in {word, stem(word)} for key in _keys(form)})


def _keys(word: str) -> Iterable[str]:
    beginning = word[:_KEY_MAX]
    for edits in range(edits_max(word) + 1):
        for kept in itertools.combinations(beginning[1:], max(len(beginning) - 1 - edits, 0)):
            yield beginning[:1] + "".join(kept)


def distance(left: str, right: str) -> int:
    """Return the number of edits between two words: insertions, deletions, replacements, and swaps of neighbours (Damerau).

    It is the restricted distance: no letter is edited twice.
    """
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            least = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != other))
            if row > 1 and column > 1 and letter == right[column - 2] and left[row - 2] == other:
                least = min(least, before[column - 2] + 1)
            current.append(least)
        before, above = above, current
    return above[-1]


def nearest(typed: str, candidates: Sequence[Candidate]) -> str | None:
    """Return the word that is meant: the one with the fewest edits, then that of most products; None if all are too far away.

    Endings may differ beside: both the words and their stems are compared.
    """
    ranked = [(edits, -each.products, each.word) for each in candidates if (edits := _edits(typed, each.word))]
    return min(ranked)[2] if ranked else None


def _edits(typed: str, word: str) -> tuple[int, int] | None:
    if typed[0] != word[0]:
        return None
    whole, stems = distance(typed, word), distance(stem(typed), stem(word))
    fits = [edits for edits, limit in ((whole, edits_max(typed)), (stems, edits_max(stem(typed)))) if edits <= limit]
    return (min(fits), whole) if fits else None
