"""Sort keys of names have the order of the Unicode Collation Algorithm with its default table (DUCET).

The expected orders are those of the published table: https://www.unicode.org/Public/UCA/10.0.0/allkeys.txt. Its weights are in the
comments, as primary.secondary.tertiary.
"""

import itertools
import random
import unicodedata

import pytest
from pyuca.collator import Collator_10_0_0

from mercato_server.domain.catalog import NAME_MAX
from mercato_server.domain.name_keys import KEY_MAX_BYTES, name_key

# Each row is in the order of the table; names within a row that are equal for it do not occur.
ORDERS = {
    "case comes after the letters: a is 1CAD.0020.0002 and A is 1CAD.0020.0008": ["apple", "Apple", "apples", "Zebra"],
    "an accent comes after the letters and before case: ä is a 0000.002B.0002": [
        "Apfel",
        "äpfel",
        "Äpfel",
        "Apfelkern",
        "Äpfelkern",
        "Zug",
    ],
    "a letter with a ring is a letter with an accent: Å is A 0000.0029.0002": ["Angstrom", "Ångström", "Anhang", "Zebra"],
    "é comes among e": ["eclair", "éclair", "Éclair", "eclairs", "zebra"],
    "ß is ss with other weights of case and accent: 1ED7.0020.0004 0000.0111.0004 1ED7.0020.0004": ["Fass", "Faß", "Fassade", "Fat"],
    "Œ is OE in the same way: 1E43.0020.000A 0000.0111.0004 1D10.0020.000A": ["Odeur", "oeuvre", "œuvre", "Œuvre", "of"],
    "accents are compared from the front": ["cote", "coté", "côte", "côté"],
    "spaces, punctuation, signs, digits, letters": ["a b", "a_b", "a-b", "a, b", "a$b", "a1b", "ab"],
    "a space ends a word: 0209 is below each letter": ["Trail Shoes", "Trailer", "Trails"],
    "digits come before letters, one by one and in any script": ["1", "10", "2", "\uff12\uff12", "٣", "A"],
    "½ is 1, a sign and 2": ["1", "½", "10"],
    "scripts follow each other: Latin, Greek, Cyrillic, Hangul, kana, ideographs": ["zebra", "Ωmega", "Яблоко", "사과", "りんご", "苹果"],
    "Cyrillic in the order of its alphabet, й apart from и": ["Ёлка", "Елки", "игра", "йод", "клён", "Яма"],
    "hiragana comes before katakana, its small letters before it": ["かき", "カキ", "かぎ", "かく"],
    "ideographs in the order of the code points of the unified ones": ["一", "手机", "苹果", "苹果手机", "㐀"],
    "a sign or emoji comes before digits": ["!", "★", "🎸 guitar", "7", "guitar"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS.keys())
def test_names_are_sorted_as_the_published_table_sorts_them(names: list[str]) -> None:
    assert sorted(names[1::2] + names[::2], key=name_key) == names


def test_one_list_has_all_of_them() -> None:
    expected = [
        "!important", "(empty)", "★ star", "🎸 guitar", "3.5mm cable", "7 samurai", "apple", "Apple", "Äpfel", "Ångström", "éclair",
        "Œuvre", "ß", "Zebra", "Яблоко", "苹果",
    ]  # fmt: skip
    assert sorted(expected, key=name_key) == sorted(expected, key=Collator_10_0_0().sort_key)
    assert sorted(["Zebra", "éclair", "Äpfel", "apple", "Ångström", "Apple"], key=name_key) == [
        "Ångström", "Äpfel", "apple", "Apple", "éclair", "Zebra",
    ]  # fmt: skip


def test_names_that_unicode_calls_equal_have_one_key() -> None:
    for name in ("Ångström", "Äpfel", "각", "ǖ"):
        assert name_key(unicodedata.normalize("NFD", name)) == name_key(unicodedata.normalize("NFC", name))
    assert name_key("\u212bngström") == name_key("Ångström")  # the sign for the unit


def test_any_two_names_are_in_the_order_of_the_whole_weights() -> None:
    """The keys leave out the lowest weights at the end of a level, and weigh words alone; pyuca's do neither."""
    weigh, some = Collator_10_0_0(), random.Random(2)  # noqa: S311 - no secret
    letters = [*map(chr, range(0x20, 0x250)), *"абвёйЖ手机苹果あいアｱ🎸½①각", "\u0301", "\u0308", "\u0323", *"   "]
    names = ["".join(some.choices(letters, k=some.randint(1, 8))) for _ in range(5_000)]
    ordered = sorted(names, key=name_key)
    for one, other in itertools.pairwise(ordered):
        assert weigh.sort_key(one) <= weigh.sort_key(other)
        assert (weigh.sort_key(one) == weigh.sort_key(other)) == (name_key(one) == name_key(other))


def test_a_key_is_bounded_and_a_long_name_of_letters_has_its_whole_key() -> None:
    assert len(name_key("\ufdfa" * NAME_MAX)) == KEY_MAX_BYTES  # a ligature of 18 letters
    long = "Waterproof Trail Shoes " * 8
    assert name_key(long + "b") < name_key(long + "B") < name_key(long + "c")
    assert name_key("手" * NAME_MAX) < name_key("手" * (NAME_MAX - 1) + "机")
