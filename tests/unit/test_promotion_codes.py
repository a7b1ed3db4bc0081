"""Codes of promotions: the forms in which they are equal, the characters that they may have, and random ones."""

import re
from itertools import islice

import pytest

from mercato_server.domain.promotion_codes import ALPHABET, CodeBatch, is_code, random_codes
from mercato_server.domain.promotions import folded_code

# The right sides are from the Unicode Character Database: CaseFolding.txt (statuses C and F) and the compatibility mappings of NFKC.
FOLDED = {
    " Summer10\t": "summer10",
    "\uff33\uff21\uff2c\uff25\uff11\uff10": "sale10",  # full width
    "STRASSE": "strasse",
    "Stra\u00dfe": "strasse",  # 00DF; F; 0073 0073
    "STRA\u1e9eE": "strasse",  # 1E9E; F; 0073 0073
    "I": "i",
    "\u0130": "i\u0307",  # F; 0069 0307: the capital I with a dot. Status T, which makes it an i, is for Turkish alone.
    "\u0131": "\u0131",  # the dotless i has no folding: it is another letter
    "\ufb03": "ffi",  # a ligature
    "\u2167": "viii",  # a Roman numeral
    "\u00c9": "\u00e9",
    "E\u0301": "\u00e9",  # decomposed
    "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2": "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3",  # the final sigma: 03C2; C; 03C3
    "\u212b": "\u00e5",  # the sign of Angstrom
    "\u017f": "s",  # the long s
    "\u212a": "k",  # the sign of Kelvin
}


@pytest.mark.parametrize(("code", "folded"), FOLDED.items(), ids=ascii)
def test_a_code_is_compared_without_case_width_and_composition(code: str, folded: str) -> None:
    assert folded_code(code) == folded
    assert folded_code(folded) == folded


def test_a_dotless_i_is_another_letter() -> None:
    assert len({folded_code(code) for code in ("\u0131", "i", "\u0130")}) == 3


@pytest.mark.parametrize(
    "code",
    ["SUMMER-10", "1_2", "Stra\u00dfe", "\u590f10", "\u03a3\u0391\u039b\u0395", "\u0915\u094b\u0921", "e\u0301"],
    ids=ascii,
)
def test_letters_and_digits_of_any_script_make_a_code(code: str) -> None:
    assert is_code(code)


@pytest.mark.parametrize(
    "code",
    [
        "a b",
        "a/b",
        "a:b",
        "a?b",
        "a.b",
        "..",
        "10%",
        "=1+1",
        "-A",
        "_A",
        "a\u200bb",
        "a\u00a0b",
        "\U0001f6d2",
        "a\nb",
        "a\0",
        "\u0301a",
        "@a",
    ],
    ids=ascii,
)
def test_signs_and_spaces_make_none(code: str) -> None:
    assert not is_code(code)


def test_a_letter_that_folds_to_several_words_is_no_code() -> None:
    phrase = "\ufdfa"  # one letter, whose compatibility mapping has four words
    assert is_code(phrase)
    assert not is_code(folded_code(phrase))


def test_random_codes_have_their_prefix_and_no_characters_that_look_alike() -> None:
    codes = list(islice(random_codes(CodeBatch(count=1, prefix="SUN-", length=20)), 2_000))
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"SUN-[34679CDFGHJKMNPQRTWXY]{20}", code) for code in codes)
    assert all(is_code(code) for code in codes)
    seen = "".join(code.removeprefix("SUN-") for code in codes)
    share = len(seen) / len(ALPHABET)
    assert all(
        0.8 * share < seen.count(character) < 1.2 * share for character in ALPHABET
    )  # each about 1,905 times; the bounds are 9 standard deviations
