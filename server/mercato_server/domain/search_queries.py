"""Queries of searches: what a buyer types, as full-text queries that PostgreSQL reads without surprises.

No text of a caller reaches a parser of PostgreSQL as it is: the words of a query are quoted lexemes, nested at most four levels deep.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from mercato_server.domain.real_words import is_real
from mercato_server.domain.search_documents import SKU_SIGN, quoted
from mercato_server.domain.spelling import is_spelled
from mercato_server.domain.words import FUNCTION_WORDS, STOP_WORDS, Compound, compounds, compounds_of, fold, stem

FOLDED_MAX = 400
"""Characters of a folded query that count; folding makes up to 18 of one."""

_OPERATORS = {
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02"), '"'),
    **dict.fromkeys(map(ord, "\u2212\ufe63\uff0d"), "-"),
}
"""Quotation marks, and minus signs: keyboards of East Asia write full-width ones."""
_PIECE = re.compile(r'(?P<minus>(?:(?<!\S)-+)?)(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Misspelled:
    """A word that may be misspelled, and the full-text query that finds it."""

    word: str
    lexemes: str


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. Each text is a tsquery, or None if it is empty."""

    matches: str | None
    """The condition on documents."""
    ranked: str | None
    """Any of the lexemes that the query asks for: the rank of a document counts which it has."""
    rest: str | None
    """The condition on documents that also have a word that begins with `beginning`."""
    beginning: str | None
    """The last word, if it may be the beginning of one."""
    stem: str | None
    """The stem of `beginning`."""
    words: Sequence[Misspelled]
    """The words that are corrected if no document has them."""


@dataclass(slots=True)
class _Term:
    """A word, a compound or a phrase of the query."""

    lexemes: str
    ranked: Sequence[str] = ()
    excluded: bool = False
    optional: bool = False
    beginning: str | None = None
    words: list[Misspelled] = field(default_factory=list)

    def __str__(self) -> str:
        return f"!({self.lexemes})" if self.excluded else f"({self.lexemes})"


@lru_cache(maxsize=1_000)
def parse(text: str) -> Query:
    """Parse a query: words that must all be there, `"a phrase"`, `-excluded` words, and `or` between alternatives."""
    asked = [group for group in _groups(text) if group]
    ranked = dict.fromkeys(lexeme for group in asked for term in group for lexeme in term.ranked)
    groups = [_required(group) for group in asked]
    last = groups[-1] if groups else []
    beginning = last[-1].beginning if last else None
    return Query(
        matches=" | ".join(_all(group) for group in groups) or None,
        ranked=" | ".join(map(quoted, ranked)) or None,
        rest=_all(last[:-1]) or None if beginning else None,
        beginning=beginning,
        stem=stem(beginning) if beginning else None,
        words=[word for group in groups for term in group for word in term.words],
    )


def corrected(text: str, spelled: Mapping[str, str]) -> str:
    """Return a query with some of its words replaced. Compounds in which a word is replaced are in lower case without accents."""
    return " ".join(_corrected(piece, spelled) for piece in _pieces(text))


def _groups(text: str) -> list[list[_Term]]:
    """Return the terms between the words `or`; an `or` at the beginning or the end of the query is a word."""
    groups: list[list[_Term]] = [[]]
    pieces = _pieces(text)
    for index, piece in enumerate(pieces):
        if piece["word"] and piece[0].lower() == "or" and groups[-1] and index + 1 < len(pieces):
            groups.append([])
        else:
            groups[-1] += _terms(piece, last=index + 1 == len(pieces))
    return groups


def _required(group: Sequence[_Term]) -> list[_Term]:
    """Return the terms of a group without its function words, unless it asks for no others."""
    required = [term for term in group if not term.optional]
    return required if any(not term.excluded for term in required) else list(group)


def _terms(piece: re.Match[str], *, last: bool) -> list[_Term]:
    excluded = bool(piece["minus"])
    if piece["word"] is None:
        return [_phrase(piece["phrase"], excluded=excluded)]
    found = compounds(fold(piece["word"])[:FOLDED_MAX])
    terms = [_term(each, excluded=excluded, last=last and not excluded and each is found[-1]) for each in found]
    if excluded and len(terms) > 1:  # "-a,b" excludes what has both
        return [_Term(" & ".join(f"({term.lexemes})" for term in terms), excluded=True)]
    return terms


