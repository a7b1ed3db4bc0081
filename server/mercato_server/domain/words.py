"""The words of a text: one rule for the texts of products and for the queries of searches.

`compounds` splits a text, and `stem` removes the endings of a word. docs/search.md has the rule with its examples.
"""

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

WORD_MAX = 64
"""Characters of a word that count. PostgreSQL refuses a lexeme of 2 KB."""

CACHED = 16_384
"""Words and texts without spaces whose results a process keeps, 10 MB at most."""

_FUNCTION = """
a an and are as at be by do does for from had has have how i if in is it its me my of on or our so some than that the their them then
these they this those to was we were what which while with you your yours
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
"""Words without which a query means the same. They are required only if the query has no others."""

_STOP = """
about above after again against all am any because been before being below between both but can did doing down during each few
further he her here hers herself him himself his into itself just more most myself no nor not now off once only other ours ourselves
out over own same she should such theirs themselves there through too under until up very when where who whom why will
yourself yourselves
"""
STOP_WORDS = FUNCTION_WORDS | frozenset(_STOP.split())
"""The words of PostgreSQL's English list. Descriptions are full of them, so they count only in names."""

# Plurals without a rule, and words whose last letters look like an ending: leggings are no legs, and a dressing is no dress.
_IRREGULAR = {
    "calves": "calf",
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "halves": "half",
    "hooves": "hoof",
    "knives": "knife",
    "leaves": "leaf",
    "lenses": "lens",
    "lives": "life",
    "loaves": "loaf",
    "men": "man",
    "mice": "mouse",
    "scarves": "scarf",
    "shelves": "shelf",
    "teeth": "tooth",
    "thieves": "thief",
    "wives": "wife",
    "wolves": "wolf",
    "women": "woman",
    "mens": "man",
    "womens": "woman",
    "childrens": "child",
}
_ENDINGS = """
bearing bedding building ceiling clothing coating dressing filling flooring footing icing legging lens lining matting pudding railing
seating shorts siding sling stocking stuffing tights topping tubing wedding
"""
_WHOLE = frozenset(_ENDINGS.split())
_PLURALS_OF_WHOLE = {f"{word}s": word for word in _WHOLE if not word.endswith("s")}

_ENGLISH = Stemmer.Stemmer("english")

# Applied before Unicode decomposes a text: it would make "TM" of a trade mark, and 71/2 of a 7 and a half.
_SIGNS = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bb\u02bc\u02b9\u2032\u0060\u00b4\uff07"), "'"),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-"),
    **dict.fromkeys(map(ord, "\u2120\u2122\u00ae\u00a9\u200b"), " "),
    **{point: f" {chr(point)}" for point in (*range(0xBC, 0xBF), *range(0x2150, 0x215F), 0x2189)},
}
_LETTERS = {
    "\u00e6": "ae",
    "\u00f0": "d",
    "\u00f8": "o",
    "\u00fe": "th",
    "\u0111": "d",
    "\u0127": "h",
    "\u0131": "i",
    "\u0142": "l",
    "\u014b": "n",
    "\u0153": "oe",
    "\u0167": "t",
    "\u2044": "/",
}
"""Letters and signs that Unicode does not decompose, with those that people type instead."""
_DIACRITICS_FROM = 200
"""Combining classes from here on are accents above, below and beside a letter."""
_VOWEL_POINTS = range(10, 37)
"""Combining classes of the points of Hebrew and Arabic, which texts leave out."""
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x1F3FB, 0x1F400))
"""Variants of the character before, such as the colour of a skin."""
_UNSPACED = (
    range(0x0E00, 0x0F00),  # Thai, Lao
    range(0x1000, 0x10A0),  # Myanmar
    range(0x1780, 0x1800),  # Khmer
    range(0x3005, 0x3008),
    range(0x3041, 0x3130),  # Hiragana, Katakana, Bopomofo
    range(0x31F0, 0x3200),
    range(0x3400, 0xA000),
    range(0xAC00, 0xD7B0),  # Hangul has spaces, but endings without one
    range(0xF900, 0xFB00),
    range(0x20000, 0x40000),
)
"""Scripts that write words without spaces between them."""
_SYMBOLS_FROM = 0x2190
"""Signs below, such as a degree, are no words; arrows, stars and emoji are."""


class _Folds(dict[int, str]):
    """The replacement of each character after decomposition, made at its first use."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        category, combining = unicodedata.category(char), unicodedata.combining(char)
        if combining >= _DIACRITICS_FROM or combining in _VOWEL_POINTS or any(point in each for each in _SELECTORS):
            folded = ""
        elif category == "Nd":
            folded = str(unicodedata.decimal(char))
        elif category in ("Cc", "Cf", "Co"):
            folded = " " if category == "Cc" else ""
        else:
            folded = _LETTERS.get(char, char)
        self[point] = folded
        return folded


class _Kinds(dict[int, str]):
    """The kind of a folded character: `a` letter, `0` digit, `c` character of a script without spaces, `s` symbol, or itself."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        category = unicodedata.category(char)
        if any(point in each for each in _UNSPACED) and category[0] in "LMN":
            kind = "c"
        elif category[0] in "LM":
            kind = "a"
        elif category[0] == "N":
            kind = "0"
        elif category in ("So", "Cn") and point >= _SYMBOLS_FROM:  # Python does not know the newest emoji
            kind = "s"
        else:
            kind = char if char in "-.,'&_/+#" else " "
        self[point] = kind
        return kind


_FOLDS, _KINDS = _Folds(), _Kinds()

_NAME_WITH_SIGN = r"(?<![a0])a(?:\+\+(?![a+])|[+#](?![a0+#]))"
"""C++, C# and their like: one letter and its signs."""
_UNIT = r"a+|0+(?:[.,]0+)+|0+"
_COMPOUND = re.compile(rf"{_NAME_WITH_SIGN}|(?:{_UNIT})(?:[-.'&_/]?(?:{_UNIT}))*|c+|s")
_UNITS = re.compile(_UNIT)
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,3}(?:\.[0-9]{3})+")
_DECIMAL = re.compile(r"[0-9]+[.,][0-9]+|[0-9]+(?:\.[0-9]+)+")


@dataclass(frozen=True, slots=True)
class Compound:
    """A chunk between two spaces, or a piece of it: `t-shirt` has the parts t and shirt, which are also found as `tshirt`."""

    parts: Sequence[str]
    spans: Sequence[tuple[int, int]]
    """Where each part stands in the text without spaces."""
    kind: str
    """`a` words and numbers, `c` a text without spaces, `s` a symbol."""
    possessive: str = ""
    """The word with the s of its possessive: `levis` for Levi's."""

    def joined(self, first: int, last: int, *, numbers: bool = False) -> str:
        """Return some parts as one word; empty if two numbers would meet, unless `numbers`: 1/2 is not 12."""
        chosen = self.parts[first:last]
        if not numbers and any(left[-1:].isdigit() and right[0].isdigit() for left, right in itertools.pairwise(chosen)):
            return ""
        return "".join(chosen)[:WORD_MAX]


def fold(text: str) -> str:
    """Return a text in lower case, without accents and with compatible characters made equal."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.translate(_SIGNS)).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", decomposed).translate(_FOLDS))


def compounds(folded: str) -> list[Compound]:
    """Return the compounds of a folded text in their order."""
    return [each for chunk in folded.split() for each in compounds_of(chunk)]


def compounds_of(chunk: str) -> Sequence[Compound]:
    """Return the compounds of a folded text without spaces. Short ones are cached: most words of a shop are in many of its texts."""
    return _split_short(chunk) if len(chunk) <= WORD_MAX else _split(chunk)


def _split(chunk: str) -> Sequence[Compound]:
    kinds = chunk.translate(_KINDS)
    found = []
    for match in _COMPOUND.finditer(kinds):
        start, end = match.span()
        kind = kinds[start]
        if kind in "cs":
            found.append(Compound((chunk[start:end],), ((start, end),), kind))
        elif kinds[end - 1] in "+#":
            found.append(Compound((chunk[start:end],), ((start, end),), "a"))
        else:
            found.append(_words(chunk, kinds, start, end))
    return tuple(found)


_split_short = lru_cache(maxsize=CACHED)(_split)


def _words(folded: str, kinds: str, start: int, end: int) -> Compound:
    parts: list[str] = []
    spans: list[tuple[int, int]] = []
    for unit in _UNITS.finditer(kinds, start, end):
        for part in _numbers(folded[slice(*unit.span())]) if kinds[unit.start()] == "0" else (folded[slice(*unit.span())],):
            parts.append(part[:WORD_MAX])
            spans.append(unit.span())
    if len(parts) > 1 and parts[-1] == "s" and folded[spans[-1][0] - 1] == "'":
        whole = "".join(parts)[:WORD_MAX]
        return Compound(tuple(parts[:-1]), tuple(spans[:-1]), "a", whole)
    return Compound(tuple(parts), tuple(spans), "a")


def _numbers(text: str) -> Sequence[str]:
    """Return the numbers of a text of digits, points and commas: 15,000 is 15000, 3,5 is 3.5, and 8,9,10 are three."""
    if _THOUSANDS.fullmatch(text):
        whole, point, fraction = text.partition(".") if "," in text else (text.replace(".", ""), "", "")
        return (whole.replace(",", "") + point + fraction,)
    return (text.replace(",", "."),) if text.isdigit() or _DECIMAL.fullmatch(text) else text.replace(".", ",").split(",")


@lru_cache(maxsize=CACHED)
def stem(word: str) -> str:
    """Return a word without its English ending; a word with other signs than letters stays as it is."""
    if not (word.isascii() and word.isalpha()):
        return word
    word = _IRREGULAR.get(word, word)
    word = _PLURALS_OF_WHOLE.get(word, word)
    return word if word in _WHOLE else str(_ENGLISH.stemWord(word))