def _all(group: Sequence[_Term]) -> str:
    return " & ".join(map(str, group))


def _term(each: Compound, *, excluded: bool, last: bool) -> _Term:
    if each.kind == "c":
        pairs = _unspaced(each.parts[0])
        return _Term(" <-> ".join(map(quoted, pairs)), [] if excluded else pairs, excluded)
    count = len(each.parts)
    whole = each.joined(0, count)
    words = [stem(whole)] if whole else []
    words += [stem(each.possessive)] if each.possessive else []
    # The exclusion of a word spares products whose SKU has it as a part, unless it is a number.
    sku = SKU_SIGN + each.joined(0, count, numbers=True)
    exact = list(dict.fromkeys([*words, *([] if excluded and sku[1:].isalpha() else [sku])]))
    alternatives = [*map(quoted, exact)]
    if count > 1:
        alternatives.append("(" + " <-> ".join(quoted(stem(part)) for part in each.parts) + ")")
    lexemes = " | ".join(alternatives)
    if excluded:
        return _Term(lexemes, excluded=True)
    ranked = list(dict.fromkeys([*exact, *map(stem, each.parts)]))
    optional = count == 1 and whole in FUNCTION_WORDS
    beginning = whole if last and not optional and is_spelled(whole) else None
    return _Term(lexemes, ranked, optional=optional, beginning=beginning, words=_misspelled(each, lexemes))


def _misspelled(each: Compound, lexemes: str) -> list[Misspelled]:
    """Return the parts of a compound that may be misspelled. A word that is no compound is found by all that the term finds."""
    words = [part for part in each.parts if is_spelled(part) and part not in STOP_WORDS and not is_real(part)]
    if len(each.parts) == 1:
        return [Misspelled(word, lexemes) for word in words]
    return [Misspelled(word, quoted(stem(word))) for word in words]


def _unspaced(text: str) -> list[str]:
    """Return the pairs of neighbours of a text without spaces, or its one character."""
    return [text[index : index + 2] for index in range(len(text) - 1)] or [text]


def _phrase(text: str, *, excluded: bool) -> _Term:
    """Return the term of a quoted phrase. Stop words keep their place, but count only if the phrase has no other words."""
    places: list[tuple[str, str]] = []
    for each in compounds(fold(text)[:FOLDED_MAX]):
        places += [(char, char) for char in each.parts[0]] if each.kind == "c" else [(part, stem(part)) for part in each.parts]
    kept = [index for index, (part, _) in enumerate(places) if part not in STOP_WORDS] or range(len(places))
    lexemes, before = "", None
    for index in kept:
        lexemes += "" if before is None else f" <{index - before}> "
        lexemes += quoted(places[index][1])
        before = index
    return _Term(lexemes, [] if excluded else [places[index][1] for index in kept], excluded)


def _pieces(text: str) -> list[re.Match[str]]:
    """Return the words and phrases of a query, without what has no words. A quotation mark without a partner, as in 27", is a space."""
    text = text.translate(_OPERATORS)
    if text.count('"') % 2:
        text = " ".join(text.rsplit('"', 1))
    return [piece for piece in _PIECE.finditer(text) if compounds(fold(piece[0])[:FOLDED_MAX])]


def _corrected(piece: re.Match[str], spelled: Mapping[str, str]) -> str:
    if piece["word"] is None or piece["minus"]:
        return piece[0]
    folded = fold(piece["word"])
    found = " ".join(_corrected_chunk(chunk, spelled) for chunk in folded.split())
    return piece[0] if found == folded else found


def _corrected_chunk(chunk: str, spelled: Mapping[str, str]) -> str:
    for each in reversed(compounds_of(chunk)):
        for part, (start, end) in reversed([*zip(each.parts, each.spans, strict=True)]):
            chunk = chunk[:start] + spelled.get(part, chunk[start:end]) + chunk[end:]
    return chunk
